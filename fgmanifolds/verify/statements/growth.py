"""Expected growth in one step, (24) and (25)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgmanifolds.validation import check_integer
from fgmanifolds.verify import onestep
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.fault import with_argument as argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.onestep import CASES, SCHEDULE, Case, PathStep, kinked

__all__ = ["ENTRIES", "eq24", "eq25", "one_step", "without_kappa"]

_HERE = "fgmanifolds.verify.statements.growth"

#: What finite differences and rounding leave of an inequality, relative to r(t)^2.
SLACK = 1e-6


def bound_24(inner: float, rate: float) -> float:
    """(24): bound of the expected change of the squared distance."""
    return inner + rate**2


def bound_25(square_change: float, slope: float, rate: float) -> float:
    """(25): bound of the expected change of Psi by that of the squared distance."""
    return square_change * slope + rate**2


def one_step(*, points: int = 60, seed: int = 0, size: float = 4.0) -> Finding:
    """Check the one-step inequality (24) along the path of a run.

    ``E(rho_{t+1}^2 - rho_t^2) <= 2 (r(t) / g) <Log, grad> + r(t)^2``, with the expectation
    over the sample of the step. It needs a denominator that exceeds every
    sample's gradient: that holds with the norm of the same sample ("current") and
    Theorem 2's distance; a running average ("past") may be too small for a sample.

    Parameters
    ----------
    points : int
        Number of points along the path, every fifth step of a run.
    seed : int
    size : float
        Of the data: the larger, the larger the gradients.

    Returns
    -------
    Finding
        Share of the points at which (24) holds, and its worst violation over r(t)^2.
    """
    check_integer("points", points, low=1)
    setting = onestep.OneStep(seed, size)
    path = setting.path(points, 5, "corollary2")
    found = Evidence()
    cases = (
        ("theorem2", "current"),
        ("theorem2", "past"),
        ("corollary2", "past"),
        (None, "current"),
    )
    for rule, norm in cases:
        excess = []
        for i, (point, past) in enumerate(path):
            rate = SCHEDULE(5 * i)
            step = setting.step(point, past, rate, rule, norm)
            change = float(step.after.mean()) - step.before
            excess.append((change - bound_24(step.inner, rate)) / rate**2)
        case = f"{rule}, {norm} norm" if rule else "no denominator"
        share = float(np.mean(np.array(excess) <= SLACK))
        if norm == "past":
            found.note(f"share of points, {case}", share)
        elif rule:
            found.near(RIGHT, f"share of points, {case}", share, 1.0, 0.0)
        else:
            found.near(PRINTED, f"share of points, {case}", share, 1.0, 0.0)
        found.note(f"worst excess over r(t)^2, {case}", max(0.0, *excess))
    return found.finding(
        "(24)",
        "The expected squared distance grows by r(t)^2 at most, beside the inner product.",
        "With the true distance and the norm of the same sample it holds at every point, with the "
        "denominator inside of the expectation. With a running norm or Corollary 2's distance "
        "nothing ensures it, and without a denominator it is lost where gradients are large: the "
        "figures say how often it held.",
        corrected=True,
    )


def without_kappa(case: Case) -> float:
    """G without the term in kappa, as (5) has it with c = 0 (Remark 1.2)."""
    return max(1.0, case.norm * max(2 * case.rho + case.norm, 1.0))


def eq24(*, seed: int = 0) -> Finding:
    """Check (24) along a path, and where it is nearly an equality or needs one term of g."""
    found = _onto(Evidence(), one_step(points=15, seed=seed))
    worst = [_excess_24(case, case.denominator()) for case in CASES]
    found.between(
        CODE, "largest share of r(t)^2 used up, with the package's g", max(worst), 0.95, 1
    )
    bent = CASES[-1]
    printed = _excess_24(bent, without_kappa(bent))
    found.below(PRINTED, "the same with c = 0, on St(3, 2) at radius 0.05", printed, 1.0)
    rate = 0.05
    change, inside, outside = onestep.rare_gradient(rate)
    used = (change - np.array([bound_24(inside, rate), bound_24(outside, rate)])) / rate**2 + 1
    found.below(RIGHT, "rare large gradients, g inside of the expectation", used[0], 1.0)
    found.above(RIGHT, "the same with the g of the mean gradient outside", used[1], 1.5)
    return found.finding(
        "(24)",
        "The expected squared distance grows by r(t)^2 at most, beside the inner product.",
        "With the denominator inside of the expectation, and with the term in kappa: without it, "
        "as with c = 0 from Remark 1.2, (24) is exceeded on a small Stiefel manifold.",
        corrected=True,
    )


def _onto(found: Evidence, finding: Finding) -> Evidence:
    """Take over the figures of a function that is public on its own."""
    for name, value in finding.measured.items():
        if name == "share of points, theorem2, current norm":
            found.near(CODE, name, value, 1.0, 0.0)
        elif name == "share of points, no denominator":
            found.below(RIGHT, name, value, 0.5)
        else:
            found.note(name, value)
    return found


def _excess_24(case: Case, g: float) -> float:
    """Share of r(t)^2 that the expected change uses up, beside the inner product."""
    step = case.step(g)
    change = float(step.after.mean()) - step.before
    return (change - bound_24(step.inner, case.rate)) / case.rate**2 + 1


def psi_change(step: PathStep, margin: float) -> tuple[float, float]:
    """Expected change of the steepest Psi, and its slope, with epsilon `margin` below rho^2."""
    epsilon = max(step.before - margin, 0.0)
    before, slope = kinked(np.array(step.before), epsilon)
    after, _ = kinked(step.after, epsilon)
    return float(after.mean() - before), float(slope)


#: Where the squared distance stands between epsilon and epsilon + 1/2.
MARGINS = (0.0, 0.05, 0.2, 0.45)


def largest_use(
    over: Callable[[Case, PathStep, float, float], float], cases: tuple[Case, ...] = CASES
) -> float:
    """Largest value over all cases and margins, with the package's denominator."""
    values = []
    for case in cases:
        step = case.step(case.denominator())
        for margin in MARGINS:
            values.append(over(case, step, *psi_change(step, margin)))
    return max(values)


