"""Logarithms, distances and parallel transport, against integrated equations and known points."""

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from torch.func import jacrev, jvp

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.verify.chart import constraint
from tests.geometry.strategies import components, seeds, tangents

SHAPES = [(3, 2), (4, 2), (4, 3), (5, 2), (6, 5), (7, 3), (9, 4), (12, 3), (50, 2), (10, 10)]
LARGE = [(10, 8), (20, 10)]


def within_reach(component, point, seed, share):
    """A tangent vector whose longest copy has `share` of the injectivity radius."""
    (vector,) = tangents(component, point, seed, 1)
    single = [component] if component.k == 1 else None
    if single:
        lengths = [component.norm(point, vector)]
    else:
        ones = [
            type(component)(*component.shape, radius=r, **metric(component))
            for r in component.radii
        ]
        lengths = [c.norm(w, v) for c, w, v in zip(ones, point, vector, strict=True)]
    reach = np.minimum(component.injectivity_radius, 3.0 * component.radii)
    if component.dim == 0:
        return vector
    scale = share * reach / np.array(lengths)
    return vector * (scale[0] if component.k == 1 else scale[:, None, None])


def metric(component):
    return {"metric": "canonical"} if "canonical" in repr(component) else {}


@given(components(canonical=True), seeds, st.floats(1e-12, 0.9))
def test_log_inverts_exp(component, seed, share):
    """To 1e-10 of the radius, at radii from 1e-3 to 1e3, for short and for long vectors."""
    point = component.random_point(seed)
    vector = within_reach(component, point, seed, share)
    other = component.exp(point, vector)
    precision = 1e-10 * np.max(component.radii)
    back = component.log(point, other)
    np.testing.assert_allclose(back, vector, atol=precision)
    component.check_tangent(point, back + tangents(component, point, seed, 1)[0], tol=1e-9)
    dist = component.dist(point, other)
    assert dist == pytest.approx(component.norm(point, vector), abs=precision)
    assert dist == pytest.approx(component.dist(other, point), abs=precision)
    middle = component.pair_mean(point, other)
    assert component.dist(point, middle) == pytest.approx(dist / 2, abs=precision)
    assert component.dist(other, middle) == pytest.approx(dist / 2, abs=precision)


@pytest.mark.parametrize(
    "shape", [*SHAPES, *(pytest.param(s, marks=pytest.mark.slow) for s in LARGE)]
)
@pytest.mark.parametrize("metric", ["embedded", "canonical"])
def test_stiefel_logarithm_of_200_pairs(shape, metric):
    """Within 0.9 of the injectivity radius, each to 1e-10."""
    n = 200 if shape not in LARGE else 40
    manifold = Stiefel(*shape, k=n, metric=metric)
    rng = np.random.default_rng(0)
    point = manifold.random_point(rng)
    single = Stiefel(*shape, metric=metric)
    vector = manifold.projection(point, rng.standard_normal(point.shape))
    lengths = np.array([single.norm(w, v) for w, v in zip(point, vector, strict=True)])
    share = np.linspace(0, 0.9, n)
    vector *= (share * manifold.injectivity_radius / lengths)[:, None, None]
    found = manifold.log(point, manifold.exp(point, vector))
    np.testing.assert_allclose(found, vector, atol=1e-10)


