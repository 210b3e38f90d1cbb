"""What a subclass of a component says of the unit manifold, and what follows from it.

All arrays are of one radius, 1, and may have leading axes. A subclass gives

- ``_unit_dim()`` and ``_nearest(matrix)``, the dimension and the nearest point;
- either ``_normal_product(x, p, q)``, which is ``x N(p^T q)`` for a linear N of symmetric
  value: then ``P_w u = u - w N(w^T u)`` and ``II(u, v) = -w N(u^T v)``; or a normal part
  ``_normal_part(w, u)`` and a second fundamental form ``_second_fundamental_form(w, u, v)``.

Projection, Weingarten map, Hessians, curvature (by the Gauss equation), Ricci and scalar
curvature, bases of tangent spaces, transport by projection, random points and the
retraction by the nearest point follow. What has no default (``_exp``, ``_log``,
``_parallel_transport``, sizes, planes of extremal curvature) raises
``NotImplementedError`` with the name of the method to give.
"""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array, inner

__all__ = ["UnitManifold", "UnitPlanes"]

#: Tangent pairs of lowest and of highest curvature.
UnitPlanes = tuple[tuple[Array, Array], tuple[Array, Array]]


class UnitManifold(abc.ABC):
    """The unit manifold of a component; see the module."""

    _shape: tuple[int, int]

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        """Raise ``ValueError`` if there is no such manifold of this shape."""
        return

    @abc.abstractmethod
    def _unit_dim(self) -> int:
        """Dimension of one copy."""

    @abc.abstractmethod
    def _nearest(self, matrix: Array) -> Array:
        """Nearest point in the Frobenius norm."""

    # Normal spaces ----------------------------------------------------------

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        """``x N(p^T q)``."""
        raise self._missing("its N", "_normal_product")

    def _normal_part(self, w: Array, u: Array) -> Array:
        """Normal part of `u` at `w`."""
        return self._normal_product(w, w, u)

    def _second_fundamental_form(self, w: Array, u: Array, v: Array) -> Array:
        """Second fundamental form of two tangent vectors, a normal vector."""
        return -self._normal_product(w, u, v)

    def _weingarten(self, w: Array, u: Array, normal: Array) -> Array:
        """Weingarten map ``<weingarten(u, n), v> = <II(u, v), n>``, tangent."""
        if self._has_normal_product():
            return -self._tangent_part(w, self._normal_product(u, w, normal))
        basis = self._unit_basis(w)
        form = self._second_fundamental_form(w[..., None, :, :], u[..., None, :, :], basis)
        return np.einsum("...d,...dij->...ij", inner(form, normal[..., None, :, :]), basis)

    def _tangent_part(self, w: Array, u: Array) -> Array:
        return u - self._normal_part(w, u)

    @classmethod
    def _has_normal_product(cls) -> bool:
        own = (cls._normal_part, cls._second_fundamental_form)
        base = (UnitManifold._normal_part, UnitManifold._second_fundamental_form)
        return cls._normal_product is not UnitManifold._normal_product and own == base

    @classmethod
    def _check_complete(cls) -> None:
        """Raise ``TypeError`` unless the class tells its normal spaces."""
        own = cls._normal_product is not UnitManifold._normal_product
        pair = (
            cls._normal_part is not UnitManifold._normal_part
            and cls._second_fundamental_form is not UnitManifold._second_fundamental_form
        )
        if not own and not pair:
            raise TypeError(
                f"{cls.__name__} must define _normal_product(x, p, q), or both "
                "_normal_part(w, u) and _second_fundamental_form(w, u, v)."
            )

    def _missing(self, what: str, method: str) -> NotImplementedError:
        return NotImplementedError(
            f"{what} of {type(self).__name__} is not known: define {method} in the class."
        )

    # Metric and curvature -----------------------------------------------------

    def _inner(self, w: Array, u: Array, v: Array) -> Array:
        """Metric of each copy; that of the embedding space unless a subclass has its own."""
        return inner(u, v)

    def _riemann(self, w: Array, u: Array, v: Array, z: Array) -> Array:
        """Riemann tensor ``R(u, v) z`` by the Gauss equation."""
        vz = self._second_fundamental_form(w, v, z)
        uz = self._second_fundamental_form(w, u, z)
        return self._weingarten(w, u, vz) - self._weingarten(w, v, uz)

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        """Ricci curvature of each copy: the trace of the Gauss equation over a basis."""
        basis, w = self._unit_basis(w), w[..., None, :, :]
        mean = self._second_fundamental_form(w, basis, basis).sum(axis=-3)
        ue, ve = (self._second_fundamental_form(w, x[..., None, :, :], basis) for x in (u, v))
        uv = self._second_fundamental_form(w[..., 0, :, :], u, v)
        return inner(uv, mean) - np.sum(inner(ue, ve), axis=-1)

    def _scalar(self, w: Array) -> Array:
        """Scalar curvature of each copy: the trace of the Ricci curvature."""
        basis = self._unit_basis(w)
        if not basis.shape[-3]:
            return np.zeros(w.shape[:-2])
        each = [self._ricci(w, e, e) for e in np.moveaxis(basis, -3, 0)]
        return np.sum(each, axis=0)

    def _unit_basis(self, point: Array) -> Array:
        """Orthonormal basis of the tangent space of each copy, ``(..., unit dim, A, B)``."""
        size = math.prod(self._shape)
        frame = np.eye(size).reshape(size, *self._shape)
        w = point[..., None, :, :]
        projector = self._tangent_part(w, frame).reshape(*w.shape[:-3], size, size)
        vectors = np.linalg.eigh(0.5 * (projector + np.swapaxes(projector, -2, -1)))[1]
        basis = np.swapaxes(vectors[..., ::-1], -2, -1)[..., : self._unit_dim(), :]
        return basis.reshape(*w.shape[:-3], self._unit_dim(), *self._shape)

    # Geodesics ----------------------------------------------------------------

    def _exp(self, point: Array, tangent: Array) -> Array:
        """Exponential map."""
        raise self._missing("the exponential map", "_exp(point, tangent)")

    def _log(self, point_a: Array, point_b: Array) -> Array:
        """Inverse of the exponential map; ``ValueError`` if not unique."""
        raise self._missing("the logarithm", "_log(point_a, point_b)")

    def _log_certified(self, point_a: Array, point_b: Array) -> tuple[Array, Any]:
        """Shortest tangent vector found, and whether it is known to be the shortest."""
        vector = self._log(point_a, point_b)
        return vector, np.ones(vector.shape[:-2], dtype=bool)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        """Geodesic distance of each copy."""
        return self._length(point_a, self._log(point_a, point_b))

    def _uncertified_distance(self, point_a: Array, point_b: Array) -> Array:
        """Length of the shortest geodesic found."""
        return self._distance(point_a, point_b)

    def _length(self, point: Array, tangent: Array) -> Array:
        """Norm of each copy's tangent vector."""
        return np.sqrt(np.maximum(self._inner(point, tangent, tangent), 0.0))

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        """Parallel transport along the geodesic from `point` along `direction`."""
        raise self._missing(
            "the parallel transport", "_parallel_transport(point, direction, tangent)"
        )

    def _settle(self, point: Array) -> Array:
        """Take a point that is off the manifold by rounding alone back to it."""
        return self._nearest(point)

    def _random(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Random points of a shape: the nearest to normal matrices."""
        return self._nearest(rng.standard_normal(shape))

    # Sizes --------------------------------------------------------------------

    def _unit_planes(self) -> UnitPlanes:
        """Tangent pairs at `_base_point` of lowest and of highest curvature (if there are any)."""
        raise self._missing("the planes of extremal curvature", "_unit_planes()")

    def _base_point(self) -> Array:
        """The point of one unit copy at which `_unit_planes` are given."""
        return self._random(np.random.default_rng(0), self._shape)

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        """Tight bounds of the sectional curvature of one copy."""
        raise self._missing("the range of the sectional curvature", "_unit_curvature_bounds()")

    def _unit_injectivity_radius(self) -> float:
        """Injectivity radius of one copy."""
        raise self._missing("the injectivity radius", "_unit_injectivity_radius()")

    def _unit_diameter(self) -> float:
        """Largest distance between two points of one copy (of one piece); inf if none."""
        raise self._missing("the diameter", "_unit_diameter()")

    def _unit_typical_dist(self) -> float:
        try:
            unit = self._unit_diameter()
        except NotImplementedError:
            return math.sqrt(max(self._unit_dim(), 1))
        return math.sqrt(math.prod(self._shape)) if math.isinf(unit) else unit

    def _options(self) -> tuple[Any, ...]:
        """Everything but the radii that tells two components of a class apart."""
        return ()
