"""Stiefel manifolds, with the embedded and with the canonical metric.

Geodesics of both metrics have one form (Huper, Markina & Silva Leite 2021, with
alpha = -1/2 and alpha = 0): with ``a = w^T v``,
``exp(w, v) = expm(Omega) w expm(-(1 + c) a)`` and
``Omega = v w^T - w v^T + c w a w^T``, where c = 0 for the embedded and c = -1
for the canonical metric (Table VIII; Edelman, Arias & Smith 1998, eqs. 2.42 and 2.45).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from fgmanifolds.geometry import orthogonal, spherical
from fgmanifolds.geometry.arrays import Array, column_norm, inner, sym, transposed
from fgmanifolds.geometry.base import Component
from fgmanifolds.geometry.shooting import shoot
from fgmanifolds.validation import check_choice

__all__ = ["CanonicalStiefel", "Stiefel"]

UnitPlanes = tuple[tuple[Array, Array], tuple[Array, Array]]


class Stiefel(Component):
    """Matrices with orthogonal columns of norm `radius`, ``w^T w = r^2 I``.

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
    metric : {"embedded", "canonical"}
        ``"embedded"``: the Frobenius inner product, as in the paper;
        ``"canonical"``: ``tr(u^T (I - w w^T / 2) v)`` at unit radius, that of the
        quotient of the orthogonal group (gives a :class:`CanonicalStiefel`).

    Raises
    ------
    ValueError
        If A < B, or as :class:`Component`.

    Notes
    -----
    For A > B >= 2 the logarithm has no closed form. It is found by shooting
    (see :mod:`fgmanifolds.geometry.shooting`) to machine precision, and is
    certified to be the shortest when it is shorter than the injectivity radius;
    otherwise :meth:`log` and :meth:`dist` raise ``ValueError``.
    """

    kind: ClassVar[str] = "stiefel"
    #: The c of the module's docstring.
    _c: ClassVar[float] = 0.0

    def __new__(cls, *_: Any, metric: str = "embedded", **__: Any) -> Stiefel:
        """Make a :class:`CanonicalStiefel` where that metric is asked for."""
        check_choice("metric", metric, ("embedded", "canonical"))
        return super().__new__(CanonicalStiefel if metric == "canonical" else cls)

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str = "qr",
        metric: str = "embedded",
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
        return x @ sym(transposed(p) @ q)

    # Maps -------------------------------------------------------------------

    def _exp(self, point: Array, tangent: Array) -> Array:
        columns, c = self._shape[1], self._c
        point, tangent = np.broadcast_arrays(point, tangent)
        a = transposed(point) @ tangent
        s = transposed(tangent) @ tangent
        eye = np.broadcast_to(np.eye(columns), a.shape)
        # Omega on the span of w and v.
        block = np.concatenate(
            [
                np.concatenate([(1 + c) * a, c * a @ a - s], axis=-1),
                np.concatenate([eye, a], axis=-1),
            ],
            axis=-2,
        )
        moved = np.concatenate([point, tangent], axis=-1) @ expm(block)[..., :columns]
        return moved @ expm(-(1 + c) * a) if c != -1 else moved

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

    # Distances ----------------------------------------------------------------

    def _metric_factor(self) -> float:
        """Norm of a skew ``w^T v`` in this metric, over its Frobenius norm."""
        return math.sqrt(1 + 0.5 * self._c)

    def _distance(self, point_a: Array, point_b: Array) -> Array:
        rows, columns = self._shape
        if rows == columns:
            return self._metric_factor() * orthogonal.distance(transposed(point_a) @ point_b)
        if columns == 1:
            angle = spherical.distance(point_a, point_b, column_norm, pieces=False)
            return angle[..., 0, 0]
        return self._length(point_a, self._log(point_a, point_b))

    def _length(self, point: Array, tangent: Array) -> Array:
        """Norm of each copy's tangent vector."""
        return np.sqrt(inner(tangent, tangent))

    def _log(self, point_a: Array, point_b: Array) -> Array:
        rows, columns = self._shape
        if rows == columns:
            return point_a @ orthogonal.log(transposed(point_a) @ point_b)
        if columns == 1:
            return spherical.log(point_a, point_b, column_norm, pieces=False)
        shape = np.broadcast_shapes(point_a.shape, point_b.shape)
        pairs = (np.broadcast_to(x, shape).reshape(-1, rows, columns) for x in (point_a, point_b))
        return self._shooting_log(*pairs).reshape(shape)

    def _shooting_log(self, w: Array, y: Array) -> Array:
        rows, columns = self._shape
        span = None
        if rows > 2 * columns:
            # The geodesic stays in the span of both points: a totally geodesic St(2B, B).
            span = np.linalg.qr(np.concatenate([w, y], axis=-1))[0]
            w, y = transposed(span) @ w, transposed(span) @ y
        start = y - w - self._normal_product(w, w, y - w)
        v, miss = shoot(self._exp, w, y, start, _stiefel_basis(w))
        self._certify(miss, self._length(w, v))
        return v if span is None else span @ v

    def _certify(self, miss: Array, length: Array) -> None:
        lost = np.count_nonzero(miss > 1e-11)
        if lost:
            raise ValueError(
                f"no geodesic was found for {lost} of {len(miss)} pairs of points: they are "
                f"beyond reach, or not on the manifold (worst miss {miss.max():.3g})."
            )
        reach = self._unit_injectivity_radius()
        far = np.count_nonzero(length > reach)
        if far:
            raise ValueError(
                f"{far} of {len(length)} geodesics are longer than the injectivity radius "
                f"({length.max():.4g} > {reach:.4g} at unit radius), so that a shorter one may "
                "exist: the distance is not certified."
            )

    # Parallel transport -------------------------------------------------------

    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        rows, columns = self._shape
        if columns == 1:
            return spherical.parallel_transport(point, direction, tangent, column_norm)
        if rows == columns:
            half = expm(0.5 * transposed(point) @ direction)
            return point @ half @ (transposed(point) @ tangent) @ half
        return self._transport_by_ode(point, direction, tangent)

    def _transport_by_ode(self, w: Array, v: Array, x: Array) -> Array:
        """In the frame that moves with the geodesic the equation has constant coefficients.

        With ``x(t) = expm(t Omega) y(t) expm(-t (1 + c) a)`` parallel transport is
        ``y' = -Omega y + (1 + c) y a - Gamma(v, y)``.
        """
        c = self._c
        w, v, x = np.broadcast_arrays(w, v, x)
        a = transposed(w) @ v

        def omega(y: Array) -> Array:
            wy = transposed(w) @ y
            return v @ wy - w @ (transposed(v) @ y) + c * (w @ (a @ wy))

        def rate(_: float, flat: Array) -> Array:
            y = flat.reshape(x.shape)
            return ((1 + c) * y @ a - omega(y) - self._christoffel(w, v, y)).ravel()

        scale = float(np.max(np.abs(x))) or 1.0
        solution = solve_ivp(
            rate, (0.0, 1.0), x.ravel(), method="DOP853", rtol=1e-13, atol=1e-15 * scale
        )
        return self._carry(w, v, solution.y[:, -1].reshape(x.shape))

    def _carry(self, w: Array, v: Array, y: Array) -> Array:
        """``expm(Omega) y expm(-(1 + c) a)`` on the span of w, v and y."""
        c = self._c
        basis = np.linalg.qr(np.concatenate([w, v, y], axis=-1))[0]
        w, v, y = (transposed(basis) @ matrix for matrix in (w, v, y))
        a = transposed(w) @ v
        omega = v @ transposed(w) - w @ transposed(v) + c * w @ a @ transposed(w)
        return basis @ expm(omega) @ y @ expm(-(1 + c) * a)

    def _christoffel(self, w: Array, u: Array, v: Array) -> Array:
        """Christoffel form in the embedding space: ``D_u v = v' + Gamma(u, v)``."""
        return self._normal_product(w, u, v)

    # Sizes --------------------------------------------------------------------

    def _unit_curvature_bounds(self) -> tuple[float, float]:
        # Zimmermann & Stoye (2024) for A > B >= 2; the bi-invariant metric for A = B.
        rows, columns = self._shape
        if columns == 1:
            return (1.0, 1.0) if rows >= 3 else (0.0, 0.0)
        if rows == columns:
            return {2: (0.0, 0.0), 3: (0.125, 0.125)}.get(rows, (0.0, 0.25))
        return (-0.5, 0.5) if rows == columns + 1 else (-0.5, 1.0)

    def _base_point(self) -> Array:
        return np.eye(*self._shape)

    def _unit_planes(self) -> UnitPlanes:
        rows, columns = self._shape
        if columns == 1:
            pair = (np.eye(rows, 1, -1), np.eye(rows, 1, -2))
            return pair, pair
        if rows == columns:
            return _rotation_planes(rows, columns)
        lowest = (_lower(self._shape, 0, 0), _lower(self._shape, 0, 1))
        if rows == columns + 1:
            return lowest, (_turn(self._shape, 0, 1), _lower(self._shape, 0, 0))
        return lowest, (_lower(self._shape, 0, 0), _lower(self._shape, 1, 0))

    def _unit_injectivity_radius(self) -> float:
        # Zimmermann & Stoye (2025) for A > B.
        rows, columns = self._shape
        return math.sqrt(2.0) * math.pi if rows == columns >= 2 else math.pi

    def _unit_diameter(self) -> float:
        rows, columns = self._shape
        if rows == columns:
            return self._metric_factor() * math.pi * math.sqrt(2.0 * (rows // 2))
        return math.pi * math.sqrt(columns)


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

    def inner_product(self, point: Array, tangent_vector_a: Array, tangent_vector_b: Array) -> Any:
        """Canonical metric ``tr(u^T (I - w w^T / 2) v)`` at unit radius, summed over the copies."""
        return self._over_copies(self._inner(point / self._r, tangent_vector_a, tangent_vector_b))

    @staticmethod
    def _inner(w: Array, u: Array, v: Array) -> Array:
        return inner(u, v) - 0.5 * inner(transposed(w) @ u, transposed(w) @ v)

    def _length(self, point: Array, tangent: Array) -> Array:
        return np.sqrt(self._inner(point, tangent, tangent))

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Not defined: the metric is not that of the embedding space."""
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Not defined: the metric is not that of the embedding space."""
        raise NotImplementedError(f"{self} is no Riemannian submanifold of the matrices.")

    def euclidean_to_riemannian_gradient(self, point: Array, euclidean_gradient: Array) -> Array:
        """Riemannian gradient ``g - w g^T w`` (Edelman, Arias & Smith 1998, eq. 2.53)."""
        w = point / self._r
        return euclidean_gradient - w @ transposed(euclidean_gradient) @ w

    def euclidean_to_riemannian_hessian(
        self,
        point: Array,
        euclidean_gradient: Array,
        euclidean_hessian: Array,
        tangent_vector: Array,
    ) -> Array:
        """Riemannian Hessian: the covariant derivative of the Riemannian gradient."""
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

    def riemann_tensor(self, point: Array, u: Array, v: Array, w: Array) -> Array:
        """Riemann tensor ``R(u, v) w``, as of a normal homogeneous space (O'Neill 1966).

        The tangent vectors are lifted to skew matrices in a basis of the span
        of all of them, on which the brackets act.
        """
        shape = np.broadcast_shapes(point.shape, u.shape, v.shape, w.shape)
        point, u, v, w = (np.broadcast_to(x, shape) for x in (point / self._r, u, v, w))
        basis = np.linalg.qr(np.concatenate([point, u, v, w], axis=-1))[0]
        point, u, v, w = (transposed(basis) @ x for x in (point, u, v, w))
        x, y, z = (_lift(point, tangent) for tangent in (u, v, w))
        tensor = _normal_homogeneous_curvature(point, x, y, z)
        return basis @ (tensor @ point) / self._r**2

    def _unit_basis(self, point: Array) -> Array:
        basis = _stiefel_basis(point)
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
            return _rotation_planes(rows, columns)
        flat = (_lower(self._shape, 0, 0), _lower(self._shape, 1, 1))
        first = _lower(self._shape, 0, 0) + _lower(self._shape, 1, 1)
        second = _lower(self._shape, 1, 0) - _lower(self._shape, 0, 1)
        return flat, (first, second)

    def _unit_injectivity_radius(self) -> float:
        # From K <= 5/4 and closed geodesics of length 2 pi at least: a lower bound
        # (Rentmeesters 2013), unless the manifold is a sphere or a rotation group.
        rows, columns = self._shape
        exact = columns == 1 or columns >= rows - 1
        return math.pi if exact else math.sqrt(0.8) * math.pi


def _stiefel_basis(point: Array) -> Array:
    """Basis of tangent spaces, orthonormal in the embedded metric, ``(..., d, A, B)``.

    First the turns within the columns, then what leaves their span.
    """
    rows, columns = point.shape[-2:]
    i, j = np.triu_indices(columns, 1)
    turns = np.zeros((len(i), columns, columns))
    turns[np.arange(len(i)), i, j] = -math.sqrt(0.5)
    turns[np.arange(len(i)), j, i] = math.sqrt(0.5)
    within = point[..., None, :, :] @ turns
    complement = np.linalg.qr(point, mode="complete")[0][..., columns:]
    size = (rows - columns) * columns
    unit = np.eye(size).reshape(size, rows - columns, columns)
    return np.concatenate([within, complement[..., None, :, :] @ unit], axis=-3)


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


# Planes of extremal curvature at the base point, the first columns of the identity.


def _lower(shape: tuple[int, int], row: int, column: int) -> Array:
    """Tangent vector that turns `column` towards the `row`-th direction outside the span."""
    matrix = np.zeros(shape)
    matrix[shape[1] + row, column] = 1.0
    return matrix


def _turn(shape: tuple[int, int], i: int, j: int) -> Array:
    """First columns of the generator of the rotation from direction i to direction j."""
    matrix = np.zeros((shape[0], shape[0]))
    matrix[j, i], matrix[i, j] = 1.0, -1.0
    return matrix[:, : shape[1]]


def _rotation_planes(rows: int, columns: int) -> UnitPlanes:
    """Commuting rotations, and two of the three quaternion units of a four-space."""
    shape = (rows, columns)
    if rows == 3:
        pair = (_turn(shape, 0, 1), _turn(shape, 0, 2))
        return pair, pair
    flat = (_turn(shape, 0, 1), _turn(shape, 2, 3))
    first = _turn(shape, 0, 1) + _turn(shape, 2, 3)
    second = _turn(shape, 0, 2) - _turn(shape, 1, 3)
    return flat, (first, second)
