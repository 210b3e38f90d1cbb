"""The step and the momentum, (3), (30) and (31)."""

from __future__ import annotations

import numpy as np
import pymanopt

from fgmanifolds.geometry import ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, constant
from fgmanifolds.torch import FGSGD
from fgmanifolds.verify import reference, trajectory
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, negated, with_argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.sidefaults import (
    CLIMBS,
    NO_DAMPENING,
    NO_DENOMINATOR,
    NO_MOMENTUM,
    RETRACTS_BACK,
)
from fgmanifolds.verify.statements.algorithm import PRINTED_PLUS, WHY_SIGN
from fgmanifolds.verify.trajectory import CUBE, CURVATURE, SIZE, Layer

__all__ = ["ENTRIES", "eq31", "sign_of_the_step"]


def sign_of_the_step(*, seed: int = 0) -> Finding:
    """Check (3) and (30): the step of FGSGD and of the solver is -(r / g) times the gradient.

    Steps are made so short that the retraction does not matter.
    """
    found, rate = Evidence(), 1e-7
    layer = Layer(seed, radius=0.7)
    before = [part.point.copy() for part in layer.parts]
    layer.backward()
    FGSGD(layer.adapter, rate, gradient_norm="current").step()
    after = layer._read(layer.conv.weight.detach())
    off = slope = printed = decrease = 0.0
    for part, w, y in zip(layer.parts, before, after, strict=True):
        grad = part.target + 3 * CUBE * part.target**3 * w**2
        each = zip(w, grad, strict=True)
        tangent = np.array([reference.tangent_part(part.kind, a, b) for a, b in each])
        norm = float(np.linalg.norm(tangent))
        g = trajectory.printed_denominator(
            norm, float(part.radii.min()) / CURVATURE[part.kind] ** 0.5
        )
        wanted = trajectory.printed_step(
            1.0, g, trajectory.right_momentum(0.0, 0 * grad, 1.0, tangent)
        )
        moved = (np.reshape(y, w.shape) - w) / rate
        off = max(off, float(np.abs(moved - wanted).max()) / float(np.abs(wanted).max()))
        slope += float(np.vdot(wanted, tangent))
        as_printed = trajectory.printed_step(
            1.0, g, trajectory.printed_momentum(0.0, 0 * grad, 1.0, tangent)
        )
        printed += float(np.vdot(as_printed, tangent))
        decrease -= norm**2 / g
    found.below(PRINTED, "(3) with (31) as printed: slope of the loss", printed, 0.0)
    found.near(RIGHT, "the same over that of (3) with grad", printed / slope, -1, 1e-9)
    found.near(RIGHT, "slope of the loss along (3), over -R^2 / g", slope / decrease, 1, 1e-9)
    found.below(CODE, "step of FGSGD off (3) by", off, 1e-4)
    found.below(CODE, "step of FGSGDSolver off (3) by", _solver_step(seed, rate), 1e-4)
    return found.finding(
        "(3), (30)",
        "The step is -(r(t) / g) times the gradient.",
        "On their own (3) and (30) descend. With the momentum of (31), which has a minus of its "
        "own, they climb.",
        corrected=True,
    )


