"""Curvature against charts differentiated by torch, and the ranges that are claimed for it."""

import warnings

import numpy as np
import pymanopt.manifolds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry import (
    curvature_form,
    ricci_curvature,
    riemann_tensor,
    scalar_curvature,
    second_fundamental_form,
    sectional_curvature,
)
from fgmanifolds.verify.chart import component_chart, joined, product_charts
from tests.geometry.strategies import components, products, seeds, tangents

CANONICAL = [Stiefel(a, b, metric="canonical") for a, b in ((4, 2), (5, 3), (4, 3), (3, 3), (3, 1))]


@settings(max_examples=40, deadline=None)
@given(components(max_k=1, canonical=True), seeds)
def test_agrees_with_a_chart_at_every_radius(component, seed):
    """To 1e-10 relative, for radii from 1e-3 to 1e3."""
    point = component.random_point(seed)
    u, v, w, z = tangents(component, point, seed, 4)
    chart = component_chart(component, point)
    coordinates = [chart.coordinates(x) for x in (u, v, w, z)]
    expected = np.einsum("ijkl,i,j,k,l", chart.curvature(), *coordinates)
    measured = component.curvature_form(point, u, v, w, z)
    scale = np.prod([component.norm(point, x) for x in (u, v, w, z)]) / component.radius**2
    assert abs(measured - expected) <= 1e-10 * max(scale, 1e-300)
    metric = coordinates[0] @ chart.metric @ coordinates[1]
    np.testing.assert_allclose(
        component.inner_product(point, u, v), metric, atol=1e-12 * abs(metric) + 1e-13 * scale
    )


@settings(max_examples=15, deadline=None)
@given(products(), seeds)
def test_product_agrees_with_one_chart_of_the_whole(product, seed):
    if product.dim == 0 or product.dim > 16:
        return
    point = product.random_point(seed)
    rng = np.random.default_rng([seed, 3])
    radii = [
        np.reshape(c.radii, (-1, 1, 1))[0 if c.k == 1 else slice(None)] for c in product.components
    ]
    vectors = [
        product.projection(point, [r * rng.standard_normal(w.shape) for r, w in zip(radii, point)])
        for _ in range(4)
    ]
    chart = joined(product_charts(product, point))
    flat = [chart.coordinates(np.concatenate([part.ravel() for part in x])) for x in vectors]
    expected = np.einsum("ijkl,i,j,k,l", chart.curvature(), *flat)
    terms = [
        c.curvature_form(*parts)
        for c, *parts in zip(product.components, point, *vectors, strict=True)
    ]
    assert abs(product.curvature_form(point, *vectors) - expected) <= 1e-9 * (
        np.abs(terms).sum() + np.max([c.radii.max() ** 2 for c in product.components])
    )


@given(components(canonical=True), seeds)
def test_symmetries_of_the_riemann_tensor(component, seed):
    point = component.random_point(seed)
    u, v, w, z = tangents(component, point, seed, 4)

    def form(*vectors):
        return component.curvature_form(point, *vectors)

    scale = 1e-11 * float(np.max(component.radii)) ** 2 * component.k * 100
    assert abs(form(u, v, w, z) + form(v, u, w, z)) < scale
    assert abs(form(u, v, w, z) + form(u, v, z, w)) < scale
    assert abs(form(u, v, w, z) - form(w, z, u, v)) < scale
    assert abs(form(u, v, w, z) + form(v, w, u, z) + form(w, u, v, z)) < scale
    tensor = component.riemann_tensor(point, u, v, w)
    component.check_tangent(point, tensor + u, tol=1e-9)
    np.testing.assert_allclose(
        component.inner_product(point, tensor, z), form(u, v, w, z), atol=scale
    )


@given(components(canonical=True), seeds)
def test_sectional_curvature_lies_in_its_range_and_planes_attain_it(component, seed):
    if component.dim < 2:
        assert component.extremal_planes() is None
        assert component.sectional_curvature_bounds == (0.0, 0.0)
        return
    low, high = component.sectional_curvature_bounds
    tolerance = 1e-10 * max(abs(low), abs(high), 1.0)
    point = component.random_point(seed)
    u, v = tangents(component, point, seed, 2)
    assert low - tolerance <= component.sectional_curvature(point, u, v) <= high + tolerance
    for bound, plane in zip((low, high), component.extremal_planes(), strict=True):
        component.check_point(plane.point)
        component.check_tangent(plane.point, plane.u)
        component.check_tangent(plane.point, plane.v)
        attained = component.sectional_curvature(*plane)
        assert attained == pytest.approx(bound, abs=tolerance)


