"""One step of FG-SGD with its expectation over the sample, computed exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgmanifolds import steps
from fgmanifolds.geometry import Component, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, Step, StochasticProblem, robbins_monro
from fgmanifolds.steps.norms import running_mean_square
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.problems import make_problem

__all__ = [
    "CASES",
    "Case",
    "OneStep",
    "PathStep",
    "kinked",
    "path_steps",
    "psi",
    "rare_gradient",
]

SCHEDULE = robbins_monro(0.5, 50, 0.75)


def psi(square: Array, epsilon: float) -> Array:
    """A function as the proof demands: 0 up to epsilon, slope 1 beyond epsilon + 1.

    Parameters
    ----------
    square : array
        Squared distances.
    epsilon : float
        Above 0.
    """
    s = np.maximum(np.asarray(square) - epsilon, 0.0)
    return np.where(s < 1, 0.5 * s**2, s - 0.5)


def kinked(square: Array, epsilon: float) -> tuple[Array, Array]:
    """The steepest function that the proof allows, Psi'' = 2 up to slope 1; and its slope.

    Parameters
    ----------
    square : array
        Squared distances.
    epsilon : float
        Above 0.
    """
    s = np.maximum(np.asarray(square) - epsilon, 0.0)
    return np.where(s < 0.5, s**2, s - 0.25), np.minimum(2 * s, 1.0)


@dataclass(frozen=True)
class Case:
    """A point at a distance from a minimum, and the samples of one step there.

    Attributes
    ----------
    name : str
    component : Component
        A unit sphere or St(3, 2), at a radius.
    rho : float
        Distance to the minimum.
    norm : float
        Norm R of every sample's gradient.
    rate : float
        r(t).
    radial : bool
        Whether gradients point along the geodesic to the minimum; else in the direction in
        which the squared distance bends most.
    signs : tuple of float
        The samples: multiples of that direction, equally likely.
    """

    name: str
    component: Component
    rho: float
    norm: float
    rate: float = 0.05
    radial: bool = True
    signs: tuple[float, ...] = (1.0, -1.0)

    def place(self) -> tuple[Array, Array, Array]:
        """Minimum, point, and unit direction of the gradients."""
        planes = self.component.extremal_planes()
        assert planes is not None
        minimum, u, _ = planes[0]
        u = u / np.linalg.norm(u)
        point = self.component.exp(minimum, self.rho * u)
        outward = -self.component.log(point, minimum)
        outward = outward / np.linalg.norm(outward) if self.rho > 1e-9 else u
        return minimum, point, outward if self.radial else self._bent(minimum, point)

    def _bent(self, minimum: Array, point: Array) -> Array:
        frames = self.component.tangent_frames(point)
        h = 1e-3 * float(self.component.radii[0])

        def square(move: Array) -> float:
            return float(self.component.dist(self.component.exp(point, move), minimum)) ** 2

        def second(a: Array, b: Array) -> float:
            terms = [p * q * square(h * (p * a + q * b)) for p in (1, -1) for q in (1, -1)]
            return float(np.sum(terms)) / (4 * h**2)

        hessian = np.array([[second(a, b) for b in frames] for a in frames])
        return np.asarray(np.tensordot(np.linalg.eigh(hessian)[1][:, -1], frames, axes=1))

    def denominator(self, rule: str | None = "theorem2") -> float:
        """The package's g here, with the true distance."""
        low, high = self.component.sectional_curvature_bounds
        g = steps.denominator(rule, self.norm, rho=self.rho, c=max(high, 0), kappa=max(-low, 0))
        return float(g)

    def step(self, g: float) -> PathStep:
        """The step with its expectation over the samples."""
        minimum, point, direction = self.place()
        length = self.rate * self.norm / g
        after = [
            float(self.component.dist(self.component.exp(point, -length * s * direction), minimum))
            for s in self.signs
        ]
        towards = self.component.log(point, minimum)
        pull = float(self.component.inner_product(point, towards, direction))
        mean = float(np.mean(self.signs))
        return PathStep(self.rho**2, np.square(after), 2 * length * pull * mean)


_BALL, _UNIT = Sphere(3, 1, radius=10.0), Sphere(3, 1)
_SMALL = Stiefel(3, 2, radius=0.05)

