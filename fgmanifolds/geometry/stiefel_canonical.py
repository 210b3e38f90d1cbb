"""Stiefel manifolds with the canonical metric, that of a quotient of the orthogonal group."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fgmanifolds.geometry.arrays import Array, inner, sym, transposed
from fgmanifolds.geometry.component import UnitPlanes
from fgmanifolds.geometry.stiefel import Stiefel
from fgmanifolds.geometry.stiefel_frames import leave_span, rotation_planes, stiefel_basis

__all__ = ["CanonicalStiefel"]


class CanonicalStiefel(Stiefel):
    """Stiefel manifold with the canonical metric; made by ``Stiefel(..., metric="canonical")``.

    Its sectional curvature is never negative, so that Remark 1.2 of the paper
    holds on it. It is not a Riemannian submanifold of the matrices: it has no
    second fundamental form, and gradients are ``g - w g^T w``.
    """

    _c: ClassVar[float] = -1.0

    def __new__(cls, *_: Any, **__: Any) -> CanonicalStiefel:
        """Make the object, whatever metric was named."""
        return object.__new__(cls)

    def _describe(self) -> str:
        return super()._describe().replace(type(self).__name__, "Stiefel")[:-1] + (
            ', metric="canonical")'
        )

    @property
    def retraction_order(self) -> float:
        """1, unless it is the exponential map: the others follow geodesics of the embedding."""
        order = self.retraction_method.order
        return order if math.isinf(order) or self._shape[1] == 1 else min(order, 1)

    def _inner(self, w: Array, u: Array, v: Array) -> Array:
        """Canonical metric ``tr(u^T (I - w w^T / 2) v)``."""
        return inner(u, v) - 0.5 * inner(transposed(w) @ u, transposed(w) @ v)

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Not defined: the metric is not that of the embedding space.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Not defined: the metric is not that of the embedding space.

        Parameters
        ----------
        point, tangent_vector, normal_vector : arrays of shape (..., point_shape)
        """
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def euclidean_to_riemannian_gradient(self, point: Array, euclidean_gradient: Array) -> Array:
        """Riemannian gradient ``g - w g^T w`` (Edelman, Arias & Smith 1998, eq. 2.53).

        Parameters
        ----------
        point, euclidean_gradient : arrays of shape (..., point_shape)
        """
        w = point / self._r
        return euclidean_gradient - w @ transposed(euclidean_gradient) @ w

    def euclidean_to_riemannian_hessian(
        self,
        point: Array,
        euclidean_gradient: Array,
        euclidean_hessian: Array,
        tangent_vector: Array,
    ) -> Array:
        """Riemannian Hessian: the covariant derivative of the Riemannian gradient.

        Parameters
        ----------
        point, euclidean_gradient, euclidean_hessian : arrays of shape (..., point_shape)
        tangent_vector : array of shape (..., point_shape)
        """
        w, u, g = point / self._r, tangent_vector / self._r, euclidean_gradient
        gradient = self.euclidean_to_riemannian_gradient(point, g)
        change = self.euclidean_to_riemannian_gradient(point, euclidean_hessian)
        change = change - u @ transposed(g) @ w - w @ transposed(g) @ u
        return self.projection(point, change + self._christoffel(w, u, gradient))

    def _christoffel(self, w: Array, u: Array, v: Array) -> Array:
        # Polarised from the geodesic equation, Edelman, Arias & Smith (1998), eq. 2.41.
        wu, wv = transposed(w) @ u, transposed(w) @ v
        along = u @ transposed(v) @ w + v @ transposed(u) @ w
        across = transposed(u) @ v - transposed(wu) @ wv
        return 0.5 * along + w @ sym(across)

    def _riemann(self, w: Array, u: Array, v: Array, z: Array) -> Array:
        """Riemann tensor ``R(u, v) z``, as of a normal homogeneous space (O'Neill 1966).

        The tangent vectors are lifted to skew matrices in a basis of the span
        of all of them, on which the brackets act.
        """
        basis = np.linalg.qr(np.concatenate([w, u, v, z], axis=-1))[0]
        w, u, v, z = (transposed(basis) @ x for x in (w, u, v, z))
        lifts = (_lift(w, tangent) for tangent in (u, v, z))
        return basis @ (_normal_homogeneous_curvature(w, *lifts) @ w)

    def _ricci_constants(self) -> tuple[float, float]:
        # A quarter of the squared brackets within the tangent space, and all of those out of it.
        rows, columns = self._shape
        return (rows - 2) / 2, (columns - 1) / 2 + rows - columns - 1

    def _unit_basis(self, point: Array) -> Array:
        basis = stiefel_basis(point)
        columns = self._shape[1]
        turns = columns * (columns - 1) // 2
        # Turns within the columns have half the squared length of the embedded metric.
        return np.concatenate(
            [math.sqrt(2.0) * basis[..., :turns, :, :], basis[..., turns:, :, :]], axis=-3
        )

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        rows, columns = self._shape
        if columns == 1 or rows == columns == 2:
            return super()._unit_curvature_bounds()
        if rows == 3:
            return (0.25, 0.25)
        return (0.0, 0.5) if columns >= rows - 1 else (0.0, 1.25)

    def _unit_planes(self) -> UnitPlanes:
        rows, columns = self._shape
        if columns == 1:
            return super()._unit_planes()
        if columns >= rows - 1:
            return rotation_planes(rows, columns)
        flat = (leave_span(self._shape, 0, 0), leave_span(self._shape, 1, 1))
        first = leave_span(self._shape, 0, 0) + leave_span(self._shape, 1, 1)
        second = leave_span(self._shape, 1, 0) - leave_span(self._shape, 0, 1)
        return flat, (first, second)

    def _unit_injectivity_radius(self) -> float:
        # From K <= 5/4 and closed geodesics of length 2 pi at least: a lower bound
        # (Rentmeesters 2013), unless the manifold is a sphere or a rotation group.
        rows, columns = self._shape
        exact = columns == 1 or columns >= rows - 1
        return math.pi if exact else math.sqrt(0.8) * math.pi


def _lift(w: Array, u: Array) -> Array:
    """Horizontal skew matrix X with ``X w = u``."""
    a = transposed(w) @ u
    outer = u @ transposed(w)
    return outer - transposed(outer) - w @ a @ transposed(w)


def _bracket(x: Array, y: Array) -> Array:
    return x @ y - y @ x


def _normal_homogeneous_curvature(w: Array, x: Array, y: Array, z: Array) -> Array:
    """Horizontal lift of ``R(x, y) z``, with horizontal skew matrices x, y and z.

    From O'Neill's formula with the bi-invariant curvature ``-[[x, y], z] / 4`` and
    ``A_x y`` half the vertical part of ``[x, y]``; the brackets of horizontal and
    vertical matrices are horizontal again.
    """

    def vertical(s: Array) -> Array:
        projector = np.eye(s.shape[-1]) - w @ transposed(w)
        return projector @ s @ projector

    xy, yz, xz = _bracket(x, y), _bracket(y, z), _bracket(x, z)
    tensor = -0.25 * _bracket(xy, z)
    tensor = tensor - 0.5 * _bracket(vertical(xy), z)
    tensor = tensor + 0.25 * (_bracket(vertical(yz), x) - _bracket(vertical(xz), y))
    return tensor - vertical(tensor)
