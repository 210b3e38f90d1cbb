"""Convergence: Theorem 2 and its corollaries, as statistical tests.

A test that must come out one way does so by chance in at most one of 10,000 uses (ALPHA) if the
statement is false, and fails to if it is true about as rarely: sizes were chosen for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pymanopt
from scipy import stats
from scipy.integrate import quad

from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, Schedule, constant, robbins_monro
from fgmanifolds.validation import check_choices, check_integer
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.problems import PROBLEMS, make_problem
from fgmanifolds.verify.replicates import noisy_pulls
from fgmanifolds.verify.statements.algorithm import RETRACTS_BACK
from fgmanifolds.verify.statements.gradients import GRADIENT_SIGN
from fgmanifolds.verify.statements.stepsizes import HALF_RHO, NO_G, eq7

__all__ = [
    "ALPHA",
    "ENTRIES",
    "corollary1",
    "corollary1_basins",
    "corollary2",
    "corollary2_conditions",
    "theorem2",
    "theorem2_conditions",
]

#: Largest probability of a false verdict of each statistical test.
ALPHA = 1e-4


def good_rates() -> Schedule:
    """Rates that satisfy (4)."""
    return robbins_monro(0.5, 50, 0.75)


def steady_rates() -> Schedule:
    """Rates whose squares have an infinite sum."""
    return constant(0.4, check=False)


def hasty_rates() -> Schedule:
    """Rates whose sum is finite: pi^2 / 12."""
    return Schedule(lambda t: 0.5 / (1 + t) ** 2, "0.5 / (1 + t)^2", "finite sum")


# Theorem 2 ----------------------------------------


def theorem2(
    problems: Iterable[str] = tuple(PROBLEMS),
    *,
    seeds: int = 3,
    steps: int = 2000,
    rule: str | None = "theorem2",
    seed: int = 0,
) -> Finding:
    """Check Theorem 2: under (4) the gradient converges to zero and the point to a minimum.

    Every problem is run from random starts with ``robbins_monro(0.5, 50, 0.75)``; the
    norm of the gradient over all data and the distance to the nearest minimum
    are compared after a tenth of the steps and at the end.

    Parameters
    ----------
    problems : iterable of str
        Names of :mod:`fgmanifolds.verify.problems`.
    seeds : int
        Number of runs on each.
    steps : int
        At least 100.
    rule : str or None
        Denominator, see :class:`fgmanifolds.FGSGDSolver`.
    seed : int
        The first of the seeds.

    Returns
    -------
    Finding
        Root mean squares over the seeds at the start, after a tenth of the steps and at the end.
    """
    names = list(problems)
    check_choices("problems", names, PROBLEMS)
    check_integer("seeds", seeds, low=1)
    check_integer("steps", steps, low=100)
    measured: dict[str, float] = {}
    shrinks = True
    for name in names:
        runs = np.array([_progress(name, seed + i, steps, rule) for i in range(seeds)])
        start, early, late = np.sqrt(np.mean(runs**2, axis=0))
        shrinks &= bool(np.all(late < 0.75 * early) and late[1] < 0.3 * start[1])
        for i, what in enumerate(("gradient", "distance")):
            measured[f"{name}: {what} at the start"] = float(start[i])
            measured[f"{name}: {what} after {steps // 10} steps"] = float(early[i])
            measured[f"{name}: {what} after {steps} steps"] = float(late[i])
    return Finding(
        "Theorem 2",
        "Under (4) the gradient of FG-SGD goes to zero and the point to a minimum.",
        "holds as corrected" if shrinks else "fails",
        measured,
        "Root mean squares over the seeds. What can hold is convergence to critical points: the "
        "printed condition inf < 0 must be sup < 0, which no compact manifold satisfies "
        "everywhere. Convergence to a minimum is what the runs show.",
    )


def _progress(name: str, seed: int, steps: int, rule: str | None) -> Array:
    """(gradient norm, distance) at the start, after a tenth and after all steps."""
    known = make_problem(name, seed=seed)
    manifold, problem = known.problem.manifold, known.problem
    start = known.initial_point(seed)

    def state(point: Any) -> list[float]:
        gradient = problem.riemannian_gradient(point)
        return [float(manifold.norm(point, gradient)), known.distance(point)]

    points = [start]
    for limit in (steps // 10, steps):
        solver = FGSGDSolver(
            robbins_monro(0.5, 50, 0.75),
            rule=rule,
            max_iterations=limit,
            min_gradient_norm=0.0,
            min_step_size=0.0,
            verbosity=0,
        )
        points.append(solver.run(problem, initial_point=start).point)
    return np.array([state(point) for point in points])


def printed_condition(inner: Array) -> bool:
    """Theorem 2's condition on <Log, grad> beyond a distance of the minimum: inf < 0."""
    return bool(inner.min() < 0)


