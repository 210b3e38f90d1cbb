"""Retractions, distances and residuals of every manifold of the torch side."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds import Oblique, Sphere, Stiefel
from fgmanifolds.torch.ops.manifolds import KINDS, OPS, RETRACTIONS

SHAPES = [(3, 3), (5, 2), (4, 1), (6, 4)]
CLASSES = {"sphere": Sphere, "oblique": Oblique, "stiefel": Stiefel}
seeds = st.integers(0, 2**31)


def setting(name, shape, seed, length=1.0, n=3):
    """Unit points and tangent vectors of one length."""
    rng = np.random.default_rng(seed)
    ops = OPS[name]
    w = ops.nearest(torch.from_numpy(rng.standard_normal((n, *shape))))
    v = ops.project(w, torch.from_numpy(rng.standard_normal(w.shape)))
    return ops, w, length * v / torch.linalg.matrix_norm(v, keepdim=True).clamp(min=1e-12)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("retraction", RETRACTIONS)
@given(seeds, st.sampled_from(SHAPES), st.sampled_from([1e-8, 0.1, 1.0, 3.0]))
def test_on_the_manifold_and_right_to_first_order(retraction, name, seed, shape, length):
    ops, w, v = setting(name, shape, seed, length)

    def go(t, longest=1e9):
        return ops.retract(w, t * v, retraction, longest)

    assert ops.violation(go(1.0)).max() < 1e-12
    torch.testing.assert_close(go(0.0), w, atol=1e-12, rtol=0)
    for known in (None, 0.9, 2.0):
        other = go(0.9 / length, longest=known)
        torch.testing.assert_close(other, go(0.9 / length), atol=1e-12, rtol=0)
    h = 1e-6 / length
    torch.testing.assert_close((go(h) - go(-h)) / (2 * h), v, atol=1e-6 * max(1.0, length), rtol=0)


@pytest.mark.parametrize("retraction", ["polar", "cayley", "exp"])
def test_second_order_on_square_stiefel(retraction):
    """Third-order error against the geodesic; QR has a second-order one."""
    ops, w, v = setting("stiefel", (4, 4), 0)
    errors = [
        float((ops.retract(w, t * v, retraction) - ops.exp(w, t * v)).norm()) for t in (1e-2, 5e-3)
    ]
    assert errors[0] < 1e-5
    assert errors[1] <= errors[0] / 7 + 1e-15


@pytest.mark.parametrize("name", CLASSES)
@given(seeds, st.sampled_from(SHAPES), st.floats(0.01, 3.0))
def test_distances_are_exact_or_bounds(name, seed, shape, length):
    ops, w, v = setting(name, shape, seed, length)
    y = ops.exp(w, v)
    found = ops.distance(w, y).numpy()
    exact = CLASSES[name](*shape, k=3).distances(w.numpy(), y.numpy())
    if name == "stiefel":
        assert (exact <= found + 1e-7).all()
    else:
        np.testing.assert_allclose(found, exact, atol=1e-7)


@pytest.mark.parametrize("name", ["sphere", "oblique"])
def test_large_float32_blocks_have_small_residuals(name):
    """Norms of a million entries, added up in float32."""
    x = torch.randn(2, 1500, 800, generator=torch.Generator().manual_seed(0))
    point = OPS[name].normalise(x)
    assert OPS[name].violation(point).max() < 2e-6
    assert OPS[name].violation(point.double()).max() < 1e-6
