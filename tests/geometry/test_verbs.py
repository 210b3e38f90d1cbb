"""Verbs beyond the contract suite: against other packages and other formulas, in batches."""

import time

import mpmath
import numpy as np
import pymanopt.manifolds
import pytest
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.learning.frechet_mean import FrechetMean
from geomstats.learning.geometric_median import GeometricMedian
from scipy.integrate import solve_ivp
from scipy.linalg import subspace_angles

from fgmanifolds import (
    Euclidean,
    Grassmann,
    Hyperbolic,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
    as_geomstats,
)

ALL = [
    Sphere(3, 2, radius=2.0),
    Oblique(4, 2, k=2, radius=[0.5, 3.0]),
    Stiefel(5, 2),
    Stiefel(4, 4),
    Stiefel(5, 2, metric="canonical"),
    Stiefel(4, 4, metric="canonical"),
    Euclidean(3, 2),
    Grassmann(5, 2),
    Hyperbolic(3, 1, radius=2.0),
    ScaledProductManifold([Sphere(3, 1, k=2), Stiefel(4, 2), Euclidean(2, 1)], scales=[2, 0.5, 1]),
]


def spread(manifold, n, seed=0, length=0.5):
    """n points around one, as a batch."""
    rng = np.random.default_rng(seed)
    point = manifold.random_point(rng)
    vectors = manifold.random_tangent_vector(point, rng, n=n)
    return manifold.exp(point, manifold._scaled(vectors, np.full(n, length)))


# Geodesics, means, bases ------------------------------------------------------------------


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_axes_of_the_times_come_after_those_of_the_batch(manifold):
    points = spread(manifold, 3)
    vectors = manifold.random_tangent_vector(points, 1)
    times = np.linspace(0, 1, 8).reshape(2, 4)
    path = manifold.geodesic(points, vectors, times)
    for part, shape in zip(_parts(path), _shapes(manifold), strict=True):
        assert part.shape == (3, 2, 4, *shape)
    lengths = manifold.dist(_at(points, (slice(None), None, None)), path)
    np.testing.assert_allclose(lengths, np.broadcast_to(times, (3, 2, 4)), atol=1e-8)
    ends = _at(path, (slice(None), 1, 3))
    again = manifold.shortest_geodesic(points, ends, 1.0)
    np.testing.assert_allclose(manifold.dist(again, ends), 0, atol=1e-7)


def _parts(value):
    return value if isinstance(value, list) else [value]


def _shapes(manifold):
    shape = manifold.point_shape
    return shape if isinstance(manifold, ScaledProductManifold) else [shape]


def _at(value, index):
    return [p[index] for p in value] if isinstance(value, list) else value[index]


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_means_are_critical_and_weights_count(manifold):
    points = spread(manifold, 6)
    weights = np.array([1.0, 2, 0, 1, 1, 3])
    mean = manifold.mean(points, weights)
    assert mean.converged
    assert "converged after" in repr(mean)
    here = manifold._with_sample_axis(mean.point)
    logs = manifold.log(here, points)
    total = manifold._scaled(logs, weights)
    zero = [np.sum(part, axis=0) for part in _parts(total)]
    assert max(np.abs(z).max() for z in zero) < 1e-8
    variance = manifold.variance(points, weights)
    assert variance == pytest.approx(
        np.sum(weights * manifold.dist(here, points) ** 2) / weights.sum()
    )
    median = manifold.median(points, weights)
    away = [
        np.sum(weights * manifold.dist(manifold._with_sample_axis(x), points))
        for x in (median.point, mean.point, _at(points, 1))
    ]
    assert away[0] <= min(away[1:]) + 1e-12


def test_a_median_that_is_a_sample_is_found_at_once():
    """More than half of the weight on one sample: it is the median, and holds itself."""
    sphere = Sphere(3, 1, radius=2.0)
    points = spread(sphere, 5)
    median = sphere.median(points, [1, 1, 5, 1, 1])
    assert median.iterations == 1
    np.testing.assert_array_equal(median.point, points[2])


def test_means_in_batches():
    sphere = Sphere(3, 1)
    points = np.stack([spread(sphere, 5, seed) for seed in range(4)])
    means = sphere.mean(points).point
    assert means.shape == (4, 3, 1)
    for row, mean in zip(points, means, strict=True):
        np.testing.assert_allclose(sphere.mean(row).point, mean, atol=1e-8)
    assert sphere.variance(points).shape == (4,)


def test_the_mean_is_that_of_geomstats():
    points = spread(Sphere(3, 1), 8)
    theirs = FrechetMean(Hypersphere(2)).set(epsilon=1e-14, max_iter=200)
    theirs = theirs.fit(points[..., 0]).estimate_
    np.testing.assert_allclose(Sphere(3, 1).mean(points).point[:, 0], theirs, atol=1e-7)


