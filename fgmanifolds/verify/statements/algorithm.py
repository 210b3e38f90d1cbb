"""Algorithm 1 and its steps, (3), (30) and (31), against a reference in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pymanopt
import torch
from torch import nn

from fgmanifolds.geometry import ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, constant
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated, with_argument
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "algorithm1", "eq31", "sign_of_the_step"]

#: Highest sectional curvature of 3 x 3 kernels at unit radius; the lowest is 0 or more.
CURVATURE = {"sphere": 1.0, "oblique": 1.0, "stiefel": 0.125}

#: Size of the loss: gradients that are large enough for a denominator above 1.
SIZE = 3.0

#: Weight of the loss's cubic part, which makes gradients change from place to place.
CUBE = 0.05


# The formulas ----------------------------------------


def printed_momentum(theta_mu: float, mu: Array, theta_e: float, grad: Array) -> Array:
    """Eq. (31) as printed."""
    return theta_mu * mu - theta_e * grad


def right_momentum(theta_mu: float, mu: Array, theta_e: float, grad: Array) -> Array:
    """Eq. (31) with the sign that descends under (3)."""
    return theta_mu * mu + theta_e * grad


def printed_step(rate: float, g: float, grad: Array) -> Array:
    """Eqs. (3) and (30): the step on the tangent space."""
    return -(rate / g) * grad


def printed_denominator(norm: float, rho: float) -> float:
    """The denominator where no curvature is negative."""
    return max(1.0, norm * max(2 * rho + norm, 1.0))


class _Reference:
    """One POM in NumPy: Algorithm 1 from constraints alone, for kernels of one kind."""

    def __init__(self, kind: str, point: Array, radii: Array, target: Array) -> None:
        self.kind, self.point, self.radii, self.target = kind, point, radii, target
        self.mu: Array | None = None

    def loss(self) -> float:
        """The loss: linear and cubic in the entries."""
        x = self.point * self.target
        return float((x + CUBE * x**3).sum())

    def step(
        self,
        rate: float,
        theta: tuple[float, float] = (0.0, 1.0),
        momentum: Callable[[float, Array, float, Array], Array] = right_momentum,
        plain: bool = False,
    ) -> None:
        """Lines 5 to 7: project, divide, retract; the first momentum is the gradient."""
        grad = self.target + 3 * CUBE * self.target**3 * self.point**2
        if self.mu is None:
            self.mu = momentum(0.0, 0 * grad, 1.0, grad)
        else:
            self.mu = momentum(theta[0], self.mu, theta[1], grad)
        each = zip(self.point, self.mu, strict=True)
        tangent = np.array([reference.tangent_part(self.kind, w, u) for w, u in each])
        norm = float(np.sqrt(np.sum(tangent**2)))
        rho = float(self.radii.min()) / CURVATURE[self.kind] ** 0.5
        g = 1.0 if plain else printed_denominator(norm, rho)
        moved = self.point + printed_step(rate, g, tangent)
        each_moved = zip(moved, self.radii, strict=True)
        self.point = np.array([reference.nearest(self.kind, y, r) for y, r in each_moved])


class _Layer:
    """A convolution on POMs with a loss, and a reference for each of its POMs."""

    def __init__(self, seed: int, scheme: str = "pio", **options: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(4, 6, 3, padding=1, bias=False, dtype=torch.float64)
            self.model = nn.Sequential(self.conv)
            kinds = ("sphere", "oblique", "stiefel")
            self.adapter = POMAdapter(self.model, scheme, kinds, seed=seed, **options)
            self.adapter.initialize_()
        shape = self.conv.weight.shape
        self.target = SIZE * torch.randn(shape, generator=generator, dtype=torch.float64)
        self.poms = range(len(self.adapter.pom_names("0")))
        targets = self._read(self.target)
        points = self._read(self.conv.weight.detach())
        self.parts: list[_Reference] = []
        for pom in self.poms:
            component = self.adapter.manifold("0", pom).components[0]
            stack = (component.k, 3, 3)
            arrays = (np.reshape(x[pom], stack) for x in (points, targets))
            point, target = arrays
            self.parts.append(_Reference(component.kind, point, component.radii, target))

    def _read(self, values: torch.Tensor) -> list[Array]:
        """Entries of a tensor of the weight's shape, one array a POM."""
        kept = self.conv.weight.detach().clone()
        with torch.no_grad():
            self.conv.weight.copy_(values)
            found = [self.adapter.point("0", pom)[0] for pom in self.poms]
            self.conv.weight.copy_(kept)
        return found

    def backward(self) -> float:
        """Loss with its gradient."""
        x = self.conv.weight * self.target
        loss = (x + CUBE * x**3).sum()
        self.conv.weight.grad = None
        loss.backward()
        return float(loss.detach())

    def difference(self) -> float:
        """Largest difference of the weights from the reference."""
        now = self._read(self.conv.weight.detach())
        pairs = zip(now, self.parts, strict=True)
        return max(float(np.abs(np.reshape(a, b.point.shape) - b.point).max()) for a, b in pairs)

    def rescaled(self) -> None:
        """Take over new radii and carried points, as an epoch's end does."""
        for pom, part in zip(self.poms, self.parts, strict=True):
            radii = self.adapter.manifold("0", pom).components[0].radii
            part.point = part.point * (radii / part.radii)[:, None, None]
            part.radii = radii


