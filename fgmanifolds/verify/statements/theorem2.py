"""Theorem 2, as statistical tests.

A test that must come out one way does so by chance in at most one of 10,000 uses (ALPHA) if the
statement is false, and fails to if it is true about as rarely: sizes were chosen for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pymanopt

from fgmanifolds.geometry import Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, Schedule, constant, robbins_monro
from fgmanifolds.validation import check_choices, check_integer
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, instead
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.problems import PROBLEMS, make_problem
from fgmanifolds.verify.replicates import noisy_pulls
from fgmanifolds.verify.sidefaults import RETRACTS_BACK
from fgmanifolds.verify.statements.theorem1 import GRADIENT_SIGN

__all__ = [
    "ENTRIES",
    "good_rates",
    "hasty_rates",
    "steady_rates",
    "theorem2",
    "theorem2_conditions",
]

_HERE = "fgmanifolds.verify.statements.theorem2"

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
        runs = np.array([progress(name, seed + i, steps, rule) for i in range(seeds)])
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


def progress(name: str, seed: int, steps: int, rule: str | None) -> Array:
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
    pull = np.eye(4, 1)  # so that the gradient at the top is 0, and not a rounding error
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


STEADY = Fault(
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
            STEADY,
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
)