#: Steps at which one of the inequalities is nearly an equality, or needs one of the terms of g.
CASES = (
    Case("at the minimum", _UNIT, 0.001, 1.0),
    Case("large gradient", _UNIT, 1.0, 3.0),
    Case("far, radial noise", _BALL, 10.0, 0.5, 0.02),
    Case("far, with a pull", _BALL, 10.0, 0.5, 0.02, signs=(1.0, 1.0, -0.9)),
    Case("negative curvature", _SMALL, 0.14, 0.85, 0.01, radial=False),
)


@dataclass(frozen=True)
class PathStep:
    """A step from a point, with its expectation over all samples.

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


class OneStep:
    """A stochastic problem on spheres with all of its minibatches, and a minimum.

    On spheres logarithms and distances are exact.

    Parameters
    ----------
    seed : int
    size : float
        Of the data.
    """

    def __init__(self, seed: int, size: float) -> None:
        known = make_problem("eigenvectors", seed=seed, batch_size=8, size=size)
        self.problem: StochasticProblem = known.problem
        self.manifold = self.problem.manifold
        self.start = known.initial_point(seed)
        assert known.nearest is not None
        self.minimum = known.nearest(self.start)
        self.batches = list(self.problem.epoch(0))

    def _gradients(self, point: Sequence[Array]) -> list[Any]:
        found = []
        for batch in self.batches:
            with self.problem.minibatch(batch):
                found.append(self.problem.riemannian_gradient(point))
        return found

    def path(self, points: int, every: int, rule: str) -> list[tuple[Any, float]]:
        """Points along a run, with the running gradient norm there.

        Parameters
        ----------
        points, every : int
        rule : str, optional
        """
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
            SCHEDULE,
            rule=rule,
            callback=keep,
            max_iterations=points * every + 1,
            min_gradient_norm=0.0,
            min_step_size=0.0,
            verbosity=0,
        ).run(self.problem, initial_point=self.start)
        return kept

    def step(self, point: Any, past: float, rate: float, rule: str | None, norm: str) -> PathStep:
        """A step from a point, over all minibatches.

        Parameters
        ----------
        point : array
        past, rate : float
        rule : str, optional
        norm : str
        """
        manifold, minimum = self.manifold, self.minimum
        rho = float(manifold.dist(point, minimum))
        gradients = self._gradients(point)
        norms = np.array([float(manifold.norm(point, g)) for g in gradients])
        used = norms if norm == "current" else np.full_like(norms, past)
        low, high = manifold.sectional_curvature_bounds
        g = steps.denominator(rule, used, rho=rho, c=high, kappa=max(-low, 0.0))
        if norm == "past" and rule is not None:
            g = np.maximum(g, norms)
        after = [
            float(manifold.dist(manifold.exp(point, (-rate / d) * u), minimum)) ** 2
            for u, d in zip(gradients, g, strict=True)
        ]
        towards = manifold.log(point, minimum)
        inner = [
            2 * rate / d * float(manifold.inner_product(point, towards, u))
            for u, d in zip(gradients, g, strict=True)
        ]
        return PathStep(rho**2, np.array(after), float(np.mean(inner)))


def rare_gradient(rate: float = 0.05) -> tuple[float, float, float]:
    """A step where one sample in ten has a gradient of norm 100, and the others none.

    On a unit sphere at distance 1, straight to the minimum.

    Returns
    -------
    change : float
        Expected change of the squared distance, each sample with its own g.
    inside, outside : float
        ``2 r <Log, grad> / g`` with g inside of the expectation, and with the g of the mean
        gradient in front of it.
    """
    rho, norm, share = 1.0, 100.0, 0.1
    case = Case("", Sphere(3, 1), rho, norm, rate, signs=(1.0,))
    step = case.step(case.denominator())
    mean = Case("", Sphere(3, 1), rho, share * norm)
    outside = -2 * rate * rho * share * norm / mean.denominator()
    return share * (float(step.after[0]) - rho**2), share * step.inner, outside


def path_steps(*, points: int, seed: int = 0, size: float = 4.0) -> list[PathStep]:
    """Steps of Theorem 2 with the norm of the same sample, at every fifth point of a run.

    Parameters
    ----------
    points, seed : int
    size : float
        Of the data.
    """
    check_integer("points", points, low=1)
    setting = OneStep(seed, size)
    return [
        setting.step(point, past, SCHEDULE(5 * i), "theorem2", "current")
        for i, (point, past) in enumerate(setting.path(points, 5, "corollary2"))
    ]