def theorem2_conditions(*, seed: int = 0) -> Finding:
    """Check Theorem 2 on problems that satisfy, and that violate, each of its conditions.

    With noise, 40 runs at once: under (4) the squared distance falls (Student's test on its
    logarithm between steps 100 and 1,000); under a constant rate it does not; with a finite
    sum of rates runs stop at a distance that the sum leaves. And from the highest point of the
    loss, where the printed condition is met, a run goes nowhere.
    """
    found = Evidence()
    good = noisy_pulls(good_rates(), runs=40, steps=1000, seed=seed)
    found.below(CODE, "(4) met: p value of no decrease", good.p_value(), ALPHA)
    found.note("(4) met: mean log of the decrease", float(good.log_ratios.mean()))
    steady = noisy_pulls(steady_rates(), runs=40, steps=1000, seed=seed)
    stuck = float(steady.log_ratios.mean())
    found.near(RIGHT, "constant rate: mean log of the decrease", stuck, 0, 0.7)
    hasty = noisy_pulls(hasty_rates(), runs=10, steps=300, seed=seed)
    left = float(np.sqrt(hasty.late.min()))
    found.above(RIGHT, "finite sum of rates: least distance left", left, 2.5 - np.pi**2 / 12)
    _from_the_top(found, seed)
    known = ["eigenvectors", "procrustes", "linear network"]
    runs = theorem2(known, seeds=2, steps=1000, seed=seed)
    found.near(CODE, "runs on three problems converge", runs.verdict == CORRECTED, 1, 0)
    for name, value in runs.measured.items():
        found.note(name, value)
    return found.finding(
        "Theorem 2",
        "Under (4) the gradient of FG-SGD goes to zero and the point to a minimum.",
        "What holds is convergence to critical points: the printed condition inf < 0 must be sup "
        "< 0, which no compact manifold satisfies everywhere, since the loss has a highest point. "
        f"Each test errs with a probability of at most {ALPHA:g}.",
        corrected=True,
    )


def _from_the_top(found: Evidence, seed: int) -> None:
    """The cost <x, w> on a sphere, from its highest point."""
    rng = np.random.default_rng(seed)
    sphere = Sphere(4, 1)
    pull = sphere.random_point(rng)
    minimum, top = -pull, pull
    places = [sphere.random_point(rng) for _ in range(200)]
    places += [sphere.exp(top, 1e-6 * sphere.random_tangent_vector(top, rng))]
    inner = np.array(
        [
            float(sphere.inner_product(w, sphere.log(w, minimum), sphere.projection(w, pull)))
            for w in places
        ]
    )
    found.note("lowest <Log, grad> on a sphere", float(inner.min()))
    found.near(RIGHT, "highest <Log, grad> on a sphere, next to the top", inner.max(), 0, 1e-5)
    decorate = pymanopt.function.numpy(sphere)

    def cost(w: Array) -> float:
        return float(np.vdot(pull, w))

    def slope(w: Array) -> Array:
        return pull

    problem = pymanopt.Problem(sphere, decorate(cost), euclidean_gradient=decorate(slope))
    solver = FGSGDSolver(
        good_rates(),
        check_schedule=False,
        max_iterations=300,
        min_gradient_norm=0.0,
        verbosity=0,
    )
    end = solver.run(problem, initial_point=top).point
    distance = 2 * float(np.arcsin(min(1.0, float(np.linalg.norm(end - minimum)) / 2)))
    if printed_condition(inner):
        found.below(PRINTED, "from the top: distance to the minimum at the end", distance, 0.1)
    gradient = float(np.linalg.norm(sphere.projection(end, pull)))
    found.below(RIGHT, "from the top: norm of the gradient at the end", gradient, 1e-6)


# Corollary 1 ----------------------------------------


