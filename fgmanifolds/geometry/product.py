"""Products of scaled components: the POMs of the paper (Definition 1)."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds import Product
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.geometry.base import Array, Component, RandomState

__all__ = ["ScaledProductManifold"]

Point = Sequence[Array]


class ScaledProductManifold(Product):
    """Product of components, each at a radius of its own, as a pymanopt manifold.

    Points and tangent vectors are sequences of arrays, one for each component.
    The metric is the sum of the components' metrics (eq. 10), so that every
    pymanopt optimizer runs on it.

    Parameters
    ----------
    components : sequence of Component
        The factors. A component with `k` copies counts as k factors of the
        product, handled in one array.
    scales : sequence of float or array, optional
        Radius of each component (shape (k,) for one of each copy). It replaces
        the component's own radius. A scale is the radius of an embedded
        manifold, not a multiplier of its metric. Default: the components' own.

    Raises
    ------
    ValueError
        If there is no component, or the number of scales does not match.
    TypeError
        If a component is not a :class:`Component`.

    Notes
    -----
    There are two distances. :meth:`dist` is the Riemannian distance of the
    product metric, the root of the sum of squares, which pymanopt and
    geomstats expect. :meth:`geodesic_distance` is eq. (21), the sum. With n
    factors, ``dist <= geodesic_distance <= sqrt(n) dist``.
    """

    def __init__(
        self, components: Sequence[Component], scales: Sequence[ArrayLike] | None = None
    ) -> None:
        components = list(components)
        if not components:
            raise ValueError("components is empty; a product needs at least one component.")
        for position, component in enumerate(components):
            if not isinstance(component, Component):
                raise TypeError(
                    f"components[{position}] is a {type(component).__name__}; "
                    "Sphere, Oblique, Stiefel or Euclidean of fgmanifolds is needed."
                )
        if scales is not None:
            components = self._scaled(components, scales)
        super().__init__(components)
        self._name = " x ".join(str(component) for component in components)

    @staticmethod
    def _scaled(components: Sequence[Component], scales: Sequence[ArrayLike]) -> list[Component]:
        scales = list(scales)
        if len(scales) != len(components):
            raise ValueError(
                f"scales has {len(scales)} entries for {len(components)} components; "
                "one for each is needed."
            )
        return [component.with_radius(s) for component, s in zip(components, scales, strict=True)]

    # Components and radii ----------------------------------------------------

    @property
    def components(self) -> tuple[Component, ...]:
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
        generator = np.random.default_rng(rng)
        draw = [generator.standard_normal(np.shape(w)) for w in point]
        vector = self.projection(point, draw)
        norm = self.norm(point, vector)
        return vector / norm if self.dim > 0 else self.zero_vector(point)

    def geodesic_distance(self, point_a: Point, point_b: Point) -> Any:
        """Sum of the components' geodesic distances, eq. (21).

        This is the paper's quantity. It is not the distance of the product
        metric: that is :meth:`dist`.
        """
        return self._dispatch("geodesic_distance", reduction=sum)(point_a, point_b)

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
        for argument in arguments:
            self._check_length("argument", argument)
        for position, (component, *parts) in enumerate(
            zip(self.components, *arguments, strict=True)
        ):
            try:
                getattr(component, check)(*parts, tol=tol)
            except ValueError as error:
                raise ValueError(f"component {position}: {error}") from None

    # Shown to people --------------------------------------------------------------

    def __repr__(self) -> str:
        return f"ScaledProductManifold({self._name})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{position}</td><td>{type(c).__name__}</td><td>{c.shape[0]} x {c.shape[1]}"
            f"</td><td>{c.k}</td><td>{html.escape(_radius_text(c))}</td><td>{c.dim}</td></tr>"
            for position, c in enumerate(self.components)
        )
        low, high = self.sectional_curvature_bounds
        return (
            "<table><caption>Product of dimension "
            f"{self.dim}, sectional curvature in [{low:.4g}, {high:.4g}]</caption>"
            "<tr><th></th><th>component</th><th>shape</th><th>copies</th><th>radius</th>"
            f"<th>dimension</th></tr>{rows}</table>"
        )


def _radius_text(component: Manifold) -> str:
    radii = component.radii
    low, high = radii.min(), radii.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
