"""The inequalities of Theorem 2's proof, (22) to (29)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgmanifolds import steps
from fgmanifolds.geometry import Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer
from fgmanifolds.verify import onestep
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, negated, scaled
from fgmanifolds.verify.fault import with_argument as argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.onestep import CASES, SCHEDULE, Case, PathStep, kinked

__all__ = [
    "ENTRIES",
    "eq22",
    "eq23",
    "eq24",
    "eq25",
    "eq26",
    "eq27",
    "eq28",
    "eq29",
    "one_step",
    "supermartingale",
]

#: What finite differences and rounding leave of an inequality, relative to r(t)^2.
SLACK = 1e-6


# The right-hand sides ------------------------------------------------------------------------


def taylor(change: Array, slope: Array) -> Array:
    """(22): bound of the change of Psi by that of its argument."""
    return change * slope + change**2


def bound_24(inner: float, rate: float) -> float:
    """(24): bound of the expected change of the squared distance."""
    return inner + rate**2


def bound_25(square_change: float, slope: float, rate: float) -> float:
    """(25): bound of the expected change of Psi by that of the squared distance."""
    return square_change * slope + rate**2


def bound_26(inner: float, slope: float, rate: float) -> float:
    """(26): bound of the expected change of Psi by the inner product."""
    return inner * slope + rate**2


def bound_27(rate: float) -> float:
    """(27): bound of the expected change of Psi where the gradient points away."""
    return 2 * rate**2


def bound_28(rates: Array) -> float:
    """(28): bound of the sum of the positive parts."""
    return float(np.sum(rates**2))


def tail_printed(t: int, rates: Array) -> float:
    """What is added to Psi_t to make a supermartingale, as printed: the same at every t."""
    return float(np.sum(rates**2))


def tail_right(t: int, rates: Array) -> float:
    """What is added to Psi_t to make a supermartingale: the rates still to come."""
    return float(np.sum(rates[t:] ** 2))


# (22) ----------------------------------------


def eq22() -> Finding:
    """Check (22) over all pairs of squared distances, for the steepest Psi that is allowed."""
    squares = np.linspace(0, 2, 401)
    values, slopes = kinked(squares, 0.2)
    growth = values[None, :] - values[:, None]
    change = squares[None, :] - squares[:, None]
    right = growth - taylor(change, slopes[:, None])
    roots = np.sqrt(squares)
    printed = growth - taylor(roots[None, :] - roots[:, None], slopes[:, None])
    away = np.abs(change) > 0
    second = (growth - change * slopes[:, None])[away] / change[away] ** 2
    found = Evidence()
    found.below(PRINTED, "excess with distances in the place of squares", printed.max(), 1e-9)
    found.below(RIGHT, "excess with squared distances", max(float(right.max()), 0.0), 1e-9)
    found.between(RIGHT, "second-order term needed, over its square", second.max(), 0.95, 1 + 1e-9)
    # The package's own function: 0, then bent between 0 and 2, then of slope 1.
    fine = np.linspace(0, 3, 3001)
    slope = np.gradient(onestep.psi(fine, 0.2), fine)
    bend = np.gradient(slope, fine)
    off = max(float(np.abs(slope[fine < 0.19]).max()), float(np.abs(slope[fine > 1.21] - 1).max()))
    found.below(CODE, "psi: slope off 0 and 1 at the ends", off, 1e-6)
    inside = bend[(fine > 0.21) & (fine < 1.19)]
    found.between(CODE, "psi: least second derivative between", float(inside.min()), 1e-3, 2)
    found.between(CODE, "psi: largest second derivative between", float(inside.max()), 1e-3, 2)
    return found.finding(
        "(22)",
        "Psi grows by its slope times the change, plus the change squared.",
        "rho is to be read squared everywhere; the inequality after (22) lacks the squares. With "
        "Psi'' = 2 the second term is attained.",
        corrected=True,
    )


# (23) ----------------------------------------


def printed_hessian(curvature: float, rho: float, norm: float) -> float:
    """The bound before (23) of half the Hessian of the squared distance."""
    return 1 + curvature * (rho + norm)


def right_hessian(kappa: float, rho: float) -> float:
    """S coth(s) with s = kappa^(1/2) rho; at most 1 + s."""
    s = kappa**0.5 * rho
    return float(s / np.tanh(s)) if s > 0 else 1.0


def _hessian(stiefel: Stiefel, rho: float) -> float:
    """Largest eigenvalue of half the Hessian of the squared distance, by finite differences."""
    case = Case("", stiefel, rho, 1.0, radial=False)
    minimum, point, direction = case.place()
    h = 1e-3 * float(stiefel.radii[0])
    squares = [
        float(stiefel.dist(stiefel.exp(point, t * direction), minimum)) ** 2 for t in (-h, 0, h)
    ]
    return 0.5 * (squares[0] - 2 * squares[1] + squares[2]) / h**2


def eq23() -> Finding:
    """Check the bound kappa <= 1 + c (rho + R) before (23), on St(3, 2) at two radii.

    In its direction of strongest bending half the Hessian is nearly that of the space of
    constant curvature -1/2: the right bound is sharp, and that is demanded.
    """
    found = Evidence()
    for radius in (1.0, 10.0):
        stiefel = Stiefel(3, 2, radius=radius)
        low, high = stiefel.sectional_curvature_bounds
        bent = _hessian(stiefel, radius)
        found.note(f"radius {radius:g}: half the Hessian of rho^2 at rho = r", bent)
        least = printed_hessian(high, radius, 0.0)
        name = f"radius {radius:g}: the same over"
        found.below(PRINTED, f"{name} 1 + c (rho + R), R = 0", bent / least, 1.0)
        right = right_hessian(max(-low, 0.0), radius)
        found.between(RIGHT, f"{name} kappa^(1/2) rho coth", bent / right, 0.98, 1.0)
        simple = 1 + max(-low, 0.0) ** 0.5 * radius
        found.below(CODE, f"{name} 1 + kappa^(1/2) rho", bent / simple, 1.0)
    found.above(RIGHT, "over the printed bound with c = 0 (Remark 1.2)", bent, 1.01)
    return found.finding(
        "(23)",
        "kappa <= 1 + c (rho + R) bounds half the Hessian of the squared distance.",
        "c must be the root of minus the lowest curvature: 1 + c rho has not the units otherwise, "
        "and at radius 10 it is below what is measured.",
        corrected=True,
    )


# (24) ----------------------------------------


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


# (25) and (26) ----------------------------------------


def _psi_change(step: PathStep, margin: float) -> tuple[float, float]:
    """Expected change of the steepest Psi, and its slope, with epsilon `margin` below rho^2."""
    epsilon = max(step.before - margin, 0.0)
    before, slope = kinked(np.array(step.before), epsilon)
    after, _ = kinked(step.after, epsilon)
    return float(after.mean() - before), float(slope)


#: Where the squared distance stands between epsilon and epsilon + 1/2.
MARGINS = (0.0, 0.05, 0.2, 0.45)


def _largest(
    over: Callable[[Case, PathStep, float, float], float], cases: tuple[Case, ...] = CASES
) -> float:
    """Largest value over all cases and margins, with the package's denominator."""
    values = []
    for case in cases:
        step = case.step(case.denominator())
        for margin in MARGINS:
            values.append(over(case, step, *_psi_change(step, margin)))
    return max(values)