def geodesic_by_ode(kind, w, v):
    """Newton's law with a constraint force, from the constraint of Table V alone."""
    shape = w.shape

    def equation(_, state):
        x, velocity = (torch.from_numpy(p.reshape(shape)) for p in np.split(state, 2))
        normals = jacrev(lambda y: constraint(kind, y))(x).reshape(-1, x.numel())

        def slope(y):
            return jvp(lambda z: constraint(kind, z), (y,), (velocity,))[1]

        bend = jvp(slope, (x,), (velocity,))[1]
        force = -torch.linalg.lstsq(normals @ normals.T, bend).solution @ normals
        return np.concatenate([velocity.numpy().ravel(), force.numpy()])

    start = np.concatenate([w.ravel(), v.ravel()])
    solution = solve_ivp(equation, (0, 1), start, method="DOP853", rtol=1e-13, atol=1e-14)
    return solution.y[: w.size, -1].reshape(shape)


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    "make",
    [lambda r: Sphere(3, 2, radius=r), lambda r: Oblique(4, 2, radius=r)]
    + [lambda r, s=s: Stiefel(*s, radius=r) for s in ((4, 2), (3, 2), (3, 3))],
)
def test_exp_agrees_with_integrated_motion(make, radius):
    component = make(radius)
    point = component.random_point(0)
    (vector,) = tangents(component, point, 1, 1)
    expected = radius * geodesic_by_ode(component.kind, point / radius, vector / radius)
    np.testing.assert_allclose(component.exp(point, vector), expected, atol=1e-10 * radius)
    # A vector of any length is exact too; only its logarithm may be another one.


def exact_exp(w, v):
    """Table VIII in 50 digits."""
    with mpmath.workdps(50):
        w, v = mpmath.matrix(w.tolist()), mpmath.matrix(v.tolist())
        a, b = w.T * v, w.cols
        s = v.T * v
        block = mpmath.zeros(2 * b)
        for i in range(b):
            block[b + i, i] = 1
            for j in range(b):
                block[i, j], block[b + i, b + j], block[i, b + j] = a[i, j], a[i, j], -s[i, j]
        big = mpmath.expm(block, method="taylor")
        moved = w * big[:b, :b] + v * big[b:, :b]
        result = moved * mpmath.expm(-a, method="taylor")
        return np.array(result.tolist(), dtype=float)


@pytest.mark.parametrize("length", [1e-12, 1e-6, 1.0, 3.0])
def test_stiefel_exp_and_log_against_fifty_digits(length):
    stiefel = Stiefel(5, 2)
    point = stiefel.random_point(0)
    vector = length * stiefel.random_tangent_vector(point, 0)
    expected = exact_exp(point, vector)
    np.testing.assert_allclose(stiefel.exp(point, vector), expected, atol=1e-14)
    np.testing.assert_allclose(stiefel.log(point, expected), vector, atol=1e-13)


NEAR_ZERO = [Sphere(3, 2), Oblique(3, 2), Stiefel(4, 2), Stiefel(3, 3), Euclidean(2, 2)]


@pytest.mark.parametrize("component", [*NEAR_ZERO, Stiefel(4, 2, metric="canonical")], ids=str)
@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
def test_short_vectors_keep_what_the_points_hold(component, radius):
    """A vector of 1e-12 moves the entries by 1e-12 +- 1e-16: four digits are all there are."""
    component = component.with_radius(radius)
    point = component.random_point(0)
    vector = 1e-12 * radius * component.random_tangent_vector(point, 0)
    other = component.exp(point, vector)
    np.testing.assert_allclose(component.log(point, other), vector, atol=2e-15 * radius)
    length = component.norm(point, vector)
    assert component.dist(point, other) == pytest.approx(length, abs=2e-15 * radius)
    assert component.dist(point, point) <= 1e-15 * radius
    # The difference of the points is all that a logarithm can know; to that it is exact.
    expected = component.projection(point, other - point)
    np.testing.assert_allclose(component.log(point, other), expected, atol=1e-15 * radius)


@pytest.mark.parametrize("gap", [1e-4, 1e-8, 1e-12])
def test_near_the_cut_locus_half_of_the_digits_are_left(gap):
    for component in (Sphere(3, 2), Oblique(5, 1), Stiefel(4, 1)):
        point = component.random_point(0)
        vector = (np.pi - gap) * component.random_tangent_vector(point, 0)
        other = component.exp(point, vector)
        assert component.dist(point, other) == pytest.approx(np.pi - gap, rel=1e-12)
        # The direction is that of a difference of size gap, known to 1e-16.
        np.testing.assert_allclose(component.log(point, other), vector, atol=1e-14 / gap)
        mpmath.mp.dps = 30
        cosine = mpmath.fdot(point.ravel().tolist(), other.ravel().tolist())
        norms = mpmath.norm(point.ravel().tolist()) * mpmath.norm(other.ravel().tolist())
        assert component.dist(point, other) == pytest.approx(float(mpmath.acos(cosine / norms)))


