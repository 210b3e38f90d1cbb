"""Verbs that components and products share, from their exponential maps and logarithms.

A batch has leading axes: those of a point come before its own axes, in each array
of a product's point. What is taken at several times has the axes of the times after
those of the batch.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.means import Center, frechet_mean, frechet_median, sample_weights

__all__ = ["Verbs"]


class Verbs(abc.ABC):
    """What follows from ``exp``, ``log``, ``dist`` and an orthonormal basis."""

    # One component or several ---------------------------------------------------

    @abc.abstractmethod
    def _each(self, function: Callable[..., Any], *values: Any) -> list[Any]:
        """Values of ``function(component, *parts)``, for each component."""

    @abc.abstractmethod
    def _pack(self, parts: Sequence[Any], *, tangent: bool = False) -> Any:
        """Make a point, or a tangent vector, of its parts."""

    @abc.abstractmethod
    def log(self, point_a: Any, point_b: Any, *, certify: bool = True) -> Any:
        """Shortest tangent vector at `point_a` whose exponential is `point_b`.

        Parameters
        ----------
        point_a, point_b : array, or a sequence of arrays on products
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """

    @abc.abstractmethod
    def dist(self, point_a: Any, point_b: Any, *, certify: bool = True) -> Any:
        """Riemannian distance.

        Parameters
        ----------
        point_a, point_b : array, or a sequence of arrays on products
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """

    @abc.abstractmethod
    def coordinates(self, point: Any, vector: Any) -> Array:
        """Coordinates in an orthonormal basis.

        Parameters
        ----------
        point, vector : array, or a sequence of arrays on products
        """

    @abc.abstractmethod
    def vector(self, point: Any, coordinates: ArrayLike) -> Any:
        """Tangent vector of some coordinates.

        Parameters
        ----------
        point : array, or a sequence of arrays on products
        coordinates : array of shape (..., dim)
        """

    def _scaled(self, vector: Any, factors: ArrayLike) -> Any:
        """Tangent vectors times one factor each."""
        factors = np.asarray(factors)
        parts = self._each(lambda m, u: u * _over(factors, m), vector)
        return self._pack(parts, tangent=True)

    def _subtract(self, v: Any, share: Array, u: Any) -> Any:
        parts = self._each(lambda m, a, b: a - b * _over(np.asarray(share), m), v, u)
        return self._pack(parts, tangent=True)

    # Geodesics ------------------------------------------------------------------

    def geodesic(self, point: Any, vector: Any, t: ArrayLike) -> Any:
        """Points ``exp(point, t vector)`` of a geodesic.

        Parameters
        ----------
        point, vector
            Where it starts, and its velocity there.
        t : float or array
            Times, of any shape.

        Returns
        -------
        point
            With the axes of the batch, then those of `t`, then those of a point.
        """
        times = np.asarray(t, dtype=float)

        def along(component: Any, w: Array, u: Array) -> Array:
            w, u = component._arrays(point=w, vector=u)
            axes = tuple(range(w.ndim - len(component.point_shape), w.ndim))
            shape = (*w.shape[: axes[0]], *(1,) * times.ndim, *component.point_shape)
            moves = u.reshape(shape) * _over(times, component)
            return component.exp(np.broadcast_to(w.reshape(shape), moves.shape), moves)

        return self._pack(self._each(along, point, vector))

    def shortest_geodesic(
        self, point_a: Any, point_b: Any, t: ArrayLike, *, certify: bool = True
    ) -> Any:
        """Points of the shortest geodesic from `point_a` (t = 0) to `point_b` (t = 1).

        `t` and the result are as for :meth:`geodesic`, errors and `certify` as for :meth:`log`.

        Parameters
        ----------
        point_a, point_b : array, or a sequence of arrays on products
        t : array or float
            Times, of any shape.
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        return self.geodesic(point_a, self.log(point_a, point_b, certify=certify), t)

    def pair_mean(self, point_a: Any, point_b: Any) -> Any:
        """Midpoint of the shortest geodesic between two points.

        Parameters
        ----------
        point_a, point_b : array, or a sequence of arrays on products
        """
        return self.shortest_geodesic(point_a, point_b, 0.5)

    # Centres of points ------------------------------------------------------------

    def mean(
        self,
        points: Any,
        weights: ArrayLike | None = None,
        *,
        tol: float = 1e-10,
        max_iterations: int = 200,
    ) -> Center:
        """Karcher mean: a minimum of the weighted mean of squared distances.

        Parameters
        ----------
        points
            With the samples along the axis before a point's own; axes before that are a
            batch. A product takes a list of arrays, one for each component.
        weights : array of shape (n,), optional
            Not negative, with a positive sum. Default: equal.
        tol : float
            Norm of a step, over :attr:`typical_dist`, below which it has converged.
        max_iterations : int

        Returns
        -------
        Center
            Its ``point`` is the mean, its ``reason`` says why it stopped.

        Raises
        ------
        ValueError
            If shapes or weights are not as above, or a logarithm is not unique.
        """
        return frechet_mean(self, points, weights, tol=tol, max_iterations=max_iterations)

    def median(
        self,
        points: Any,
        weights: ArrayLike | None = None,
        *,
        tol: float = 1e-10,
        max_iterations: int = 1000,
    ) -> Center:
        """Geometric median: a minimum of the weighted mean of distances.

        By the algorithm of Weiszfeld, with the correction of Vardi & Zhang (2000) where it
        meets a sample. Parameters, result and errors are those of :meth:`mean`.

        Parameters
        ----------
        points : array, or a sequence of arrays on products
        weights : array, optional
            Not negative; equal if left out.
        tol : float
            Relative to the norm of the point.
        max_iterations : int
        """
        return frechet_median(self, points, weights, tol=tol, max_iterations=max_iterations)

    def variance(self, points: Any, weights: ArrayLike | None = None, *, center: Any = None) -> Any:
        """Weighted mean of the squared distances to `center` (default: to the mean).

        Parameters
        ----------
        points : array, or a sequence of arrays on products
        weights : array, optional
            Not negative; equal if left out.
        center : array, or a sequence of arrays on products, optional

        Returns
        -------
        float or array
            One for each batch.
        """
        center = self.mean(points, weights).point if center is None else center
        distances = np.asarray(self.dist(self._with_sample_axis(center), points, certify=False))
        shares = sample_weights(weights, distances.shape)
        spread = np.sum(shares * distances**2, axis=-1)
        return spread if np.ndim(spread) else float(spread)

    def _with_sample_axis(self, point: Any) -> Any:
        parts = self._each(lambda m, w: np.expand_dims(w, np.ndim(w) - len(m.point_shape)), point)
        return self._pack(parts)

    # Bases ------------------------------------------------------------------------

    def metric_matrix(self, point: Any, basis: Any = None) -> Array:
        """Gram matrix of the metric.

        Parameters
        ----------
        point
        basis : optional
            Tangent vectors with a leading axis of length d. Default: the unit matrices of
            the embedding space, so that ``<u, v> = u.ravel() @ G @ v.ravel()``.

        Returns
        -------
        array of shape (..., d, d)
        """
        basis = self._unit_matrices() if basis is None else basis
        rows = self._pack(self._each(functools.partial(_rows, axis=0), point, basis))
        columns = self._pack(self._each(functools.partial(_rows, axis=-1), point, basis))
        w = self._with_sample_axis(self._with_sample_axis(point))
        return np.asarray(self.inner_product(w, rows, columns))

    @abc.abstractmethod
    def inner_product(self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any) -> Any:
        """Riemannian metric.

        Parameters
        ----------
        point, tangent_vector_a, tangent_vector_b : array, or a sequence of arrays on products
        """

    def _unit_matrices(self) -> Any:
        sizes = self._each(lambda m: int(np.prod(m.point_shape)))
        total = sum(sizes)
        parts, start = [], 0
        for size, shape in zip(sizes, self._each(lambda m: m.point_shape), strict=True):
            parts.append(np.eye(total)[:, start : start + size].reshape(total, *shape))
            start += size
        return self._pack(parts)


def _over(factors: Array, component: Any) -> Array:
    """`factors` with an axis of length 1 for each of a point's."""
    return factors.reshape(*factors.shape, *(1,) * len(component.point_shape))


def _rows(component: Any, point: Array, basis: Array, *, axis: int) -> Array:
    """Basis after the leading axes of the point, with an axis after (0) or before (-1) its own."""
    basis = np.asarray(basis)
    n = len(component.point_shape)
    if basis.ndim == n + 1:
        lead = np.shape(point)[: np.ndim(point) - n]
        basis = np.broadcast_to(basis, (*lead, *basis.shape))
    return np.expand_dims(basis, basis.ndim - n + axis)