def eq25(*, seed: int = 0) -> Finding:
    """Check (25) where it is nearly an equality: far from the minimum, with radial noise."""

    def used(case: Case, step: PathStep, change: float, slope: float) -> float:
        square = float(step.after.mean()) - step.before
        return (change - bound_25(square, slope, case.rate)) / case.rate**2 + 1

    found = Evidence()
    found.between(PRINTED, "largest share of r(t)^2 used up", _largest(used), 0.9, 1)
    path = onestep.path_steps(points=15, seed=seed)
    shares = [
        used(Case("", CASES[0].component, 0.0, 0.0, SCHEDULE(5 * i)), s, *_psi_change(s, 0.2))
        for i, s in enumerate(path)
    ]
    found.below(CODE, "the same along a run", max(shares), 1 + SLACK)
    half = CASES[2]
    step = half.step(max(1.0, half.norm * (half.rho + half.norm)))
    loose = max(used(half, step, *_psi_change(step, m)) for m in MARGINS)
    found.above(RIGHT, "the same with rho in place of 2 rho in g", loose, 2.0)
    return found.finding(
        "(25)",
        "The expected growth of Psi is bounded by that of rho^2.",
        "The conditional expectations are exact, over all samples, with the denominator inside.",
    )


def eq26(*, seed: int = 0) -> Finding:
    """Check (26): adding (24) and (25) gives 2 r(t)^2, but the printed r(t)^2 is enough.

    The worst cases of (24) and (25) exclude each other. Sought over the cases, and over
    20,000 draws of distance, norm, rate and noise in flat space, where steps are closed forms.
    """

    def used(case: Case, step: PathStep, change: float, slope: float) -> float:
        return (change - bound_26(step.inner, slope, case.rate)) / case.rate**2 + 1

    found = Evidence()
    found.between(PRINTED, "largest share of r(t)^2 used up", _largest(used), 0.9, 1 + SLACK)
    found.between(PRINTED, "the same over random steps", _flat_search(seed), 0.9, 1 + SLACK)
    return found.finding(
        "(26)",
        "The expected growth of Psi is bounded by the inner product and r(t)^2.",
        "It does not follow from (24) and (25), which give 2 r(t)^2 together; it follows directly.",
    )


