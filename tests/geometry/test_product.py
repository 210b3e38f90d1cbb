"""Products of scaled components, and pymanopt's optimizers on them."""

import copy
import pickle

import numpy as np
import pymanopt
import pytest
from hypothesis import given
from pymanopt.optimizers import ConjugateGradient, SteepestDescent, TrustRegions

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel
from tests.geometry.strategies import products, seeds

MIXED = ScaledProductManifold(
    [Sphere(3, 3, k=4), Oblique(4, 2), Stiefel(5, 3), Stiefel(3, 3), Euclidean(2, 2)],
    scales=[[1, 2, 3, 4], 0.1, 2, 0.5, 1],
)


@given(products(), seeds)
def test_verbs_act_on_each_component(product, seed):
    rng = np.random.default_rng(seed)
    point = product.random_point(rng)
    ambient = [rng.standard_normal(np.shape(w)) for w in point]
    vector = product.projection(point, ambient)
    product.check_point(point)
    product.check_tangent(point, vector)
    total = sum(np.vdot(a, a) for a in vector)
    np.testing.assert_allclose(product.inner_product(point, vector, vector), total)
    np.testing.assert_allclose(product.norm(point, vector), np.sqrt(total))
    for verb in ("exp", "retraction"):
        moved = getattr(product, verb)(point, vector)
        for component, w, v, m in zip(product.components, point, vector, moved, strict=True):
            np.testing.assert_array_equal(getattr(component, verb)(w, v), m)
    unit = product.random_tangent_vector(point, rng)
    assert product.norm(point, unit) == pytest.approx(1 if product.dim else 0)


@given(products((Sphere, Oblique, Euclidean)), seeds)
def test_the_two_distances(product, seed):
    rng = np.random.default_rng(seed)
    a, b = product.random_point(rng), product.random_point(rng)
    dist, total = product.dist(a, b), product.geodesic_distance(a, b)
    parts = [c.dist(x, y) for c, x, y in zip(product.components, a, b, strict=True)]
    np.testing.assert_allclose(dist, np.linalg.norm(parts))
    assert dist <= total * (1 + 1e-12)
    assert total <= np.sqrt(product.n_factors) * dist * (1 + 1e-12)


def test_geodesic_distance_is_the_sum_over_all_factors():
    product = ScaledProductManifold([Sphere(3, 1, k=2), Euclidean(1, 1)], scales=[[1, 2], 1])
    north, east = [[0.0], [0.0], [1.0]], [[1.0], [0.0], [0.0]]
    a = [np.array([north, north]) * np.array([1, 2])[:, None, None], np.array([[0.0]])]
    b = [np.array([east, east]) * np.array([1, 2])[:, None, None], np.array([[4.0]])]
    assert product.geodesic_distance(a, b) == pytest.approx(np.pi / 2 * 3 + 4)
    assert product.dist(a, b) == pytest.approx(np.sqrt((np.pi / 2) ** 2 * 5 + 16))


def test_scales_replace_radii_and_rescale_carries_points():
    product = ScaledProductManifold(
        [Sphere(3, 3, radius=7), Stiefel(4, 2, k=2)], scales=[2, [1, 3]]
    )
    assert product.scales[0] == 2
    np.testing.assert_array_equal(product.scales[1], [1, 3])
    point = product.random_point(rng=0)
    target = product.with_scales([0.5, 4])
    carried = product.rescale(point, [0.5, 4])
    target.check_point(carried)
    np.testing.assert_allclose(carried[0], point[0] / 4)
    np.testing.assert_allclose(carried[1][0], point[1][0] * 4)
    np.testing.assert_allclose(carried[1][1], point[1][1] * 4 / 3)
    back = target.rescale(carried, product.scales)
    for a, b in zip(back, point, strict=True):
        np.testing.assert_allclose(a, b)


def test_bounds_of_a_product():
    assert ScaledProductManifold([Sphere(3, 1)]).sectional_curvature_bounds == (1, 1)
    two = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)], scales=[1, 0.5])
    assert two.sectional_curvature_bounds == (0, 4)
    assert two.injectivity_radius == pytest.approx(np.pi / 2)
    assert MIXED.sectional_curvature_bounds == (pytest.approx(-0.125), pytest.approx(100))
    flat = ScaledProductManifold([Euclidean(2, 2), Oblique(2, 5)])
    assert flat.sectional_curvature_bounds == (0, 0)


TARGETS = [np.random.default_rng(11).standard_normal(c.point_shape) for c in MIXED.components]


def nearest_cost():
    """Half the squared distance to TARGETS in the embedding space; its minimum is known."""

    @pymanopt.function.numpy(MIXED)
    def cost(*point):
        return 0.5 * sum(float(((w - t) ** 2).sum()) for w, t in zip(point, TARGETS, strict=True))

    @pymanopt.function.numpy(MIXED)
    def gradient(*point):
        return [w - t for w, t in zip(point, TARGETS, strict=True)]

    @pymanopt.function.numpy(MIXED)
    def hessian(*arguments):
        return list(arguments[len(TARGETS) :])

    return pymanopt.Problem(MIXED, cost, euclidean_gradient=gradient, euclidean_hessian=hessian)


