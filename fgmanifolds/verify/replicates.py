"""Many independent runs of FG-SGD at once, for statistical tests of convergence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pymanopt
from scipy import stats

from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, Schedule, Step, StochasticProblem

__all__ = ["Runs", "noisy_pulls"]


@dataclass(frozen=True)
class Runs:
    """Mean squared distances to the minimum, early and late, of independent runs.

    Attributes
    ----------
    start, early, late : array of shape (runs,)
        At the start, and over two windows of steps.
    path : dict of int to float
        Mean over the runs at every tenth step.
    """

    start: Array
    early: Array
    late: Array
    path: dict[int, float]

    @property
    def log_ratios(self) -> Array:
        """Logarithm of the late over the early squared distance, of each run."""
        return np.asarray(np.log(self.late / self.early))

    def p_value(self) -> float:
        """Of Student's test that the distances do not fall: small if they do."""
        return float(stats.ttest_1samp(self.log_ratios, 0.0, alternative="less").pvalue)


def noisy_pulls(
    schedule: Schedule, *, runs: int, steps: int, seed: int, rule: str = "corollary2"
) -> Runs:
    """Runs on unit two-spheres, each a POM of its own, with the cost ``-<x, w>`` of samples x.

    The samples are a pull of length 1 with normal noise of deviation 1 in each entry; the
    minimum is in the direction of their mean.

    Parameters
    ----------
    schedule : Schedule
    runs, steps, seed : int
        At least 300 steps; the windows are 50 steps after the 100th and at the end.
    rule : str
        Denominator.
    """
    rng = np.random.default_rng([seed, 2])
    pulls = rng.standard_normal((3000, runs, 3)) + np.eye(3)[0]
    minima = pulls.mean(axis=0)
    minima /= np.linalg.norm(minima, axis=1, keepdims=True)
    manifold = ScaledProductManifold([Sphere(3, 1)] * runs)
    decorate = pymanopt.function.numpy(manifold)

    def cost(*arguments: Array) -> float:
        points, x = np.array(arguments[:-1])[:, :, 0], arguments[-1].mean(axis=0)
        return -float(np.sum(points * x))

    def gradient(*arguments: Array) -> list[Array]:
        return list(-arguments[-1].mean(axis=0)[:, :, None])

    problem = StochasticProblem(
        manifold, decorate(cost), pulls, 1, euclidean_gradient=decorate(gradient), seed=seed
    )
    kept: dict[int, Array] = {}

    def keep(step: Step) -> None:
        t = step.iteration
        if t % 10 == 1 or 100 < t <= 150 or t > steps - 50:
            kept[t] = _squares(step.point, minima)

    FGSGDSolver(
        schedule,
        rule=rule,
        gradient_norm="current",
        poms=[[i] for i in range(runs)],
        check_schedule=False,
        callback=keep,
        max_iterations=steps,
        min_gradient_norm=0.0,
        min_step_size=0.0,
        verbosity=0,
    ).run(problem, initial_point=_starts(manifold, minima, rng))
    early = np.mean([kept[t] for t in range(101, 151)], axis=0)
    late = np.mean([kept[t] for t in range(steps - 49, steps + 1)], axis=0)
    path = {t: float(values.mean()) for t, values in kept.items() if t % 10 == 1}
    return Runs(kept[1], early, late, path)


def _starts(
    manifold: ScaledProductManifold, minima: Array, rng: np.random.Generator
) -> list[Array]:
    """Points at distance 2.5 from the minima."""
    points = []
    for sphere, minimum in zip(manifold.components, minima, strict=True):
        w = minimum[:, None]
        points.append(sphere.exp(w, 2.5 * sphere.random_tangent_vector(w, rng)))
    return points


def _squares(point: Sequence[Array], minima: Array) -> Array:
    """Squared distances on the spheres, by chords."""
    chords = np.linalg.norm(np.array(point)[:, :, 0] - minima, axis=1)
    return np.asarray((2 * np.arcsin(np.minimum(chords / 2, 1.0))) ** 2)
