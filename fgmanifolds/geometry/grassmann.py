"""Grassmann manifolds: subspaces, by matrices with orthonormal columns up to a rotation of them."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array, inner, sym, transposed
from fgmanifolds.geometry.component import Component, UnitPlanes
from fgmanifolds.geometry.retractions import Polar, Retraction
from fgmanifolds.geometry.stiefel_frames import leave_span
from fgmanifolds.geometry.unit import UnitManifold

__all__ = ["Grassmann"]

#: Cosine of a principal angle below which subspaces have no unique logarithm.
RIGHT_ANGLE = 8 * float(np.finfo(np.float64).eps)


class HorizontalPolar(Polar):
    """Polar retraction of subspaces; any matrix of a subspace can be inverted."""

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """``y (w^T y)^-1 - w``, if no principal angle is right."""
        product = transposed(point) @ other
        if np.any(np.linalg.svd(product, compute_uv=False) <= RIGHT_ANGLE):
            raise ValueError("the retraction 'polar' reaches no subspace at a right angle.")
        return manifold._tangent_part(point, other @ np.linalg.inv(product))


class Grassmann(Component):
    """Subspaces of dimension `columns` of R^rows, as quotients of the Stiefel manifold.

    A point is any matrix with ``w^T w = r^2 I`` whose columns span the subspace: distances
    and logarithms do not depend on the choice. Tangent vectors are horizontal,
    ``w^T u = 0``, as in pymanopt. It is no submanifold of the matrices: there is no second
    fundamental form, and its curvature is that of the quotient. Costs must not depend on the
    choice of the matrix.

    Parameters
    ----------
    rows, columns : int
        Shape (A, B), A >= B.
    k, radius
        See :class:`fgmanifolds.Component`.
    retraction : {"polar", "exp"} or Retraction

    Raises
    ------
    ValueError
        If A < B, or as :class:`fgmanifolds.Component`.
    """

    kind: ClassVar[str] = "grassmann"
    retractions: ClassVar[tuple[str, ...]] = ("polar", "exp")

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str | Retraction = "polar",
    ) -> None:
        chosen = HorizontalPolar() if retraction == "polar" else retraction
        super().__init__(rows, columns, k=k, radius=radius, retraction=chosen)

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        if rows < columns:
            raise ValueError(f"Grassmann({rows}, {columns}) needs rows >= columns.")

    def _unit_dim(self) -> int:
        rows, columns = self._shape
        return columns * (rows - columns)

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return x @ (transposed(p) @ q)

    def _nearest(self, matrix: Array) -> Array:
        u, _, vt = np.linalg.svd(matrix, full_matrices=False)
        return u @ vt

    def _settle(self, point: Array) -> Array:
        return 1.5 * point - 0.5 * point @ (transposed(point) @ point)

    # Geodesics ------------------------------------------------------------------

    def _exp(self, point: Array, tangent: Array) -> Array:
        angles, turn = _principal(tangent)
        cosine = (turn * np.cos(angles)) @ transposed(turn)
        sine = (turn * np.sinc(angles / np.pi)) @ transposed(turn)
        return point @ cosine + tangent @ sine

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        # Edelman, Arias & Smith (1998), eq. 2.68, by functions of v^T v.
        angles, turn = _principal(direction)
        along = transposed(turn) @ transposed(direction) @ tangent
        bend = -0.5 * np.sinc(angles / (2 * np.pi)) ** 2
        sine = np.sinc(angles / np.pi)
        moved = (direction @ turn * bend) @ along - (point @ turn * sine) @ along
        return tangent + moved

    def _log(self, point_a: Array, point_b: Array) -> Array:
        turn, vectors, sines, cosines = _principal_vectors(point_a, point_b)
        far = np.count_nonzero(np.any(cosines <= RIGHT_ANGLE, axis=(-2, -1)))
        if far:
            raise ValueError(
                f"{far} of {cosines[..., 0, 0].size} pairs of subspaces have a right angle: there "
                "is no unique logarithm."
            )
        angles = np.arctan2(sines, cosines)
        stretch = np.divide(angles, sines, where=sines > 0, out=np.ones(sines.shape))
        return self._tangent_part(point_a, (vectors * stretch) @ transposed(turn))

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        _, _, sines, cosines = _principal_vectors(point_a, point_b)
        return np.linalg.norm(np.arctan2(sines, cosines), axis=(-2, -1))

    # Curvature ------------------------------------------------------------------

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Not defined: a quotient is no submanifold.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Not defined: a quotient is no submanifold.

        Parameters
        ----------
        point, tangent_vector, normal_vector : arrays of shape (..., point_shape)
        """
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def euclidean_to_riemannian_hessian(
        self,
        point: Array,
        euclidean_gradient: Array,
        euclidean_hessian: Array,
        tangent_vector: Array,
    ) -> Array:
        """Riemannian Hessian ``P_w h - u w^T g``.

        Parameters
        ----------
        point, euclidean_gradient, euclidean_hessian : arrays of shape (..., point_shape)
        tangent_vector : array of shape (..., point_shape)
        """
        w = point / self._r
        change = tangent_vector / self._r @ (transposed(w) @ euclidean_gradient)
        return self.projection(point, euclidean_hessian) - change

    def _riemann(self, w: Array, u: Array, v: Array, z: Array) -> Array:
        """Riemann tensor ``R(u, v) z`` of the symmetric space."""
        turned = transposed(v) @ u
        return u @ (transposed(v) @ z) - v @ (transposed(u) @ z) + z @ (turned - transposed(turned))

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        return (self._shape[0] - 2) * inner(u, v)

    def _scalar(self, w: Array) -> Array:
        return np.full(w.shape[:-2], float(self._unit_dim() * (self._shape[0] - 2)))

    # Sizes ----------------------------------------------------------------------

    def _base_point(self) -> Array:
        return np.eye(*self._shape)

    def _unit_planes(self) -> UnitPlanes:
        shape, (rows, columns) = self._shape, self._shape
        if columns == 1 or rows - columns == 1:
            other = (1, 0) if columns == 1 else (0, 1)
            pair = (leave_span(shape, 0, 0), leave_span(shape, *other))
            return pair, pair
        first = leave_span(shape, 0, 0) + leave_span(shape, 1, 1)
        second = leave_span(shape, 1, 0) - leave_span(shape, 0, 1)
        return (leave_span(shape, 0, 0), leave_span(shape, 1, 1)), (first, second)

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        # Wong (1968) for two and more principal angles; else a projective space.
        rows, columns = self._shape
        if self._unit_dim() < 2:
            return (0.0, 0.0)
        return (1.0, 1.0) if min(columns, rows - columns) == 1 else (0.0, 2.0)

    def _unit_injectivity_radius(self) -> float:
        return 0.5 * math.pi

    def _unit_diameter(self) -> float:
        rows, columns = self._shape
        return 0.5 * math.pi * math.sqrt(min(columns, rows - columns))


def _principal(tangent: Array) -> tuple[Array, Array]:
    """Principal angles as a row, and the turn V of ``tangent = U diag(angles) V^T``."""
    squares, turn = np.linalg.eigh(sym(transposed(tangent) @ tangent))
    return np.sqrt(np.maximum(squares, 0.0))[..., None, :], turn


def _principal_vectors(w: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Turn V, differences ``y Q - w V cos``, and sines and cosines as rows.

    Both are needed: small angles are exact in the sines, right angles in the cosines.
    """
    q, cosines, vt = np.linalg.svd(transposed(y) @ w)
    turn, cosines = transposed(vt), cosines[..., None, :]
    vectors = y @ q - w @ turn * cosines
    return turn, vectors, np.linalg.norm(vectors, axis=-2, keepdims=True), cosines
