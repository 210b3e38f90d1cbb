"""The contract of a component, on all of them: at any radius, with any number of copies."""

import numpy as np
import pymanopt.manifolds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds import Euclidean, Oblique, Sphere, Stiefel
from tests.geometry.strategies import ALL, CURVED, components, seeds


def constraint(component, point):
    """What is zero on the manifold, at unit radius; written from Table V."""
    unit = point / component._r
    if isinstance(component, Sphere):
        return (unit**2).sum((-2, -1)) - 1
    if isinstance(component, Oblique):
        return (unit**2).sum(-2) - 1
    if isinstance(component, Stiefel):
        return np.swapaxes(unit, -2, -1) @ unit - np.eye(unit.shape[-1])
    return np.zeros(1)


def draw(component, seed):
    rng = np.random.default_rng(seed)
    point = component.random_point(rng)
    size = float(np.min(component.radii))
    return point, rng, size


@given(components(), seeds)
def test_random_points_satisfy_the_constraint(component, seed):
    point, _, _ = draw(component, seed)
    assert point.shape == component.point_shape
    np.testing.assert_allclose(constraint(component, point), 0, atol=1e-13)
    component.check_point(point)


@given(components(), seeds)
def test_projection_is_idempotent_symmetric_and_tangent(component, seed):
    point, rng, _ = draw(component, seed)
    a, b = rng.standard_normal((2, *component.point_shape))
    pa, pb = component.projection(point, a), component.projection(point, b)
    np.testing.assert_allclose(component.projection(point, pa), pa, atol=1e-12)
    np.testing.assert_allclose(np.vdot(pa, b), np.vdot(a, pb), atol=1e-11)
    h = 1e-6
    slope = constraint(component, point + h * component._r * pa) - constraint(
        component, point - h * component._r * pa
    )
    np.testing.assert_allclose(slope / (2 * h), 0, atol=1e-8)
    component.check_tangent(point, pa, tol=1e-12)


@given(components(), seeds)
def test_dimension_is_the_rank_of_the_projection(component, seed):
    point, _, _ = draw(component, seed)
    size = int(np.prod(component.point_shape))
    basis = np.eye(size).reshape(size, *component.point_shape)
    images = np.stack([component.projection(point, e).ravel() for e in basis])
    assert np.linalg.matrix_rank(images, tol=1e-8) == component.dim


def order(component, point, vector, other):
    """Measured order in t of the difference between the retraction and `other`."""
    steps = np.array([4e-2, 2e-2, 1e-2])
    errors = [
        np.linalg.norm(component.retraction(point, t * vector) - other(t * vector)) for t in steps
    ]
    if max(errors) < 1e-12 * np.linalg.norm(point):
        return np.inf
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@given(components(CURVED, radii=(0.1, 10)), seeds)
def test_retraction_is_first_order_and_second_where_claimed(component, seed):
    point, rng, size = draw(component, seed)
    if component.dim == 0:
        return
    vector = size * component.random_tangent_vector(point, rng)
    np.testing.assert_allclose(
        component.retraction(point, 0 * vector), point, atol=1e-14 * np.abs(point).max()
    )
    assert order(component, point, vector, lambda v: point + v) > 1.8
    first_order_only = isinstance(component, Stiefel) and component.retraction_method.name == "qr"
    expected = 1.8 if first_order_only else 2.8
    assert order(component, point, vector, lambda v: component.exp(point, v)) > expected
    moved = component.retraction(point, 20 * vector)
    np.testing.assert_allclose(constraint(component, moved), 0, atol=1e-12)


@given(components(CURVED, radii=(0.1, 10)), seeds)
def test_exp_is_a_geodesic(component, seed):
    """Constant speed, and an acceleration without tangent part, by finite differences."""
    point, rng, size = draw(component, seed)
    if component.dim == 0:
        return
    vector = size * component.random_tangent_vector(point, rng)
    h = 1e-3
    before, here, after = (component.exp(point, t * vector) for t in (0.7 - h, 0.7, 0.7 + h))
    np.testing.assert_allclose(constraint(component, here), 0, atol=1e-12)
    velocity = (after - before) / (2 * h)
    np.testing.assert_allclose(np.linalg.norm(velocity), np.linalg.norm(vector), rtol=1e-5)
    acceleration = (after - 2 * here + before) / h**2
    tangent = component.projection(here, acceleration)
    assert np.linalg.norm(tangent) < 1e-5 * size


@given(components(CURVED, radii=(0.1, 10)), seeds)
def test_hessian_is_the_second_derivative_along_geodesics(component, seed):
    """Of a random quartic, by finite differences along the exponential map."""
    point, rng, size = draw(component, seed)
    if component.dim == 0:
        return
    vector = component.random_tangent_vector(point, rng) * size
    a = rng.standard_normal(component.point_shape) / size

    def f(x):
        return np.vdot(a, x) ** 2 + np.vdot(a, x) ** 3

    value = np.vdot(a, point)
    gradient = (2 * value + 3 * value**2) * a
    hessian = (2 + 6 * value) * np.vdot(a, vector) * a
    riemannian = component.euclidean_to_riemannian_hessian(point, gradient, hessian, vector)
    h = 1e-4
    second = (
        f(component.exp(point, h * vector)) - 2 * f(point) + f(component.exp(point, -h * vector))
    ) / h**2
    scale = 1 + np.linalg.norm(gradient) * size + abs(second)
    assert abs(np.vdot(riemannian, vector) - second) < 1e-5 * scale


