"""What a product is made of: components, radii, algebra, checks, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import Manifold
from pymanopt.manifolds.product import Product, _ProductTangentVector

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.checks import Checks
from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.curvature import Curved
from fgmanifolds.geometry.display import product_table
from fgmanifolds.geometry.submanifold import ScaledSubmanifold
from fgmanifolds.geometry.verbs import Verbs
from fgmanifolds.validation import check_integer

__all__ = ["Factors", "Point"]

Point = Sequence[Array]


class Factors(Checks, Verbs, Curved, Product):
    """Components of a :class:`fgmanifolds.ScaledProductManifold`, without its geometry."""

    def __init__(
        self, components: Sequence[Manifold], scales: Sequence[ArrayLike] | None = None
    ) -> None:
        if isinstance(scales, Manifold):
            raise TypeError(
                f"scales={scales!r} is a manifold; give the components as one sequence: "
                f"ScaledProductManifold([{components!r}, {scales!r}])."
            )
        flat = _flattened(components)
        components = [_as_component(position, c) for position, c in enumerate(flat)]
        if not components:
            raise ValueError("components is empty; a product needs at least one component.")
        if scales is not None:
            components = self._at_scales(components, scales)
        super().__init__(components)
        self._name = " x ".join(str(component) for component in components)

    @staticmethod
    def _at_scales(components: Sequence[Any], scales: Any) -> list[Any]:
        if not hasattr(scales, "__len__") or (isinstance(scales, np.ndarray) and scales.ndim == 0):
            raise ValueError(
                f"scales={scales!r} must be a sequence of {len(components)} radii, one for each "
                f"component; for one radius of all, scales=[{scales!r}] * {len(components)}."
            )
        scales = list(scales)
        if len(scales) != len(components):
            raise ValueError(
                f"scales has {len(scales)} entries for {len(components)} components; "
                "one for each is needed."
            )
        scaled = []
        for position, (component, scale) in enumerate(zip(components, scales, strict=True)):
            try:
                scaled.append(component.with_radius(scale))
            except (ValueError, TypeError) as error:
                raise ValueError(f"scales[{position}] of {component}: {error}") from None
        return scaled

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

    def with_scales(self, scales: Sequence[ArrayLike]) -> Any:
        """Return the product of the same components at other radii."""
        return type(self)(self.components, scales)

    # One component after the other ------------------------------------------------

    def _each(self, function: Callable[..., Any], *values: Any) -> list[Any]:
        """Values of ``function(component, *parts)``; an error says on which it came up."""
        for value in values:
            self._check_length("argument", value)
        results = []
        for position, (component, *parts) in enumerate(zip(self.components, *values, strict=True)):
            try:
                results.append(function(component, *parts))
            except ValueError as error:
                raise ValueError(f"component {position}: {error}") from None
        return results

    def _pack(self, parts: Sequence[Any], *, tangent: bool = False) -> Any:
        return _ProductTangentVector(parts) if tangent else list(parts)

    def _named(self, verb: str, *arguments: Point, **options: Any) -> list[Any]:
        """Results of `verb` on each component."""
        return self._each(lambda m, *parts: getattr(m, verb)(*parts, **options), *arguments)

    def _dispatch(
        self,
        method_name: str,
        *,
        transform: Callable[[Any], Any] = lambda value: value,
        reduction: Callable[[list[Any]], Any] = lambda values: values,
    ) -> Callable[..., Any]:
        """Pymanopt's, with lengths checked and the component named in errors."""
        return lambda *arguments: reduction(
            [transform(value) for value in self._named(method_name, *arguments)]
        )

    def _check_length(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray) or not hasattr(value, "__len__"):
            raise ValueError(
                f"{name} is a {type(value).__name__}; a list of {len(self.manifolds)} arrays is "
                f"needed, one for each component of {self}."
            )
        if len(value) != len(self.manifolds):
            raise ValueError(
                f"{name} has {len(value)} components; {self} has {len(self.manifolds)}."
            )

    def stack(self, points: Sequence[Point]) -> list[Array]:
        """Batch of points: one array for each component, with the points along its first axis."""
        for point in points:
            self._check_length("point", point)
        return [np.stack([point[i] for point in points]) for i in range(len(self.components))]

    # Algebra ------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.manifolds)

    def __getitem__(self, index: int | slice) -> Any:
        """Component of a number; the product of the components of a slice."""
        if isinstance(index, slice):
            return type(self)(self.components[index])
        return self.components[index]

    def __mul__(self, other: Manifold) -> Any:
        if not isinstance(other, Manifold):
            return NotImplemented
        return type(self)([*self.components, other])

    def __pow__(self, n: int) -> Any:
        check_integer("n", n, low=1)
        return type(self)(self.components * n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Factors) and self.components == other.components

    def __hash__(self) -> int:
        return hash(self.components)

    # Checks ----------------------------------------------------------------------

    def residual(self, point: Point) -> Any:
        """Largest relative distance of a component of `point` from its manifold."""
        return _largest(self._named("residual", point))

    def tangent_residual(self, point: Point, vector: Point) -> Any:
        """Norm of the normal part over the norm, one for each vector (0 for a zero vector).

        Parameters
        ----------
        point, vector : sequence of arrays, one for each component
        """

        def squares(component: Any, w: Array, u: Array) -> tuple[Array, Array]:
            axes = tuple(range(-len(component.point_shape), 0))
            normal = u - component.projection(w, u)
            return np.sum(normal**2, axis=axes), np.sum(np.square(u), axis=axes)

        parts = self._each(squares, point, vector)
        off, size = (np.sqrt(sum(column)) for column in zip(*parts, strict=True))
        share = np.divide(off, size, where=np.asarray(size) > 0, out=np.zeros(np.shape(size)))
        return share if share.ndim else float(share)

    def check_point(self, point: Point, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` naming the component and its deviation unless `point` is on it.

        Parameters
        ----------
        point : sequence of arrays, one for each component
        tol : float
            Relative to the norm of the point.
        """
        self._named("check_point", point, tol=tol)

    def check_tangent(self, point: Point, vector: Point, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` naming the component unless `vector` is tangent at `point`.

        Parameters
        ----------
        point, vector : sequence of arrays, one for each component
        tol : float
            Relative to the norm of the point.
        """
        self._named("check_tangent", point, vector, tol=tol)

    def _check_point_shape(self, argument: str, value: Any) -> None:
        self._check_length(argument, value)
        self._each(lambda m, part: m._check_point_shape(argument, part), value)

    # Shown to people --------------------------------------------------------------

    def __repr__(self) -> str:
        return f"ScaledProductManifold({self._name})"

    def _repr_html_(self) -> str:
        return product_table(self)


def _largest(values: list[Any]) -> Any:
    largest = np.maximum.reduce(np.broadcast_arrays(*values))
    return largest if np.ndim(largest) else float(largest)


def _flattened(components: Any) -> list[Manifold]:
    """Components of components; a single manifold is an error that says how to give it."""
    if isinstance(components, Manifold) and not isinstance(components, Product):
        raise TypeError(
            f"components={components!r} is one manifold; a sequence of them is needed: "
            f"ScaledProductManifold([{components!r}])."
        )
    if not (hasattr(components, "__iter__") or isinstance(components, Product)):
        raise TypeError(f"components={components!r} must be a sequence of manifolds.")
    flat: list[Manifold] = []
    parts = components.manifolds if isinstance(components, Product) else components
    for part in parts:
        flat.extend(_flattened(part) if isinstance(part, Product) else [part])
    return flat


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