@pytest.mark.parametrize("gap", [1e-3, 1e-7])
def test_rotations_by_almost_half_a_turn(gap):
    group = Stiefel(3, 3, radius=2.0)
    point = group.random_point(0)
    turn = np.zeros((3, 3))
    turn[1, 0], turn[0, 1] = 1, -1
    vector = (np.pi - gap) * point @ turn
    other = group.exp(point, vector)
    np.testing.assert_allclose(group.log(point, other), vector, atol=1e-8)
    assert group.dist(point, other) == pytest.approx(2 * np.sqrt(2) * (np.pi - gap), rel=1e-12)


@given(components((Sphere, Oblique, Stiefel), radii=(0.1, 10.0), canonical=True), seeds)
@settings(max_examples=50, deadline=None)
def test_parallel_transport_solves_its_equation(component, seed):
    """An isometry to the tangent space at the end that keeps the velocity and is autoparallel."""
    point = component.random_point(seed)
    direction, u, v = tangents(component, point, seed, 3)
    end = component.exp(point, direction)
    carried_u = component.parallel_transport(point, direction, u)
    carried_v = component.parallel_transport(point, direction, v)
    size = max(1.0, component.norm(point, u) * component.norm(point, v))
    component.check_tangent(end, carried_u, tol=1e-9)
    inner = component.inner_product(point, u, v)
    assert component.inner_product(end, carried_u, carried_v) == pytest.approx(
        inner, abs=1e-9 * size
    )
    h = 1e-5
    velocity = (
        component.exp(point, (1 + h) * direction) - component.exp(point, (1 - h) * direction)
    ) / (2 * h)
    carried = component.parallel_transport(point, direction, direction)
    np.testing.assert_allclose(carried, velocity, atol=1e-7 * max(1.0, np.abs(velocity).max()))
    # In steps it is the same as at once.
    middle = component.exp(point, 0.5 * direction)
    rest = component.parallel_transport(point, 0.5 * direction, 0.5 * direction)
    twice = component.parallel_transport(
        middle, rest, component.parallel_transport(point, 0.5 * direction, u)
    )
    np.testing.assert_allclose(twice, carried_u, atol=1e-8 * max(1.0, np.abs(u).max()))


@pytest.mark.parametrize(
    "component",
    [Sphere(3, 2), Oblique(3, 2), Stiefel(3, 3), Stiefel(4, 2), Stiefel(4, 2, metric="canonical")],
    ids=str,
)
def test_parallel_transport_agrees_with_a_pole_ladder(component):
    """Reflections in midpoints, with exp and log alone (Guigui & Pennec 2022)."""
    point = component.random_point(0)
    direction, u = (0.5 * component.random_tangent_vector(point, i) for i in (0, 1))
    steps, scale = 64, 1e-2
    x, vector = point, scale * u
    velocity = direction / steps
    for i in range(steps):
        after = component.exp(point, (i + 1) * velocity)
        middle = component.exp(point, (i + 0.5) * velocity)
        tip = component.exp(x, vector)
        mirrored = component.exp(middle, -component.log(middle, tip))
        x, vector = after, -component.log(after, mirrored)
    carried = component.parallel_transport(point, direction, u)
    np.testing.assert_allclose(vector / scale, carried, atol=2e-4)


