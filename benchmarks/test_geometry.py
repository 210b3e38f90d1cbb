"""Time of one operation on 2,000 spheres in R^9, beside geomstats and pymanopt.

Run with ``make bench``: the numbers in brackets are ratios to the fastest of
the group. The points of every library are the same.
"""

import warnings

import numpy as np
import pymanopt.manifolds
import pytest
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.nfold_manifold import NFoldManifold
from geomstats.geometry.product_manifold import ProductManifold

from fgmanifolds import ScaledProductManifold, Sphere

N = 2000
GROUP = pytest.mark.benchmark(group=f"{N:,} spheres")
OURS = ScaledProductManifold([Sphere(3, 3, k=N)])
POINT = OURS.random_point(0)
VECTORS = [OURS.random_tangent_vector(POINT, seed) for seed in range(4)]
OTHER = OURS.exp(POINT, VECTORS[0])


def flat(x):
    """The same as rows of length 9."""
    return x[0].reshape(N, 9)


@GROUP
@pytest.mark.parametrize("operation", ["exp", "log", "dist", "curvature_form"])
def test_fgmanifolds(benchmark, operation):
    """ScaledProductManifold of one component with 2,000 copies."""
    arguments = {
        "exp": (POINT, VECTORS[0]),
        "log": (POINT, OTHER),
        "dist": (POINT, OTHER),
        "curvature_form": (POINT, *VECTORS),
    }
    benchmark(getattr(OURS, operation), *arguments[operation])


@GROUP
def test_geomstats_nfold_exp(benchmark):
    """Geomstats NFoldManifold: one array operation."""
    space = NFoldManifold(Hypersphere(8), N)
    result = benchmark(space.metric.exp, flat(VECTORS[0]), flat(POINT))
    np.testing.assert_allclose(result, flat(OTHER), atol=1e-12)


@GROUP
def test_geomstats_product_exp(benchmark):
    """Geomstats ProductManifold: one factor after the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = ProductManifold([Hypersphere(8)] * N)
    result = benchmark(space.metric.exp, flat(VECTORS[0]), flat(POINT))
    np.testing.assert_allclose(result, flat(OTHER), atol=1e-12)


@GROUP
@pytest.mark.parametrize("operation", ["exp", "dist"])
def test_pymanopt_product(benchmark, operation):
    """Pymanopt Product of 2,000 spheres."""
    product = pymanopt.manifolds.Product([pymanopt.manifolds.Sphere(3, 3)] * N)
    second = list(VECTORS[0][0]) if operation == "exp" else list(OTHER[0])
    benchmark(getattr(product, operation), list(POINT[0]), second)
