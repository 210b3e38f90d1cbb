"""Stochastic problems on products of manifolds whose minima are known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymanopt

from fgmanifolds.geometry import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import StochasticProblem
from fgmanifolds.validation import check_choice

__all__ = ["PROBLEMS", "KnownProblem", "make_problem"]


@dataclass(frozen=True)
class KnownProblem:
    """A stochastic problem with what is known of its minima.

    Attributes
    ----------
    name : str
    problem : StochasticProblem
    minimum : callable
        Cost, over all data, of the minimum next to a point.
    distance : callable
        Frobenius distance of a point to the nearest minimum, or to the set of them.
    initial_point : callable
        A random start for a seed, in the piece of the manifold that holds a minimum.
    nearest : callable, optional
        The minimum nearest to a point, where minima are isolated.
    """

    name: str
    problem: StochasticProblem
    minimum: Callable[[Any], float]
    distance: Callable[[Any], float]
    initial_point: Callable[[int], Any]
    nearest: Callable[[Any], Any] | None = None

    def gap(self, point: Any) -> float:
        """Cost above that of the nearest minimum."""
        return float(self.problem.cost(point)) - self.minimum(point)


def _stochastic(
    manifold: ScaledProductManifold,
    cost: Callable[..., float],
    gradient: Callable[..., Sequence[Array]],
    data: tuple[Array, ...],
    batch_size: int,
    seed: int,
) -> StochasticProblem:
    decorate = pymanopt.function.numpy(manifold)
    return StochasticProblem(
        manifold,
        decorate(cost),
        data,
        batch_size,
        euclidean_gradient=decorate(gradient),
        seed=seed,
    )


def _starts(manifold: ScaledProductManifold) -> Callable[[int], list[Array]]:
    """Random points, of another stream than that of the data."""
    return lambda draw: manifold.random_point(np.random.default_rng([draw, 1]))


def _spread_data(rng: np.random.Generator, n: int, d: int) -> Array:
    """Rows with a covariance of well separated eigenvalues in a random basis."""
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    return rng.standard_normal((n, d)) * np.geomspace(1.0, 0.2, d) @ basis


def _eigenvectors(seed: int, batch_size: int, size: float) -> KnownProblem:
    """Leading eigenvectors of two covariances, on a product of two spheres of other radii."""
    rng = np.random.default_rng(seed)
    data = tuple(size * _spread_data(rng, 600, 6) for _ in range(2))
    radii = (1.0, 0.5)
    manifold = ScaledProductManifold([Sphere(6, 1), Sphere(6, 1)], scales=radii)

    def cost(u: Array, v: Array, x: Array, y: Array) -> float:
        return -float(np.mean((x @ u) ** 2) + np.mean((y @ v) ** 2))

    def gradient(u: Array, v: Array, x: Array, y: Array) -> list[Array]:
        return [-2 * x.T @ (x @ u) / len(x), -2 * y.T @ (y @ v) / len(y)]

    spectra = [np.linalg.eigh(x.T @ x / len(x)) for x in data]
    minimum = -sum(r**2 * values[-1] for r, (values, _) in zip(radii, spectra, strict=True))
    leading = [r * vectors[:, -1:] for r, (_, vectors) in zip(radii, spectra, strict=True)]

    def nearest(point: Sequence[Array]) -> list[Array]:
        parts = zip(point, leading, strict=True)
        return [np.copysign(1.0, np.vdot(w, v)) * v for w, v in parts]

    def distance(point: Sequence[Array]) -> float:
        parts = zip(point, nearest(point), strict=True)
        return float(np.linalg.norm([np.linalg.norm(w - v) for w, v in parts]))

    problem = _stochastic(manifold, cost, gradient, data, batch_size, seed)
    return KnownProblem(
        "eigenvectors", problem, lambda _: minimum, distance, _starts(manifold), nearest
    )


def _pca(seed: int, batch_size: int, size: float) -> KnownProblem:
    """Principal subspace, on a Stiefel manifold. The minima are all bases of the subspace."""
    rng = np.random.default_rng(seed)
    data = size * _spread_data(rng, 600, 6)
    manifold = ScaledProductManifold([Stiefel(6, 2)])

    def cost(w: Array, x: Array) -> float:
        return -float(np.sum((x @ w) ** 2)) / len(x)

    def gradient(w: Array, x: Array) -> list[Array]:
        return [-2 * x.T @ (x @ w) / len(x)]

    values, vectors = np.linalg.eigh(data.T @ data / len(data))
    subspace = vectors[:, -2:]

    def distance(point: Sequence[Array]) -> float:
        (w,) = point
        left, _, right = np.linalg.svd(subspace.T @ w)
        return float(np.linalg.norm(w - subspace @ left @ right))

    problem = _stochastic(manifold, cost, gradient, (data,), batch_size, seed)
    lowest = -float(values[-2:].sum())
    return KnownProblem("pca", problem, lambda _: lowest, distance, _starts(manifold))


def _procrustes(seed: int, batch_size: int, size: float) -> KnownProblem:
    """Orthogonal Procrustes with noise, on the orthogonal group at radius 2."""
    rng = np.random.default_rng(seed)
    a = size * rng.standard_normal((600, 4))
    radius = 2.0
    hidden = radius * np.linalg.qr(rng.standard_normal((4, 4)))[0]
    b = a @ hidden + 0.3 * size * rng.standard_normal((600, 4))
    manifold = ScaledProductManifold([Stiefel(4, 4)], scales=[radius])

    def cost(w: Array, x: Array, y: Array) -> float:
        return float(np.sum((x @ w - y) ** 2)) / len(x)

    def gradient(w: Array, x: Array, y: Array) -> list[Array]:
        return [2 * x.T @ (x @ w - y) / len(x)]

    # A^T A is not I, but nearly so; the exact minimum is found from there by Newton's method.
    best = _polished(manifold, cost, gradient, (a, b), [hidden])
    sign = np.linalg.det(best[0])

    def initial_point(draw: int) -> list[Array]:
        (w,) = _starts(manifold)(draw)
        w[:, 0] *= np.sign(np.linalg.det(w) * sign)
        return [w]

    lowest = cost(best[0], a, b)
    problem = _stochastic(manifold, cost, gradient, (a, b), batch_size, seed)
    return KnownProblem(
        "procrustes",
        problem,
        lambda _: lowest,
        lambda point: float(np.linalg.norm(point[0] - best[0])),
        initial_point,
    )


def _independent_components(seed: int, batch_size: int, size: float) -> KnownProblem:
    """Independent components of whitened data by their fourth moment, on an oblique manifold.

    Every column may find any of the sources, in either direction: each is a minimum.
    """
    rng = np.random.default_rng(seed)
    sources = rng.laplace(size=(2000, 3))
    left, _, right = np.linalg.svd(sources - sources.mean(0), full_matrices=False)
    mixing = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    data = size * np.sqrt(len(sources)) * left @ right @ mixing
    manifold = ScaledProductManifold([Oblique(3, 2)])

    def cost(w: Array, x: Array) -> float:
        return -float(np.sum((x @ w) ** 4)) / (4 * len(x))

    def gradient(w: Array, x: Array) -> list[Array]:
        return [-x.T @ (x @ w) ** 3 / len(x)]

    column = ScaledProductManifold([Oblique(3, 1)])
    found = [_polished(column, cost, gradient, (data,), [mixing[i][:, None]])[0] for i in range(3)]
    costs = [cost(w, data) for w in found]

    def nearest(point: Sequence[Array]) -> list[tuple[float, int]]:
        (w,) = point
        return [
            min((float(np.linalg.norm(s * v - c)), i) for i, v in enumerate(found) for s in (1, -1))
            for c in (w[:, :1], w[:, 1:])
        ]

    def distance(point: Sequence[Array]) -> float:
        return float(np.linalg.norm([d for d, _ in nearest(point)]))

    problem = _stochastic(manifold, cost, gradient, (data,), batch_size, seed)
    return KnownProblem(
        "independent components",
        problem,
        lambda point: sum(costs[i] for _, i in nearest(point)),
        distance,
        _starts(manifold),
    )


def _linear_network(seed: int, batch_size: int, size: float) -> KnownProblem:
    """A two-layer linear network with a teacher, on a Stiefel manifold times a sphere.

    The minima are all factorisations of the teacher's map; the distance is that of the maps.
    """
    rng = np.random.default_rng(seed)
    manifold = ScaledProductManifold([Stiefel(6, 3), Sphere(3, 2)], scales=[1.0, 1.5])
    teacher = manifold.random_point(rng)
    x = size * rng.standard_normal((600, 6))
    y = x @ teacher[0] @ teacher[1]

    def cost(u: Array, v: Array, inputs: Array, targets: Array) -> float:
        return float(np.sum((inputs @ u @ v - targets) ** 2)) / len(inputs)

    def gradient(u: Array, v: Array, inputs: Array, targets: Array) -> list[Array]:
        back = 2 * inputs.T @ (inputs @ u @ v - targets) / len(inputs)
        return [back @ v.T, u.T @ back]

    def distance(point: Sequence[Array]) -> float:
        return float(np.linalg.norm(point[0] @ point[1] - teacher[0] @ teacher[1]))

    problem = _stochastic(manifold, cost, gradient, (x, y), batch_size, seed)
    return KnownProblem("linear network", problem, lambda _: 0.0, distance, _starts(manifold))


def _polished(
    manifold: ScaledProductManifold,
    cost: Callable[..., float],
    gradient: Callable[..., Sequence[Array]],
    data: tuple[Array, ...],
    start: list[Array],
) -> list[Array]:
    """The minimum next to `start`, by pymanopt's conjugate gradients on all data."""
    decorate = pymanopt.function.numpy(manifold)

    def whole(*point: Array) -> float:
        return cost(*point, *data)

    def slope(*point: Array) -> Sequence[Array]:
        return gradient(*point, *data)

    problem = pymanopt.Problem(manifold, decorate(whole), euclidean_gradient=decorate(slope))
    optimizer = pymanopt.optimizers.ConjugateGradient(
        verbosity=0, min_gradient_norm=1e-9, min_step_size=1e-16
    )
    return list(optimizer.run(problem, initial_point=start).point)


PROBLEMS: dict[str, Callable[[int, int, float], KnownProblem]] = {
    "eigenvectors": _eigenvectors,
    "pca": _pca,
    "procrustes": _procrustes,
    "independent components": _independent_components,
    "linear network": _linear_network,
}


def make_problem(
    name: str, *, seed: int = 0, batch_size: int = 32, size: float = 1.0
) -> KnownProblem:
    """Make one of the problems.

    Parameters
    ----------
    name : {"eigenvectors", "pca", "procrustes", "independent components", "linear network"}
    seed : int
        Of the data, and of their order.
    batch_size : int
    size : float
        Factor of the data: large data make large gradients.
    """
    check_choice("name", name, PROBLEMS)
    return PROBLEMS[name](seed, batch_size, size)
