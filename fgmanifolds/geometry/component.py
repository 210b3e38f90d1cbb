"""What every component manifold has in common: copies, radii and checks.

A subclass describes the *unit* manifold: its normal product ``x N(p^T q)``, its
exponential map, retraction, nearest point and so on. This module turns that
into the manifold at any radius, in one place, by homothety:
``f_r(w, v) = r f_1(w / r, v / r)``.

One formula serves the sphere, the oblique and the Stiefel manifold. With ``N(Z) = tr(Z) I``,
``ddiag(Z)`` and ``sym(Z)``, at unit radius: projection ``P_w u = u - w N(w^T u)``, second
fundamental form ``II(u, v) = -w N(u^T v)``. So a component is its N, its geodesics and its
retraction. The rows of Table VII for matrices are misprinted; these are the corrected ones.
"""

from __future__ import annotations

import abc
import copy
import html
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import RiemannianSubmanifold

from fgmanifolds.geometry.arrays import (
    Array,
    RandomState,
    inner,
    matrix_norm,
    tangent_generator,
)
from fgmanifolds.geometry.curvature import Curved, Plane, gauss_tensor
from fgmanifolds.validation import check_integer

__all__ = ["Component", "UnitPlanes"]

#: Tangent pairs of lowest and of highest curvature.
UnitPlanes = tuple[tuple[Array, Array], tuple[Array, Array]]