@given(components((Sphere, Oblique, Euclidean)), seeds, st.floats(1e-12, 0.99))
def test_distance_along_a_geodesic_is_its_length(component, seed, share):
    point, rng, _ = draw(component, seed)
    if component.dim == 0:
        return
    reach = min(component.injectivity_radius, 3.0 * float(np.max(component.radii)))
    vector = share * reach * component.random_tangent_vector(point, rng)
    end = component.exp(point, vector)
    length = np.linalg.norm(vector)
    precision = 1e-15 * float(np.max(np.abs(point))) + 1e-16 * reach
    np.testing.assert_allclose(component.dist(point, end), length, rtol=1e-8, atol=20 * precision)


@given(components((Sphere, Oblique, Euclidean)), seeds)
def test_both_distances_agree_with_their_definitions(component, seed):
    point, rng, _ = draw(component, seed)
    other = component.random_point(rng)
    each = np.atleast_1d(component.distances(point, other))
    assert each.shape == (component.k,)
    np.testing.assert_allclose(component.dist(point, other), np.sqrt((each**2).sum()))
    np.testing.assert_allclose(component.geodesic_distance(point, other), each.sum())
    np.testing.assert_allclose(component.dist(point, other), component.dist(other, point))
    assert component.dist(point, point) <= 1e-15


@given(components(), seeds)
def test_copies_are_independent(component, seed):
    """k copies do what k single components of their radii do."""
    if component.k == 1:
        return
    point, rng, size = draw(component, seed)
    vector = 0.3 * size * component.random_tangent_vector(point, rng)
    options = {"retraction": component.retraction_method.name} if type(component) is Stiefel else {}
    for i, radius in enumerate(component.radii):
        single = type(component)(*component.shape, radius=radius, **options)
        for verb in ("projection", "exp", "retraction", "inner_product", "norm"):
            arguments = (vector[i], vector[i]) if verb == "inner_product" else (vector[i],)
            alone = getattr(single, verb)(point[i], *arguments)
            if verb in ("inner_product", "norm"):
                continue
            together = getattr(component, verb)(point, vector)[i]
            np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-12 * size)
    np.testing.assert_allclose(component.norm(point, vector), np.linalg.norm(vector))


@given(components(max_k=1), seeds, st.floats(1e-3, 1e3))
def test_homothety(component, seed, factor):
    """Everything at another radius is the scaled picture of the same thing."""
    scaled = component.with_radius(component.radius * factor)
    point, rng, size = draw(component, seed)
    vector = 0.5 * size * component.random_tangent_vector(point, rng)
    for verb in ("exp", "retraction"):
        big = getattr(scaled, verb)(factor * point, factor * vector)
        np.testing.assert_allclose(big, factor * getattr(component, verb)(point, vector))
    low, high = component.sectional_curvature_bounds
    np.testing.assert_allclose(
        scaled.sectional_curvature_bounds, (low / factor**2, high / factor**2)
    )
    np.testing.assert_allclose(scaled.injectivity_radius, factor * component.injectivity_radius)
    np.testing.assert_allclose(scaled.typical_dist, factor * component.typical_dist)


PEERS = [
    (Sphere(4, 3), pymanopt.manifolds.Sphere(4, 3)),
    (Oblique(4, 3), pymanopt.manifolds.Oblique(4, 3)),
    (Stiefel(5, 3), pymanopt.manifolds.Stiefel(5, 3)),
    (Stiefel(4, 4), pymanopt.manifolds.Stiefel(4, 4)),
    (Stiefel(4, 2, k=3), pymanopt.manifolds.Stiefel(4, 2, k=3)),
    (
        Stiefel(5, 2, retraction="polar"),
        pymanopt.manifolds.Stiefel(5, 2, retraction="polar"),
    ),
    (Euclidean(3, 2), pymanopt.manifolds.Euclidean(3, 2)),
]