def eq25(*, seed: int = 0) -> Finding:
    """Check (25) where it is nearly an equality: far from the minimum, with radial noise."""

    def used(case: Case, step: PathStep, change: float, slope: float) -> float:
        square = float(step.after.mean()) - step.before
        return (change - bound_25(square, slope, case.rate)) / case.rate**2 + 1

    found = Evidence()
    found.between(PRINTED, "largest share of r(t)^2 used up", largest_use(used), 0.9, 1)
    path = onestep.path_steps(points=15, seed=seed)
    shares = [
        used(Case("", CASES[0].component, 0.0, 0.0, SCHEDULE(5 * i)), s, *psi_change(s, 0.2))
        for i, s in enumerate(path)
    ]
    found.below(CODE, "the same along a run", max(shares), 1 + SLACK)
    half = CASES[2]
    step = half.step(max(1.0, half.norm * (half.rho + half.norm)))
    loose = max(used(half, step, *psi_change(step, m)) for m in MARGINS)
    found.above(RIGHT, "the same with rho in place of 2 rho in g", loose, 2.0)
    return found.finding(
        "(25)",
        "The expected growth of Psi is bounded by that of rho^2.",
        "The conditional expectations are exact, over all samples, with the denominator inside.",
    )


HALF_RHO = Fault(
    "theorem2-half-rho",
    PACKAGE,
    "the denominator of Theorem 2 has rho in place of 2 rho",
    "fgmanifolds.steps.rules:theorem2",
    argument(1, lambda rho: 0.5 * rho),
)


NO_KAPPA = Fault(
    "theorem2-no-kappa",
    PACKAGE,
    "the denominator of Theorem 2 has no term in kappa",
    "fgmanifolds.steps.rules:theorem2",
    argument(2, lambda kappa: 0.0 * kappa),
)


NO_G = Fault(
    "theorem2-one",
    PACKAGE,
    "the denominator of Theorem 2 is 1",
    "fgmanifolds.steps.rules:Theorem2.__call__",
    instead(lambda self, norm, geometry: 0 * norm + 1),
)


def bound_fault(name: str, what: str, factor: float = 0.5, module: str = _HERE) -> Fault:
    """A right-hand side with a smaller rate."""
    number = name.split("-")[0].removeprefix("eq")
    positions = {"24": 1, "25": 2, "26": 2, "27": 0, "28": 0}
    return Fault(
        name,
        FORMULA,
        what,
        f"{module}:bound_{number}",
        argument(positions[number], lambda rate: factor**0.5 * rate),
    )


ENTRIES = (
    Claim(
        "eq24",
        "(24)",
        "The expected squared distance grows by r(t)^2 at most, beside the inner product.",
        "With the denominator inside of the expectation, and its term in kappa.",
        "fgmanifolds.verify.one_step",
        eq24,
        CORRECTED,
        "Taylor's formula for $\\rho^2$ along the geodesic of the step: the first-order term is "
        "$2 (r/\\mathfrak g)\\langle \\mathrm{Log}, \\nabla L_s\\rangle$, the second "
        "$(r/\\mathfrak g)^2 R^2 H$ with H half the Hessian. It is at most r^2 since "
        "$\\mathfrak g^2 \\ge R^2 (1 + \\sqrt\\kappa(\\rho + R))$. $\\mathfrak g$ depends on the "
        "sample and stays in the expectation. At the minimum, R = 1, it is an equality.",
        (
            bound_fault("eq24-half", "r(t)^2 / 2 in place of r(t)^2"),
            Fault(
                "eq24-with-kappa",
                FORMULA,
                "the printed g at c = 0 with a term of kappa",
                f"{_HERE}:without_kappa",
                lambda f: lambda case: case.denominator(),
            ),
            NO_KAPPA,
            NO_G,
        ),
    ),
    Claim(
        "eq25",
        "(25)",
        "The expected growth of Psi by that of rho^2.",
        "",
        "fgmanifolds.verify.one_step",
        eq25,
        HOLDS,
        "(22), and $|\\rho_{t+1}^2 - \\rho_t^2| \\le a(2\\rho + a) \\le r$ with $a = (r/\\mathfrak "
        "g) R$, since $\\mathfrak g \\ge R (2\\rho + R)$ and r is at most 1. Far from the "
        "minimum, with $\\Psi'' = 2$, it is nearly an equality.",
        (
            bound_fault("eq25-half", "r(t)^2 / 2 in place of r(t)^2"),
            HALF_RHO,
            NO_G,
        ),
    ),
)
