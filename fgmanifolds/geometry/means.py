"""Means and medians on manifolds, by fixed points of their exponential maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer, check_number

__all__ = ["Center", "frechet_mean", "frechet_median", "sample_weights"]


@dataclass(frozen=True)
class Center:
    """Where the search of a mean or a median ended, and why.

    Attributes
    ----------
    point
        The last point.
    converged : bool
    iterations : int
    step : float
        Norm of the last step, over the typical distance of the manifold.
    reason : str
        Why it stopped.
    """

    point: Any
    converged: bool
    iterations: int
    step: float
    reason: str

    def __repr__(self) -> str:
        return f"Center({self.reason}; point={self.point!r})"


def frechet_mean(
    manifold: Any, points: Any, weights: ArrayLike | None, *, tol: float, max_iterations: int
) -> Center:
    """See :meth:`fgmanifolds.geometry.verbs.Verbs.mean`.

    Parameters
    ----------
    manifold : pymanopt manifold
    points : array, or a sequence of arrays on products
    weights : array, optional
        Not negative; equal if left out.
    tol : float
        Relative to the norm of the point.
    max_iterations : int
    """

    def direction(point: Any, vectors: Any, distances: Array, shares: Array) -> Any:
        return _combined(manifold, vectors, shares)

    return _fixed_point(manifold, points, weights, direction, tol, max_iterations)


def frechet_median(
    manifold: Any, points: Any, weights: ArrayLike | None, *, tol: float, max_iterations: int
) -> Center:
    """See :meth:`fgmanifolds.geometry.verbs.Verbs.median`.

    Parameters
    ----------
    manifold : pymanopt manifold
    points : array, or a sequence of arrays on products
    weights : array, optional
        Not negative; equal if left out.
    tol : float
        Relative to the norm of the point.
    max_iterations : int
    """
    close = 1e-12 * manifold.typical_dist

    def direction(point: Any, vectors: Any, distances: Array, shares: Array) -> Any:
        apart = distances > close
        pulls = np.divide(shares, distances, where=apart, out=np.zeros(distances.shape))
        total = pulls.sum(axis=-1)
        pull = _combined(manifold, vectors, pulls)
        # Vardi & Zhang: a sample holds the point back with its own weight.
        held = np.sum(np.where(apart, 0.0, shares), axis=-1)
        strength = np.asarray(manifold.norm(point, pull))
        free = np.divide(held, strength, where=strength > 0, out=np.ones(np.shape(strength)))
        share = np.divide(
            np.maximum(1 - free, 0.0), total, where=total > 0, out=np.zeros(np.shape(total))
        )
        return manifold._scaled(pull, share)

    return _fixed_point(manifold, points, weights, direction, tol, max_iterations)


def sample_weights(weights: ArrayLike | None, shape: tuple[int, ...]) -> Array:
    """Weights of samples, summing to 1 over the last axis of `shape`.

    Parameters
    ----------
    weights : array, optional
        Not negative; equal if left out.
    shape : tuple of int

    Raises
    ------
    ValueError
        If they do not go with `shape`, are negative or sum to zero.
    """
    if weights is None:
        return np.full(shape, 1.0 / shape[-1])
    given = np.asarray(weights, dtype=float)
    if given.shape not in (shape[-1:], shape):
        raise ValueError(f"weights has shape {given.shape}; {shape[-1:]} is needed.")
    if not (np.all(np.isfinite(given)) and np.all(given >= 0) and np.all(given.sum(-1) > 0)):
        raise ValueError("weights must be finite and not negative, with a positive sum.")
    return np.broadcast_to(given / given.sum(axis=-1, keepdims=True), shape)


def _fixed_point(
    manifold: Any,
    points: Any,
    weights: ArrayLike | None,
    direction: Callable[[Any, Any, Array, Array], Any],
    tol: float,
    max_iterations: int,
) -> Center:
    """Move along `direction` until the steps are short; halve them where they grow."""
    check_number("tol", tol, low=0.0)
    check_integer("max_iterations", max_iterations, low=1)
    shares = sample_weights(weights, _sample_shape(manifold, points))
    point, damping = _start(manifold, points, shares), 1.0
    previous = np.inf
    for iteration in range(1, max_iterations + 1):
        here = manifold._with_sample_axis(point)
        vectors = manifold.log(here, points, certify=False)
        move = direction(point, vectors, np.asarray(manifold.norm(here, vectors)), shares)
        length = float(np.max(manifold.norm(point, move))) / manifold.typical_dist
        if length <= tol:
            return Center(point, True, iteration, length, f"converged after {iteration} iterations")
        damping = 0.5 * damping if length > previous else damping
        previous = length
        point = manifold.exp(point, manifold._scaled(move, damping))
    reason = f"not converged after max_iterations={max_iterations}: last step {length:.3g}"
    return Center(point, False, max_iterations, length, reason)


def _combined(manifold: Any, vectors: Any, shares: Array) -> Any:
    def combine(component: Any, u: Array) -> Array:
        n = len(component.point_shape)
        return np.sum(u * shares.reshape(*shares.shape, *(1,) * n), axis=-n - 1)

    return manifold._pack(manifold._each(combine, vectors), tangent=True)


def _sample_shape(manifold: Any, points: Any) -> tuple[int, ...]:
    def lead(component: Any, part: Any) -> tuple[int, ...]:
        (array,) = component._arrays(points=part)
        return array.shape[: array.ndim - len(component.point_shape)]

    leads = manifold._each(lead, points)
    shape = np.broadcast_shapes(*leads)
    if not shape or shape[-1] == 0 or any(lead[-1:] != shape[-1:] for lead in leads):
        raise ValueError(
            f"points of {manifold} have leading axes {leads}; an axis of at least one sample is "
            "needed before a point's own."
        )
    return tuple(shape)


def _start(manifold: Any, points: Any, shares: Array) -> Any:
    """The sample of largest weight: on the manifold, whatever its points stand for."""
    index = np.argmax(shares, axis=-1)

    def take(component: Any, part: Array) -> Array:
        n = len(component.point_shape)
        part = np.broadcast_to(part, (*shares.shape, *component.point_shape))
        chosen = index.reshape(*index.shape, *(1,) * (n + 1))
        return np.take_along_axis(part, chosen, axis=-n - 1).squeeze(axis=-n - 1)

    return manifold._pack(manifold._each(take, points))