@given(products(), seeds)
def test_product_range_and_planes(product, seed):
    low, high = product.sectional_curvature_bounds
    planes = product.extremal_planes()
    if product.dim < 2:
        assert planes is None
        return
    assert planes is not None
    movable = sum(c.k for c in product.components if c.dim > 0)
    if movable > 1:
        assert low <= 0 <= high
    for bound, plane in zip((low, high), planes, strict=True):
        product.check_point(plane.point)
        assert product.sectional_curvature(*plane) == pytest.approx(bound, rel=1e-9, abs=1e-12)
    point = product.random_point(seed)
    u, v = product.random_tangent_vector(point, seed), product.random_tangent_vector(point, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        curvature = product.sectional_curvature(point, u, v)
    tolerance = 1e-9 * max(abs(low), abs(high), 1.0)
    assert np.isnan(curvature) or low - tolerance <= curvature <= high + tolerance


SEARCHED = [
    Stiefel(3, 2),
    Stiefel(4, 2),
    Stiefel(4, 3),
    Stiefel(4, 4),
    Oblique(3, 2),
    *CANONICAL[:3],
]


@pytest.mark.slow
@pytest.mark.parametrize("component", SEARCHED, ids=str)
def test_no_search_leaves_the_range(component):
    """Numerical optimisation over planes comes to the claimed ends, and never beyond."""
    point = component._base_point()
    low, high = component.sectional_curvature_bounds
    rng = np.random.default_rng(0)

    def curvature(flat, sign):
        u, v = (component.projection(point, x) for x in flat.reshape(2, *component.shape))
        return sign * component.sectional_curvature(point, u, v)

    for sign, bound in ((1, low), (-1, -high)):
        best = np.inf
        for _ in range(12):
            start = rng.standard_normal(2 * point.size)
            result = minimize(curvature, start, args=(sign,), method="BFGS")
            assert result.fun >= bound - 1e-7
            best = min(best, result.fun)
        assert best == pytest.approx(bound, abs=2e-3)


@pytest.mark.parametrize(
    ("component", "scalar"),
    [
        (Sphere(3, 3, radius=2.0), 8 * 7 / 4),
        (Oblique(4, 3, radius=0.5), 3 * 3 * 2 / 0.25),
        (Stiefel(3, 3), 3 * 2 / 8),
        (Stiefel(3, 2, metric="canonical"), 3 * 2 / 4),
        (Euclidean(3, 3), 0.0),
        (Sphere(3, 1, k=2, radius=[1.0, 2.0]), 2.0 + 0.5),
    ],
    ids=str,
)
def test_scalar_curvature_where_it_is_known(component, scalar):
    """dim (dim - 1) K for a constant curvature K, added over factors."""
    point = component.random_point(0)
    assert component.scalar_curvature(point) == pytest.approx(scalar, abs=1e-12)


@given(components(max_k=2, radii=(0.1, 10.0), canonical=True), seeds)
def test_ricci_is_the_trace_over_any_orthonormal_basis(component, seed):
    point = component.random_point(seed)
    u, v = tangents(component, point, seed, 2)
    rng = np.random.default_rng([seed, 3])
    basis = []
    for _ in range(component.dim):  # Gram-Schmidt of random vectors, in the metric
        e = component.projection(point, rng.standard_normal(component.point_shape))
        for _ in range(2):
            for f in basis:
                e = e - component.inner_product(point, e, f) * f
        basis.append(e / component.norm(point, e))
    trace = sum(component.curvature_form(point, e, u, v, e) for e in basis)
    ricci = component.ricci_curvature(point, u, v)
    assert ricci == pytest.approx(trace, rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(ricci, component.ricci_curvature(point, v, u), atol=1e-8)


def test_ricci_of_a_product_adds_up():
    product = ScaledProductManifold(
        [Sphere(3, 1, k=2), Stiefel(4, 2), Oblique(3, 2)], [[1, 2], 1, 3]
    )
    point = product.random_point(0)
    u = product.random_tangent_vector(point, 1)
    parts = [c.ricci_curvature(w, x, x) for c, w, x in zip(product.components, point, u)]
    assert product.ricci_curvature(point, u, u) == pytest.approx(sum(parts))
    scalars = [c.scalar_curvature(w) for c, w in zip(product.components, point)]
    assert product.scalar_curvature(point) == pytest.approx(sum(scalars))


THEIRS = [
    (pymanopt.manifolds.Sphere(4, 3), Sphere(4, 3)),
    (pymanopt.manifolds.Stiefel(5, 2), Stiefel(5, 2)),
]


@pytest.mark.parametrize(("theirs", "ours"), THEIRS, ids=lambda m: str(m)[:12])
def test_any_submanifold_of_pymanopt_with_a_weingarten_map(theirs, ours):
    point = ours.random_point(0)
    u, v, w, z = tangents(ours, point, 1, 4)
    for function, arguments in (
        (second_fundamental_form, (u, v)),
        (riemann_tensor, (u, v, w)),
        (curvature_form, (u, v, w, z)),
        (sectional_curvature, (u, v)),
        (ricci_curvature, (u, v)),
        (scalar_curvature, ()),
    ):
        np.testing.assert_allclose(
            function(theirs, point, *arguments), function(ours, point, *arguments), atol=1e-11
        )


def test_subspheres_of_pymanopt():
    """The unit sphere within a subspace is a sphere of lower dimension: curvature 1."""
    subspace = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 4)))[0]
    manifold = pymanopt.manifolds.SphereSubspaceIntersection(subspace)
    np.random.seed(0)  # noqa: NPY002
    point = manifold.random_point()
    u, v = manifold.random_tangent_vector(point), manifold.random_tangent_vector(point)
    assert sectional_curvature(manifold, point, u, v) == pytest.approx(1)
    assert scalar_curvature(manifold, point) == pytest.approx(3 * 2)


