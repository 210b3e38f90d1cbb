"""What follows for whole paths, (27) to (29)."""

from __future__ import annotations

import numpy as np

from fgmanifolds import steps
from fgmanifolds.geometry import Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import onestep
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, negated, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.onestep import CASES, SCHEDULE, Case, kinked
from fgmanifolds.verify.statements.growth import HALF_RHO, NO_G, SLACK, bound_fault, largest_use

__all__ = ["ENTRIES", "eq27", "eq28", "eq29", "sum_29", "supermartingale"]

_HERE = "fgmanifolds.verify.statements.supermartingale"


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
    growth = largest_use(lambda case, step, change, slope: change / case.rate**2, far)
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
    """(29): minus the sum of 2 (r / g) <Log, grad> Psi'.

    Parameters
    ----------
    inner, slopes : array
    """
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


_LOG = Fault(
    "sphere-log-sign",
    PACKAGE,
    "Sphere.log has the other sign",
    "fgmanifolds.geometry:Sphere.log",
    negated,
)


ENTRIES = (
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
            bound_fault("eq27-tenth", "a tenth of 2 r(t)^2", 0.1, _HERE),
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
            bound_fault("eq28-200", "a right side 200 times smaller", 1 / 200, _HERE),
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