def best_cost():
    """The minimum in closed form, by normalisation and the polar factor, from NumPy alone."""
    total = 0.0
    for target, radius in zip(TARGETS[0], [1, 2, 3, 4], strict=True):
        total += 0.5 * (np.linalg.norm(target) - radius) ** 2
    total += 0.5 * ((np.linalg.norm(TARGETS[1], axis=0) - 0.1) ** 2).sum()
    for target, radius in ((TARGETS[2], 2), (TARGETS[3], 0.5)):
        total += 0.5 * ((np.linalg.svd(target, compute_uv=False) - radius) ** 2).sum()
    return total


@pytest.mark.parametrize("optimizer", [SteepestDescent, ConjugateGradient, TrustRegions])
def test_pymanopt_optimizers_reach_the_minimum(optimizer):
    start = MIXED.random_point(rng=4)
    # Start in the piece of O(3) that holds the minimum: no optimizer can leave a piece.
    start[3] = start[3] * np.sign(np.linalg.det(start[3]) * np.linalg.det(TARGETS[3]))
    solver = optimizer(verbosity=0, max_iterations=2000, min_gradient_norm=1e-8)
    result = solver.run(nearest_cost(), initial_point=start)
    assert result.cost == pytest.approx(best_cost(), abs=1e-9)
    MIXED.check_point(result.point)


def test_pymanopt_optimizers_need_no_initial_point():
    """And take a cost through pymanopt's torch backend."""
    import torch

    product = ScaledProductManifold([Sphere(3, 2, k=2), Stiefel(4, 2)], scales=[[1, 2], 0.5])
    targets = [torch.from_numpy(t) for t in product.random_point(rng=0)]

    @pymanopt.function.pytorch(product)
    def cost(a, b):
        return ((a - targets[0]) ** 2).sum() + ((b - targets[1]) ** 2).sum()

    result = TrustRegions(verbosity=0).run(pymanopt.Problem(product, cost))
    assert result.cost == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("length", [0, 4, 6])
@pytest.mark.parametrize("verb", ["projection", "exp", "retraction", "norm", "dist", "residual"])
def test_arguments_of_the_wrong_length_are_refused(verb, length):
    point = MIXED.random_point(rng=0)
    wrong = (point * 2)[:length]
    arguments = (wrong,) if verb == "residual" else (point, wrong)
    with pytest.raises(ValueError, match=f"has {length} components; .* has 5"):
        getattr(MIXED, verb)(*arguments)


def test_checks_name_the_component():
    point = MIXED.random_point(rng=0)
    point[1] = 1.1 * point[1]
    with pytest.raises(ValueError, match=r"component 1: point is not on Oblique.*distance 0.1 "):
        MIXED.check_point(point)
    point[1] = point[1] / 1.1
    vector = MIXED.zero_vector(point)
    MIXED.check_tangent(point, vector)
    vector[2] = point[2]
    with pytest.raises(ValueError, match=r"component 2: vector is not tangent to Stiefel\(5, 3"):
        MIXED.check_tangent(point, vector)


def test_bad_products_are_refused():
    with pytest.raises(ValueError, match="components is empty"):
        ScaledProductManifold([])
    with pytest.raises(ValueError, match="scales has 2 entries for 1 components"):
        ScaledProductManifold([Sphere(3, 1)], scales=[1, 2])
    with pytest.raises(ValueError, match="must be positive and finite"):
        ScaledProductManifold([Sphere(3, 1)], scales=[0])
    with pytest.raises(TypeError, match=r"components\[1\] is a str"):
        ScaledProductManifold([Sphere(3, 1), "sphere"])


def test_survives_copy_and_pickle():
    point = MIXED.random_point(rng=2)
    for twin in (copy.deepcopy(MIXED), pickle.loads(pickle.dumps(MIXED))):
        assert repr(twin) == repr(MIXED)
        assert twin.residual(point) < 1e-14


def test_html_shows_each_component():
    page = MIXED._repr_html_()
    assert page.count("<tr>") == 6
    assert "1 to 4" in page


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ScaledProductManifold(Sphere(3, 1), Sphere(3, 2)),
            r"ScaledProductManifold\(\[Sphere\(3, 1\), Sphere\(3, 2\)\]\)",
        ),
        (lambda: ScaledProductManifold(Sphere(3, 1)), r"is one manifold.*\[Sphere\(3, 1\)\]"),
        (lambda: ScaledProductManifold(7), r"components=7 must be a sequence"),
        (
            lambda: ScaledProductManifold([Sphere(3, 1), Sphere(3, 2)], scales=2.0),
            r"scales=2.0 must be a sequence of 2 radii.*scales=\[2.0\] \* 2",
        ),
        (
            lambda: ScaledProductManifold([Sphere(3, 1), Sphere(3, 2)], scales=[1, -1]),
            r"scales\[1\] of Sphere\(3, 2\): radius=-1 must be positive",
        ),
        (lambda: ScaledProductManifold([Sphere(3, 1)]) ** 0, "n=0 must be an integer of at least"),
    ],
)
def test_what_is_no_product_says_how_it_is_made(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
