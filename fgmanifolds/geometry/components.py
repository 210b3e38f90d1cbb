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
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import expm

from fgmanifolds.geometry.base import Array, Component, inner, matrix_norm
from fgmanifolds.validation import check_choice

__all__ = ["COMPONENTS", "Euclidean", "Oblique", "Sphere", "Stiefel"]


def _column_norm(u: Array) -> Array:
    return np.linalg.norm(u, axis=-2, keepdims=True)


def _sphere_angle(a: Array, b: Array, norm: Any) -> Array:
    """Angle between unit vectors, accurate near 0 and near pi."""
    return 2.0 * np.arctan2(norm(a - b), norm(a + b))


def _sphere_exp(w: Array, v: Array, norm: Any) -> Array:
    angle = norm(v)
    return w * np.cos(angle) + v * np.sinc(angle / np.pi)


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
        return _sphere_exp(point, tangent, matrix_norm)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return self._nearest(point + tangent)

    def _nearest(self, matrix: Array) -> Array:
        return matrix / matrix_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        return _sphere_angle(point_a, point_b, matrix_norm)[..., 0, 0]

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
        return _sphere_exp(point, tangent, _column_norm)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return self._nearest(point + tangent)

    def _nearest(self, matrix: Array) -> Array:
        return matrix / _column_norm(matrix)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        return np.linalg.norm(_sphere_angle(point_a, point_b, _column_norm)[..., 0, :], axis=-1)

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        rows, columns = self._shape
        if rows <= 2:
            return (0.0, 0.0)
        return (1.0, 1.0) if columns == 1 else (0.0, 1.0)

    def _unit_injectivity_radius(self) -> float:
        return math.pi

    def _unit_diameter(self) -> float:
        return math.pi * math.sqrt(self._shape[1])


def _sym(z: Array) -> Array:
    return 0.5 * (z + np.swapaxes(z, -2, -1))


class Stiefel(Component):
    """Matrices with orthogonal columns of norm `radius`, ``w^T w = r^2 I``, embedded metric.

    Parameters
    ----------
    rows, columns : int
        Shape (A, B), A >= B. For A = B the manifold is the orthogonal group,
        which has two pieces (determinant of either sign).
    k, radius
        See :class:`Component`.
    retraction : {"qr", "polar"}
        ``"qr"``: the Q factor with positive diagonal of R, a first-order
        retraction; ``"polar"``: the nearest point, of second order.

    Raises
    ------
    ValueError
        If A < B, or as :class:`Component`.
    """

    kind: ClassVar[str] = "stiefel"

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str = "qr",
    ) -> None:
        check_choice("retraction", retraction, ("qr", "polar"))
        self._retraction_name = retraction
        super().__init__(rows, columns, k=k, radius=radius)

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        if rows < columns:
            raise ValueError(
                f"Stiefel({rows}, {columns}) needs rows >= columns; take the manifold of the "
                f"transposed matrices, Stiefel({columns}, {rows})."
            )

    def _options(self) -> tuple[Any, ...]:
        return (*super()._options(), self._retraction_name)

    def _unit_dim(self) -> int:
        rows, columns = self._shape
        return rows * columns - columns * (columns + 1) // 2

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return x @ _sym(np.swapaxes(p, -2, -1) @ q)

    def _exp(self, point: Array, tangent: Array) -> Array:
        # Table VIII; a geodesic of the embedded metric (Edelman, Arias & Smith 1998, eq. 2.42).
        columns = self._shape[1]
        a = np.swapaxes(point, -2, -1) @ tangent
        s = np.swapaxes(tangent, -2, -1) @ tangent
        eye = np.broadcast_to(np.eye(columns), a.shape)
        block = np.concatenate(
            [np.concatenate([a, -s], axis=-1), np.concatenate([eye, a], axis=-1)], axis=-2
        )
        moved = np.concatenate([point, tangent], axis=-1) @ expm(block)[..., :columns]
        return moved @ expm(-a)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        moved = point + tangent
        if self._retraction_name == "polar":
            return self._nearest(moved)
        q, r = np.linalg.qr(moved)
        diagonal = np.diagonal(r, axis1=-2, axis2=-1)
        # Without the sign the retraction of the zero vector is not the point itself.
        return q * np.where(diagonal < 0, -1.0, 1.0)[..., None, :]

    def _nearest(self, matrix: Array) -> Array:
        u, _, vt = np.linalg.svd(matrix, full_matrices=False)
        return u @ vt

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        raise NotImplementedError("the distance on Stiefel manifolds is not available yet")

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        # Zimmermann & Stoye (2024) for A > B >= 2; the bi-invariant metric for A = B.
        rows, columns = self._shape
        if columns == 1:
            return (1.0, 1.0) if rows >= 3 else (0.0, 0.0)
        if rows == columns:
            return {2: (0.0, 0.0), 3: (0.125, 0.125)}.get(rows, (0.0, 0.25))
        return (-0.5, 0.5) if rows == columns + 1 else (-0.5, 1.0)

    def _unit_injectivity_radius(self) -> float:
        rows, columns = self._shape
        return math.sqrt(2.0) * math.pi if rows == columns >= 2 else math.pi

    def _unit_diameter(self) -> float:
        rows, columns = self._shape
        if rows == columns:
            return math.pi * math.sqrt(2.0 * (rows // 2))
        return math.pi * math.sqrt(columns)


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
