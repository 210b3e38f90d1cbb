"""Spheres: matrices of one Frobenius norm. N(Z) = tr(Z) I."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from fgmanifolds.geometry.arrays import Array, inner, matrix_norm, unit_matrix
from fgmanifolds.geometry.component import Component, UnitPlanes
from fgmanifolds.geometry.logarithms import spherical

__all__ = ["Sphere"]


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

    def _nearest(self, matrix: Array) -> Array:
        return matrix / matrix_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        pieces = self._unit_dim() == 0
        return spherical.distance(point_a, point_b, matrix_norm, pieces=pieces)[..., 0, 0]

    def _riemann(self, w: Array, u: Array, v: Array, z: Array) -> Array:
        return u * inner(v, z)[..., None, None] - v * inner(u, z)[..., None, None]

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        return (self._unit_dim() - 1) * inner(u, v)

    def _scalar(self, w: Array) -> Array:
        return np.full(w.shape[:-2], float(self._unit_dim() * (self._unit_dim() - 1)))

    def _base_point(self) -> Array:
        return unit_matrix(self._shape, 0)

    def _unit_planes(self) -> UnitPlanes:
        pair = (unit_matrix(self._shape, 1), unit_matrix(self._shape, 2))
        return pair, pair

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        return (1.0, 1.0) if self._unit_dim() >= 2 else (0.0, 0.0)

    def _unit_injectivity_radius(self) -> float:
        return math.pi

    def _unit_diameter(self) -> float:
        return math.pi
