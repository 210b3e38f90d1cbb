"""A manifold with random points and vectors to check it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.testing.verdict import Measured, Skipped, Slope

__all__ = ["Case", "Check"]


class Case:
    """Random points and tangent vectors of a manifold, each copy at the size of its radius.

    Parameters
    ----------
    manifold : Component or ScaledProductManifold
    seed : int
    length : float
        Largest length of the tangent vectors in each copy, over its radius.
    """

    def __init__(self, manifold: Any, seed: int, length: float) -> None:
        self.manifold, self.length = manifold, length
        self.rng = np.random.default_rng(seed)
        self.point = manifold.random_point(self.rng)

    def moving(self) -> None:
        """Leave the check where the manifold is of dimension 0."""
        if self.manifold.dim == 0:
            raise Skipped("dimension 0")

    def each(self, function: Callable[..., Any], *values: Any) -> Any:
        """Apply a function to the parts of each component, and put the results together.

        Parameters
        ----------
        function : callable
        *values : points or vectors
        """
        return self.manifold._pack(self.manifold._each(function, *values), tangent=True)

    def matrix(self) -> Any:
        """Random vector of the embedding space."""
        return self.each(lambda m, w: m._r * self.rng.standard_normal(np.shape(w)), self.point)

    def tangent(self, point: Any = None, length: float | None = None) -> Any:
        """Random tangent vector, of a random length in each copy, at most `length` radii.

        Parameters
        ----------
        point : point of the manifold
        length : float, optional
        """
        length = self.length if length is None else length

        def draw(component: Any, w: Array) -> Array:
            if component.dim == 0:
                return np.zeros(np.shape(w))
            u = component.projection(w, component._r * self.rng.standard_normal(np.shape(w)))
            size = np.sqrt(np.sum((u / component._r) ** 2, axis=(-2, -1), keepdims=True))
            factor = length * self.rng.uniform(0.6, 1.0, size.shape)
            return np.divide(factor * u, size, where=size > 0, out=np.zeros(u.shape))

        return self.each(draw, self.point if point is None else point)

    def near(self, length: float | None = None) -> Any:
        """Point at some distance from the first one."""
        return self.manifold.exp(self.point, self.tangent(length=length))

    def combine(self, *terms: tuple[float, Any]) -> Any:
        """Linear combination of vectors."""
        factors = [factor for factor, _ in terms]
        return self.each(
            lambda m, *parts: sum(f * p for f, p in zip(factors, parts, strict=True)),
            *(vector for _, vector in terms),
        )

    def flat(self, value: Any) -> Array:
        """Entries of points or vectors over the radii, along the last axis."""
        parts = self.manifold._each(_flat, value)
        lead = np.broadcast_shapes(*(part.shape[:-1] for part in parts))
        wide = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts]
        return np.concatenate(wide, axis=-1)

    def gap(self, a: Any, b: Any) -> float:
        """Largest difference of two points or vectors, over the radii.

        Parameters
        ----------
        a, b : point, vector or array
        """
        return float(np.max(np.abs(self.flat(a) - self.flat(b)), initial=0.0))

    def far(self, a: Any, b: Any) -> float:
        """Distance of two points, over the largest radius; for points known up to a group.

        Parameters
        ----------
        a, b : point, vector or array
        """
        return float(self.manifold.dist(a, b)) / self.scale

    @property
    def scale(self) -> float:
        """Largest radius."""
        return float(max(self.manifold._each(lambda m: float(np.max(m.radii)))))

    @property
    def noise(self) -> float:
        """Rounding to expect in differences of points and of their projections."""
        largest = float(np.max(np.abs(self.flat(self.point)), initial=1.0))
        return 20 * float(np.finfo(float).eps) * largest**2

    def unlike(self, a: Any, b: Any) -> float:
        """Relative difference of numbers or arrays, to the largest of them.

        Parameters
        ----------
        a, b : point, vector or array
        """
        a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
        if a.shape != b.shape:
            return float("inf")
        size = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
        return float(np.max(np.abs(a - b), initial=0.0)) / (float(size) or 1.0)


def _flat(component: Any, value: Any) -> Array:
    array = np.asarray(value) / component._r
    return array.reshape(*array.shape[: array.ndim - len(component.point_shape)], -1)


Check = Callable[[Case], Measured | Slope]