def _flat_search(seed: int, draws: int = 20000) -> float:
    """Largest share of r(t)^2 in (26), over random steps in flat space."""
    rng = np.random.default_rng([seed, 26])
    rho, norm = 10 ** rng.uniform(-2, 1, (2, draws))
    rate = 10 ** rng.uniform(-3, 0, draws)
    g = np.asarray(steps.denominator("theorem2", norm, rho=rho, kappa=0.0))
    a, cosine = rate * norm / g, rng.choice([-1.0, 1.0, 0.3], draws)
    signs = np.where(rng.random(draws) < 0.5, [[1.0], [-1.0]], [[1.0], [1.0]])
    before, margin = rho**2, rng.uniform(0, 0.6, draws)
    epsilon = np.maximum(before - margin, 0)
    after = before + 2 * a * rho * cosine * signs + a**2
    values, slope = kinked(before, epsilon)
    growth = kinked(after, epsilon)[0].mean(axis=0) - values
    inner = 2 * a * rho * cosine * signs.mean(axis=0)
    used = [
        (change - bound_26(i, s, r)) / r**2 + 1
        for change, i, s, r in zip(growth, inner, slope, rate, strict=True)
    ]
    return float(max(used))


# (27) to (29) ----------------------------------------


def supermartingale(*, points: int = 60, seed: int = 0, size: float = 4.0) -> Finding:
    """Check (27): the expected growth of Psi_t is at most 2 r(t)^2.

    Psi is the proof's function of the squared distance to the minimum, with
    epsilon = 0.01, and the step that of Theorem 2 with the norm of the same sample.

    Parameters
    ----------
    points, seed, size
        As in :func:`one_step`.

    Returns
    -------
    Finding
        Shares of points, apart for those where the gradient points away from the
        minimum, which the proof assumes everywhere.
    """
    excess, away = [], []
    for i, step in enumerate(onestep.path_steps(points=points, seed=seed, size=size)):
        rate = SCHEDULE(5 * i)
        growth = float(
            onestep.psi(step.after, 0.01).mean() - onestep.psi(np.array(step.before), 0.01)
        )
        excess.append((growth - bound_27(rate)) / rate**2)
        away.append(step.inner < 0)
    holds = np.array(excess) <= SLACK
    measured = {
        "share of points at which (27) holds": float(holds.mean()),
        "share of points with <Log, grad> < 0": float(np.mean(away)),
        "worst excess over r(t)^2": float(max(0.0, *excess)),
    }
    return Finding(
        "(27)",
        "The expected growth of Psi_t is at most 2 r(t)^2.",
        "holds as corrected" if holds[np.array(away)].all() else "fails",
        measured,
        "Where the gradient points away from the minimum. Then Psi_t + sum_{k >= t} r(k)^2 is "
        "the supermartingale; the printed sum starts at 0 and does not change with t.",
    )