@pytest.mark.parametrize(
    "manifold",
    [
        pymanopt.manifolds.Grassmann(4, 2),
        pymanopt.manifolds.SpecialOrthogonalGroup(3),
        pymanopt.manifolds.FixedRankEmbedded(4, 3, 1),
    ],
    ids=lambda m: type(m).__name__,
)
def test_other_manifolds_are_refused(manifold):
    point = manifold.random_point()
    with pytest.raises(TypeError, match="not a Riemannian submanifold of a space of arrays"):
        riemann_tensor(manifold, point, point, point, point)
    with pytest.raises(TypeError, match=r"components\[0\] is a"):
        ScaledProductManifold([manifold])


@pytest.mark.parametrize("manifold", [Sphere(3, 3), Stiefel(4, 2, k=3)], ids=str)
def test_degenerate_planes_are_nan_with_a_warning(manifold):
    point = manifold.random_point(0)
    u = manifold.random_tangent_vector(point, 1)
    for v in (u, -2 * u, 0 * u):
        with pytest.warns(RuntimeWarning, match="span no plane"):
            assert np.isnan(manifold.sectional_curvature(point, u, v))
    product = ScaledProductManifold([manifold, Euclidean(2, 2)])
    point, zero = [point, np.eye(2)], np.zeros((2, 2))
    with pytest.warns(RuntimeWarning, match="span no plane"):
        assert np.isnan(product.sectional_curvature(point, [u, zero], [3 * u, zero]))


@given(st.floats(1e-8, 1.0), st.floats(1e-10, 1e10), st.floats(1e-10, 1e10))
def test_narrow_planes_and_long_vectors_lose_little(angle, a, b):
    sphere = Sphere(3, 3, radius=2.0)
    point = sphere.random_point(0)
    u = sphere.random_tangent_vector(point, 1)
    v = sphere.random_tangent_vector(point, 2)
    v = v - u * np.vdot(u, v)
    curvature = sphere.sectional_curvature(point, a * u, b * (u + angle * v))
    assert curvature == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_leading_axes(k):
    """Many vectors at once give what they give one by one."""
    product = ScaledProductManifold(
        [Sphere(3, 2, k=k), Stiefel(4, 2), Stiefel(3, 2, metric="canonical")]
    )
    point = product.random_point(0)
    pairs = [[product.random_tangent_vector(point, 2 * i + j) for i in range(5)] for j in (0, 1)]
    u, v = ([np.stack(parts) for parts in zip(*vectors)] for vectors in pairs)
    together = product.sectional_curvature(point, u, v)
    alone = [product.sectional_curvature(point, a, b) for a, b in zip(*pairs)]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_allclose(product.dist(point, product.exp(point, [0.5 * x for x in u])), 0.5)


def test_sectional_curvature_of_a_product_is_not_a_sum():
    """S^2 x S^2: a plane with components in both spheres stays below 1."""
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)])
    e = np.eye(3)[:, :, None]
    point = [e[0], e[0]]
    u, v = [e[1], e[1]], [e[2], e[2]]
    assert product.sectional_curvature(point, u, v) == pytest.approx(0.5)
    zero = np.zeros((3, 1))
    assert product.sectional_curvature(point, [e[1], zero], [e[2], zero]) == pytest.approx(1)
    assert product.sectional_curvature(point, [e[1], zero], [zero, e[2]]) == 0