def corollary1(*, seeds: int = 20, seed: int = 0) -> Finding:
    """Check Corollary 1: if local minima are global, FG-SGD finds the global minimum.

    On leading eigenvectors, where it is so, and on a convex quadratic on a circle,
    which has one minimum in the plane but two on the circle.

    Parameters
    ----------
    seeds : int
        Number of random starts.
    seed : int
        Of the data.

    Returns
    -------
    Finding
        Largest cost above the global minimum on the first problem; the lowest and the
        highest cost found on the second.
    """
    check_integer("seeds", seeds, low=2)
    gaps = _gaps(seed, seeds)
    circle = ScaledProductManifold([Sphere(2, 1)])
    costs = [
        float(_circle_costs(circle, [circle.components[0].random_point(draw)])[0])
        for draw in range(seeds)
    ]
    measured = {
        "eigenvectors: largest gap, relative": max(gaps),
        "quadratic on a circle: lowest minimum found": min(costs),
        "quadratic on a circle: highest minimum found": max(costs),
    }
    holds = max(gaps) < 0.01 and max(costs) > min(costs) + 0.1
    return Finding(
        "Corollary 1",
        "If local minima are global, FG-SGD converges to a global minimum.",
        "holds as corrected" if holds else "fails",
        measured,
        "Local minima must be global on the manifold: that they are in the linear space is not "
        "enough, as the circle shows.",
    )


def _gaps(seed: int, starts: int) -> list[float]:
    """Costs above the global minimum on leading eigenvectors, relative."""
    known = make_problem("eigenvectors", seed=seed)
    scale = abs(known.minimum(None))
    solver = FGSGDSolver(
        robbins_monro(0.5, 50, 0.75), max_iterations=600, min_gradient_norm=1e-9, verbosity=0
    )
    return [
        known.gap(solver.run(known.problem, initial_point=known.initial_point(draw)).point) / scale
        for draw in range(starts)
    ]


def _circle_costs(circles: ScaledProductManifold, start: list[Array]) -> Array:
    """The costs at which runs on circles end, one a circle; all at once, each a POM of its own."""
    matrix, pull = np.diag([1.0, 0.1]), np.array([0.0, 0.1])
    decorate = pymanopt.function.numpy(circles)

    def each(points: Any) -> Array:
        w = np.array(points)[:, :, 0]
        return np.einsum("ni,ij,nj->n", w, matrix, w) - w @ pull

    def cost(*points: Array) -> float:
        return float(np.sum(each(points)))

    def gradient(*points: Array) -> list[Array]:
        w = np.array(points)[:, :, 0]
        return list((2 * w @ matrix - pull)[:, :, None])

    problem = pymanopt.Problem(circles, decorate(cost), euclidean_gradient=decorate(gradient))
    solver = FGSGDSolver(
        robbins_monro(0.5, 50, 0.75),
        poms=[[i] for i in range(len(circles.components))],
        max_iterations=500,
        min_gradient_norm=1e-9,
        verbosity=0,
    )
    return each(solver.run(problem, initial_point=start).point)


def printed_premise(convex: bool, one_minimum: bool) -> bool:
    """Corollary 1's premise, read of the loss in the space of weights: convexity is enough."""
    return convex


def worse_share() -> float:
    """Share of the circle from which the gradient flows to the worse of the two minima.

    The slope of the quadratic at the angle t is -cos(t) (1.8 sin(t) + 0.1): between the two
    highest points, at sin(t) = -1/18, the arc below goes to the worse minimum.
    """
    return 0.5 - float(np.arcsin(1 / 18)) / np.pi


def corollary1_basins(*, seed: int = 0) -> Finding:
    """Check Corollary 1, where its premise holds on the manifold and where it does not.

    120 random starts on the circle: the number that ends in the worse minimum is binomial, with
    the share of the circle that flows there (tested at :data:`ALPHA`).
    """
    rng = np.random.default_rng([seed, 1])
    found = Evidence()
    gap = max(_gaps(seed, 8))
    found.below(CODE, "eigenvectors: largest gap over 8 starts, relative", gap, 0.01)
    circles = ScaledProductManifold([Sphere(2, 1)] * 120)
    angles = rng.uniform(0, 2 * np.pi, 120)
    start = [np.array([[np.cos(a)], [np.sin(a)]]) for a in angles]
    costs = _circle_costs(circles, start)
    found.near(RIGHT, "quadratic on a circle: lowest minimum found", costs.min(), 0.0, 1e-6)
    found.near(RIGHT, "quadratic on a circle: highest minimum found", costs.max(), 0.2, 1e-6)
    worse = int(np.sum(costs > 0.1))
    if printed_premise(convex=True, one_minimum=False):
        found.below(PRINTED, "share of starts that end above the global minimum", worse / 120, 0.0)
    share = worse_share()
    found.note("share of the circle that flows there", share)
    p_value = float(stats.binomtest(worse, 120, share).pvalue)
    found.above(RIGHT, "p value of that share", p_value, ALPHA)
    return found.finding(
        "Corollary 1",
        "If local minima are global, FG-SGD converges to a global minimum.",
        "Local minima must be global on the manifold: a quadratic that is convex in the plane has "
        "two minima on the circle. The binomial test errs with a probability of 1e-4.",
        corrected=True,
    )