def eq27(*, seed: int = 0) -> Finding:
    """Check (27) along a run, and which sum makes Psi_t a supermartingale."""
    run = supermartingale(points=20, seed=seed)
    found = Evidence()
    for name, value in run.measured.items():
        found.note(name, value)
    share = run.measured["share of points at which (27) holds"]
    found.above(CODE, "share of points at which (27) holds", share, 0.99)
    far = tuple(case for case in CASES if "far" in case.name)
    growth = _largest(lambda case, step, change, slope: change / case.rate**2, far)
    found.between(RIGHT, "largest growth of Psi over r(t)^2", growth, 0.9, 1 + SLACK)
    bound = growth / bound_27(1.0)
    found.between(CODE, "the same over the bound (27)", bound, 0.4, 1.0)
    rates = np.full(3, far[0].rate)
    for form, name, tail in ((PRINTED, "printed", tail_printed), (RIGHT, "right", tail_right)):
        drift = growth + (tail(1, rates) - tail(0, rates)) / far[0].rate ** 2
        found.below(form, f"{name} sum: drift of the process over r(t)^2", drift, SLACK)
    found.above(RIGHT, "right sum: the same, nearly 0", drift, -0.1)
    return found.finding(
        "(27)",
        "The expected growth of Psi_t is at most 2 r(t)^2; a supermartingale.",
        "The bound holds, with a factor 2 to spare. Psi_t + sum_{k >= t} r(k)^2 is a "
        "supermartingale; with the printed sum from 0, which does not change with t, it is not.",
        corrected=True,
    )


def eq28(*, seed: int = 0) -> Finding:
    """Check (28) along a path of radial noise, where each step nearly uses up its r(t)^2."""
    rng = np.random.default_rng(seed)
    ball, norm, rates = Sphere(3, 1, radius=10.0), 0.5, 0.02 / (1 + np.arange(80) / 40) ** 0.75
    rho, start, positive = 10.0, 100.0, 0.0
    for rate in rates:
        case = Case("", ball, rho, norm, float(rate))
        step = case.step(case.denominator())
        epsilon = start - 0.25
        change = kinked(step.after, epsilon)[0].mean() - kinked(np.array(step.before), epsilon)[0]
        positive += max(float(change), 0.0)
        rho = float(rng.choice(step.after)) ** 0.5
    found = Evidence()
    ratio = positive / bound_28(rates)
    found.between(PRINTED, "sum of the positive parts over sum r(t)^2", ratio, 0.8, 1 + SLACK)
    total = bound_28(SCHEDULE_RATES)
    limit = 0.5**2 + 0.5**2 * 50 / 0.5
    found.between(CODE, "sum r(t)^2 of robbins_monro over its limit", total / limit, 0.9, 1)
    return found.finding(
        "(28)",
        "The positive parts of the expected growth sum to at most sum r(t)^2.",
        "By (26) as printed, without a factor 2.",
    )


SCHEDULE_RATES = np.array([SCHEDULE(t) for t in range(2**16)])


def sum_29(inner: Array, slopes: Array) -> float:
    """(29): minus the sum of 2 (r / g) <Log, grad> Psi'."""
    return -float(np.sum(inner * slopes))


