"""Pictures of geometry: what is drawn, and what is refused."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.plot import curvature_histogram, geodesic

PRODUCT = ScaledProductManifold([Sphere(3, 3, k=2), Stiefel(4, 2), Euclidean(2, 2)], [1, 2, 1])


def drawn(figure, tmp_path):
    figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
    return figure.axes


def test_histograms_lie_within_the_lines(tmp_path):
    manifolds = [Oblique(3, 3), Stiefel(5, 3), PRODUCT]
    axes = drawn(curvature_histogram(manifolds, samples=300, bins=20), tmp_path)
    assert [ax.get_title(loc="left") for ax in axes] == [str(m) for m in manifolds]
    for ax, manifold in zip(axes, manifolds):
        low, high = manifold.sectional_curvature_bounds
        bars = [bar for bar in ax.patches if bar.get_height() > 0]
        assert sum(bar.get_height() for bar in bars) == 300
        assert min(bar.get_x() for bar in bars) >= low - 1e-12
        assert max(bar.get_x() + bar.get_width() for bar in bars) <= high + 1e-12
        lines = [line.get_xdata()[0] for line in ax.get_lines()]
        assert low in lines
        assert high in lines


def test_constant_curvature_is_a_line(tmp_path):
    (ax,) = drawn(curvature_histogram({"a": Sphere(3, 3, radius=2)}, samples=10), tmp_path)
    assert not ax.patches
    assert ax.get_lines()[0].get_xdata()[0] == pytest.approx(0.25)
    assert ax.get_title(loc="left") == "a"


def test_histograms_repeat():
    a, b = (curvature_histogram(Oblique(3, 3), samples=50, rng=3) for _ in range(2))
    heights = [[bar.get_height() for bar in f.axes[0].patches] for f in (a, b)]
    assert heights[0] == heights[1]


@pytest.mark.parametrize("manifold", [Sphere(3, 1), Oblique(3, 2, k=2), PRODUCT], ids=str)
def test_geodesics_are_drawn(manifold, tmp_path):
    point = manifold.random_point(0)
    figure = geodesic(manifold, point, manifold.random_tangent_vector(point, 0), frames=4)
    assert isinstance(figure, Figure)
    axes = drawn(figure, tmp_path)
    if manifold != Sphere(3, 1):
        distance = axes[-1].get_lines()[1]
        np.testing.assert_allclose(distance.get_ydata(), distance.get_xdata(), atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: curvature_histogram([]), "manifolds is empty"),
        (lambda: curvature_histogram(Sphere(2, 1)), "has dimension 1: it has no planes"),
        (lambda: curvature_histogram(Sphere(3, 1), samples=0), "samples=0 must be an integer"),
        (lambda: geodesic(Sphere(3, 1), np.eye(3, 1), np.eye(3, 1)), "not tangent"),
        (lambda: geodesic(Sphere(3, 1), 2 * np.eye(3, 1), np.zeros((3, 1))), "not on Sphere"),
        (lambda: geodesic(Sphere(3, 1), np.eye(3, 1), np.eye(3, 1, -1), frames=1), "frames=1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