# Corollary 2 ----------------------------------------


def corollary2(*, seeds: int = 5, samples: int = 20000, seed: int = 0) -> Finding:
    """Check Corollary 2: convergence on unit spheres with the denominator (7).

    Also measured is its assumption that the minimum is within 1 / c of the point:
    the share of random pairs of points of the sphere S^8 (3 x 3 kernels) that are.

    Parameters
    ----------
    seeds : int
        Number of runs.
    samples : int
        Number of random pairs.
    seed : int

    Returns
    -------
    Finding
    """
    check_integer("seeds", seeds, low=1)
    check_integer("samples", samples, low=1)
    runs = np.array([_progress("eigenvectors", seed + i, 1500, "corollary2") for i in range(seeds)])
    shares = runs[:, 2] / runs[:, 0]
    measured = {
        "gradient at the end over that at the start, worst": float(shares[:, 0].max()),
        "distance at the end over that at the start, worst": float(shares[:, 1].max()),
        "share of random pairs on S^8 within 1 / c": _share_near(1.0, 1.0, samples, seed),
    }
    return Finding(
        "Corollary 2",
        "With the denominator (7), FG-SGD on products of unit spheres converges.",
        "holds as corrected" if shares[:, 1].max() < 0.15 else "fails",
        measured,
        "1 / c is not a length: on a sphere of radius r the distance must be c^(-1/2). The "
        "assumption that the minimum is that near is rarely met at the start, and the runs "
        "converge without it.",
    )


def _share_near(radius: float, distance: float, samples: int, seed: int) -> float:
    """Share of random pairs on an eight-sphere of a radius that are within a distance."""
    sphere = Sphere(3, 3, k=samples, radius=radius)
    rng = np.random.default_rng(seed)
    pair = (sphere.random_point(rng), sphere.random_point(rng))
    return float(np.mean(sphere.distances(*pair) <= distance))


def printed_distance(curvature: float) -> float:
    """Corollary 2's bound of the distance to the minimum."""
    return 1 / curvature


def right_distance(curvature: float) -> float:
    """A length: the radius of a sphere of that curvature."""
    return float(curvature**-0.5)


def exact_share(angle: float) -> float:
    """Share of pairs on an eight-sphere within an angle: of the integral of sin^7."""
    part, whole = (quad(lambda t: np.sin(t) ** 7, 0, end)[0] for end in (angle, np.pi))
    return float(part / whole)