class Component(Curved, RiemannianSubmanifold):
    """`k` copies of an embedded manifold of `rows` x `columns` matrices, each with a radius.

    Points and tangent vectors are arrays of shape ``(rows, columns)``, or
    ``(k, rows, columns)`` for ``k > 1``, as in pymanopt. The metric is the
    Frobenius inner product of the embedding space, summed over the copies.

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

    Raises
    ------
    ValueError
        If a size is below 1, or a radius is not positive and finite.
    """

    #: Name on the torch side and in tables.
    kind: ClassVar[str]

    def __init__(self, rows: int, columns: int = 1, *, k: int = 1, radius: ArrayLike = 1.0) -> None:
        for argument, value in (("rows", rows), ("columns", columns), ("k", k)):
            check_integer(argument, value, low=1)
        self._check_shape(rows, columns)
        self._shape = (int(rows), int(columns))
        self._k = int(k)
        self._set_radius(radius)
        super().__init__(self._describe(), self._k * self._unit_dim())

    # What a subclass says of the unit manifold -----------------------------

    @classmethod
    def _check_shape(cls, rows: int, columns: int) -> None:
        """Raise ``ValueError`` if there is no such manifold of this shape."""

    @abc.abstractmethod
    def _unit_dim(self) -> int:
        """Dimension of one copy."""

    @abc.abstractmethod
    def _normal_product(self, x: Array, p: Array, q: Array) -> Array:
        """``x N(p^T q)``, where N is the normal part of the component's class."""

    @abc.abstractmethod
    def _exp(self, point: Array, tangent: Array) -> Array:
        """Exponential map of the unit manifold."""

    @abc.abstractmethod
    def _retraction(self, point: Array, tangent: Array) -> Array:
        """Retraction of the unit manifold."""

    @abc.abstractmethod
    def _nearest(self, matrix: Array) -> Array:
        """Nearest point of the unit manifold in the Frobenius norm."""

    @abc.abstractmethod
    def _distance(self, point_a: Array, point_b: Array) -> Array:
        """Geodesic distance on the unit manifold, of each copy."""

    @abc.abstractmethod
    def _log(self, point_a: Array, point_b: Array) -> Array:
        """Inverse of the exponential map of the unit manifold; ``ValueError`` if not unique."""

    @abc.abstractmethod
    def _parallel_transport(self, point: Array, direction: Array, tangent: Array) -> Array:
        """Parallel transport along the unit manifold's geodesic from `point` along `direction`."""

    @abc.abstractmethod
    def _unit_planes(self) -> UnitPlanes:
        """Tangent pairs at `_base_point` of lowest and of highest curvature (if there are any)."""

    @abc.abstractmethod
    def _base_point(self) -> Array:
        """The point of one unit copy at which `_unit_planes` are given."""

    @abc.abstractmethod
    def _unit_curvature_bounds(self) -> tuple[float, float]:
        """Tight bounds of the sectional curvature of one copy at unit radius."""

    @abc.abstractmethod
    def _unit_injectivity_radius(self) -> float:
        """Injectivity radius of one copy at unit radius."""

    @abc.abstractmethod
    def _unit_diameter(self) -> float:
        """Largest distance between two points of one copy (of one piece) at unit radius."""

    # Copies and radii -------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (A, B) of one matrix."""
        return self._shape

    @property
    def k(self) -> int:
        """Number of copies."""
        return self._k

    @property
    def point_shape(self) -> tuple[int, ...]:
        """Shape of a point: ``(A, B)``, or ``(k, A, B)`` for more than one copy."""
        return self._shape if self._k == 1 else (self._k, *self._shape)

    @property
    def radius(self) -> float | Array:
        """Radius: a number, or an array of shape (k,) if the copies differ."""
        return float(self._radii[0]) if self._uniform else self._radii.copy()

    @property
    def radii(self) -> Array:
        """Radius of each copy, shape (k,)."""
        return self._radii.copy()

    def _set_radius(self, radius: ArrayLike) -> None:
        radii = np.asarray(radius, dtype=np.float64)
        if radii.shape not in ((), (self._k,)):
            raise ValueError(
                f"radius has shape {radii.shape}; a number or shape ({self._k},) is needed, "
                "one for each copy."
            )
        if not (np.all(np.isfinite(radii)) and np.all(radii > 0)):
            raise ValueError(f"radius={radius!r} must be positive and finite.")
        self._radii = np.broadcast_to(radii, (self._k,)).copy()
        self._uniform = bool(np.all(self._radii == self._radii[0]))
        # Broadcasts against points; a plain number where one is enough.
        self._r: Any = float(self._radii[0]) if self._uniform else self._radii[:, None, None]

    def with_radius(self, radius: ArrayLike) -> Component:
        """Return the same manifold at another radius (or radii, one for each copy)."""
        other = copy.copy(self)
        other._set_radius(radius)
        other._name = other._describe()
        return other

    def _describe(self) -> str:
        rows, columns = self._shape
        extras = [f", k={self._k}"] if self._k > 1 else []
        if not self._uniform:
            extras.append(f", radius={self._radii.min():.4g}..{self._radii.max():.4g}")
        elif self._radii[0] != 1.0:
            extras.append(f", radius={self._radii[0]:.4g}")
        return f"{type(self).__name__}({rows}, {columns}{''.join(extras)})"

    def __repr__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Component)
            and self._options() == other._options()
            and np.array_equal(self._radii, other._radii)
        )

    def __hash__(self) -> int:
        return hash((type(self), self._options(), self._radii.tobytes()))

    def _options(self) -> tuple[Any, ...]:
        """Everything but the radii that tells two components of a class apart."""
        return (self._shape, self._k)

    def _over_copies(self, values: Array) -> Any:
        """Sum per-copy `values` over the copies."""
        return values.sum(axis=-1) if self._k > 1 else values

    # The manifold at its radius ---------------------------------------------

    def inner_product(self, point: Array, tangent_vector_a: Array, tangent_vector_b: Array) -> Any:
        """Riemannian metric: the Frobenius inner product, summed over the copies (eq. 10)."""
        return self._over_copies(inner(tangent_vector_a, tangent_vector_b))

    def norm(self, point: Array, tangent_vector: Array) -> Any:
        """Norm of a tangent vector in the Riemannian metric."""
        return np.sqrt(self.inner_product(point, tangent_vector, tangent_vector))

    def projection(self, point: Array, vector: Array) -> Array:
        """Orthogonal projection on the tangent space: ``u - w N(w^T u)`` at unit radius."""
        w = point / self._r
        return vector - self._normal_product(w, w, vector)

    to_tangent_space = projection

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Second fundamental form ``II(u, v) = -w N(u^T v)`` at unit radius, a normal vector."""
        return -self._normal_product(point / self._r, u, v) / self._r

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Weingarten map, ``<weingarten(u, n), v> = <II(u, v), n>``."""
        w = point / self._r
        shape = self._normal_product(tangent_vector, w, normal_vector) / self._r
        return -self.projection(point, shape)

    def exp(self, point: Array, tangent_vector: Array) -> Array:
        """Exponential map (Table VIII at unit radius)."""
        return self._r * self._exp(point / self._r, tangent_vector / self._r)

    def log(self, point_a: Array, point_b: Array) -> Array:
        """Logarithm: the shortest tangent vector at `point_a` whose exponential is `point_b`.

        Raises
        ------
        ValueError
            If there is none (points in different pieces), if it is not unique
            (antipodal points), or if it cannot be certified to be the shortest
            one (Stiefel, beyond the injectivity radius).
        """
        return self._r * self._log(point_a / self._r, point_b / self._r)

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
        return self._parallel_transport(point / self._r, direction / self._r, tangent_vector)

    def pair_mean(self, point_a: Array, point_b: Array) -> Array:
        """Midpoint of the shortest geodesic between two points."""
        return self.exp(point_a, 0.5 * self.log(point_a, point_b))

    def retraction(self, point: Array, tangent_vector: Array) -> Array:
        """Retraction (Table VIII at unit radius)."""
        return self._r * self._retraction(point / self._r, tangent_vector / self._r)

    def nearest_point(self, matrix: Array) -> Array:
        """Nearest point of the manifold to any `matrix` of the embedding space."""
        return self._r * self._nearest(np.asarray(matrix) / self._r)

    def distances(self, point_a: Array, point_b: Array) -> Array:
        """Geodesic distance of each copy, shape ``(k,)`` (a number for ``k = 1``)."""
        r = self._radii if self._k > 1 else self._radii[0]
        return r * self._distance(point_a / self._r, point_b / self._r)

    def dist(self, point_a: Array, point_b: Array) -> Any:
        """Riemannian distance: the root of the sum of squares over the copies."""
        distances = self.distances(point_a, point_b)
        return np.linalg.norm(distances, axis=-1) if self._k > 1 else distances

    def geodesic_distance(self, point_a: Array, point_b: Array) -> Any:
        """Sum of the geodesic distances of the copies (eq. 21); see also :meth:`dist`."""
        return self._over_copies(self.distances(point_a, point_b))

    def transport(self, point_a: Array, point_b: Array, tangent_vector_a: Array) -> Array:
        """Vector transport by projection on the tangent space at `point_b`."""
        return self.projection(point_b, tangent_vector_a)

    def random_point(self, rng: RandomState = None) -> Array:
        """Draw a uniformly distributed (Haar) point; `rng` is a generator or a seed."""
        draw = np.random.default_rng(rng).standard_normal(self.point_shape)
        return self._r * self._nearest(draw)

    def random_tangent_vector(self, point: Array, rng: RandomState = None) -> Array:
        """Draw a tangent vector of norm 1, uniform in direction (zero if there is none)."""
        draw = tangent_generator(rng).standard_normal(np.shape(point))
        vector = self.projection(point, draw)
        norm = float(self.norm(point, vector))
        return vector / norm if self.dim > 0 else np.zeros_like(vector)

    def zero_vector(self, point: Array) -> Array:
        """Origin of the tangent space at `point`."""
        return np.zeros_like(point)

    # Sizes ------------------------------------------------------------------

    @property
    def typical_dist(self) -> float:
        """A length of the order of the diameter, for trust-region methods."""
        unit = self._unit_diameter()
        unit = math.sqrt(math.prod(self._shape)) if math.isinf(unit) else unit
        return unit * float(np.linalg.norm(self._radii))

    @property
    def injectivity_radius(self) -> float:
        """Largest radius up to which the exponential map is a diffeomorphism (inf if none)."""
        if self._unit_dim() == 0:
            return math.inf
        return self._unit_injectivity_radius() * float(self._radii.min())

    @property
    def sectional_curvature_bounds(self) -> tuple[float, float]:
        """Tight bounds of the sectional curvature over all planes; (0, 0) if there is no plane.

        With more than one copy, planes that span two copies have curvature 0
        (Lemma 1), so that 0 lies in the range.
        """
        low, high = self._unit_curvature_bounds()
        tightest = 1.0 / float(self._radii.min()) ** 2
        if self._k > 1 and self.dim > 1:
            return min(low * tightest, 0.0), max(high * tightest, 0.0)
        return low * tightest, high * tightest

    def extremal_planes(self) -> tuple[Plane, Plane] | None:
        """Planes that attain the two ends of :attr:`sectional_curvature_bounds`.

        Returns
        -------
        (lowest, highest) : tuple of Plane, or None
            None where there is no plane (dimension below 2).
        """
        if self.dim < 2:
            return None
        tightest = int(np.argmin(self._radii))
        found = []
        if self._unit_dim() >= 2:
            found = list(zip(self._unit_curvature_bounds(), self._unit_planes(), strict=True))
        planes = [(bound, self._plane({tightest: pair})) for bound, pair in found]
        if self._k > 1:
            first = self._unit_basis(self._base_point())[0]
            planes.append((0.0, self._mixed_plane(first)))
        return min(planes, key=_bound)[1], max(planes, key=_bound)[1]

    def _plane(self, pairs: dict[int, tuple[Array, Array]]) -> Plane:
        """Plane at the base points of all copies, with zero vectors where `pairs` has none."""
        stack = (self._k, *self._shape)
        u, v = np.zeros(stack), np.zeros(stack)
        for copy_index, (a, b) in pairs.items():
            u[copy_index], v[copy_index] = a, b
        point = self._radii[:, None, None] * self._base_point()
        return Plane(*(x.reshape(self.point_shape) for x in (point, u, v)))

    def _mixed_plane(self, tangent: Array) -> Plane:
        zero = np.zeros(self._shape)
        return self._plane({0: (tangent, zero), 1: (zero, tangent)})

    # Curvature --------------------------------------------------------------

    def riemann_tensor(self, point: Array, u: Array, v: Array, w: Array) -> Array:
        """Riemann tensor ``R(u, v) w`` by the Gauss equation; at radius r it is 1/r^2 of r = 1."""
        return gauss_tensor(self, point, u, v, w)

    def _subtract(self, v: Array, share: Array, u: Array) -> Array:
        return v - np.reshape(share, (*np.shape(share), *(1,) * len(self.point_shape))) * u

    def _unit_basis(self, point: Array) -> Array:
        """Orthonormal basis of the tangent space of each copy, ``(..., unit dim, A, B)``."""
        size = math.prod(self._shape)
        frame = np.eye(size).reshape(size, *self._shape)
        w = point[..., None, :, :]
        projector = (frame - self._normal_product(w, w, frame)).reshape(*w.shape[:-3], size, size)
        vectors = np.linalg.eigh(0.5 * (projector + np.swapaxes(projector, -2, -1)))[1]
        basis = np.swapaxes(vectors[..., ::-1], -2, -1)[..., : self._unit_dim(), :]
        return basis.reshape(*w.shape[:-3], self._unit_dim(), *self._shape)

    def tangent_frames(self, point: Array) -> Array:
        """Orthonormal bases of the copies' tangent spaces, shape ``(unit dim, *point_shape)``."""
        return np.moveaxis(self._unit_basis(point / self._r), -3, 0)

    # Checks -----------------------------------------------------------------

    def residual(self, point: Array) -> float:
        """Largest distance from the manifold over the copies, relative to a point's norm."""
        nearest = self.nearest_point(point)
        size = matrix_norm(nearest)
        # Only a Euclidean point can be zero, and none is off its manifold.
        relative = np.divide(matrix_norm(point - nearest), size, where=size > 0, out=0.0 * size)
        return float(np.max(relative))

    def check_point(self, point: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` with the measured deviation unless `point` is on the manifold.

        Parameters
        ----------
        point : array of shape `point_shape`
        tol : float
            Largest allowed distance from the manifold, relative to the norm of a point.
        """
        self._check_array("point", point)
        residual = self.residual(point)
        if residual > tol:
            raise ValueError(
                f"point is not on {self}: relative distance {residual:.3g} exceeds tol={tol:g}."
            )

    def check_tangent(self, point: Array, vector: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` with the measured deviation unless `vector` is tangent at `point`.

        Parameters
        ----------
        point, vector : array of shape `point_shape`
        tol : float
            Largest allowed norm of the normal part, relative to the norm of `vector`.
        """
        self._check_array("point", point)
        self._check_array("vector", vector)
        normal = np.linalg.norm(vector - self.projection(point, vector))
        size = float(np.linalg.norm(vector))
        if normal > tol * size:
            raise ValueError(
                f"vector is not tangent to {self}: its normal part is {normal / size:.3g} "
                f"of its norm, tol={tol:g}."
            )

    def _check_array(self, argument: str, value: ArrayLike) -> None:
        array = np.asarray(value)
        if array.shape != self.point_shape:
            raise ValueError(
                f"{argument} has shape {array.shape}; {self} needs {self.point_shape}."
            )
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{argument} on {self} has entries that are not finite.")

    # Shown to people --------------------------------------------------------

    def _repr_html_(self) -> str:
        low, high = self.sectional_curvature_bounds
        rows = {
            "points": " x ".join(map(str, self.point_shape)),
            "dimension": self.dim,
            "radius": self.radius
            if self._uniform
            else f"{self._radii.min():.4g} to {self._radii.max():.4g}",
            "sectional curvature": f"[{low:.4g}, {high:.4g}]",
            "injectivity radius": f"{self.injectivity_radius:.4g}",
        }
        cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
        return f"<table><caption>{html.escape(repr(self))}</caption>{cells}</table>"


def _bound(entry: tuple[float, Plane]) -> float:
    return entry[0]
