"""Statements on convergence: Theorem 2, its inequalities, and its corollaries.

They are checked on problems with known minima (:mod:`fgmanifolds.verify.problems`).
The inequalities (24) and (27) are conditional expectations over the sample of
one step; here they are computed exactly, as means over all samples, at points
along the path of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymanopt

from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, Step, StochasticProblem, robbins_monro
from fgmanifolds.steps.norms import running_mean_square
from fgmanifolds.steps.rules import denominator
from fgmanifolds.validation import check_choices, check_integer
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.problems import PROBLEMS, make_problem

__all__ = [
    "PathStep",
    "corollary1",
    "corollary2",
    "denominator_bias",
    "one_step",
    "path_steps",
    "psi",
    "supermartingale",
    "theorem2",
]


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


# One step, with the expectation over its sample computed exactly ------------------


class _OneStep:
    """A stochastic problem on spheres with all of its minibatches, and a minimum.

    On spheres logarithms and distances are exact.
    """

    def __init__(self, seed: int, size: float) -> None:
        known = make_problem("eigenvectors", seed=seed, batch_size=8, size=size)
        self.problem: StochasticProblem = known.problem
        self.manifold = self.problem.manifold
        self.start = known.initial_point(seed)
        assert known.nearest is not None
        self.minimum = known.nearest(self.start)
        self.batches = list(self.problem.epoch(0))

    def gradients(self, point: Sequence[Array]) -> list[Any]:
        """Riemannian gradient of each minibatch."""
        found = []
        for batch in self.batches:
            with self.problem.minibatch(batch):
                found.append(self.problem.riemannian_gradient(point))
        return found

    def path(self, points: int, every: int, rule: str) -> list[tuple[Any, float]]:
        """Points along a run, with the running gradient norm there."""
        kept: list[tuple[Any, float]] = []
        average: float | None = None

        def keep(step: Step) -> bool:
            nonlocal average
            if step.iteration % every == 1:
                past = step.gradient_norm if average is None else average**0.5
                kept.append((step.point, past))
            average = running_mean_square(average, step.gradient_norm)
            return len(kept) >= points

        FGSGDSolver(
            robbins_monro(0.5, 50, 0.75),
            rule=rule,
            callback=keep,
            max_iterations=points * every + 1,
            min_gradient_norm=0.0,
            min_step_size=0.0,
            verbosity=0,
        ).run(self.problem, initial_point=self.start)
        return kept


def _denominators(setting: _OneStep, rule: str | None, norms: Array, rho: float) -> Array:
    low, high = setting.manifold.sectional_curvature_bounds
    g: Array = denominator(rule, norms, rho=rho, c=high, kappa=max(-low, 0.0))
    return g


def _changes(
    setting: _OneStep, point: Any, past: float, lr: float, rule: str | None, norm: str
) -> tuple[float, Array, float]:
    """Squared distance, its values after the step for each sample, and the inner product."""
    manifold, minimum = setting.manifold, setting.minimum
    rho = float(manifold.dist(point, minimum))
    gradients = setting.gradients(point)
    norms = np.array([float(manifold.norm(point, g)) for g in gradients])
    used = norms if norm == "current" else np.full_like(norms, past)
    g = _denominators(setting, rule, used, rho)
    if norm == "past" and rule is not None:
        g = np.maximum(g, norms)
    after = [
        float(manifold.dist(manifold.exp(point, (-lr / d) * u), minimum)) ** 2
        for u, d in zip(gradients, g, strict=True)
    ]
    towards = manifold.log(point, minimum)
    inner = [
        2 * lr / d * float(manifold.inner_product(point, towards, u))
        for u, d in zip(gradients, g, strict=True)
    ]
    return rho**2, np.array(after), float(np.mean(inner))


@dataclass(frozen=True)
class PathStep:
    """A step from a point of a path, with its expectation over all samples.

    Attributes
    ----------
    before : float
        Squared distance to the minimum at the point.
    after : array
        Squared distances after the step, one for each sample.
    inner : float
        Expectation of ``2 (r(t) / g) <Log, grad>``.
    """

    before: float
    after: Array
    inner: float


def path_steps(*, points: int, seed: int = 0, size: float = 4.0) -> list[PathStep]:
    """Steps of Theorem 2 with the norm of the same sample, at every fifth point of a run."""
    check_integer("points", points, low=1)
    setting = _OneStep(seed, size)
    schedule = robbins_monro(0.5, 50, 0.75)
    return [
        PathStep(*_changes(setting, point, past, schedule(5 * i), "theorem2", "current"))
        for i, (point, past) in enumerate(setting.path(points, 5, "corollary2"))
    ]


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
    setting = _OneStep(seed, size)
    schedule = robbins_monro(0.5, 50, 0.75)
    measured: dict[str, float] = {}
    cases = (
        ("theorem2", "current"),
        ("theorem2", "past"),
        ("corollary2", "past"),
        (None, "current"),
    )
    for rule, norm in cases:
        excess = []
        for i, (point, past) in enumerate(setting.path(points, 5, "corollary2")):
            lr = schedule(5 * i)
            before, after, inner = _changes(setting, point, past, lr, rule, norm)
            excess.append((after.mean() - before - inner - lr**2) / lr**2)
        case = f"{rule}, {norm} norm" if rule else "no denominator"
        measured[f"share of points, {case}"] = float(np.mean(np.array(excess) <= 1e-9))
        measured[f"worst excess over r(t)^2, {case}"] = float(max(0.0, *excess))
    always = measured["share of points, theorem2, current norm"] == 1
    return Finding(
        "(24)",
        "The expected squared distance grows by r(t)^2 at most, beside the inner product.",
        "holds as corrected" if always else "fails",
        measured,
        "With the true distance and the norm of the same sample it holds at every point, with the "
        "denominator inside of the expectation. With a running norm or Corollary 2's distance "
        "nothing ensures it, and without a denominator it is lost where gradients are large: the "
        "figures say how often it held.",
    )


def psi(square: Array, epsilon: float) -> Array:
    """A function as the proof demands: 0 up to epsilon, slope 1 beyond epsilon + 1."""
    s = np.maximum(np.asarray(square) - epsilon, 0.0)
    return np.where(s < 1, 0.5 * s**2, s - 0.5)


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
    schedule = robbins_monro(0.5, 50, 0.75)
    excess, away = [], []
    for i, step in enumerate(path_steps(points=points, seed=seed, size=size)):
        lr = schedule(5 * i)
        growth = float(psi(step.after, 0.01).mean() - psi(np.array(step.before), 0.01))
        excess.append((growth - 2 * lr**2) / lr**2)
        away.append(step.inner < 0)
    holds = np.array(excess) <= 1e-9
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
        "Where the gradient points away from the minimum. Then Psi_t + 2 sum_{k >= t} r(k)^2 is "
        "the supermartingale; the printed one lacks the factor and starts the sum at 0.",
    )


# The bias of a denominator that knows its sample --------------------------------


def denominator_bias(*, steps: int = 20000, seed: int = 0) -> Finding:
    """Measure where FG-SGD goes if the denominator has the norm of the same minibatch.

    On the two-sphere nine of ten samples pull gently to e1, and one of ten pulls 8.1
    times as hard to e2: the mean cost is least at ``atan(0.9)``, 41.99 degrees from
    e1. The denominator shortens the rare, large gradients.

    Parameters
    ----------
    steps : int
    seed : int

    Returns
    -------
    Finding
        Angles from e1 in degrees, with the norm of the same sample and with that of past ones.
    """
    check_integer("steps", steps, low=10)
    # Many copies: drawn without replacement, a short epoch would tell the next sample.
    pulls = np.zeros((1000, 3))
    pulls[:900, 0], pulls[900:, 1] = 1.0, 8.1
    manifold = ScaledProductManifold([Sphere(3, 1)])
    decorate = pymanopt.function.numpy(manifold)

    def cost(w: Array, pull: Array) -> float:
        return -float(np.mean(pull @ w))

    def gradient(w: Array, pull: Array) -> list[Array]:
        return [-pull.mean(0)[:, None]]

    problem = StochasticProblem(
        manifold, decorate(cost), pulls, 1, euclidean_gradient=decorate(gradient), seed=seed
    )
    angles = {}
    for norm in ("current", "past"):
        solver = FGSGDSolver(
            robbins_monro(0.5, 100, 1.0),
            gradient_norm=norm,
            max_iterations=steps,
            min_gradient_norm=0.0,
            min_step_size=0.0,
            verbosity=0,
        )
        (w,) = solver.run(problem, initial_point=[np.eye(3, 1, -2)]).point
        angles[norm] = float(np.degrees(np.arctan2(w[1, 0], w[0, 0])))
    best = float(np.degrees(np.arctan(0.9)))
    measured = {
        "angle of the minimum": best,
        "angle with the norm of the same sample": angles["current"],
        "angle with the norm of past samples": angles["past"],
    }
    biased = abs(angles["current"] - best) > 3 * abs(angles["past"] - best)
    return Finding(
        "(5), R of the same minibatch",
        "The step -(r/g) grad with g from the same minibatch descends the expected loss.",
        "fails" if biased else "holds",
        measured,
        "Large gradients are shortened more than small ones, so that the mean of the steps is not "
        "along the mean gradient. A norm of past gradients does not depend on the sample; what "
        "bias is left comes from the bound max{g, R} that keeps a single step short.",
        problem if biased else None,
    )


# Corollaries ------------------------------------------------------------------


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
    known = make_problem("eigenvectors", seed=seed)
    gaps = []
    for draw in range(seeds):
        solver = _solver(600)
        gaps.append(
            known.gap(solver.run(known.problem, initial_point=known.initial_point(draw)).point)
        )
    scale = abs(known.minimum(None))
    circle = _quadratic_on_a_circle()
    costs = [
        _solver(500).run(circle, initial_point=circle.manifold.random_point(draw)).cost
        for draw in range(seeds)
    ]
    measured = {
        "eigenvectors: largest gap, relative": max(gaps) / scale,
        "quadratic on a circle: lowest minimum found": min(costs),
        "quadratic on a circle: highest minimum found": max(costs),
    }
    holds = max(gaps) < 0.01 * scale and max(costs) > min(costs) + 0.1
    return Finding(
        "Corollary 1",
        "If local minima are global, FG-SGD converges to a global minimum.",
        "holds as corrected" if holds else "fails",
        measured,
        "Local minima must be global on the manifold: that they are in the linear space is not "
        "enough, as the circle shows.",
    )


def _solver(steps: int) -> FGSGDSolver:
    return FGSGDSolver(
        robbins_monro(0.5, 50, 0.75), max_iterations=steps, min_gradient_norm=1e-9, verbosity=0
    )


def _quadratic_on_a_circle() -> pymanopt.Problem:
    circle = Sphere(2, 1)
    matrix, pull = np.diag([1.0, 0.1]), np.array([[0.0], [0.1]])
    decorate = pymanopt.function.numpy(circle)

    def cost(w: Array) -> float:
        return float(np.vdot(w, matrix @ w) - np.vdot(pull, w))

    def gradient(w: Array) -> Array:
        return 2 * matrix @ w - pull

    return pymanopt.Problem(circle, decorate(cost), euclidean_gradient=decorate(gradient))


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
    sphere = Sphere(3, 3, k=samples)
    rng = np.random.default_rng(seed)
    near = sphere.distances(sphere.random_point(rng), sphere.random_point(rng)) <= 1.0
    measured = {
        "gradient at the end over that at the start, worst": float(shares[:, 0].max()),
        "distance at the end over that at the start, worst": float(shares[:, 1].max()),
        "share of random pairs on S^8 within 1 / c": float(near.mean()),
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
