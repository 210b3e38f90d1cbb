"""Euclidean spaces of matrices. N(Z) = 0."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from fgmanifolds.geometry.arrays import Array, matrix_norm, unit_matrix
from fgmanifolds.geometry.component import Component, UnitPlanes

__all__ = ["Euclidean"]


class Euclidean(Component):
    """All matrices. The radius only matters to homotheties: it scales nothing but the points.

    See :class:`Component` for the parameters.
    """

    kind: ClassVar[str] = "euclidean"
    #: Adding is the exponential map.
    retractions: ClassVar[tuple[str, ...]] = ("exp", "projection")

    def _unit_dim(self) -> int:
        return math.prod(self._shape)

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return np.zeros_like(x)

    def _exp(self, point: Array, tangent: Array) -> Array:
        return point + tangent

    def _nearest(self, matrix: Array) -> Array:
        return np.array(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        return matrix_norm(point_a - point_b)[..., 0, 0]

    def _log(self, point_a: Array, point_b: Array) -> Array:
        return point_b - point_a

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        return np.array(tangent)

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        return np.zeros(w.shape[:-2])

    def _scalar(self, w: Array) -> Array:
        return np.zeros(w.shape[:-2])

    def _base_point(self) -> Array:
        return np.zeros(self._shape)

    def _unit_planes(self) -> UnitPlanes:
        pair = (unit_matrix(self._shape, 0), unit_matrix(self._shape, 1))
        return pair, pair

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        return (0.0, 0.0)

    def _unit_injectivity_radius(self) -> float:
        return math.inf

    def _unit_diameter(self) -> float:
        return math.inf