def _solver_step(seed: int, rate: float) -> float:
    """How far one step of the solver is from (3), relative."""
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 2), Stiefel(3, 3)], [1.0, 0.7])
    slopes = [SIZE * rng.standard_normal(c.shape) for c in product.components]
    decorate = pymanopt.function.numpy(product)

    def cost(u: Array, v: Array) -> float:
        return float(np.vdot(slopes[0], u) + np.vdot(slopes[1], v))

    def gradient(u: Array, v: Array) -> list[Array]:
        return slopes

    problem = pymanopt.Problem(product, decorate(cost), euclidean_gradient=decorate(gradient))
    start = product.random_point(rng)
    solver = FGSGDSolver(
        constant(rate, check=False),
        gradient_norm="current",
        check_schedule=False,
        max_iterations=1,
        min_step_size=0.0,
        verbosity=0,
    )
    after = solver.run(problem, initial_point=start).point
    tangent = [
        reference.tangent_part(c.kind, w, s)
        for c, w, s in zip(product.components, start, slopes, strict=True)
    ]
    norm = float(np.sqrt(sum(np.sum(x**2) for x in tangent)))
    rho = 1.0 / max(1.0, 0.125 / 0.7**2) ** 0.5
    g = trajectory.printed_denominator(norm, rho)
    wanted = [trajectory.printed_step(1.0, g, x) for x in tangent]
    parts = zip(after, start, wanted, strict=True)
    size = max(float(np.abs(x).max()) for x in wanted)
    return max(float(np.abs((y - w) / rate - x).max()) for y, w, x in parts) / size


def eq31(*, seed: int = 0) -> Finding:
    """Check (31) with the paper's theta_mu = theta_E = 0.9, over six steps of FGSGD at g = 1."""
    found, theta, rate = Evidence(), (0.9, 0.9), 2e-3
    layer, climbing = Layer(seed, radius=0.7), Layer(seed, radius=0.7)
    optimizer = FGSGD(layer.adapter, rate, theta[0], 1 - theta[1], rule=None)
    start = layer.backward()
    for _ in range(6):
        layer.backward()
        optimizer.step()
        for part, other in zip(layer.parts, climbing.parts, strict=True):
            part.step(rate, theta, trajectory.right_momentum, plain=True)
            other.step(rate, theta, trajectory.printed_momentum, plain=True)
    found.below(CODE, "FGSGD off the corrected (31) by", layer.difference(), 1e-9)
    right = sum(part.loss() for part in layer.parts) - start
    printed = sum(part.loss() for part in climbing.parts) - start
    found.below(RIGHT, "change of the loss, corrected", right, -1.0)
    found.below(PRINTED, "change of the loss, as printed", printed, 0.0)
    return found.finding(
        "(31)",
        "The momentum is theta_mu mu - theta_E grad.",
        "Under the minus of (3) that climbs. Right is theta_mu mu + theta_E grad, the momentum of "
        "torch.optim.SGD with dampening 1 - theta_E.",
        corrected=True,
    )


_STEP_PLUS = Fault(
    "eq3-plus",
    FORMULA,
    "(3) and (30) without the minus",
    "fgmanifolds.verify.trajectory:printed_step",
    negated,
)


_RIGHT_WEAK = Fault(
    "eq31-right-half",
    FORMULA,
    "the corrected momentum with theta_E / 2",
    "fgmanifolds.verify.trajectory:right_momentum",
    with_argument(2, lambda theta: 0.5 * theta),
)


_SIGN_FAULTS = (PRINTED_PLUS, _STEP_PLUS, CLIMBS, NO_DENOMINATOR, RETRACTS_BACK)


ENTRIES = (
    Claim(
        "eq3",
        "(3)",
        "The step is -(r / g) grad.",
        "With (31) as printed it ascends.",
        "fgmanifolds.torch.FGSGD",
        sign_of_the_step,
        CORRECTED,
        WHY_SIGN,
        _SIGN_FAULTS,
    ),
    Claim(
        "eq30",
        "(30)",
        "As (3).",
        "With (31) as printed it ascends.",
        "fgmanifolds.torch.FGSGD",
        sign_of_the_step,
        CORRECTED,
        WHY_SIGN,
        _SIGN_FAULTS,
    ),
    Claim(
        "eq31",
        "(31)",
        "mu = theta_mu mu - theta_E grad.",
        "mu = theta_mu mu + theta_E grad.",
        "fgmanifolds.torch.FGSGD",
        eq31,
        CORRECTED,
        WHY_SIGN,
        (PRINTED_PLUS, _RIGHT_WEAK, CLIMBS, NO_MOMENTUM, NO_DAMPENING),
    ),
)