# Algorithm 1 ----------------------------------------


def algorithm1(*, seed: int = 0) -> Finding:
    """Check Algorithm 1: steps with momentum, and a change of radii, against lines 5 to 7.

    The reference knows the constraints of Table V and the formulas (3), (5) and (31) alone.
    """
    found = Evidence()
    layer = _Layer(seed, radius=0.7)
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
    layer = _Layer(seed, radius=0.7)
    before = sum(part.loss() for part in layer.parts)
    for _ in range(5):
        for part in layer.parts:
            part.step(0.05, (0.5, 0.5), printed_momentum)
    return sum(part.loss() for part in layer.parts) - before


def _radii_change(found: Evidence, seed: int) -> None:
    """Radii gamma / lambda from features of other spreads than 1, in the middle of a run."""
    layer = _Layer(seed, "pi", min_std=None)
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


# (3), (30) and (31) ----------------------------------------


def sign_of_the_step(*, seed: int = 0) -> Finding:
    """Check (3) and (30): the step of FGSGD and of the solver is -(r / g) times the gradient.

    Steps are made so short that the retraction does not matter.
    """
    found, rate = Evidence(), 1e-7
    layer = _Layer(seed, radius=0.7)
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
        g = printed_denominator(norm, float(part.radii.min()) / CURVATURE[part.kind] ** 0.5)
        wanted = printed_step(1.0, g, right_momentum(0.0, 0 * grad, 1.0, tangent))
        moved = (np.reshape(y, w.shape) - w) / rate
        off = max(off, float(np.abs(moved - wanted).max()) / float(np.abs(wanted).max()))
        slope += float(np.vdot(wanted, tangent))
        as_printed = printed_step(1.0, g, printed_momentum(0.0, 0 * grad, 1.0, tangent))
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
    g = printed_denominator(norm, rho)
    wanted = [printed_step(1.0, g, x) for x in tangent]
    parts = zip(after, start, wanted, strict=True)
    size = max(float(np.abs(x).max()) for x in wanted)
    return max(float(np.abs((y - w) / rate - x).max()) for y, w, x in parts) / size


def eq31(*, seed: int = 0) -> Finding:
    """Check (31) with the paper's theta_mu = theta_E = 0.9, over six steps of FGSGD at g = 1."""
    found, theta, rate = Evidence(), (0.9, 0.9), 2e-3
    layer, climbing = _Layer(seed, radius=0.7), _Layer(seed, radius=0.7)
    optimizer = FGSGD(layer.adapter, rate, theta[0], 1 - theta[1], rule=None)
    start = layer.backward()
    for _ in range(6):
        layer.backward()
        optimizer.step()
        for part, other in zip(layer.parts, climbing.parts, strict=True):
            part.step(rate, theta, right_momentum, plain=True)
            other.step(rate, theta, printed_momentum, plain=True)
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


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.algorithm"