def test_curvature_is_the_holonomy_of_small_loops():
    """Transport around a geodesic parallelogram turns z by R(u, v) z times the area."""
    for component in (Stiefel(4, 2), Stiefel(4, 2, metric="canonical"), Oblique(3, 2)):
        point = component.random_point(0)
        u, v, z = (component.random_tangent_vector(point, i) for i in range(3))
        turned = []
        for h in (0.04, 0.02):
            loop, carried = point, z
            legs = [h * u, h * v, -h * u, -h * v]
            while legs:
                leg, *legs = legs
                carried = component.parallel_transport(loop, leg, carried)
                legs = [component.parallel_transport(loop, leg, other) for other in legs]
                loop = component.exp(loop, leg)
            back = component.log(loop, point)
            carried = component.parallel_transport(loop, back, carried)
            turned.append((carried - z) / h**2)
        extrapolated = 2 * turned[1] - turned[0]
        # Going around u, v, -u, -v gives -R(u, v) z.
        expected = -component.riemann_tensor(point, u, v, z)
        np.testing.assert_allclose(extrapolated, expected, atol=5e-3)


def test_triangle_inequality_and_certified_distances():
    stiefel = Stiefel(9, 2)
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b, c = (stiefel.random_point(rng) for _ in range(3))
        try:
            ab, bc, ac = stiefel.dist(a, b), stiefel.dist(b, c), stiefel.dist(a, c)
        except ValueError:
            continue
        assert ac <= ab + bc + 1e-12
        assert np.linalg.norm(a - b) <= ab <= np.pi
        assert stiefel.geodesic_distance(a, b) == ab


BAD = [
    (Sphere(3, 1), lambda w: -w, "the points are antipodal"),
    (Oblique(3, 2), lambda w: w * [1, -1], "the points are antipodal"),
    (Stiefel(3, 3), lambda w: w * [1, 1, -1], "different pieces of the orthogonal group"),
    (Stiefel(3, 3), lambda w: w * [1, -1, -1], "half a turn apart"),
    (Stiefel(3, 1), lambda w: -w, "the points are antipodal"),
    (Sphere(1, 1), lambda w: -w, "the points lie in different pieces"),
    (Stiefel(4, 2), lambda w: 3 * w, "point_b is not on the manifold in 1 of 1 pairs"),
    (Stiefel(3, 2), lambda w: -w, "(no geodesic was found|longer than the injectivity radius)"),
]


@pytest.mark.parametrize(("component", "partner", "message"), BAD, ids=lambda x: str(x)[:20])
def test_logarithms_that_do_not_exist_say_why(component, partner, message):
    point = component.random_point(0)
    with pytest.raises(ValueError, match=message):
        component.log(point, partner(point))
    product = ScaledProductManifold([Euclidean(2, 2), component])
    zero = np.zeros((2, 2))
    with pytest.raises(ValueError, match=f"component 1: .*{message}"):
        product.log([zero, point], [zero, partner(point)])


def test_distance_between_pieces_is_infinite():
    group = Stiefel(3, 3, k=2)
    point = group.random_point(0)
    other = point.copy()
    other[1, :, 2] *= -1
    np.testing.assert_array_equal(group.distances(point, other), [0, np.inf])
    assert group.dist(point, other) == np.inf
    assert group.geodesic_distance(point, other) == np.inf
    assert Sphere(1, 1).dist(np.ones((1, 1)), -np.ones((1, 1))) == np.inf
    assert Sphere(3, 1).dist(np.eye(3, 1), -np.eye(3, 1)) == np.pi
    half_turn = point * [1, -1, -1]
    assert group.distances(point, half_turn) == pytest.approx(np.sqrt(2) * np.pi)


def test_a_distance_beyond_reach_is_refused():
    """A long geodesic joins the points, but nothing says that it is the shortest."""
    stiefel = Stiefel(20, 10)
    with pytest.raises(ValueError, match=r"longer than the injectivity radius.*not certified"):
        stiefel.dist(stiefel.random_point(0), stiefel.random_point(1))


def test_exponential_map_is_not_injective_beyond_the_radius_claimed():
    """The injectivity radius is not too small: closed geodesics of twice that length."""
    for component in (Sphere(3, 2), Oblique(3, 2), Stiefel(4, 2), Stiefel(3, 3)):
        point = component._base_point()
        u = component.extremal_planes()[1].u
        u = component.injectivity_radius * u / component.norm(point, u)
        np.testing.assert_allclose(component.exp(point, u), component.exp(point, -u), atol=1e-12)
