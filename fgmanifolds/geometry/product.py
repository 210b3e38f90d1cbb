"""Products of scaled components: the POMs of the paper (Definition 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fgmanifolds.geometry.arrays import Array, RandomState, leading, tangent_generator
from fgmanifolds.geometry.curvature import Plane
from fgmanifolds.geometry.factors import Factors, Point

__all__ = ["ScaledProductManifold"]


class ScaledProductManifold(Factors):
    """Product of components, each at a radius of its own, as a pymanopt manifold.

    Points and tangent vectors are sequences of arrays, one for each component.
    The metric is the sum of the components' metrics (eq. 10), so that every
    pymanopt optimizer runs on it.

    Parameters
    ----------
    components : sequence of Component or pymanopt RiemannianSubmanifold
        The factors; products among them are taken apart. A component with `k` copies
        counts as k factors of the product, handled in one array. A manifold of pymanopt's
        own (with a ``weingarten``) becomes a :class:`ScaledSubmanifold`.
    scales : sequence of float or array, optional
        Radius of each component (shape (k,) for one of each copy). It replaces
        the component's own radius. A scale is the radius of an embedded
        manifold, not a multiplier of its metric. Default: the components' own.

    Raises
    ------
    ValueError
        If there is no component, or the number of scales does not match.
    TypeError
        If a component is neither a :class:`Component` nor a Riemannian
        submanifold of a space of arrays.

    Notes
    -----
    There are two distances. :meth:`dist` is the Riemannian distance of the
    product metric, the root of the sum of squares, which pymanopt and
    geomstats expect. :meth:`geodesic_distance` is eq. (21), the sum. With n
    factors, ``dist <= geodesic_distance <= sqrt(n) dist``.
    """

    def rescale(self, point: Point, scales: Sequence[ArrayLike]) -> list[Array]:
        """Carry `point` over to ``with_scales(scales)`` by homothety of each component.

        Parameters
        ----------
        point : sequence of arrays, one for each component
        scales : float or sequence of float
            Radii, above 0.
        """
        self._check_length("point", point)
        target = self.with_scales(scales)
        return [
            w / old._r * new._r
            for w, old, new in zip(point, self.components, target.components, strict=True)
        ]

    # Points and vectors ---------------------------------------------------------------

    @property
    def point_shape(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each array of a point."""
        return tuple(component.point_shape for component in self.components)

    def random_point(self, rng: RandomState = None, n: int | tuple[int, ...] = ()) -> list[Array]:
        """Draw uniformly distributed points.

        Parameters
        ----------
        rng : generator or seed
        n : int or tuple of int
            Leading axes: how many. Default: one point.
        """
        generator = np.random.default_rng(rng)
        return [component.random_point(generator, n) for component in self.components]

    def random_tangent_vector(
        self, point: Point, rng: RandomState = None, n: int | tuple[int, ...] = ()
    ) -> Any:
        """Draw tangent vectors of norm 1, uniform in direction, `n` for each point.

        Parameters
        ----------
        point : sequence of arrays, one for each component
        rng : Generator, int or None
        n : int or tuple of int
            How many.
        """
        self._check_length("point", point)
        generator = tangent_generator(rng)
        draw = [generator.standard_normal((*leading(n), *np.shape(w))) for w in point]
        vector = self.projection(point, draw)
        if self.dim == 0:
            return 0.0 * vector
        return self._scaled(vector, 1 / np.asarray(self.norm(point, vector)))

    def nearest_point(self, point: Point) -> list[Array]:
        """Nearest point of the manifold to any matrices of the embedding space."""
        return self._named("nearest_point", point)

    def inner_product(self, point: Point, tangent_vector_a: Point, tangent_vector_b: Point) -> Any:
        """Riemannian metric: the sum of the components' metrics, eq. (10).

        Parameters
        ----------
        point, tangent_vector_a, tangent_vector_b : sequence of arrays, one for each component
        """
        return sum(self._named("inner_product", point, tangent_vector_a, tangent_vector_b))

    def norm(self, point: Point, tangent_vector: Point) -> Any:
        """Norm of a tangent vector, eq. (17).

        Parameters
        ----------
        point, tangent_vector : sequence of arrays, one for each component
        """
        return np.sqrt(np.maximum(self.inner_product(point, tangent_vector, tangent_vector), 0.0))

    def coordinates(self, point: Point, vector: Point) -> Array:
        """Coordinates in an orthonormal basis, those of the components side by side.

        Parameters
        ----------
        point, vector : sequence of arrays, one for each component
        """
        parts = self._named("coordinates", point, vector)
        lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        wide = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts]
        return np.concatenate(wide, axis=-1)

    def vector(self, point: Point, coordinates: ArrayLike) -> Any:
        """Tangent vector of the `coordinates` that :meth:`coordinates` gives.

        Parameters
        ----------
        point : sequence of arrays, one for each component
        coordinates : array of shape (..., dim)
        """
        c = np.asarray(coordinates, dtype=float)
        if c.shape[-1:] != (self.dim,):
            raise ValueError(f"coordinates has shape {c.shape}; the last axis must be {self.dim}.")
        ends = np.cumsum([component.dim for component in self.components])[:-1]
        parts = np.split(c, ends, axis=-1)
        return self._pack(self._each(lambda m, w, d: m.vector(w, d), point, parts), tangent=True)

    # Geodesics ------------------------------------------------------------------------

    def dist(self, point_a: Point, point_b: Point, *, certify: bool = True) -> Any:
        """Riemannian distance: the root of the sum of the components' squared distances.

        Not eq. (21): that is :meth:`geodesic_distance`. `certify` is as for :meth:`log`.

        Parameters
        ----------
        point_a, point_b : sequence of arrays, one for each component
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        distances = self._named("dist", point_a, point_b, **_certify(certify))
        return np.sqrt(sum(np.square(distance) for distance in distances))

    def log(self, point_a: Point, point_b: Point, *, certify: bool = True) -> Any:
        """Logarithm, component by component; an error names the component.

        With ``certify=False`` the shortest found where it is not known to be the shortest.

        Parameters
        ----------
        point_a, point_b : sequence of arrays, one for each component
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        parts = self._named("log", point_a, point_b, **_certify(certify))
        return self._pack(parts, tangent=True)

    def log_certified(self, point_a: Point, point_b: Point) -> tuple[Any, Any]:
        """Shortest tangent vector found, and whether it is certified in all components.

        Parameters
        ----------
        point_a, point_b : sequence of arrays, one for each component
        """
        parts = self._named("log_certified", point_a, point_b)
        certified = np.logical_and.reduce(np.broadcast_arrays(*(flag for _, flag in parts)))
        vector = self._pack([vector for vector, _ in parts], tangent=True)
        return vector, certified if np.ndim(certified) else bool(certified)

    def inverse_retraction(self, point_a: Point, point_b: Point) -> Any:
        """Tangent vector at `point_a` that :meth:`retraction` takes to `point_b`.

        Parameters
        ----------
        point_a, point_b : sequence of arrays, one for each component
        """
        return self._pack(self._named("inverse_retraction", point_a, point_b), tangent=True)

    def parallel_transport(self, point: Point, direction: Point, tangent_vector: Point) -> Any:
        """Parallel transport along the geodesic from `point` with velocity `direction`.

        Parameters
        ----------
        point, direction, tangent_vector : sequence of arrays, one for each component
        """
        parts = self._named("parallel_transport", point, direction, tangent_vector)
        return self._pack(parts, tangent=True)

    def geodesic_distance(self, point_a: Point, point_b: Point, *, certify: bool = True) -> Any:
        """Sum of the components' geodesic distances, eq. (21).

        This is the paper's quantity. It is not the distance of the product
        metric: that is :meth:`dist`.

        Parameters
        ----------
        point_a, point_b : sequence of arrays, one for each component
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        return sum(self._named("geodesic_distance", point_a, point_b, **_certify(certify)))

    # Curvature -----------------------------------------------------------------

    def riemann_tensor(self, point: Point, u: Point, v: Point, w: Point) -> Any:
        """Riemann tensor ``R(u, v) w``: that of each component (Lemma 1).

        Parameters
        ----------
        point, u, v, w : sequence of arrays, one for each component
        """
        return self._pack(self._named("riemann_tensor", point, u, v, w), tangent=True)

    def second_fundamental_form(self, point: Point, u: Point, v: Point) -> Any:
        """Second fundamental form of each component, a normal vector.

        Parameters
        ----------
        point, u, v : sequence of arrays, one for each component
        """
        return self._pack(self._named("second_fundamental_form", point, u, v), tangent=True)

    def weingarten(self, point: Point, tangent_vector: Point, normal_vector: Point) -> Any:
        """Weingarten map of each component.

        Parameters
        ----------
        point, tangent_vector, normal_vector : sequence of arrays, one for each component
        """
        parts = self._named("weingarten", point, tangent_vector, normal_vector)
        return self._pack(parts, tangent=True)

    def curvature_derivative(self, point: Point, a: Point, b: Point, c: Point, d: Point) -> Any:
        """Covariant derivative ``(D_a R)(b, c) d``: that of each component.

        Parameters
        ----------
        point, a, b, c, d : sequence of arrays, one for each component
        """
        return self._pack(self._named("curvature_derivative", point, a, b, c, d), tangent=True)

    def ricci_curvature(self, point: Point, u: Point, v: Point) -> Any:
        """Ricci curvature ``Ric(u, v)``: the sum of the components'.

        Parameters
        ----------
        point, u, v : sequence of arrays, one for each component
        """
        self._check_tangents(point, u=u, v=v)
        # Parts that are small beside the others may be tangent only up to rounding.
        u, v = self.projection(point, u), self.projection(point, v)
        return sum(self._named("ricci_curvature", point, u, v))

    def scalar_curvature(self, point: Point) -> Any:
        """Scalar curvature: the sum of the components'."""
        return sum(self._named("scalar_curvature", point))

    def tangent_frames(self, point: Point) -> list[Array]:
        """Orthonormal bases of the components' tangent spaces, padded with zeros to one length."""
        frames = self._named("tangent_frames", point)
        rows = max(len(frame) for frame in frames)
        return [np.pad(f, [(0, rows - len(f))] + [(0, 0)] * (f.ndim - 1)) for f in frames]

    # Sizes ---------------------------------------------------------------------

    @property
    def injectivity_radius(self) -> float:
        """The smallest of the components' injectivity radii."""
        return min(component.injectivity_radius for component in self.components)

    @property
    def sectional_curvature_bounds(self) -> tuple[float, float]:
        """Tight bounds over all planes; 0 lies in the range of two or more factors (Lemma 1)."""
        curved = [c for c in self.components if c.dim > 0]
        bounds = [c.sectional_curvature_bounds for c in curved] or [(0.0, 0.0)]
        if len(curved) > 1:
            bounds.append((0.0, 0.0))
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def extremal_planes(self) -> tuple[Plane, Plane] | None:
        """Planes that attain the two ends of :attr:`sectional_curvature_bounds`.

        Returns
        -------
        (lowest, highest) : tuple of Plane, or None
            None where there is no plane (dimension below 2). Point and tangent
            vectors are lists, one array for each component.
        """
        planes = []
        for position, component in enumerate(self.components):
            bounds, found = component.sectional_curvature_bounds, component.extremal_planes()
            for bound, plane in zip(bounds, found or (), strict=False):
                planes.append((bound, self._in_component(position, plane)))
        movable = [i for i, component in enumerate(self.components) if component.dim > 0]
        if len(movable) > 1:
            planes.append((0.0, self._mixed_plane(*movable[:2])))
        if not planes:
            return None
        return min(planes, key=lambda p: p[0])[1], max(planes, key=lambda p: p[0])[1]

    def _in_component(self, position: int, plane: Plane) -> Plane:
        point, u = self._base_point(), self.zero_vector(self._base_point())
        v = self.zero_vector(point)
        point[position], u[position], v[position] = plane
        return Plane(point, u, v)

    def _mixed_plane(self, i: int, j: int) -> Plane:
        point = self._base_point()
        u, v = self.zero_vector(point), self.zero_vector(point)
        u[i] = self.components[i].random_tangent_vector(point[i], 0)
        v[j] = self.components[j].random_tangent_vector(point[j], 0)
        return Plane(point, u, v)

    def _base_point(self) -> list[Array]:
        return self.random_point(0)


def _certify(certify: bool) -> dict[str, bool]:
    """Only where it is asked for: pymanopt's own manifolds do not know it."""
    return {} if certify else {"certify": False}
