"""One picture for each page of a manifold."""

import numpy as np
from matplotlib.figure import Figure

from fgmanifolds import (
    Euclidean,
    Grassmann,
    Hyperbolic,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
)
from fgmanifolds.plot import curvature_histogram, geodesic


def _geodesic(manifold, length):
    point = manifold.random_point(rng=0)
    return geodesic(manifold, point, length * manifold.random_tangent_vector(point, rng=1))


def _histogram(*manifolds):
    return curvature_histogram({str(manifold): manifold for manifold in manifolds})


def _disk():
    """Geodesics of the hyperbolic plane in the disk of Poincaré."""
    plane = Hyperbolic(3, 1)
    start = plane.exp(np.eye(3, 1), np.array([[0.0], [0.7], [0.3]]))
    figure = Figure(figsize=(4, 4), layout="constrained")
    ax = figure.subplots()
    ax.plot(*np.array([(np.cos(t), np.sin(t)) for t in np.linspace(0, 2 * np.pi, 200)]).T, "k")
    basis = [plane.vector(start, unit) for unit in np.eye(2)]
    for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        way = 2 * (np.cos(angle) * basis[0] + np.sin(angle) * basis[1])
        path = plane.geodesic(start, way, np.linspace(0, 1, 60))[:, :, 0]
        ax.plot(path[:, 1] / (1 + path[:, 0]), path[:, 2] / (1 + path[:, 0]), color="tab:blue")
    ax.set_aspect("equal")
    ax.axis("off")
    return figure


PICTURES = {
    "sphere": lambda: _geodesic(Sphere(3, 1, radius=2), 8),
    "oblique": lambda: _histogram(Oblique(3, 1), Oblique(3, 2), Oblique(3, 3), Oblique(3, 8)),
    "stiefel": lambda: _histogram(Stiefel(3, 2), Stiefel(5, 3), Stiefel(3, 3), Stiefel(4, 4)),
    "stiefel-canonical": lambda: _histogram(
        *(Stiefel(*shape, metric="canonical") for shape in ((3, 2), (5, 3), (5, 4), (4, 4)))
    ),
    "euclidean": lambda: _geodesic(Euclidean(3, 3), 3),
    "grassmann": lambda: _histogram(Grassmann(3, 1), Grassmann(5, 2), Grassmann(8, 4)),
    "hyperbolic": _disk,
}


def write(folder):
    """Save all of them as ``manifold-NAME.svg``, and that of the first page."""
    products = {
        f"{n} sphere" + "s" * (n > 1): ScaledProductManifold([Sphere(3, 3, k=n)])
        for n in (1, 2, 4, 16)
    }
    first = curvature_histogram(products)
    first.savefig(folder / "first-page.svg", metadata={"Date": None})
    for name, draw in PICTURES.items():
        draw().savefig(folder / f"manifold-{name}.svg", metadata={"Date": None})
