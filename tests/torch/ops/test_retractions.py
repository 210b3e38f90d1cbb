"""Retractions and bounds of the torch side against the NumPy geometry."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds import Oblique, Sphere, Stiefel
from fgmanifolds.torch.ops.batched import (
    KINDS,
    RETRACTIONS,
    Masks,
    chord_distance,
    project,
    violation,
)

SHAPES = [(3, 3), (5, 2), (4, 1), (6, 4)]
seeds = st.integers(0, 2**31)


def setting(shape, seed, length=1.0):
    """Unit points and tangent vectors, three on each manifold, Euclidean last."""
    rng = np.random.default_rng(seed)
    points = [cls(*shape, k=3).random_point(rng) for cls in (Sphere, Oblique, Stiefel)]
    w = torch.from_numpy(np.concatenate([*points, rng.standard_normal((3, *shape))]))
    order = [KINDS.index(name) for name in ("sphere", "oblique", "stiefel", "euclidean")]
    masks = Masks.of(torch.tensor(order).repeat_interleave(3), torch.float64)
    u = torch.from_numpy(rng.standard_normal(w.shape))
    v = project(w, u, masks)
    return w, length * v / torch.linalg.matrix_norm(v, keepdim=True).clamp(min=1e-12), masks


@pytest.mark.parametrize("name", RETRACTIONS)
@given(seeds, st.sampled_from(SHAPES), st.sampled_from([1e-8, 0.1, 1.0, 3.0]))
def test_on_the_manifold_and_right_to_first_order(name, seed, shape, length):
    w, v, masks = setting(shape, seed, length)
    moved = RETRACTIONS[name](w, v, masks)
    assert violation(moved, masks).max() < 1e-12
    torch.testing.assert_close(moved[9:], (w + v)[9:])
    torch.testing.assert_close(RETRACTIONS[name](w, 0 * v, masks), w, atol=1e-12, rtol=0)
    h = 1e-6 / length
    slope = (RETRACTIONS[name](w, h * v, masks) - RETRACTIONS[name](w, -h * v, masks)) / (2 * h)
    torch.testing.assert_close(slope, v, atol=1e-6 * max(1.0, length), rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_exp_and_polar_against_numpy(shape):
    w, v, masks = setting(shape, 3)
    for start, cls in zip((0, 3, 6), (Sphere, Oblique, Stiefel)):
        rows, manifold = slice(start, start + 3), cls(*shape, k=3)
        ours = RETRACTIONS["exp"](w, v, masks)[rows].numpy()
        np.testing.assert_allclose(ours, manifold.exp(w[rows].numpy(), v[rows].numpy()), atol=1e-12)
        ours = RETRACTIONS["polar"](w, v, masks)[rows].numpy()
        np.testing.assert_allclose(ours, manifold.nearest_point((w + v)[rows].numpy()), atol=1e-12)


@pytest.mark.parametrize("name", ["polar", "cayley", "exp"])
def test_second_order_on_square_stiefel(name):
    """Third-order error against the geodesic; QR has a second-order one."""
    w, v, masks = setting((4, 4), 0)
    errors = [
        float(
            (RETRACTIONS[name](w, t * v, masks) - RETRACTIONS["exp"](w, t * v, masks))[6:9].norm()
        )
        for t in (1e-2, 5e-3)
    ]
    assert errors[0] < 1e-5
    assert errors[1] <= errors[0] / 7 + 1e-15


@given(seeds, st.sampled_from(SHAPES), st.floats(0.01, 3.1))
def test_chords_bound_distances(seed, shape, length):
    w, v, masks = setting(shape, seed, length)
    y = RETRACTIONS["exp"](w, v, masks)
    bound = chord_distance(w, y, masks).numpy()
    chord = torch.linalg.matrix_norm(w - y).numpy()
    sphere = Sphere(*shape, k=3).distances(w[:3].numpy(), y[:3].numpy())
    np.testing.assert_allclose(bound[:3], sphere, atol=1e-7)
    oblique = Oblique(*shape, k=3).distances(w[3:6].numpy(), y[3:6].numpy())
    assert (oblique <= bound[3:6] + 1e-9).all()
    # The geodesic that was followed is at least as long as the distance.
    tight = np.minimum(bound, 0.5 * np.pi * chord)
    if length < 3.0:
        stiefel = Stiefel(*shape, k=3).distances(w[6:9].numpy(), y[6:9].numpy())
        assert (stiefel <= tight[6:9] + 1e-7).all()
    np.testing.assert_allclose(bound[9:], chord[9:])


def test_violation_names_the_size():
    w, _, masks = setting((3, 3), 0)
    off = violation(1.1 * w, masks)
    np.testing.assert_allclose(off[:9], 0.21, atol=1e-12)
    assert (off[9:] == 0).all()
