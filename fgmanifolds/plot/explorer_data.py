"""What the explorer draws: curvatures, a geodesic, a parallel transport. No widgets here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgmanifolds.geometry import Component, ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array

__all__ = ["TwoSphere", "as_product", "curvatures", "histogram", "resized", "two_sphere_paths"]

#: Length of the geodesics that are drawn, and of the vectors that are carried along.
LENGTH, ARROW = 4.0, 0.6
#: Points of a curve, and places of the vectors on it.
POINTS, PLACES = 90, 9


def as_product(manifold: Component | ScaledProductManifold) -> ScaledProductManifold:
    """Give a product itself, and a component as a product of one.

    Raises
    ------
    TypeError
        If it is something else, or a factor is no component of this package.
    ValueError
        If it has no plane.
    """
    product = ScaledProductManifold([manifold]) if isinstance(manifold, Component) else manifold
    parts = getattr(product, "components", ())
    if not parts or not all(isinstance(part, Component) for part in parts):
        raise TypeError(
            f"manifold={manifold!r}: a component or a product of this package's components "
            "is needed."
        )
    if product.dim < 2:
        raise ValueError(f"{product} has dimension {product.dim}: it has no planes.")
    return product


def resized(
    product: ScaledProductManifold, radii: Sequence[float], copies: Sequence[int]
) -> ScaledProductManifold:
    """Give the components other radii and numbers.

    Parameters
    ----------
    product : ScaledProductManifold
    radii : sequence of float
        One for each component, above 0; all copies get it.
    copies : sequence of int
        How often each component stands in the product, at least once.

    Returns
    -------
    ScaledProductManifold

    Raises
    ------
    ValueError
        If there are not as many as components.
    """
    parts = [
        part.with_radius(radius)
        for part, radius, k in zip(product.components, radii, copies, strict=True)
        for _ in range(k)
    ]
    return ScaledProductManifold(parts)


def curvatures(product: ScaledProductManifold, samples: int, seed: int) -> Array:
    """Sectional curvatures of random planes at a random point.

    Parameters
    ----------
    product : ScaledProductManifold
    samples, seed : int

    Returns
    -------
    array of shape (samples,)
    """
    rng = np.random.default_rng(seed)
    point = product.random_point(rng)
    draws = [
        [rng.standard_normal((samples, *np.shape(w))) for w in point],
        [rng.standard_normal((samples, *np.shape(w))) for w in point],
    ]
    u, v = (product.projection(point, draw) for draw in draws)
    return np.asarray(product.sectional_curvature(point, u, v))


def histogram(values: Array, low: float, high: float, bins: int = 60) -> tuple[Array, Array]:
    """Middles and shares of bins between the ends of the range.

    Parameters
    ----------
    values : array
    low, high : float
        Ends of the range; where they agree it is widened a little.
    bins : int

    Returns
    -------
    middles, shares : arrays of shape (bins,)
        The shares sum to 1.
    """
    room = max(high - low, 1e-3 * max(abs(low), abs(high), 1.0))
    edges = np.linspace(low - 0.02 * room, high + 0.02 * room, bins + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return (edges[1:] + edges[:-1]) / 2, counts / len(values)


@dataclass(frozen=True)
class TwoSphere:
    """A geodesic of one length on a two-sphere, and a vector carried along it.

    Attributes
    ----------
    shell : arrays of shape (17, 33)
        Coordinates of the sphere's surface.
    path : array of shape (points, 3)
    arrows : array of shape (places, 2, 3)
        Feet and tips of the vector.
    """

    shell: tuple[Array, Array, Array]
    path: Array
    arrows: Array


def two_sphere_paths(radii: Sequence[float]) -> list[TwoSphere]:
    """Geodesic and parallel transport on each factor of a product of two-spheres.

    The geodesic has length 4 on each, whatever the radius: on a small sphere it goes around.
    The spheres stand side by side.

    Parameters
    ----------
    radii : sequence of float
        Above 0.

    Returns
    -------
    list of TwoSphere
    """
    theta, phi = np.meshgrid(np.linspace(0, 2 * np.pi, 33), np.linspace(0, np.pi, 17))
    unit = np.cos(theta) * np.sin(phi), np.sin(theta) * np.sin(phi), np.cos(phi)
    start = np.array([[np.cos(0.9)], [0.0], [-np.sin(0.9)]])
    found, left = [], 0.0
    for radius in radii:
        sphere = Sphere(3, 1, radius=radius)
        shift = np.array([0.0, left + radius, 0.0])
        point = radius * start
        way = sphere.projection(point, np.array([[0.0], [0.8], [1.0]]))
        way *= LENGTH / sphere.norm(point, way)
        carried = sphere.projection(point, np.array([[1.0], [0.3], [0.2]]))
        carried *= ARROW / sphere.norm(point, carried)
        path = sphere.geodesic(point, way, np.linspace(0, 1, POINTS))[:, :, 0]
        arrows = []
        for t in np.linspace(0, 1, PLACES):
            foot = sphere.exp(point, t * way)
            tip = foot + sphere.parallel_transport(point, t * way, carried)
            arrows.append((foot[:, 0] + shift, tip[:, 0] + shift))
        x, y, z = (radius * coordinate for coordinate in unit)
        found.append(TwoSphere((x, y + shift[1], z), path + shift, np.array(arrows)))
        left += 2 * radius + 0.6
    return found
