"""The contract suite on every component, at radii from 1e-3 to 1e3, and on products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgmanifolds import (
    Euclidean,
    Grassmann,
    Hyperbolic,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
)
from fgmanifolds.testing import check_manifold
from tests.geometry.strategies import components, products

FIXED = [
    Sphere(1, 1),
    Sphere(2, 1),
    Sphere(3, 2),
    Oblique(2, 3),
    Oblique(4, 3),
    Oblique(1, 3),
    Stiefel(3, 1),
    Stiefel(2, 2),
    Stiefel(3, 3),
    Stiefel(4, 4, retraction="polar"),
    Stiefel(3, 2),
    Stiefel(5, 2, retraction="polar"),
    Stiefel(7, 3, retraction="exp"),
    Stiefel(5, 2, metric="canonical"),
    Stiefel(4, 4, metric="canonical"),
    Stiefel(4, 3, metric="canonical", retraction="polar"),
    Euclidean(1, 1),
    Euclidean(3, 2),
    Grassmann(2, 1),
    Grassmann(3, 1),
    Grassmann(4, 3),
    Grassmann(5, 2, retraction="exp"),
    Grassmann(3, 3),
    Hyperbolic(2, 1),
    Hyperbolic(3, 1),
    Hyperbolic(2, 2),
]


@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("component", FIXED, ids=str)
def test_components(component, radius):
    check_manifold(component.with_radius(radius))
    radii = radius * np.array([0.1, 1.0, 3.0])
    check_manifold(_copies(component).with_radius(radii), seed=1)


def _copies(component):
    options = {"retraction": component.retraction_method}
    if isinstance(component, Stiefel):
        options["metric"] = "canonical" if component._c else "embedded"
    return type(component)(*component.shape, k=3, **options)


@settings(max_examples=15)
@given(components(canonical=True), st.integers(0, 2**31))
def test_any_component(component, seed):
    check_manifold(component, seed=seed)


@settings(max_examples=10)
@given(products(), st.integers(0, 2**31))
def test_any_product(product, seed):
    check_manifold(product, seed=seed)


def test_a_product_of_all_signs_of_curvature():
    product = ScaledProductManifold(
        [Hyperbolic(3, 1), Sphere(2, 2, k=2), Stiefel(4, 2), Grassmann(4, 2), Euclidean(2, 1)],
        scales=[0.5, [1, 2], 3, 0.2, 1],
    )
    check_manifold(product)
    # Lemma 1: the ends of the components' ranges, and 0 of mixed planes.
    assert product.sectional_curvature_bounds == (-4.0, pytest.approx(2 / 0.2**2))
    wide = ScaledProductManifold([Hyperbolic(3, 1), Euclidean(2, 1)])
    assert wide.sectional_curvature_bounds == (-1.0, 0.0)
