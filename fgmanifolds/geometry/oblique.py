"""Oblique manifolds: columns of one Euclidean norm. N(Z) = ddiag(Z)."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from fgmanifolds.geometry.arrays import Array, column_norm, inner, unit_matrix
from fgmanifolds.geometry.component import Component, UnitPlanes
from fgmanifolds.geometry.logarithms import spherical

__all__ = ["Oblique"]


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

    def _nearest(self, matrix: Array) -> Array:
        return matrix / column_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        pieces = self._unit_dim() == 0
        columns = spherical.distance(point_a, point_b, column_norm, pieces=pieces)
        return np.linalg.norm(columns[..., 0, :], axis=-1)

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        return (self._shape[0] - 2) * inner(u, v)

    def _scalar(self, w: Array) -> Array:
        rows, columns = self._shape
        return np.full(w.shape[:-2], float(columns * (rows - 1) * (rows - 2)))

    def _base_point(self) -> Array:
        return np.eye(self._shape[0], 1) * np.ones(self._shape)

    def _unit_planes(self) -> UnitPlanes:
        rows, columns = self._shape
        first = unit_matrix(self._shape, columns)  # second row, first column
        within = [(first, unit_matrix(self._shape, 2 * columns))] if rows >= 3 else []
        across = [(first, unit_matrix(self._shape, columns + 1))] if columns >= 2 else []
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
