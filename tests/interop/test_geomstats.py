"""geomstats' own contract tests, and its learning algorithms, on our spaces."""

import subprocess
import sys

import numpy as np
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.stiefel import Stiefel as TheirStiefel
from geomstats.learning.frechet_mean import FrechetMean
from geomstats.learning.kmeans import RiemannianKMeans
from geomstats.learning.pca import TangentPCA
from geomstats.test.random import RandomDataGenerator
from geomstats.test_cases.geometry.product_manifold import ProductManifoldTestCase
from geomstats.test_cases.geometry.riemannian_metric import RiemannianMetricTestCase

from fgmanifolds import (
    Euclidean,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
    as_geomstats,
)

MIXED = ScaledProductManifold(
    [Sphere(3, 2, k=2), Oblique(3, 2), Stiefel(4, 2), Stiefel(3, 3), Euclidean(2, 1)],
    scales=[[1.0, 2.0], 0.5, 2.0, 1.0, 1.0],
)
SPACES = {
    "mixed": MIXED,
    "sphere": Sphere(3, 1, radius=2.0),
    "oblique, 3 copies": Oblique(4, 2, k=3),
    "stiefel": Stiefel(5, 2),
    "canonical": Stiefel(4, 2, k=2, metric="canonical"),
    "orthogonal": Stiefel(3, 3),
}


class Nearby(RandomDataGenerator):
    """Points in a ball in which every two have one shortest geodesic."""

    def __init__(self, space):
        super().__init__(space, amplitude=2.0)
        self.center = space.random_point()
        self.reach = 0.2 * space.metric.injectivity_radius()

    def random_point(self, n_points=1):
        vectors = self.space.random_tangent_vec(self.center, n_points)
        norm = np.max(self.space.metric.norm(vectors, self.center))
        return self.space.metric.exp(self.reach * vectors / norm, self.center)


SHARED = {"n_points": (1, 4)}
RANDOM = [
    "exp_belongs",
    "log_is_tangent",
    "exp_after_log",
    "log_after_exp",
    "inner_product_is_symmetric",
    "norm_is_positive",
    "normalize_is_unitary",
    "squared_dist_is_symmetric",
    "squared_dist_is_positive",
    "dist_is_log_norm",
    "dist_is_symmetric",
    "dist_is_positive",
    "dist_point_to_itself_is_zero",
    "dist_triangle_inequality",
    "parallel_transport_ivp_norm",
    "parallel_transport_bvp_norm",
    "parallel_transport_ivp_transported_is_tangent",
    "parallel_transport_bvp_transported_is_tangent",
    "geodesic_boundary_points",
    "exp_geodesic_ivp",
]
TIMED = ["geodesic_bvp_reverse", "geodesic_bvp_belongs", "geodesic_ivp_belongs"]
OF_SPACE = [
    "random_point_belongs",
    "to_tangent_is_tangent",
    "regularize_belongs",
    "random_tangent_vec_is_tangent",
    "not_belongs",
    "embed_to_product_after_project_from_product",
]


def case(kind, name):
    np.random.seed(0)  # noqa: NPY002
    test = kind()
    test.space = as_geomstats(SPACES[name])
    test.data_generator = Nearby(test.space)
    test.setup_method()
    return test


@pytest.mark.parametrize("contract", RANDOM)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("n_points", [1, 4])
def test_riemannian_metric_contract(space, contract, n_points):
    test = case(RiemannianMetricTestCase, space)
    getattr(test, f"test_{contract}")(n_points=n_points, atol=1e-7)


@pytest.mark.parametrize("contract", TIMED)
@pytest.mark.parametrize("space", SPACES)
def test_geodesic_contract(space, contract):
    test = case(RiemannianMetricTestCase, space)
    for n_points, n_times in ((1, 3), (3, 4)):
        getattr(test, f"test_{contract}")(n_points=n_points, n_times=n_times, atol=1e-7)


@pytest.mark.parametrize("space", SPACES)
def test_vectorization_contract(space):
    test = case(RiemannianMetricTestCase, space)
    test.test_parallel_transport_ivp_vec(n_reps=3, atol=1e-8)
    test.test_parallel_transport_bvp_vec(n_reps=3, atol=1e-8)
    test.test_geodesic_bvp_vec(n_reps=3, n_times=3, atol=1e-8)
    case(ProductManifoldTestCase, space).test_to_tangent_vec(n_reps=3, atol=1e-10)


@pytest.mark.parametrize("contract", OF_SPACE)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("n_points", [1, 4])
def test_product_manifold_contract(space, contract, n_points):
    test = case(ProductManifoldTestCase, space)
    getattr(test, f"test_{contract}")(n_points=n_points, atol=1e-9)


@pytest.mark.parametrize("space", SPACES)
def test_shapes_and_dimension(space):
    test = case(ProductManifoldTestCase, space)
    test.test_dim(expected=SPACES[space].dim)
    for n_points in (1, 4):
        test.test_random_point_shape(n_points=n_points)
        test.test_random_tangent_vec_shape(n_points=n_points)


def cluster(space, center, n, spread, seed):
    np.random.seed(seed)  # noqa: NPY002
    vectors = space.random_tangent_vec(center, n)
    return space.metric.exp(spread * vectors / space.metric.norm(vectors, center)[:, None], center)


