"""A unit manifold's verbs at any radius, by homothety, for any number of copies.

A subclass describes the *unit* manifold (see :mod:`fgmanifolds.geometry.unit`): what is
normal to it, its nearest point, its geodesics. This module turns that into the manifold at
any radius, in one place: ``f_r(w, v) = r f_1(w / r, v / r)``.

One formula serves the sphere, the oblique and the Stiefel manifold. With ``N(Z) = tr(Z) I``,
``ddiag(Z)`` and ``sym(Z)``, at unit radius: projection ``P_w u = u - w N(w^T u)``, second
fundamental form ``II(u, v) = -w N(u^T v)``. So a component is its N, its geodesics and its
retraction. The rows of Table VII for matrices are misprinted; these are the corrected ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array, RandomState, leading, tangent_generator
from fgmanifolds.geometry.copies import Copies
from fgmanifolds.geometry.unit import UnitPlanes

__all__ = ["Component", "UnitPlanes"]


class Component(Copies):
    """`k` copies of an embedded manifold of `rows` x `columns` matrices, each with a radius.

    Points and tangent vectors are arrays of shape ``(rows, columns)``, or
    ``(k, rows, columns)`` for ``k > 1``, as in pymanopt; axes before these are a batch. The
    metric is the Frobenius inner product of the embedding space, summed over the copies.
    :mod:`fgmanifolds.geometry.unit` says what a class of one's own must give.

    Parameters
    ----------
    rows, columns : int
        Shape (A, B) of one matrix, each at least 1.
    k : int
        Number of copies.
    radius : float or array of shape (k,)
        Radius of the embedded manifold, of each copy if an array. It is a
        radius, not a multiplier of the metric: lengths grow in proportion to
        it, curvatures fall with its square.
    retraction : str or Retraction, optional
        One of the class's ``retractions``; default: the first of them.

    Raises
    ------
    ValueError
        If a size is below 1, or a radius is not positive and finite.
    TypeError
        If the class does not tell its normal spaces.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not hasattr(cls, "kind"):
            cls.kind = cls.__name__.lower()

    # The manifold at its radius ---------------------------------------------

    def inner_product(self, point: Array, tangent_vector_a: Array, tangent_vector_b: Array) -> Any:
        """Riemannian metric: that of the copies, summed (eq. 10).

        Parameters
        ----------
        point, tangent_vector_a, tangent_vector_b : arrays of shape (..., point_shape)
        """
        w, u, v = self._arrays(
            point=point, tangent_vector_a=tangent_vector_a, tangent_vector_b=tangent_vector_b
        )
        return self._over_copies(self._inner(w / self._r, u, v))

    def norm(self, point: Array, tangent_vector: Array) -> Any:
        """Norm of a tangent vector in the Riemannian metric.

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        return np.sqrt(np.maximum(self.inner_product(point, tangent_vector, tangent_vector), 0.0))

    def projection(self, point: Array, vector: Array) -> Array:
        """Orthogonal projection on the tangent space: ``u - w N(w^T u)`` at unit radius.

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """
        w, u = self._arrays(point=point, vector=vector)
        return self._tangent_part(w / self._r, u)

    to_tangent_space = projection

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Second fundamental form ``II(u, v) = -w N(u^T v)`` at unit radius, a normal vector.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        w, u, v = self._arrays(point=point, u=u, v=v)
        return self._second_fundamental_form(w / self._r, u, v) / self._r

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Weingarten map, ``<weingarten(u, n), v> = <II(u, v), n>``.

        Parameters
        ----------
        point, tangent_vector, normal_vector : arrays of shape (..., point_shape)
        """
        w, u, n = self._arrays(
            point=point, tangent_vector=tangent_vector, normal_vector=normal_vector
        )
        return self._weingarten(w / self._r, u, n) / self._r

    def exp(self, point: Array, tangent_vector: Array) -> Array:
        """Exponential map (Table VIII at unit radius).

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        w, v = self._arrays(point=point, tangent_vector=tangent_vector)
        # Rounding that leaves the manifold would grow from step to step.
        return self._r * self._settle(self._exp(w / self._r, v / self._r))

    def log(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Array:
        """Logarithm: the shortest tangent vector at `point_a` whose exponential is `point_b`.

        Parameters
        ----------
        point_a, point_b : array
        certify : bool
            With False, the shortest found where it is not known to be the shortest; see
            :meth:`log_certified`.

        Raises
        ------
        ValueError
            If there is none (points in different pieces), if it is not unique
            (antipodal points), or if it cannot be certified to be the shortest
            one (Stiefel, beyond the injectivity radius).
        """
        a, b = self._arrays(point_a=point_a, point_b=point_b)
        if not certify:
            return self._r * self._log_certified(a / self._r, b / self._r)[0]
        return self._r * self._log(a / self._r, b / self._r)

    def log_certified(self, point_a: Array, point_b: Array) -> tuple[Array, Any]:
        """Shortest tangent vector found from `point_a` to `point_b`, and whether it is certified.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)

        Returns
        -------
        vector : array
        certified : bool or array of bool
            Whether it is known to be the shortest, one for each pair of points.

        Raises
        ------
        ValueError
            If no geodesic joins the points (different pieces), or there are several shortest
            ones (antipodal points).
        """
        a, b = self._arrays(point_a=point_a, point_b=point_b)
        vector, certified = self._log_certified(a / self._r, b / self._r)
        whole = np.asarray(certified.all(axis=-1) if self._k > 1 else certified)
        return self._r * vector, whole if whole.ndim else bool(whole)

    def parallel_transport(self, point: Array, direction: Array, tangent_vector: Array) -> Array:
        """Parallel transport along a geodesic.

        Parameters
        ----------
        point : array
            Where the geodesic starts.
        direction : array
            Its initial velocity; it ends at ``exp(point, direction)``.
        tangent_vector : array
            Tangent vector at `point`.

        Returns
        -------
        array
            Tangent vector at ``exp(point, direction)``, of the same norm.
        """
        w, d, u = self._arrays(point=point, direction=direction, tangent_vector=tangent_vector)
        w, d = w / self._r, d / self._r
        moved = self._parallel_transport(w, d, u)
        return self._tangent_part(self._settle(self._exp(w, d)), moved)

    def retraction(self, point: Array, tangent_vector: Array) -> Array:
        """Retraction (Table VIII at unit radius), by :attr:`retraction_method`.

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        w, v = self._arrays(point=point, tangent_vector=tangent_vector)
        return self._r * self._retraction(w / self._r, v / self._r)

    def _retraction(self, point: Array, tangent: Array) -> Array:
        return self.retraction_method.apply(self, point, tangent)

    @property
    def retraction_order(self) -> float:
        """Order to which :meth:`retraction` agrees with the exponential map."""
        return self.retraction_method.order

    def inverse_retraction(self, point_a: Array, point_b: Array) -> Array:
        """Tangent vector at `point_a` that :meth:`retraction` takes to `point_b`.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)

        Raises
        ------
        ValueError
            If there is none: the points are too far apart.
        """
        a, b = self._arrays(point_a=point_a, point_b=point_b)
        return self._r * self.retraction_method.inverse(self, a / self._r, b / self._r)

    def nearest_point(self, matrix: Array) -> Array:
        """Nearest point of the manifold to any `matrix` of the embedding space."""
        (matrix,) = self._arrays(matrix=matrix)
        return self._r * self._nearest(matrix / self._r)

    def distances(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Array:
        """Geodesic distance of each copy, shape ``(k,)`` (a number for ``k = 1``).

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        a, b = self._arrays(point_a=point_a, point_b=point_b)
        r = self._radii if self._k > 1 else self._radii[0]
        distance = self._distance if certify else self._uncertified_distance
        return r * distance(a / self._r, b / self._r)

    def dist(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Any:
        """Riemannian distance: the root of the sum of squares over the copies.

        `certify` and errors are those of :meth:`log`.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        distances = self.distances(point_a, point_b, certify=certify)
        return np.linalg.norm(distances, axis=-1) if self._k > 1 else distances

    def geodesic_distance(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Any:
        """Sum of the geodesic distances of the copies (eq. 21); see also :meth:`dist`.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        return self._over_copies(self.distances(point_a, point_b, certify=certify))

    def transport(self, point_a: Array, point_b: Array, tangent_vector_a: Array) -> Array:
        """Vector transport by projection on the tangent space at `point_b`.

        Parameters
        ----------
        point_a, point_b, tangent_vector_a : arrays of shape (..., point_shape)
        """
        return self.projection(point_b, tangent_vector_a)

    def random_point(self, rng: RandomState = None, n: int | tuple[int, ...] = ()) -> Array:
        """Draw uniformly distributed (Haar) points.

        Parameters
        ----------
        rng : generator or seed
        n : int or tuple of int
            Leading axes: how many. Default: one point.
        """
        shape = (*leading(n), *self.point_shape)
        return self._r * self._random(np.random.default_rng(rng), shape)

    def random_tangent_vector(
        self, point: Array, rng: RandomState = None, n: int | tuple[int, ...] = ()
    ) -> Array:
        """Draw tangent vectors of norm 1, uniform in direction (zero if there is none).

        One for each point, times `n` (leading axes).

        Parameters
        ----------
        point : array of shape (..., point_shape)
        rng : Generator, int or None
        n : int or tuple of int
            How many.
        """
        (point,) = self._arrays(point=point)
        draw = tangent_generator(rng).standard_normal((*leading(n), *point.shape))
        vector = self.projection(point, draw)
        if self.dim == 0:
            return np.zeros_like(vector)
        return self._scaled(vector, 1 / np.asarray(self.norm(point, vector)))

    def zero_vector(self, point: Array) -> Array:
        """Origin of the tangent space at `point`."""
        return np.zeros_like(point)

    # Bases and curvature ------------------------------------------------------

    def tangent_frames(self, point: Array) -> Array:
        """Orthonormal bases of the copies' tangent spaces, shape ``(unit dim, *point.shape)``."""
        (point,) = self._arrays(point=point)
        return np.moveaxis(self._unit_basis(point / self._r), -3, 0)

    def coordinates(self, point: Array, vector: Array) -> Array:
        """Coordinates of a tangent vector in an orthonormal basis, shape (..., dim).

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """
        w, u = self._arrays(point=point, vector=vector)
        unit = w / self._r
        basis = self._unit_basis(unit)
        each = self._inner(unit[..., None, :, :], basis, u[..., None, :, :])
        return each.reshape(*w.shape[: w.ndim - len(self.point_shape)], self.dim)

    def vector(self, point: Array, coordinates: ArrayLike) -> Array:
        """Tangent vector of the `coordinates` that :meth:`coordinates` gives.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        coordinates : array of shape (..., dim)
        """
        (w,) = self._arrays(point=point)
        c = np.asarray(coordinates, dtype=float)
        if c.shape[-1:] != (self.dim,):
            raise ValueError(f"coordinates has shape {c.shape}; the last axis must be {self.dim}.")
        basis = self._unit_basis(w / self._r)
        copies = (self._k,) if self._k > 1 else ()
        c = c.reshape(*c.shape[:-1], *copies, self._unit_dim())
        return np.einsum("...d,...dij->...ij", c, basis)

    def riemann_tensor(self, point: Array, u: Array, v: Array, w: Array) -> Array:
        """Riemann tensor ``R(u, v) w``; at radius r it is 1/r^2 of that at radius 1.

        Parameters
        ----------
        point, u, v, w : arrays of shape (..., point_shape)
        """
        x, u, v, w = self._arrays(point=point, u=u, v=v, w=w)
        return self._riemann(x / self._r, u, v, w) / self._r**2

    def ricci_curvature(self, point: Array, u: Array, v: Array) -> Any:
        """Ricci curvature ``Ric(u, v)``, the trace of ``z -> R(z, u) v``, one for each point.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        self._check_tangents(point, u=u, v=v)
        w, u, v = self._arrays(point=point, u=u, v=v)
        each = self._ricci(w / self._r, u, v) / self._copies_squared()
        total = np.asarray(self._over_copies(each))
        return total if total.ndim else float(total)

    def scalar_curvature(self, point: Array) -> Any:
        """Scalar curvature, the trace of the Ricci curvature, one for each point."""
        (w,) = self._arrays(point=point)
        total = np.asarray(self._over_copies(self._scalar(w / self._r) / self._copies_squared()))
        return total if total.ndim else float(total)

    def _copies_squared(self) -> Any:
        """Square of the radius of each copy, or one number for all."""
        return self._r**2 if self._uniform else self._radii**2