@pytest.mark.parametrize(("ours", "theirs"), PEERS, ids=lambda m: str(m))
def test_agrees_with_pymanopt(ours, theirs):
    rng = np.random.default_rng(3)
    assert ours.dim == theirs.dim
    for _ in range(20):
        point = ours.random_point(rng)
        ambient, gradient, hessian = rng.standard_normal((3, *ours.point_shape))
        vector = 0.7 * ours.random_tangent_vector(point, rng)
        np.testing.assert_allclose(
            ours.projection(point, ambient), theirs.projection(point, ambient), atol=1e-13
        )
        for verb in ("exp", "retraction"):
            np.testing.assert_allclose(
                getattr(ours, verb)(point, vector), getattr(theirs, verb)(point, vector), atol=1e-12
            )
        np.testing.assert_allclose(
            ours.euclidean_to_riemannian_hessian(point, gradient, hessian, vector),
            theirs.projection(
                point, theirs.euclidean_to_riemannian_hessian(point, gradient, hessian, vector)
            ),
            atol=1e-12,
        )
        np.testing.assert_allclose(
            ours.inner_product(point, vector, ambient), theirs.inner_product(point, vector, ambient)
        )
        if not isinstance(ours, Stiefel):
            other = ours.random_point(rng)
            np.testing.assert_allclose(ours.dist(point, other), theirs.dist(point, other))


def test_distance_is_accurate_near_zero_and_near_the_antipode():
    sphere = Sphere(3, 1)
    north, east = np.array([[0.0], [0.0], [1.0]]), np.array([[1.0], [0.0], [0.0]])
    for angle in (1e-12, 1e-9, np.pi - 1e-9):
        point = sphere.exp(north, angle * east)
        assert sphere.dist(north, point) == pytest.approx(angle, rel=1e-12)
    assert sphere.dist(north, -north) == np.pi


@pytest.mark.parametrize("cls", CURVED)
def test_random_points_are_uniform(cls):
    """First and second moments of the Haar measure."""
    component = cls(4, 2, k=20000)
    points = component.random_point(rng=5).reshape(20000, 8)
    np.testing.assert_allclose(points.mean(0), 0, atol=0.02)
    second = points.T @ points / len(points)
    expected = 1 / 8 if cls is Sphere else 1 / 4
    np.testing.assert_allclose(second, expected * np.eye(8), atol=0.015)


@pytest.mark.parametrize("cls", ALL)
def test_nearest_point_is_nearest(cls):
    component = cls(4, 2, radius=1.7)
    rng = np.random.default_rng(0)
    for _ in range(50):
        matrix = rng.standard_normal((4, 2))
        nearest = component.nearest_point(matrix)
        component.check_point(nearest)
        best = np.linalg.norm(matrix - nearest)
        for _ in range(20):
            candidate = component.retraction(
                nearest, rng.exponential(0.3) * component.random_tangent_vector(nearest, rng)
            )
            assert np.linalg.norm(matrix - candidate) >= best - 1e-12


def test_seeds_reproduce():
    for cls in ALL:
        component = cls(3, 2, k=2)
        np.testing.assert_array_equal(component.random_point(rng=7), component.random_point(rng=7))
        point = component.random_point(rng=7)
        np.testing.assert_array_equal(
            component.random_tangent_vector(point, rng=1),
            component.random_tangent_vector(point, rng=1),
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stiefel(2, 3), r"Stiefel\(2, 3\) needs rows >= columns.*Stiefel\(3, 2\)"),
        (lambda: Sphere(0, 3), r"rows=0 must be an integer of at least 1"),
        (lambda: Sphere(3, 1.5), r"columns=1.5 must be an integer"),
        (lambda: Sphere(3, 3, k=0), r"k=0 must be"),
        (lambda: Sphere(3, 3, radius=0), r"radius=0 must be positive and finite"),
        (lambda: Oblique(3, 3, radius=float("nan")), r"radius=nan must be positive"),
        (lambda: Oblique(3, 3, radius=-1.0), r"radius=-1.0 must be positive"),
        (lambda: Sphere(3, 3, k=2, radius=[1, 2, 3]), r"radius has shape \(3,\).*\(2,\)"),
        (
            lambda: Stiefel(3, 2, retraction="cayly"),
            r"retraction='cayly' is unknown.*'qr', 'polar'",
        ),
    ],
)
def test_bad_components_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_points_and_tangents_off_the_manifold_are_measured():
    component = Oblique(3, 2, radius=2)
    point = component.random_point(rng=0)
    with pytest.raises(
        ValueError, match=r"not on Oblique\(3, 2, radius=2\): relative distance 0.01"
    ):
        component.check_point(1.01 * point)
    with pytest.raises(ValueError, match=r"point has shape \(2, 3\).*needs \(3, 2\)"):
        component.check_point(point.T)
    with pytest.raises(ValueError, match="not finite"):
        component.check_point(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"not tangent.*its normal part is 1 of its norm"):
        component.check_tangent(point, point)


def test_repr_and_equality():
    assert repr(Sphere(3, 2)) == "Sphere(3, 2)"
    assert repr(Stiefel(3, 2, k=2, radius=[1, 2])) == "Stiefel(3, 2, k=2, radius=1..2)"
    assert Sphere(3, 2) == Sphere(3, 2)
    assert Sphere(3, 2) != Oblique(3, 2)
    assert Sphere(3, 2) != Sphere(3, 2, radius=2)
    assert len({Sphere(3, 2), Sphere(3, 2), Stiefel(3, 2)}) == 2