def test_frechet_mean_of_a_mixed_product():
    space = as_geomstats(MIXED)
    np.random.seed(1)  # noqa: NPY002
    center = space.random_point()
    vectors = space.random_tangent_vec(center, 10)
    vectors = 0.5 * vectors / space.metric.norm(vectors, center)[:, None]
    points = space.metric.exp(np.concatenate([vectors, -vectors]), center)
    mean = FrechetMean(space).set(epsilon=1e-12).fit(points).estimate_
    assert space.belongs(mean, atol=1e-10)
    logs = space.metric.log(points, mean)
    np.testing.assert_allclose(logs.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(mean, center, atol=1e-5)  # it is the centre of symmetry


def test_kmeans_finds_two_clusters():
    space = as_geomstats(MIXED)
    np.random.seed(2)  # noqa: NPY002
    first = space.random_point()
    far = space.random_tangent_vec(first)
    second = space.metric.exp(1.2 * far / space.metric.norm(far, first), first)
    points = np.concatenate([cluster(space, first, 12, 0.1, 3), cluster(space, second, 12, 0.1, 4)])
    kmeans = RiemannianKMeans(space, n_clusters=2, init="kmeans++").fit(points)
    assert len(set(kmeans.labels_[:12])) == len(set(kmeans.labels_[12:])) == 1
    assert kmeans.labels_[0] != kmeans.labels_[12]


def test_tangent_pca_finds_the_direction_of_a_geodesic():
    space = as_geomstats(MIXED)
    np.random.seed(5)  # noqa: NPY002
    center = space.random_point()
    vector = space.random_tangent_vec(center)
    vector /= space.metric.norm(vector, center)
    times = np.linspace(-0.5, 0.5, 15)
    points = space.metric.exp(times[:, None] * vector, center)
    pca = TangentPCA(space, n_components=2).fit(points, base_point=center)
    assert pca.explained_variance_ratio_[0] > 1 - 1e-10
    assert abs(np.vdot(pca.components_[0], vector)) == pytest.approx(1, abs=1e-8)


def test_agrees_with_geomstats_where_it_has_formulas():
    ours, theirs = as_geomstats(Sphere(4, 1)), Hypersphere(3)
    np.random.seed(0)  # noqa: NPY002
    point, other = ours.random_point(2)
    a, b, c = (ours.random_tangent_vec(point) for _ in range(3))
    flat = [x.ravel() for x in (a, b, c, point)]
    np.testing.assert_allclose(
        ours.metric.curvature(a, b, c, point).ravel(), theirs.metric.curvature(*flat), atol=1e-12
    )
    np.testing.assert_allclose(
        ours.metric.log(other, point).ravel(), theirs.metric.log(other.ravel(), point.ravel())
    )
    ours, theirs = as_geomstats(Stiefel(5, 2, metric="canonical")), TheirStiefel(5, 2)
    point = ours.random_point()
    a = ours.random_tangent_vec(point)
    np.testing.assert_allclose(ours.metric.exp(a, point), theirs.metric.exp(a, point), atol=1e-12)
    np.testing.assert_allclose(
        ours.metric.inner_product(a, a, point), theirs.metric.inner_product(a, a, point)
    )
    near = ours.metric.exp(0.3 * a, point)
    np.testing.assert_allclose(
        ours.metric.log(near, point), theirs.metric.log(near, point), atol=1e-5
    )


def test_bad_arguments():
    with pytest.raises(TypeError, match="manifold='sphere' of type str"):
        as_geomstats("sphere")
    space = as_geomstats(Sphere(3, 1))
    point = space.random_point()
    with pytest.raises(ValueError, match="either direction or end_point"):
        space.metric.parallel_transport(point, point)


def test_another_backend_is_refused():
    code = (
        "import os; os.environ['GEOMSTATS_BACKEND'] = 'pytorch'; import fgmanifolds\n"
        "fgmanifolds.as_geomstats(fgmanifolds.Sphere(3, 1))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode != 0
    assert "needs geomstats' numpy backend" in run.stderr


def test_the_rest_works_without_geomstats():
    code = (
        "import sys; sys.modules['geomstats'] = None\n"
        "from fgmanifolds import *\n"
        "M = ScaledProductManifold([Sphere(3, 3), Stiefel(3, 2)])\n"
        "x = M.random_point(0); u, v = (M.random_tangent_vector(x, i) for i in (1, 2))\n"
        "print(M.sectional_curvature(x, u, v), M.dist(x, M.exp(x, u)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout.split()[1]) == pytest.approx(1)


def test_one_number_for_each_base_point():
    for space in (as_geomstats(Stiefel(4, 2)), as_geomstats(MIXED)):
        points = space.random_point(3)
        for verb in ("injectivity_radius", "scalar_curvature"):
            assert getattr(space.metric, verb)(points).shape == (3,)
            assert np.ndim(getattr(space.metric, verb)(points[0])) == 0
        # The trace of geomstats' Ricci tensor, which is contracted from ours of Riemann.
        ricci = space.metric.ricci_tensor(points)
        np.testing.assert_allclose(
            np.trace(ricci, axis1=-2, axis2=-1), space.metric.scalar_curvature(points)
        )
        vectors = [space.random_tangent_vec(points) for _ in range(4)]
        assert space.metric.curvature_derivative(*vectors, points).shape == points.shape
    assert repr(as_geomstats(Stiefel(4, 2))) == "GeomstatsSpace(Stiefel(4, 2), shape=(4, 2))"