def test_a_search_that_ends_too_early_says_so():
    result = Sphere(3, 1).mean(spread(Sphere(3, 1), 5), max_iterations=1)
    assert not result.converged
    assert "not converged after max_iterations=1: last step" in result.reason


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, x: s.mean(x, [1, 2]), r"weights has shape \(2,\); \(5,\) is needed"),
        (lambda s, x: s.mean(x, [0, 0, 0, 0, -1]), "weights must be finite and not negative"),
        (lambda s, x: s.mean(x[0]), "an axis of at least one sample is needed"),
        (lambda s, x: s.mean(x, tol=-1), r"tol=-1 must be finite and in \[0, inf\)"),
        (lambda s, x: s.vector(x, np.zeros(3)), r"coordinates has shape \(3,\).*must be 2"),
        (lambda s, x: s.exp(x[0], np.zeros(3)), r"tangent_vector has shape \(3,\).*\(3, 1\)"),
        (lambda s, x: s.dist(x[:2], x[:3]), r"leading axes of point_a \(2, 3, 1\), point_b \(3"),
        (lambda s, x: s.random_point(n=-1), "n=-1 must be an integer of at least 0"),
        (lambda s, x: s.sectional_curvature(x[0], x[0], x[0]), "u is not tangent.*part is 1 of"),
        (lambda s, x: s.ricci_curvature(x[0], x[0], x[0]), "u is not tangent"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(Sphere(3, 1), spread(Sphere(3, 1), 5))


def test_a_point_of_another_product_is_refused():
    product = ScaledProductManifold([Sphere(3, 1), Stiefel(3, 2)])
    other = ScaledProductManifold([Stiefel(3, 2), Sphere(3, 1)])
    x, y = product.random_point(0), other.random_point(0)
    with pytest.raises(ValueError, match=r"component 0: point_b has shape \(3, 2\); Sphere\(3, 1"):
        product.dist(x, y)
    with pytest.raises(ValueError, match=r"is a ndarray; a list of 2 arrays is needed"):
        product.dist(x, np.zeros((2, 3, 1)))
    with pytest.raises(ValueError, match="v is not tangent"):
        product.sectional_curvature(x, product.random_tangent_vector(x, 0), x)


def test_metric_matrices():
    """The canonical metric from its definition; Gram matrices of a basis."""
    manifold = Stiefel(4, 2, metric="canonical", radius=2.0)
    points = manifold.random_point(0, n=3)
    for point, gram in zip(points, manifold.metric_matrix(points), strict=True):
        w = point / 2
        expected = np.kron(np.eye(4) - 0.5 * w @ w.T, np.eye(2))
        np.testing.assert_allclose(gram, expected, atol=1e-14)
        basis = manifold.vector(point, np.eye(manifold.dim))
        np.testing.assert_allclose(
            manifold.metric_matrix(point, basis), np.eye(manifold.dim), atol=1e-12
        )


def test_the_algebra_of_products():
    a, b, c = Sphere(3, 1, radius=2), Stiefel(4, 2), Euclidean(2, 1)
    product = a * b * c
    assert product == ScaledProductManifold([a, b, c])
    assert hash(product) == hash(ScaledProductManifold([a, b, c]))
    assert product != ScaledProductManifold([b, a, c])
    assert a * (b * c) == product
    assert ScaledProductManifold([a, b * c]) == product
    assert len(product) == 3
    assert product[1] == b
    assert product[1:] == ScaledProductManifold([b, c])
    assert a**3 == ScaledProductManifold([a, a, a])
    assert (a * b) ** 2 == ScaledProductManifold([a, b, a, b])
    assert ScaledProductManifold([a, b * c], scales=[1, 2, 3]).scales == [1, 2, 3]
    assert product.point_shape == ((3, 1), (4, 2), (2, 1))
    stacked = product.stack([product.random_point(seed) for seed in range(4)])
    assert [part.shape for part in stacked] == [(4, 3, 1), (4, 4, 2), (4, 2, 1)]
    assert product.is_point(stacked).tolist() == [True] * 4
    assert product.scalar_curvature(stacked).shape == (4,)


# Logarithms that are not certified ------------------------------------------------------------


@pytest.mark.parametrize("metric", ["embedded", "canonical"])
def test_uncertified_pairs_do_not_fail_a_batch(metric):
    manifold = Stiefel(10, 5, metric=metric, radius=2.0)
    x = manifold.random_point(0, n=8)
    y = manifold.random_point(1, n=8)
    y[0] = manifold.exp(x[0], manifold.random_tangent_vector(x[0], 0))
    vectors, certified = manifold.log_certified(x, y)
    assert certified[0]
    assert not certified.all()
    np.testing.assert_allclose(manifold.exp(x, vectors), y, atol=1e-8)
    lengths = manifold.dist(x, y, certify=False)
    np.testing.assert_allclose(lengths, manifold.norm(x, vectors), rtol=1e-10)
    np.testing.assert_array_equal(certified, lengths <= manifold.injectivity_radius)
    np.testing.assert_array_equal(manifold.log(x, y, certify=False), vectors)
    with pytest.raises(ValueError, match=r"longer than the.*certify=False gives the shortest"):
        manifold.log(x, y)
    product = ScaledProductManifold([manifold, Sphere(3, 1)])
    points = [[a, Sphere(3, 1).random_point(seed, n=8)] for seed, a in enumerate((x, y))]
    both, flags = product.log_certified(*points)
    np.testing.assert_array_equal(flags, certified)
    np.testing.assert_array_equal(both[0], vectors)
    # A certified length is a distance: no other start finds a shorter geodesic.
    assert lengths[0] == pytest.approx(1.0)


def test_impossible_pairs_are_named_before_any_shooting():
    manifold = Stiefel(4, 2)
    x = manifold.random_point(0, n=3)
    y = x.copy()
    y[1] *= 1.5
    with pytest.raises(ValueError, match=r"point_b is not on the manifold in 1 of 3 pairs \(pairs"):
        manifold.log(x, y, certify=False)


# Other formulas ---------------------------------------------------------------------------------


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_chains_of_a_thousand_steps(manifold):
    point = manifold.random_point(0)
    vector = manifold._scaled(manifold.random_tangent_vector(point, 0), 0.3)
    for step in range(1000):
        if step % 6 == 5 and isinstance(manifold, Hyperbolic):
            vector = -vector
        vector, point = (
            manifold.parallel_transport(point, vector, vector),
            manifold.exp(point, vector),
        )
    assert manifold.residual(point) < 1e-10
    assert manifold.tangent_residual(point, vector) < 1e-10
    assert abs(manifold.norm(point, vector) / 0.3 - 1) < 1e-10


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_geodesics_end_on_the_manifold_where_their_start_is_off_by_a_little(manifold):
    point = manifold.random_point(0)
    vector = manifold.random_tangent_vector(point, 1)
    off = manifold._pack(manifold._each(lambda m, w: w * (1 + 1e-9), point))
    assert manifold.residual(manifold.exp(off, vector)) < 1e-15


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_geomstats_median_stays_on_the_manifold(manifold):
    space = as_geomstats(manifold)
    points = spread(manifold, 10)
    median = GeometricMedian(space, max_iter=100, epsilon=1e-30)
    found = median.fit(space.embed_to_product(points)).estimate_
    point = space.project_from_product(found)
    assert manifold.residual(point) < 1e-12
    assert manifold.dist(manifold.median(points).point, point) < 1e-6


@pytest.mark.parametrize("metric", ["embedded", "canonical"])
def test_closed_forms_are_fast(metric):
    manifold = Stiefel(50, 20, metric=metric)
    point = manifold.random_point(0)
    start = time.perf_counter()
    manifold.scalar_curvature(point)
    assert time.perf_counter() - start < 0.05


def test_grassmann_is_that_of_pymanopt():
    ours, theirs = Grassmann(6, 2), pymanopt.manifolds.Grassmann(6, 2)
    x, y = ours.random_point(0), ours.random_point(1)
    u, g, h = np.random.default_rng(2).standard_normal((3, 6, 2))
    v = ours.projection(x, u)
    np.testing.assert_allclose(v, theirs.projection(x, u), atol=1e-14)
    assert ours.dist(x, y) == pytest.approx(theirs.dist(x, y))
    assert ours.dist(x, y) == pytest.approx(np.linalg.norm(subspace_angles(x, y)))
    np.testing.assert_allclose(ours.log(x, y), theirs.log(x, y), atol=1e-12)
    for verb in ("exp", "retraction"):
        assert ours.dist(getattr(ours, verb)(x, v), getattr(theirs, verb)(x, v)) < 1e-7
    np.testing.assert_allclose(
        ours.euclidean_to_riemannian_hessian(x, g, h, v),
        theirs.euclidean_to_riemannian_hessian(x, g, h, v),
        atol=1e-12,
    )
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((2, 2)))[0]
    assert ours.dist(x, x @ turn) < 1e-14
    near = ours.exp(x, 1e-9 * v)
    assert ours.dist(x, near) == pytest.approx(1e-9 * np.linalg.norm(v), rel=1e-6)
    with pytest.raises(ValueError, match="1 of 1 pairs of subspaces have a right angle"):
        Grassmann(4, 2).log(np.eye(4, 2), np.eye(4)[:, 1:3])