@contextmanager
def _other_options(optimizer: FGSGD, changes: dict[str, Any]) -> Iterator[None]:
    kept = [dict(group) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group.update({key: value for key, value in changes.items() if key in group})
    try:
        yield
    finally:
        for group, old in zip(optimizer.param_groups, kept, strict=True):
            group.update({key: old[key] for key in changes if key in old})


def _with_options(**changes: Any) -> Callable[[Any], Any]:
    """FGSGD.step with other options than the optimizer was given."""

    def change(step: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(self: FGSGD, closure: Any = None) -> Any:
            with _other_options(self, changes):
                return step(self, closure)

        return wrong

    return change


CLIMBS = Fault(
    "fgsgd-climbs",
    PACKAGE,
    "FGSGD steps along the gradient (the printed minus inside of its momentum)",
    "fgmanifolds.torch:FGSGD.step",
    _with_options(maximize=True),
)
_NO_DENOMINATOR = Fault(
    "fgsgd-no-denominator",
    PACKAGE,
    "FGSGD takes g = 1",
    "fgmanifolds.torch:FGSGD.step",
    _with_options(rule=None),
)
_NO_MOMENTUM = Fault(
    "fgsgd-no-momentum",
    PACKAGE,
    "FGSGD has no momentum",
    "fgmanifolds.torch:FGSGD.step",
    _with_options(momentum=0.0),
)
_NO_DAMPENING = Fault(
    "fgsgd-no-theta-e",
    PACKAGE,
    "FGSGD takes theta_E = 1",
    "fgmanifolds.torch:FGSGD.step",
    _with_options(dampening=0.0),
)
_NO_RESCALING = Fault(
    "no-rescaling",
    PACKAGE,
    "POMAdapter.update_scales_ leaves the radii as they are",
    "fgmanifolds.torch:POMAdapter.update_scales_",
    lambda f: lambda self: None,
)
RETRACTS_BACK = Fault(
    "solver-backwards",
    PACKAGE,
    "retractions on products go the other way",
    "fgmanifolds.geometry:ScaledProductManifold.retraction",
    with_argument(2, negated(lambda v: v)),
)
_PRINTED_PLUS = Fault(
    "eq31-printed-right",
    FORMULA,
    "the printed momentum with a plus",
    f"{_HERE}:printed_momentum",
    lambda f: right_momentum,
)
_STEP_PLUS = Fault(
    "eq3-plus", FORMULA, "(3) and (30) without the minus", f"{_HERE}:printed_step", negated
)
_WRONG_G = Fault(
    "eq5-half-rho",
    FORMULA,
    "the reference's denominator with rho in place of 2 rho",
    f"{_HERE}:printed_denominator",
    with_argument(1, lambda rho: 0.5 * rho),
)
_RIGHT_WEAK = Fault(
    "eq31-right-half",
    FORMULA,
    "the corrected momentum with theta_E / 2",
    f"{_HERE}:right_momentum",
    with_argument(2, lambda theta: 0.5 * theta),
)

_WHY_SIGN = (
    "With $\\mu = \\theta_\\mu \\mu - \\theta_E \\nabla L$ the momentum points downhill; "
    "$-(r/g)\\mu$ then points uphill. Along the step $s = -(r/g)\\nabla L$ the loss has the slope "
    "$-(r/g) R^2$, with the two minus signs $+(r/g) R^2$."
)
_SIGN_FAULTS = (_PRINTED_PLUS, _STEP_PLUS, CLIMBS, _NO_DENOMINATOR, RETRACTS_BACK)

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
        "channel's features, and weights follow by homothety. " + _WHY_SIGN,
        (_PRINTED_PLUS, _WRONG_G, CLIMBS, _NO_DENOMINATOR, _NO_MOMENTUM, _NO_RESCALING),
    ),
    Claim(
        "eq3",
        "(3)",
        "The step is -(r / g) grad.",
        "With (31) as printed it ascends.",
        "fgmanifolds.torch.FGSGD",
        sign_of_the_step,
        CORRECTED,
        _WHY_SIGN,
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
        _WHY_SIGN,
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
        _WHY_SIGN,
        (_PRINTED_PLUS, _RIGHT_WEAK, CLIMBS, _NO_MOMENTUM, _NO_DAMPENING),
    ),
)
