"""Products of scaled components: the POMs of the paper (Definition 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import Manifold
from pymanopt.manifolds.product import Product, _ProductTangentVector

from fgmanifolds.geometry.arrays import Array, RandomState, tangent_generator
from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.curvature import Curved, Plane
from fgmanifolds.geometry.submanifold import ScaledSubmanifold

__all__ = ["ScaledProductManifold"]

Point = Sequence[Array]


class ScaledProductManifold(Curved, Product):
    """Product of components, each at a radius of its own, as a pymanopt manifold.

    Points and tangent vectors are sequences of arrays, one for each component.
    The metric is the sum of the components' metrics (eq. 10), so that every
    pymanopt optimizer runs on it.

    Parameters
    ----------
    components : sequence of Component or pymanopt RiemannianSubmanifold
        The factors. A component with `k` copies counts as k factors of the
        product, handled in one array. A manifold of pymanopt's own (with a
        ``weingarten``) becomes a :class:`ScaledSubmanifold`.
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

    def __init__(
        self, components: Sequence[Manifold], scales: Sequence[ArrayLike] | None = None
    ) -> None:
        components = [_as_component(position, c) for position, c in enumerate(components)]
        if not components:
            raise ValueError("components is empty; a product needs at least one component.")
        if scales is not None:
            components = self._scaled(components, scales)
        super().__init__(components)
        self._name = " x ".join(str(component) for component in components)

    @staticmethod
    def _scaled(components: Sequence[Any], scales: Sequence[ArrayLike]) -> list[Any]:
        scales = list(scales)
        if len(scales) != len(components):
            raise ValueError(
                f"scales has {len(scales)} entries for {len(components)} components; "
                "one for each is needed."
            )
        return [component.with_radius(s) for component, s in zip(components, scales, strict=True)]

    # Components and radii ----------------------------------------------------

    @property
    def components(self) -> tuple[Any, ...]:
        """The factors, in the order of a point's arrays."""
        return tuple(self.manifolds)

    @property
    def scales(self) -> list[float | Array]:
        """Radius of each component: a number, or an array if its copies differ."""
        return [component.radius for component in self.components]

    @property
    def n_factors(self) -> int:
        """Number of factors, copies counted one by one."""
        return sum(component.k for component in self.components)

    def with_scales(self, scales: Sequence[ArrayLike]) -> ScaledProductManifold:
        """Return the product of the same components at other radii."""
        return ScaledProductManifold(self.components, scales)

    def rescale(self, point: Point, scales: Sequence[ArrayLike]) -> list[Array]:
        """Carry `point` over to ``with_scales(scales)`` by homothety of each component."""
        self._check_length("point", point)
        target = self.with_scales(scales)
        return [
            w / old._r * new._r
            for w, old, new in zip(point, self.components, target.components, strict=True)
        ]

    # Pymanopt's verbs, with the lengths of the arguments checked ---------------

    def _dispatch(self, method_name: str, **options: Any) -> Callable[..., Any]:
        dispatch = super()._dispatch(method_name, **options)

        def checked(*arguments: Point) -> Any:
            for argument in arguments:
                self._check_length("argument", argument)
            return dispatch(*arguments)

        return checked

    def _check_length(self, name: str, value: Point) -> None:
        if len(value) != len(self.manifolds):
            raise ValueError(
                f"{name} has {len(value)} components; {self} has {len(self.manifolds)}."
            )

    def random_point(self, rng: RandomState = None) -> list[Array]:
        """Draw a uniformly distributed point; `rng` is a generator or a seed."""
        generator = np.random.default_rng(rng)
        return [component.random_point(generator) for component in self.components]

    def random_tangent_vector(self, point: Point, rng: RandomState = None) -> Any:
        """Draw a tangent vector of norm 1, uniform in direction."""
        self._check_length("point", point)
        generator = tangent_generator(rng)
        draw = [generator.standard_normal(np.shape(w)) for w in point]
        vector = self.projection(point, draw)
        norm = self.norm(point, vector)
        return vector / norm if self.dim > 0 else self.zero_vector(point)

    def nearest_point(self, point: Point) -> list[Array]:
        """Nearest point of the manifold to any matrices of the embedding space."""
        return self._dispatch("nearest_point")(point)

    def inner_product(self, point: Point, tangent_vector_a: Point, tangent_vector_b: Point) -> Any:
        """Riemannian metric: the sum of the components' metrics, eq. (10)."""
        return self._dispatch("inner_product", reduction=sum)(
            point, tangent_vector_a, tangent_vector_b
        )

    def dist(self, point_a: Point, point_b: Point) -> Any:
        """Riemannian distance: the root of the sum of the components' squared distances.

        Not eq. (21): that is :meth:`geodesic_distance`.
        """
        squares = self._named("dist", point_a, point_b)
        return np.sqrt(sum(np.square(distance) for distance in squares))

    def log(self, point_a: Point, point_b: Point) -> Any:
        """Logarithm, component by component; an error names the component."""
        return _ProductTangentVector(self._named("log", point_a, point_b))

    def parallel_transport(self, point: Point, direction: Point, tangent_vector: Point) -> Any:
        """Parallel transport along the geodesic from `point` with velocity `direction`."""
        return self._dispatch("parallel_transport", reduction=_ProductTangentVector)(
            point, direction, tangent_vector
        )

    def geodesic_distance(self, point_a: Point, point_b: Point) -> Any:
        """Sum of the components' geodesic distances, eq. (21).

        This is the paper's quantity. It is not the distance of the product
        metric: that is :meth:`dist`.
        """
        return sum(self._named("geodesic_distance", point_a, point_b))

    # Curvature -----------------------------------------------------------------

    def riemann_tensor(self, point: Point, u: Point, v: Point, w: Point) -> Any:
        """Riemann tensor ``R(u, v) w``: that of each component (Lemma 1)."""
        return self._dispatch("riemann_tensor", reduction=_ProductTangentVector)(point, u, v, w)

    def _subtract(self, v: Point, share: Array, u: Point) -> list[Array]:
        parts = zip(self.components, v, u, strict=True)
        return [component._subtract(a, share, b) for component, a, b in parts]

    def tangent_frames(self, point: Point) -> list[Array]:
        """Orthonormal bases of the components' tangent spaces, padded with zeros to one length."""
        frames = self._dispatch("tangent_frames")(point)
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

    # Checks ----------------------------------------------------------------------

    def residual(self, point: Point) -> float:
        """Largest relative distance of a component of `point` from its manifold."""
        return max(self._dispatch("residual")(point))

    def check_point(self, point: Point, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` naming the component and its deviation unless `point` is on it."""
        self._check_each("check_point", tol, point)

    def check_tangent(self, point: Point, vector: Point, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` naming the component unless `vector` is tangent at `point`."""
        self._check_each("check_tangent", tol, point, vector)

    def _check_each(self, check: str, tol: float, *arguments: Point) -> None:
        self._named(check, *arguments, tol=tol)

    def _named(self, verb: str, *arguments: Point, **options: float) -> list[Any]:
        """Results of `verb` on each component; an error says on which it came up."""
        for argument in arguments:
            self._check_length("argument", argument)
        results = []
        for position, (component, *parts) in enumerate(
            zip(self.components, *arguments, strict=True)
        ):
            try:
                results.append(getattr(component, verb)(*parts, **options))
            except ValueError as error:
                raise ValueError(f"component {position}: {error}") from None
        return results

    # Shown to people --------------------------------------------------------------

    def __repr__(self) -> str:
        return f"ScaledProductManifold({self._name})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{position}</td><td>{type(c).__name__}</td>"
            f"<td>{' x '.join(map(str, c.shape))}</td><td>{c.k}</td>"
            f"<td>{_radius_text(c)}</td><td>{c.dim}</td></tr>"
            for position, c in enumerate(self.components)
        )
        known = all(isinstance(c, Component) for c in self.components)
        low, high = self.sectional_curvature_bounds if known else (math.nan, math.nan)
        curvature = f", sectional curvature in [{low:.4g}, {high:.4g}]" if known else ""
        return (
            f"<table><caption>Product of dimension {self.dim}{curvature}</caption>"
            "<tr><th></th><th>component</th><th>shape</th><th>copies</th><th>radius</th>"
            f"<th>dimension</th></tr>{rows}</table>"
        )


def _radius_text(component: Manifold) -> str:
    radii = component.radii
    low, high = radii.min(), radii.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def _as_component(position: int, manifold: Any) -> Any:
    if isinstance(manifold, Component | ScaledSubmanifold):
        return manifold
    try:
        return ScaledSubmanifold(manifold)
    except (TypeError, AttributeError):
        raise TypeError(
            f"components[{position}] is a {type(manifold).__name__}; Sphere, Oblique, Stiefel or "
            "Euclidean of fgmanifolds, or a RiemannianSubmanifold of pymanopt with a weingarten "
            "and points that are real arrays, is needed."
        ) from None