def eq29(*, seed: int = 0) -> Finding:
    """Check (29) on a run without noise: the sum is Psi_0 up to sum r(t)^2, and stops growing."""
    rng = np.random.default_rng(seed)
    sphere = Sphere(4, 1)
    minimum = sphere.random_point(rng)
    start = sphere.exp(minimum, 2.5 * sphere.random_tangent_vector(minimum, rng))
    rates = 0.04 / (1 + np.arange(1200) / 800) ** 0.75
    w, inner, slopes = start, [], []
    for rate in rates:
        gradient = -5.0 * sphere.projection(w, minimum)
        norm, rho = float(sphere.norm(w, gradient)), float(sphere.dist(w, minimum))
        g = float(steps.denominator("theorem2", norm, rho=rho, c=1.0, kappa=0.0))
        pull = float(sphere.inner_product(w, sphere.log(w, minimum), gradient))
        inner.append(2 * float(rate) / g * pull)
        slopes.append(float(kinked(np.array(rho**2), 0.01)[1]))
        w = sphere.exp(w, -float(rate) / g * gradient)
    total = sum_29(np.array(inner), np.array(slopes))
    first = float(kinked(np.array(2.5**2), 0.01)[0])
    last = float(kinked(np.array(float(sphere.dist(w, minimum)) ** 2), 0.01)[0])
    found = Evidence()
    ratio = total / (first - last + float(np.sum(rates**2)))
    found.between(PRINTED, "sum over Psi_0 - Psi_t + sum r(t)^2", ratio, 0.8, 1.0)
    late = sum_29(np.array(inner[600:]), np.array(slopes[600:])) / total
    found.below(PRINTED, "share of the second half of the path", abs(late), 0.01)
    found.below(CODE, "Psi at the end of the path", last, 1e-6)
    return found.finding(
        "(29)",
        "The sum of the inner products along the path is finite.",
        "By (26) it is at most Psi_0 + sum r(t)^2, whatever the length of the path; this one stops "
        "adding to it.",
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.inequalities"

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
_BOUNDS = Fault(
    "stiefel-half-curvature",
    PACKAGE,
    "the lower bound of the curvature of Stiefel manifolds is half of what it is",
    "fgmanifolds.geometry:Stiefel.sectional_curvature_bounds",
    lambda original: property(lambda self: (0.5 * original.fget(self)[0], original.fget(self)[1])),
)
_LOG = Fault(
    "sphere-log-sign",
    PACKAGE,
    "Sphere.log has the other sign",
    "fgmanifolds.geometry:Sphere.log",
    negated,
)


def _bound_fault(name: str, what: str, factor: float = 0.5) -> Fault:
    """A right-hand side with a smaller rate."""
    number = name.split("-")[0].removeprefix("eq")
    positions = {"24": 1, "25": 2, "26": 2, "27": 0, "28": 0}
    return Fault(
        name,
        FORMULA,
        what,
        f"{_HERE}:bound_{number}",
        argument(positions[number], lambda rate: factor**0.5 * rate),
    )


ENTRIES = (
    Claim(
        "eq22",
        "(22)",
        "Taylor bound of Psi.",
        "Of squared distances everywhere.",
        "fgmanifolds.verify.psi",
        eq22,
        CORRECTED,
        "Taylor's formula with $\\Psi'' \\le 2$: the remainder is at most the squared change of "
        "the argument. The argument is $\\rho^2$.",
        (
            Fault(
                "eq22-half",
                FORMULA,
                "half of the second-order term",
                f"{_HERE}:taylor",
                instead(lambda change, slope: change * slope + 0.5 * change**2),
            ),
            Fault(
                "psi-slope",
                PACKAGE,
                "psi is twice as steep",
                "fgmanifolds.verify.onestep:psi",
                scaled(2.0),
            ),
        ),
    ),
    Claim(
        "eq23",
        "(23)",
        "Half the Hessian of rho^2 is at most 1 + c (rho + R).",
        "At most kappa^(1/2) rho coth(kappa^(1/2) rho) <= 1 + kappa^(1/2) rho.",
        "fgmanifolds.steps.rules",
        eq23,
        CORRECTED,
        "Along a geodesic of length $\\rho$ half the Hessian of the squared distance is $\\rho J' "
        "J^{-1}$ for Jacobi fields J that vanish at the minimum. By comparison with the space of "
        "constant curvature $-\\kappa$ it is at most $\\sqrt\\kappa\\rho\\coth(\\sqrt\\kappa\\rho) "
        "\\le 1 + \\sqrt\\kappa\\rho$ (Bonnabel 2013). A product $c\\rho$ of a curvature and a "
        "length is no number.",
        (
            Fault(
                "eq23-right-quarter",
                FORMULA,
                "the right bound with kappa / 4",
                f"{_HERE}:right_hessian",
                argument(0, lambda kappa: kappa / 4),
            ),
            Fault(
                "eq23-printed-right",
                FORMULA,
                "the printed bound replaced by 1 + kappa^(1/2) rho at kappa = c",
                f"{_HERE}:printed_hessian",
                instead(lambda c, rho, norm: 1 + c**0.5 * (rho + norm)),
            ),
            _BOUNDS,
        ),
    ),
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
            _bound_fault("eq24-half", "r(t)^2 / 2 in place of r(t)^2"),
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
            _bound_fault("eq25-half", "r(t)^2 / 2 in place of r(t)^2"),
            HALF_RHO,
            NO_G,
        ),
    ),
    Claim(
        "eq26",
        "(26)",
        "The expected growth of Psi by the inner product and r(t)^2.",
        "",
        "fgmanifolds.verify.one_step",
        eq26,
        HOLDS,
        "Let the step have the length $a = (r/\\mathfrak g)R$ and the cosine c with the geodesic "
        "to the minimum, and H be half the Hessian in its direction: $\\rho^2$ changes by $2 a "
        "\\rho c + a^2 H$. With $0 \\le \\Psi' \\le 1$ and $\\Psi'' \\le 2$ the growth of Psi "
        "beyond $2 a \\rho c \\Psi'$ is at most $a^2 (H + 4\\rho^2 c^2)$: by Taylor's formula "
        "where $\\Psi'$ stays below 1, and beyond by its cap. $H \\le c^2 + (1 - c^2) h$ with "
        "$h = 1 + \\sqrt\\kappa(\\rho + R)$, so that this is at most $a^2\\max\\{1 + 4\\rho^2, "
        "h\\}$. Now $R^2(1 + 4\\rho^2) \\le \\max\\{1, R^2(2\\rho + R)^2\\}$ and $R^2 h$ are both "
        "at most $\\mathfrak g^2$: the sum is at most r^2, up to higher orders of a in curved "
        "spaces. (24) and (25) added give twice that.",
        (
            _bound_fault("eq26-half", "r(t)^2 / 2 in place of r(t)^2"),
            Fault(
                "eq26-no-inner",
                FORMULA,
                "(26) with the inner product's other sign",
                f"{_HERE}:bound_26",
                argument(0, lambda inner: -inner),
            ),
            HALF_RHO,
            NO_G,
        ),
    ),
    Claim(
        "eq27",
        "(27)",
        "The expected growth of Psi is at most 2 r(t)^2; a supermartingale.",
        "The supermartingale is Psi_t + sum_{k >= t} r(k)^2.",
        "fgmanifolds.verify.supermartingale",
        eq27,
        CORRECTED,
        "Where $\\langle \\mathrm{Log}, \\nabla L\\rangle < 0$, (26) leaves r(t)^2. What is added "
        "to Psi_t must fall by r(t)^2 in step t to make up for it: the sum over the steps still "
        "to come. The printed sum over all steps is one constant.",
        (
            Fault(
                "eq27-printed-right",
                FORMULA,
                "the printed sum from t on",
                f"{_HERE}:tail_printed",
                lambda f: tail_right,
            ),
            Fault(
                "eq27-right-half",
                FORMULA,
                "half of the right sum",
                f"{_HERE}:tail_right",
                scaled(0.5),
            ),
            _bound_fault("eq27-tenth", "a tenth of 2 r(t)^2", 0.1),
            HALF_RHO,
        ),
    ),
    Claim(
        "eq28",
        "(28)",
        "The positive parts sum to at most sum r(t)^2.",
        "",
        "fgmanifolds.verify.one_step",
        eq28,
        HOLDS,
        "(26), summed over the steps at which the growth is positive, where the inner product is "
        "not. With noise along the geodesic and $\\Psi'' = 2$ each step nearly uses its share.",
        (
            _bound_fault("eq28-200", "a right side 200 times smaller", 1 / 200),
            HALF_RHO,
            NO_G,
        ),
    ),
    Claim(
        "eq29",
        "(29)",
        "The sum of the inner products along the path is finite.",
        "",
        "fgmanifolds.verify.one_step",
        eq29,
        HOLDS,
        "(26) summed over t: $-\\sum 2 (r/\\mathfrak g)\\langle\\mathrm{Log},\\nabla L\\rangle "
        "\\Psi' \\le \\Psi_0 - E\\Psi_T + \\sum r^2$. The right side is bounded and the terms on "
        "the left have one sign.",
        (
            Fault(
                "eq29-slope",
                FORMULA,
                "(29) without Psi'",
                f"{_HERE}:sum_29",
                instead(lambda inner, slopes: -float(np.sum(inner)) * 2),
            ),
            Fault("eq29-sign", FORMULA, "(29) with the other sign", f"{_HERE}:sum_29", negated),
            _LOG,
        ),
    ),
)
