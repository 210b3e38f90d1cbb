"""Sphere, oblique, Stiefel and Euclidean components (Tables V, VII and VIII).

One formula serves the three curved ones. With ``N(Z) = tr(Z) I`` on the sphere,
``ddiag(Z)`` on the oblique and ``sym(Z)`` on the Stiefel manifold, at unit
radius: projection ``P_w u = u - w N(w^T u)``, second fundamental form
``II(u, v) = -w N(u^T v)``. So a component is its N, its geodesics and its
retraction. The rows of Table VII for matrices are misprinted; these are the
corrected ones.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from fgmanifolds.geometry import spherical
from fgmanifolds.geometry.arrays import Array, column_norm, inner, matrix_norm
from fgmanifolds.geometry.base import Component
from fgmanifolds.geometry.stiefel import Stiefel

__all__ = ["COMPONENTS", "Euclidean", "Oblique", "Sphere", "Stiefel"]

UnitPlanes = tuple[tuple[Array, Array], tuple[Array, Array]]


def _entry(shape: tuple[int, int], index: int) -> Array:
    """Matrix with a one at the flat `index` and zeros elsewhere."""
    matrix = np.zeros(shape)
    matrix.flat[index] = 1.0
    return matrix


class Sphere(Component):
    """Matrices of Frobenius norm `radius`, as in Table V.

    See :class:`Component` for the parameters. At radius r the sectional
    curvature is 1/r^2, the injectivity radius and the diameter are pi r. The
    retraction (normalisation) is of second order.
    """

    kind: ClassVar[str] = "sphere"

    def _unit_dim(self) -> int:
        return math.prod(self._shape) - 1

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return x * inner(p, q)[..., None, None]

    def _exp(self, point: Array, tangent: Array) -> Array:
        return spherical.exp(point, tangent, matrix_norm)

    def _log(self, point_a: Array, point_b: Array) -> Array:
        return spherical.log(point_a, point_b, matrix_norm, pieces=self._unit_dim() == 0)

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        return spherical.parallel_transport(point, direction, tangent, matrix_norm)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return self._nearest(point + tangent)

    def _nearest(self, matrix: Array) -> Array:
        return matrix / matrix_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        pieces = self._unit_dim() == 0
        return spherical.distance(point_a, point_b, matrix_norm, pieces=pieces)[..., 0, 0]

    def _base_point(self) -> Array:
        return _entry(self._shape, 0)

    def _unit_planes(self) -> UnitPlanes:
        pair = (_entry(self._shape, 1), _entry(self._shape, 2))
        return pair, pair

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        return (1.0, 1.0) if self._unit_dim() >= 2 else (0.0, 0.0)

    def _unit_injectivity_radius(self) -> float:
        return math.pi

    def _unit_diameter(self) -> float:
        return math.pi


class Oblique(Component):
    """Matrices whose columns all have Euclidean norm `radius`, as in Table V.

    A product of spheres, one for each column. See :class:`Component` for the
    parameters. The retraction (normalisation of the columns) is of second order.
    """

    kind: ClassVar[str] = "oblique"

    def _unit_dim(self) -> int:
        rows, columns = self._shape
        return (rows - 1) * columns

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return x * np.einsum("...ij,...ij->...j", p, q)[..., None, :]

    def _exp(self, point: Array, tangent: Array) -> Array:
        return spherical.exp(point, tangent, column_norm)

    def _log(self, point_a: Array, point_b: Array) -> Array:
        return spherical.log(point_a, point_b, column_norm, pieces=self._unit_dim() == 0)

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        return spherical.parallel_transport(point, direction, tangent, column_norm)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return self._nearest(point + tangent)

    def _nearest(self, matrix: Array) -> Array:
        return matrix / column_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        pieces = self._unit_dim() == 0
        columns = spherical.distance(point_a, point_b, column_norm, pieces=pieces)
        return np.linalg.norm(columns[..., 0, :], axis=-1)

    def _base_point(self) -> Array:
        return np.eye(self._shape[0], 1) * np.ones(self._shape)

    def _unit_planes(self) -> UnitPlanes:
        rows, columns = self._shape
        first = _entry(self._shape, columns)  # second row, first column
        within = [(first, _entry(self._shape, 2 * columns))] if rows >= 3 else []
        across = [(first, _entry(self._shape, columns + 1))] if columns >= 2 else []
        return (across + within)[0], (within + across)[0]

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        rows, columns = self._shape
        if rows <= 2:
            return (0.0, 0.0)
        return (1.0, 1.0) if columns == 1 else (0.0, 1.0)

    def _unit_injectivity_radius(self) -> float:
        return math.pi

    def _unit_diameter(self) -> float:
        return math.pi * math.sqrt(self._shape[1])


class Euclidean(Component):
    """All matrices. The radius only matters to homotheties: it scales nothing but the points.

    See :class:`Component` for the parameters.
    """

    kind: ClassVar[str] = "euclidean"

    def _unit_dim(self) -> int:
        return math.prod(self._shape)

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return np.zeros_like(x)

    def _exp(self, point: Array, tangent: Array) -> Array:
        return point + tangent

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return point + tangent

    def _nearest(self, matrix: Array) -> Array:
        return np.array(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        return matrix_norm(point_a - point_b)[..., 0, 0]

    def _log(self, point_a: Array, point_b: Array) -> Array:
        return point_b - point_a

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        return np.array(tangent)

    def _base_point(self) -> Array:
        return np.zeros(self._shape)

    def _unit_planes(self) -> UnitPlanes:
        pair = (_entry(self._shape, 0), _entry(self._shape, 1))
        return pair, pair

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        return (0.0, 0.0)

    def _unit_injectivity_radius(self) -> float:
        return math.inf

    def _unit_diameter(self) -> float:
        return math.inf


#: The component classes by the name that the torch side and the tables use.
COMPONENTS: dict[str, type[Component]] = {
    cls.kind: cls for cls in (Sphere, Oblique, Stiefel, Euclidean)
}
