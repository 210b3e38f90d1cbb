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

from fgmanifolds.geometry.arrays import Array, column_norm, inner, sym, transposed
from fgmanifolds.geometry.component import Component, UnitPlanes
from fgmanifolds.geometry.logarithms import orthogonal, spherical
from fgmanifolds.geometry.logarithms.stiefel import stiefel_exp, stiefel_log, uncertified
from fgmanifolds.geometry.retractions import Retraction
from fgmanifolds.geometry.stiefel_frames import leave_span, rotation_planes, turn
from fgmanifolds.validation import check_choice

__all__ = ["Stiefel"]


class Stiefel(Component):
    """Matrices with orthogonal columns of norm `radius`, ``w^T w = r^2 I``.

    Parameters
    ----------
    rows, columns : int
        Shape (A, B), A >= B. For A = B the manifold is the orthogonal group,
        which has two pieces (determinant of either sign).
    k, radius
        See :class:`Component`.
    retraction : {"qr", "polar", "exp"} or Retraction
        ``"qr"``: the Q factor with positive diagonal of R, a first-order
        retraction; ``"polar"``: the nearest point, of second order; ``"exp"``: geodesics.
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
    (see :mod:`fgmanifolds.geometry.logarithms.shooting`) to machine precision, and is
    certified to be the shortest when it is shorter than the injectivity radius;
    otherwise :meth:`log` and :meth:`dist` raise ``ValueError``, unless they are asked for
    the shortest geodesic found, with ``certify=False``.
    """

    kind: ClassVar[str] = "stiefel"
    retractions: ClassVar[tuple[str, ...]] = ("qr", "polar", "exp")
    #: The c of the module's docstring.
    _c: ClassVar[float] = 0.0

    def __new__(cls, *_: Any, metric: str = "embedded", **__: Any) -> Stiefel:
        """Make a :class:`CanonicalStiefel` where that metric is asked for."""
        check_choice("metric", metric, ("embedded", "canonical"))
        if metric == "embedded":
            return super().__new__(cls)
        # A subclass of this class, so that it can be imported only now.
        from fgmanifolds.geometry.stiefel_canonical import CanonicalStiefel

        return super().__new__(CanonicalStiefel)

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str | Retraction = "qr",
        metric: str = "embedded",
    ) -> None:
        super().__init__(rows, columns, k=k, radius=radius, retraction=retraction)

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        if rows < columns:
            raise ValueError(
                f"Stiefel({rows}, {columns}) needs rows >= columns; take the manifold of the "
                f"transposed matrices, Stiefel({columns}, {rows})."
            )

    def _unit_dim(self) -> int:
        rows, columns = self._shape
        return rows * columns - columns * (columns + 1) // 2

    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        return x @ sym(transposed(p) @ q)

    # Maps -------------------------------------------------------------------

    def _exp(self, point: Array, tangent: Array) -> Array:
        return stiefel_exp(point, tangent, self._c)

    def _nearest(self, matrix: Array) -> Array:
        u, _, vt = np.linalg.svd(matrix, full_matrices=False)
        return u @ vt

    def _settle(self, point: Array) -> Array:
        # One step of Newton and Schulz: the error is squared. Enough after rounding.
        return 1.5 * point - 0.5 * point @ (transposed(point) @ point)

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

    def _uncertified_distance(self, point_a: Array, point_b: Array) -> Array:
        rows, columns = self._shape
        if columns in (1, rows):
            return self._distance(point_a, point_b)
        return self._length(point_a, self._log_certified(point_a, point_b)[0])

    def _log(self, point_a: Array, point_b: Array) -> Array:
        vector, certified = self._log_certified(point_a, point_b)
        if not np.all(certified):
            raise uncertified(self._length(point_a, vector), certified, self._reach())
        return vector

    def _log_certified(self, point_a: Array, point_b: Array) -> tuple[Array, Any]:
        rows, columns = self._shape
        vector: Array
        if rows == columns:
            vector = point_a @ orthogonal.log(transposed(point_a) @ point_b)
        elif columns == 1:
            vector = spherical.log(point_a, point_b, column_norm, pieces=False)
        else:
            vector = stiefel_log(point_a, point_b, self._c)
            return vector, self._length(point_a, vector) <= self._reach()
        return vector, np.ones(vector.shape[:-2], dtype=bool)

    def _reach(self) -> float:
        return self._unit_injectivity_radius()

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

    # Traces of the curvature -------------------------------------------------

    def _ricci_constants(self) -> tuple[float, float]:
        """Ricci curvature of the turns within the columns, and of what leaves their span.

        From the Gauss equation: over a basis, the sum of ``e^T e`` is ``h I`` with
        h = A - B + (B - 1) / 2; the sum of ``|sym(u^T e)|^2`` is B / 4 times ``|u|^2`` for a
        turn u, and (B + 1) / 2 times ``|u|^2`` for what leaves the span.
        """
        rows, columns = self._shape
        return rows - columns + (columns - 2) / 4, rows - columns - 1

    def _ricci(self, w: Array, u: Array, v: Array) -> Array:
        turn_part, leave_part = self._ricci_constants()
        wu, wv = transposed(w) @ u, transposed(w) @ v
        turns = self._metric_factor() ** 2 * inner(wu, wv)
        return turn_part * turns + leave_part * (inner(u, v) - inner(wu, wv))

    def _scalar(self, w: Array) -> Array:
        rows, columns = self._shape
        turn_part, leave_part = self._ricci_constants()
        turns = columns * (columns - 1) // 2
        scalar = turns * turn_part + (rows - columns) * columns * leave_part
        return np.full(w.shape[:-2], float(scalar))

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
            return rotation_planes(rows, columns)
        lowest = (leave_span(self._shape, 0, 0), leave_span(self._shape, 0, 1))
        if rows == columns + 1:
            return lowest, (turn(self._shape, 0, 1), leave_span(self._shape, 0, 0))
        return lowest, (leave_span(self._shape, 0, 0), leave_span(self._shape, 1, 0))

    def _unit_injectivity_radius(self) -> float:
        # Zimmermann & Stoye (2025) for A > B.
        rows, columns = self._shape
        return math.sqrt(2.0) * math.pi if rows == columns >= 2 else math.pi

    def _unit_diameter(self) -> float:
        rows, columns = self._shape
        if rows == columns:
            return self._metric_factor() * math.pi * math.sqrt(2.0 * (rows // 2))
        return math.pi * math.sqrt(columns)
