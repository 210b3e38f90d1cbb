"""A point of a product in charts: of the whole, and of each factor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgmanifolds.geometry import Component, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify.chart import joined, product_charts

__all__ = ["Charted", "check_product", "default_product", "form_of", "sectional_of"]


def default_product() -> ScaledProductManifold:
    """Two spheres, an oblique and a Stiefel manifold at four radii."""
    components = [Sphere(3, 1, k=2), Oblique(3, 2), Stiefel(3, 2)]
    return ScaledProductManifold(components, scales=[[1.0, 0.5], 2.0, 1.0])


def check_product(manifold: ScaledProductManifold) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless it is a product of two factors at least."""
    kinds = getattr(manifold, "components", ())
    if not kinds or not all(isinstance(c, Component) for c in kinds):
        raise TypeError(
            f"manifold={manifold!r}: a ScaledProductManifold of this package's components "
            "is needed."
        )
    if manifold.n_factors < 2:
        raise ValueError(
            f"manifold={manifold} has one factor; the statement is about products of at least two."
        )


def form_of(curvature: Array, *coordinates: Array) -> float:
    """Curvature form of four coordinate vectors.

    Parameters
    ----------
    curvature : array of shape (n, n, n, n)
    *coordinates : array
    """
    return float(np.einsum("ijkl,i,j,k,l", curvature, *coordinates))


def sectional_of(curvature: Array, metric: Array, u: Array, v: Array) -> float:
    """Sectional curvature (8) of coordinate vectors.

    Parameters
    ----------
    curvature : array of shape (n, n, n, n)
    metric : array of shape (n, n)
    u, v : array
        Coordinates.
    """
    area = (u @ metric @ u) * (v @ metric @ v) - (u @ metric @ v) ** 2
    return form_of(curvature, u, v, v, u) / float(area)


class Charted:
    """A point of a product with its chart, and the charts of the factors beside it.

    Parameters
    ----------
    manifold : ScaledProductManifold
    point : sequence of arrays
    """

    def __init__(self, manifold: ScaledProductManifold, point: Sequence[Array]) -> None:
        self.manifold, self.point = manifold, point
        self.parts = product_charts(manifold, point)
        self.part_curvatures = [chart.curvature() for chart in self.parts]
        self.whole = joined(self.parts)
        self.curvature, self.metric = self.whole.curvature(), self.whole.metric

    def coordinates(self, vector: Sequence[Array]) -> Array:
        """Coordinates of a tangent vector in the chart of the whole."""
        return self.whole.coordinates(np.concatenate([np.ravel(v) for v in vector]))

    def part_coordinates(self, vector: Sequence[Array]) -> list[Array]:
        """Coordinates in the factors' own charts, copies one by one."""
        factors = [
            part
            for component, v in zip(self.manifold.components, vector, strict=True)
            for part in np.reshape(v, (component.k, *component.shape))
        ]
        return [c.coordinates(v) for c, v in zip(self.parts, factors, strict=True)]

    def sectional(self, u: Array, v: Array) -> float:
        """Sectional curvature of coordinate vectors, from the chart of the whole.

        Parameters
        ----------
        u, v : array
            Coordinates.
        """
        return sectional_of(self.curvature, self.metric, u, v)

    def mixed_curvature(self, rng: np.random.Generator) -> float:
        """Largest absolute sectional curvature over planes with a leg in each of two factors."""
        ends = np.cumsum([0] + [chart.dim for chart in self.parts])
        worst = 0.0
        for i, first in enumerate(self.parts):
            for j, second in enumerate(self.parts[:i]):
                if first.dim and second.dim:
                    u, v = np.zeros(self.whole.dim), np.zeros(self.whole.dim)
                    u[ends[i] : ends[i + 1]] = rng.standard_normal(first.dim)
                    v[ends[j] : ends[j + 1]] = rng.standard_normal(second.dim)
                    worst = max(worst, abs(self.sectional(u, v)))
        return worst