def ball(x):
    """Point of the Poincare ball, by stereographic projection."""
    return x[1:, 0] / (1 + x[0, 0])


def test_hyperbolic_space_is_the_ball_of_pymanopt_and_the_hyperboloid_of_geomstats():
    ours, theirs = Hyperbolic(4, 1), pymanopt.manifolds.PoincareBall(3)
    hyperboloid = Hyperboloid(3).metric
    x, y = ours.random_point(0), ours.random_point(1)
    v = ours.random_tangent_vector(x, 2)
    assert ours.dist(x, y) == pytest.approx(theirs.dist(ball(x), ball(y)))
    assert ours.dist(x, y) == pytest.approx(hyperboloid.dist(x[:, 0], y[:, 0]))
    np.testing.assert_allclose(ours.exp(x, v)[:, 0], hyperboloid.exp(v[:, 0], x[:, 0]))
    np.testing.assert_allclose(ours.log(x, y)[:, 0], hyperboloid.log(y[:, 0], x[:, 0]))
    h = 1e-6
    pushed = (ball(ours.exp(x, h * v)) - ball(ours.exp(x, -h * v))) / (2 * h)
    np.testing.assert_allclose(ball(ours.exp(x, v)), theirs.exp(ball(x), pushed), atol=1e-9)
    assert theirs.norm(ball(x), pushed) == pytest.approx(1.0)
    matrix = np.random.default_rng(3).standard_normal((4, 1)) * 3
    nearest = ours.nearest_point(matrix)
    best = np.linalg.norm(matrix - nearest)
    for seed in range(50):
        length = 0.1 * ours.random_tangent_vector(nearest, seed)
        assert np.linalg.norm(matrix - ours.exp(nearest, length)) >= best


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
def test_grassmann_geodesics_solve_their_equation(radius):
    """``w'' = -w (w'^T w')`` at unit radius, the horizontal geodesics, by Runge and Kutta."""
    manifold = Grassmann(5, 2, radius=radius)
    point = manifold.random_point(0)
    vector = 0.8 * radius * manifold.random_tangent_vector(point, 1)

    def rate(_, state):
        w, v = state.reshape(2, 5, 2)
        return np.concatenate([v.ravel(), (-w @ (v.T @ v)).ravel()])

    state = np.concatenate([point.ravel(), vector.ravel()]) / radius
    solution = solve_ivp(rate, (0, 1), state, method="DOP853", rtol=1e-13, atol=1e-14)
    end, velocity = radius * solution.y[:, -1].reshape(2, 5, 2)
    np.testing.assert_allclose(manifold.exp(point, vector), end, atol=1e-10 * radius)
    moved = manifold.parallel_transport(point, vector, vector)
    np.testing.assert_allclose(moved, velocity, atol=1e-10 * radius)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("length", [1e-9, 1e-3, 1.0, 3.0])