def corollary2_conditions(*, seed: int = 0) -> Finding:
    """Check Corollary 2: convergence with (7), its step, and how often its assumption is met.

    A statement on spheres must not change with the unit of length: shares of random pairs
    within its distance are compared on spheres of radius 1 and 2, and with an integral.
    """
    found = Evidence()
    runs = noisy_pulls(good_rates(), runs=60, steps=1000, seed=seed + 100)
    found.below(CODE, "runs on unit spheres: p value of no decrease", runs.p_value(), ALPHA)
    # Without noise the distance would be 0; the runs began at 2.5.
    left = float(np.sqrt(runs.late.mean())) / 2.5
    found.below(CODE, "distance at the end over that at the start", left, 0.2)
    steps = eq7(seed=seed).measured
    name = "the solver's step"
    found.between(CODE, f"{name}: change of rho^2 over r(t)", steps[name], 0.95, 1.0)
    samples = 20000
    expected = exact_share(1.0)
    found.note("share of pairs on S^8 within its distance, by an integral", expected)
    error = 4 * (expected * (1 - expected) / samples) ** 0.5  # 4 deviations: 6e-5
    ours = _share_near(1.0, right_distance(1.0), samples, seed)
    found.near(CODE, "the same of random points, radius 1", ours, expected, error)
    right = _share_near(2.0, right_distance(0.25), samples, seed)
    found.near(RIGHT, "radius 2, within c^(-1/2)", right, expected, error)
    printed = _share_near(2.0, printed_distance(0.25), samples, seed)
    found.near(PRINTED, "radius 2, within 1 / c", printed, expected, error)
    twice = exact_share(2.0)
    error = 4 * (twice * (1 - twice) / samples) ** 0.5
    found.near(RIGHT, "radius 2, within 1 / c, against that of two radians", printed, twice, error)
    return found.finding(
        "Corollary 2",
        "With the denominator (7), FG-SGD on products of unit spheres converges.",
        "1 / c is not a length: on a sphere of radius r the distance must be c^(-1/2). The "
        "assumption that the minimum is that near is rarely met at the start (one pair of twenty "
        "on S^8), and the runs converge without it. Tests err with a probability of 1e-4.",
        corrected=True,
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.convergence"

_STEADY = Fault(
    "theorem2-constant-rate",
    FORMULA,
    "a constant rate in place of one that satisfies (4)",
    f"{_HERE}:good_rates",
    lambda f: steady_rates,
)

ENTRIES = (
    Claim(
        "theorem2",
        "Theorem 2",
        "Loss and gradient of FG-SGD converge to those of a local minimum.",
        "To critical points: inf < 0 must be sup < 0, which no compact manifold satisfies.",
        "fgmanifolds.FGSGDSolver",
        theorem2_conditions,
        CORRECTED,
        "(26) makes $\\Psi_t$ a quasi-martingale, which converges almost surely; (29) and $\\sum "
        "r = \\infty$ force $\\langle\\mathrm{Log}, \\nabla L\\rangle$ to 0 along a subsequence. "
        "If it is bounded away from 0 outside of every ball (sup < 0), the distance goes to 0. On "
        "a compact manifold the loss has a highest point, where the gradient is 0: sup = 0, and "
        "what follows is convergence of the gradient. With $\\sum r^2 = \\infty$ noise keeps the "
        "distance up, with $\\sum r < \\infty$ runs stop on the way.",
        (
            _STEADY,
            Fault(
                "theorem2-sup",
                FORMULA,
                "the printed condition with sup in place of inf",
                f"{_HERE}:printed_condition",
                instead(lambda inner: bool(inner.max() < -1e-3)),
            ),
            Fault(
                "theorem2-hasty",
                FORMULA,
                "rates of infinite sum where a finite one is meant",
                f"{_HERE}:hasty_rates",
                lambda f: good_rates,
            ),
            GRADIENT_SIGN,
            RETRACTS_BACK,
        ),
    ),
    Claim(
        "corollary1",
        "Corollary 1",
        "Where local minima are global, FG-SGD converges to a global minimum.",
        "They must be global on the manifold; that they are in the linear space is not enough.",
        "fgmanifolds.verify.corollary1",
        corollary1_basins,
        CORRECTED,
        "By Theorem 2, with the premise where its proof needs it: among the points of the "
        "manifold. $w_1^2 + 0.1 w_2^2 - 0.1 w_2$ is convex with one minimum in the plane; on the "
        "unit circle it has the slope $-\\cos t(1.8 \\sin t + 0.1)$, hence minima of 0 and 0.2 at "
        "$t = \\pm\\pi/2$, and 48% of the circle flows to the worse one.",
        (
            Fault(
                "corollary1-on-manifold",
                FORMULA,
                "the printed premise read of the manifold",
                f"{_HERE}:printed_premise",
                instead(lambda convex, one_minimum: one_minimum),
            ),
            Fault(
                "corollary1-basin",
                FORMULA,
                "a quarter of the circle flowing to the worse minimum",
                f"{_HERE}:worse_share",
                instead(lambda: 0.25),
            ),
            GRADIENT_SIGN,
            RETRACTS_BACK,
        ),
    ),
    Claim(
        "corollary2",
        "Corollary 2",
        "Convergence on products of unit spheres with (7), where rho <= 1 / c.",
        "1 / c is not a length: c^(-1/2). The assumption is rarely met at the start.",
        "fgmanifolds.solver.corollary2",
        corollary2_conditions,
        CORRECTED,
        "Theorem 2 with a bound of the distance. Curvature is one over a squared length, so that "
        "1/c is a squared one; $\\hat c^{-1/2}$ is the radius of the sphere. Of two random points "
        "of $S^8$ the share within one radius is $\\int_0^1 \\sin^7 / \\int_0^\\pi \\sin^7$ = "
        "5.3%.",
        (
            _STEADY,
            Fault(
                "corollary2-printed-right",
                FORMULA,
                "the printed distance replaced by c^(-1/2)",
                f"{_HERE}:printed_distance",
                lambda f: right_distance,
            ),
            Fault(
                "corollary2-right-half",
                FORMULA,
                "half of the right distance",
                f"{_HERE}:right_distance",
                instead(lambda c: 0.5 * c**-0.5),
            ),
            HALF_RHO,
            NO_G,
            Fault(
                "sphere-points-not-uniform",
                PACKAGE,
                "random points of Sphere have no negative entries",
                "fgmanifolds.geometry:Sphere.random_point",
                lambda f: lambda self, rng=None: np.abs(f(self, rng)),
            ),
        ),
    ),
)
