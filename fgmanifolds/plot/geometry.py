"""Pictures of curvature and of geodesics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgmanifolds.geometry import Component, ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array, RandomState
from fgmanifolds.validation import check_integer, check_number

__all__ = ["curvature_histogram", "geodesic", "two_sphere"]

Manifold = Component | ScaledProductManifold


def curvature_histogram(
    manifolds: Manifold | Iterable[Manifold] | Mapping[str, Manifold],
    *,
    samples: int = 2000,
    bins: int = 60,
    rng: RandomState = 0,
) -> Figure:
    """Draw the sectional curvatures of random planes, with their tight range.

    One panel for each manifold, on a common axis: a histogram over planes that
    are uniformly distributed at a random point, and a line at each end of
    `sectional_curvature_bounds`.

    Parameters
    ----------
    manifolds : manifold, sequence of them, or mapping of titles to them
        Components or products, of dimension 2 at least.
    samples : int
        Number of planes on each manifold.
    bins : int
    rng : Generator or int

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a manifold has no plane, or a number is below 1.
    """
    check_integer("samples", samples, low=1)
    check_integer("bins", bins, low=1)
    named = _named(manifolds)
    for title, manifold in named.items():
        if manifold.dim < 2:
            raise ValueError(f"{title} has dimension {manifold.dim}: it has no planes.")
    generator = np.random.default_rng(rng)
    figure = Figure(figsize=(9, 0.6 + 1.15 * len(named)), layout="constrained")
    axes = figure.subplots(len(named), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (title, manifold) in zip(axes, named.items(), strict=True):
        _histogram(ax, manifold, samples, bins, generator)
        ax.set_title(title, loc="left", fontsize="medium")
        ax.set_yticks([])
    axes[-1].set_xlabel("sectional curvature of random planes; lines: the tight range")
    return figure


def _named(manifolds: Any) -> dict[str, Manifold]:
    if isinstance(manifolds, Mapping):
        return dict(manifolds)
    if isinstance(manifolds, Component | ScaledProductManifold):
        manifolds = [manifolds]
    named = {str(manifold): manifold for manifold in manifolds}
    if not named:
        raise ValueError("manifolds is empty; give at least one.")
    return named


def _histogram(
    ax: Axes, manifold: Manifold, samples: int, bins: int, rng: np.random.Generator
) -> None:
    point = manifold.random_point(rng)
    u, v = (_normal_vectors(manifold, point, samples, rng) for _ in range(2))
    curvatures = manifold.sectional_curvature(point, u, v)
    low, high = manifold.sectional_curvature_bounds
    if np.ptp(curvatures) > 1e-9 * max(abs(low), abs(high), 1e-300):
        ax.hist(curvatures, bins=bins, color="tab:blue", alpha=0.75)
    else:
        ax.axvline(float(np.mean(curvatures)), color="tab:blue", linewidth=5, alpha=0.75)
    for bound in (low, high):
        ax.axvline(bound, color="tab:red", linewidth=1)
    ax.axvline(0, color="black", linewidth=0.8, linestyle=":")


def _normal_vectors(manifold: Manifold, point: Any, samples: int, rng: np.random.Generator) -> Any:
    """Standard normal tangent vectors, with a leading axis."""
    if isinstance(manifold, ScaledProductManifold):
        draw: Any = [rng.standard_normal((samples, *np.shape(w))) for w in point]
    else:
        draw = rng.standard_normal((samples, *np.shape(point)))
    return manifold.projection(point, draw)


def geodesic(manifold: Manifold, point: Any, tangent_vector: Any, *, frames: int = 9) -> Figure:
    """Draw the geodesic ``exp(point, t tangent_vector)`` for t in [0, 1].

    On a two-sphere, ``Sphere(3, 1)``, it is a curve on the sphere. Otherwise
    the weights along it are shown as images, a row for each component (its
    first copy), above their distance from the start: a straight line as
    long as the geodesic is the shortest.

    Parameters
    ----------
    manifold : Component or ScaledProductManifold
    point, tangent_vector
        A point and a tangent vector there.
    frames : int
        Number of images in a row, at least 2.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If `point` or `tangent_vector` is not of the manifold.
    """
    check_integer("frames", frames, low=2)
    manifold.check_point(point, tol=1e-5)
    manifold.check_tangent(point, tangent_vector, tol=1e-5)
    two_sphere = isinstance(manifold, Sphere) and manifold.point_shape == (3, 1)
    draw = _on_two_sphere if two_sphere else _as_images
    return draw(manifold, point, tangent_vector, frames)


def _scaled(vector: Any, t: float) -> Any:
    return t * vector if isinstance(vector, np.ndarray) else [t * part for part in vector]


def two_sphere(figure: Figure, *, radius: float = 1.0, octant: bool = False) -> Axes:
    """Add three-dimensional axes with a sphere, to draw points and curves of ``Sphere(3, 1)`` on.

    Parameters
    ----------
    figure : Figure
    radius : float
        Above 0.
    octant : bool
        Whether to draw only where all three coordinates are positive.

    Returns
    -------
    Axes
        With ``plot(x, y, z)`` and ``scatter(x, y, z)``; what is drawn later lies above.

    Raises
    ------
    ValueError
        If the radius is not above 0.
    """
    check_number("radius", radius, low=0, open_low=True)
    ax: Any = figure.add_subplot(projection="3d", computed_zorder=False)
    around, down = (np.pi / 2, np.pi / 2) if octant else (2 * np.pi, np.pi)
    theta, phi = np.meshgrid(np.linspace(0, around, 37), np.linspace(0, down, 19))
    shell = np.cos(theta) * np.sin(phi), np.sin(theta) * np.sin(phi), np.cos(phi)
    x, y, z = (radius * coordinate for coordinate in shell)
    ax.plot_surface(x, y, z, color="aliceblue", shade=False, alpha=0.7, linewidth=0)
    ax.plot_wireframe(x, y, z, color="grey", linewidth=0.3, alpha=0.4)
    limits = (0, radius) if octant else (-radius, radius)
    ax.set(xlim=limits, ylim=limits, zlim=limits)
    ax.set_box_aspect((1, 1, 1), zoom=0.85 if octant else 1.3)
    ax.set_axis_off()
    return ax


def _on_two_sphere(manifold: Any, point: Array, vector: Array, frames: int) -> Figure:
    figure = Figure(figsize=(5, 5), layout="constrained")
    ax: Any = two_sphere(figure, radius=manifold.radius)
    path = np.stack([manifold.exp(point, t * vector)[:, 0] for t in np.linspace(0, 1, 200)])
    ax.plot(*path.T, color="tab:blue", linewidth=2)
    marks = np.stack([manifold.exp(point, t * vector)[:, 0] for t in np.linspace(0, 1, frames)])
    ax.scatter(*marks.T, color="tab:blue", s=18)
    ax.scatter(*path[:1].T, color="tab:red", s=40, label="start")
    length = float(manifold.norm(point, vector))
    ax.set_title(f"{manifold}, length {length:.3g}", fontsize="medium")
    ax.legend(frameon=False)
    return figure


def _as_images(manifold: Manifold, point: Any, vector: Any, frames: int) -> Figure:
    product = isinstance(manifold, ScaledProductManifold)
    parts = manifold.components if isinstance(manifold, ScaledProductManifold) else (manifold,)
    figure = Figure(figsize=(9, 1.1 * len(parts) + 2.4), layout="constrained")
    heights = [1.1 * len(parts), 2.4]
    images, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    axes = images.subplots(len(parts), frames, squeeze=False)
    for column, t in enumerate(np.linspace(0, 1, frames)):
        place = manifold.exp(point, _scaled(vector, t))
        for row, part in enumerate(parts):
            w = np.reshape(place[row] if product else place, (part.k, *part.shape))[0]
            limit = float(part.radii[0])
            axes[row, column].imshow(w, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes[row, column].set(xticks=[], yticks=[])
        axes[0, column].set_title(f"t = {t:.2g}", fontsize="small")
    for row, part in enumerate(parts):
        axes[row, 0].set_ylabel(type(part).__name__, fontsize="small")
    _distance_from_start(below.subplots(), manifold, point, vector)
    return figure


def _distance_from_start(ax: Axes, manifold: Manifold, point: Any, vector: Any) -> None:
    times = np.linspace(0, 1, 60)
    length = float(manifold.norm(point, vector))
    distances = [_distance(manifold, point, _scaled(vector, t)) for t in times]
    ax.plot(times, length * times, color="grey", linestyle=":", label="length of the geodesic")
    ax.plot(times, distances, color="tab:blue", label="distance from the start")
    reach = manifold.injectivity_radius
    if np.isfinite(reach) and reach < 1.5 * length:
        ax.axhline(reach, color="tab:red", linewidth=1, label="injectivity radius")
    ax.set(xlabel="t", ylabel="distance")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False, fontsize="small")


def _distance(manifold: Any, point: Any, vector: Any) -> float:
    """Distance of the end of a geodesic, nan where it cannot be certified."""
    try:
        return float(manifold.dist(point, manifold.exp(point, vector)))
    except ValueError:
        return np.nan