def test_hyperbolic_distances_to_fifty_digits(radius, length):
    space = Hyperbolic(3, 1, radius=radius)
    x = space.random_point(3)
    y = space.exp(x, length * radius * space.random_tangent_vector(x, 1))
    with mpmath.workdps(50):
        a, b = ([mpmath.mpf(float(e)) / mpmath.mpf(radius) for e in z[:, 0]] for z in (x, y))
        # Both a little off the hyperboloid by rounding: taken back along the time axis.
        for z in (a, b):
            z[0] = mpmath.sqrt(1 + z[1] ** 2 + z[2] ** 2)
        exact = float(radius * mpmath.acosh(a[0] * b[0] - a[1] * b[1] - a[2] * b[2]))
    size = np.max(np.abs(x)) / radius
    assert space.dist(x, y) == pytest.approx(exact, rel=1e-10, abs=1e-14 * size**2 * radius)


def test_the_curvature_is_parallel_on_symmetric_spaces_and_obeys_bianchi_on_others():
    for manifold in ALL:
        point = manifold.random_point(0)
        a, b, c, d = (manifold.random_tangent_vector(point, seed) for seed in range(4))
        first = manifold.curvature_derivative(point, a, b, c, d)
        cyclic = first + manifold.curvature_derivative(point, b, c, a, d)
        cyclic = cyclic + manifold.curvature_derivative(point, c, a, b, d)
        assert manifold.norm(point, cyclic) < 1e-10
        parts = manifold.components if isinstance(manifold, ScaledProductManifold) else [manifold]
        tall = [isinstance(p, Stiefel) and p.shape[0] > p.shape[1] for p in parts]
        assert (manifold.norm(point, first) > 1e-3) == any(tall)
