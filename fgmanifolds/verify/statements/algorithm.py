"""Algorithm 1, against a reference in NumPy."""

from __future__ import annotations

import numpy as np
import torch

from fgmanifolds.torch import FGSGD
from fgmanifolds.verify import trajectory
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, with_argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.sidefaults import CLIMBS, NO_DENOMINATOR, NO_MOMENTUM, NO_RESCALING
from fgmanifolds.verify.trajectory import Layer

__all__ = ["ENTRIES", "algorithm1"]


def algorithm1(*, seed: int = 0) -> Finding:
    """Check Algorithm 1: steps with momentum, and a change of radii, against lines 5 to 7.

    The reference knows the constraints of Table V and the formulas (3), (5) and (31) alone.
    """
    found = Evidence()
    layer = Layer(seed, radius=0.7)
    theta = (0.5, 0.5)  # theta_E = 1 - theta_mu: the momentum has a gradient's scale
    optimizer = FGSGD(layer.adapter, 0.05, theta[0], 1 - theta[1], gradient_norm="current")
    start = layer.backward()
    for _ in range(5):
        layer.backward()
        optimizer.step()
        for part in layer.parts:
            part.step(0.05, theta)
    found.below(CODE, "five steps with momentum: largest difference", layer.difference(), 1e-9)
    fallen = sum(part.loss() for part in layer.parts) - start
    found.below(RIGHT, "change of the loss, corrected signs", fallen, -0.1)
    found.below(PRINTED, "change of the loss, as printed", _printed_run(seed), 0.0)
    _radii_change(found, seed)
    return found.finding(
        "Algorithm 1",
        "Project the gradient of each POM, scale the step, retract, and rescale once an epoch.",
        "With (31) as printed the steps of line 6 climb. Line 3 reads 'each layer l = 1..T' where "
        "each step t is meant; the number of steps is the same.",
        corrected=True,
    )


def _printed_run(seed: int) -> float:
    """Change of the loss in five steps with (31) as printed."""
    layer = Layer(seed, radius=0.7)
    before = sum(part.loss() for part in layer.parts)
    for _ in range(5):
        for part in layer.parts:
            part.step(0.05, (0.5, 0.5), trajectory.printed_momentum)
    return sum(part.loss() for part in layer.parts) - before


def _radii_change(found: Evidence, seed: int) -> None:
    """Radii gamma / lambda from features of other spreads than 1, in the middle of a run."""
    layer = Layer(seed, "pi", min_std=None)
    gamma = (9 * (4 + 6)) ** -0.5
    spreads = torch.tensor([0.25, 1.0, 3.0, 6.0], dtype=torch.float64)
    draw = torch.randn(
        64, 4, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    optimizer = FGSGD(layer.adapter, 0.01, gradient_norm="current")
    for epoch in range(2):
        layer.backward()
        optimizer.step()
        for part in layer.parts:
            part.step(0.01)
        if epoch == 0:
            layer.model.train()(draw * spreads[:, None, None])
            layer.adapter.update_scales_()
            layer.rescaled()
            found.below(CODE, "weights off the homothety by", layer.difference(), 1e-9)
    found.below(CODE, "a step at the new radii: largest difference", layer.difference(), 1e-9)
    inside = []
    for name, part in zip(layer.adapter.pom_names("0"), layer.parts, strict=True):
        spread = float(spreads[int(name.split(":")[0].split()[-1])])
        low, high = sorted((1.0, spread))
        spread_used = gamma / part.radii
        inside.append(
            bool(np.all((spread_used > low - 0.02) & (spread_used < high + 0.02)))
            and (abs(spread - 1) < 0.1 or float(np.abs(spread_used - 1).min()) > 0.02)
        )
    found.near(CODE, "share of POMs whose lambda went from 1 to its spread", np.mean(inside), 1, 0)


PRINTED_PLUS = Fault(
    "eq31-printed-right",
    FORMULA,
    "the printed momentum with a plus",
    "fgmanifolds.verify.trajectory:printed_momentum",
    lambda f: trajectory.right_momentum,
)


_WRONG_G = Fault(
    "eq5-half-rho",
    FORMULA,
    "the reference's denominator with rho in place of 2 rho",
    "fgmanifolds.verify.trajectory:printed_denominator",
    with_argument(1, lambda rho: 0.5 * rho),
)


WHY_SIGN = (
    "With $\\mu = \\theta_\\mu \\mu - \\theta_E \\nabla L$ the momentum points downhill; "
    "$-(r/g)\\mu$ then points uphill. Along the step $s = -(r/g)\\nabla L$ the loss has the slope "
    "$-(r/g) R^2$, with the two minus signs $+(r/g) R^2$."
)


ENTRIES = (
    Claim(
        "algorithm1",
        "Algorithm 1",
        "Project, scale the step, retract, for each layer l = 1..T.",
        "The momentum of line 5 with a plus; line 3 is each step t = 1..T.",
        "fgmanifolds.torch.FGSGD",
        algorithm1,
        CORRECTED,
        "Line 5 is the orthogonal projection, from the null space of the constraints. Line 6 is "
        "(3) with the denominator (5), here at the distance $\\hat c^{-1/2}$ of Corollary 2. Line "
        "7 normalises. At an epoch's end radii become gamma over the running spread of each "
        "channel's features, and weights follow by homothety. " + WHY_SIGN,
        (PRINTED_PLUS, _WRONG_G, CLIMBS, NO_DENOMINATOR, NO_MOMENTUM, NO_RESCALING),
    ),
)
