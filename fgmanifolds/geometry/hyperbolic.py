"""Hyperbolic spaces: one sheet of a hyperboloid, in the metric of Minkowski."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array, inner, unit_matrix
from fgmanifolds.geometry.component import Component, UnitPlanes
from fgmanifolds.geometry.retractions import Retraction
from fgmanifolds.geometry.unit import UnitManifold

__all__ = ["Hyperbolic"]

#: Newton steps to the nearest point, at most; six or so are taken.
NEWTON = 100


class Lift(Retraction):
    """``w sqrt(1 + <v, v>) + v``, on the hyperboloid for every v; second order."""

    name = "lift"
    order = 2

    def apply(self, manifold: UnitManifold, point: Array, tangent: Array) -> Array:
        """As :class:`Retraction` says."""
        square = manifold._inner(point, tangent, tangent)[..., None, None]
        return manifold._settle(point * np.sqrt(1.0 + square) + tangent)

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """The projection of the other point: it is everywhere defined."""
        return manifold._tangent_part(point, other)


class Hyperbolic(Component):
    """Matrices with ``<x, x> = -radius^2`` and a positive first entry.

    The first entry is the time of Minkowski's product ``<u, v> = -u_0 v_0 + u_1 v_1 + ...``,
    which is the metric, positive on tangent vectors. The sectional curvature is -1/r^2 and
    any two points are joined by one geodesic. In this metric it has a second
    fundamental form like a sphere, ``II(u, v) = w <u, v>``, so that the Gauss equation holds;
    ``nearest_point`` and ``residual`` are in the Frobenius norm.

    Random points are wrapped normal ones: ``exp`` of normal vectors at the point (r, 0, ...).
    See :class:`fgmanifolds.Component` for the parameters.
    """

    kind: ClassVar[str] = "hyperbolic"
    retractions: ClassVar[tuple[str, ...]] = ("lift", "exp")

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str | Retraction = "lift",
    ) -> None:
        chosen = Lift() if retraction == "lift" else retraction
        super().__init__(rows, columns, k=k, radius=radius, retraction=chosen)

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        if rows * columns < 2:
            raise ValueError(f"Hyperbolic({rows}, {columns}) needs two entries at least.")

    def _unit_dim(self) -> int:
        return math.prod(self._shape) - 1

    def _flip(self, u: Array) -> Array:
        """The vector with its time reversed."""
        sign = np.ones(self._shape)
        sign[0, 0] = -1.0
        return sign * u

    def _inner(self, w: Array, u: Array, v: Array) -> Array:
        return inner(u, self._flip(v))

    def _product(self, u: Array, v: Array) -> Array:
        """Minkowski's product, with axes of length one kept."""
        return self._inner(u, u, v)[..., None, None]

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return -x * self._product(p, q)

    def euclidean_to_riemannian_gradient(self, point: Array, euclidean_gradient: Array) -> Array:
        """Riemannian gradient: the projection of the gradient with its time reversed.

        Parameters
        ----------
        point, euclidean_gradient : arrays of shape (..., point_shape)
        """
        return self.projection(point, self._flip(euclidean_gradient))

    def euclidean_to_riemannian_hessian(
        self,
        point: Array,
        euclidean_gradient: Array,
        euclidean_hessian: Array,
        tangent_vector: Array,
    ) -> Array:
        """Riemannian Hessian, as on a submanifold, of derivatives with their time reversed.

        Parameters
        ----------
        point, euclidean_gradient, euclidean_hessian : arrays of shape (..., point_shape)
        tangent_vector : array of shape (..., point_shape)
        """
        return super().euclidean_to_riemannian_hessian(
            point, self._flip(euclidean_gradient), self._flip(euclidean_hessian), tangent_vector
        )

    # Points -----------------------------------------------------------------------

    def _lift(self, matrix: Array) -> Array:
        """Point with the same space entries."""
        point = np.array(matrix, dtype=float)
        point[..., 0, 0] = 0.0
        point[..., 0, 0] = np.sqrt(1.0 + inner(point, point))
        return point

    def _settle(self, point: Array) -> Array:
        return self._lift(point)

    def _nearest(self, matrix: Array) -> Array:
        """Along the direction of the space entries, Newton for how far.

        With time a and space length b the point at s is nearest where
        ``2 s - b - a s / sqrt(1 + s^2) = 0``; for s >= 0 that is convex (a >= 0) or concave,
        so that Newton's steps come from one side.
        """
        matrix = np.asarray(matrix, dtype=float)
        space, time = matrix.copy(), matrix[..., 0, 0]
        space[..., 0, 0] = 0.0
        length = np.sqrt(inner(space, space))
        direction = np.where(
            length[..., None, None] > 0,
            np.divide(space, length[..., None, None], where=length[..., None, None] > 0, out=space),
            unit_matrix(self._shape, 1),
        )
        s = np.where(time >= 0, 0.5 * (length + np.maximum(time, 0.0)), 0.0)
        for _ in range(NEWTON):
            root = np.sqrt(1.0 + s**2)
            step = (2 * s - length - time * s / root) / (2 - time / root**3)
            s = s - step
            if np.all(np.abs(step) <= 1e-15 * (1 + s)):
                break
        return self._lift(s[..., None, None] * direction)

    def _random(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        tangent = rng.standard_normal(shape)
        tangent[..., 0, 0] = 0.0
        return self._settle(self._exp(self._base_point(), tangent))

    def _unit_basis(self, point: Array) -> Array:
        """Standard basis at the base point, carried along the geodesic to the point."""
        size = math.prod(self._shape)
        frame = np.eye(size)[1:].reshape(size - 1, *self._shape)
        return _carried(self, self._base_point(), point[..., None, :, :], frame)

    # Geodesics ------------------------------------------------------------------

    def _exp(self, point: Array, tangent: Array) -> Array:
        length = self._length(point, tangent)[..., None, None]
        ratio = np.divide(np.sinh(length), length, where=length > 0, out=np.ones(length.shape))
        return point * np.cosh(length) + tangent * ratio

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        # By the difference, which is exact for near points.
        return 2.0 * np.arcsinh(0.5 * self._length(point_a, point_b - point_a))

    def _log(self, point_a: Array, point_b: Array) -> Array:
        direction = self._tangent_part(point_a, point_b - point_a)
        distance = self._distance(point_a, point_b)[..., None, None]
        sine = np.sinh(distance)
        return direction * np.divide(distance, sine, where=sine > 0, out=np.ones(sine.shape))

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        return _carried(self, point, self._exp(point, direction), tangent)

    # Curvature and sizes ----------------------------------------------------------

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        return -(self._unit_dim() - 1) * self._inner(w, u, v)

    def _scalar(self, w: Array) -> Array:
        return np.full(w.shape[:-2], -float(self._unit_dim() * (self._unit_dim() - 1)))

    def _base_point(self) -> Array:
        return unit_matrix(self._shape, 0)

    def _unit_planes(self) -> UnitPlanes:
        pair = (unit_matrix(self._shape, 1), unit_matrix(self._shape, 2))
        return pair, pair

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        return (-1.0, -1.0) if self._unit_dim() >= 2 else (0.0, 0.0)

    def _unit_injectivity_radius(self) -> float:
        return math.inf

    def _unit_diameter(self) -> float:
        return math.inf


def _carried(space: Hyperbolic, start: Array, end: Array, tangent: Array) -> Array:
    """Tangent vectors carried along the geodesic between two points."""
    share = space._product(end, tangent) / (1.0 - space._product(start, end))
    return tangent + share * (start + end)
