"""Batched maps and the maps on planes, against the NumPy geometry and each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops.manifolds import KINDS, OPS, qr_by_cholesky, qr_positive
from fgmanifolds.torch.ops.planes import Masks

shapes = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(lambda s: (max(s), min(s)))
seeds = st.integers(0, 2**31 - 1)
CURVED = ("sphere", "oblique", "stiefel")


def batch(name, shape, seed, n=20, dtype=torch.float64):
    """Random unit points of a manifold, with ambient vectors."""
    generator = torch.Generator().manual_seed(seed)
    x, u = torch.randn(2, n, *shape, generator=generator, dtype=torch.float64)
    return OPS[name].nearest(x).to(dtype), u.to(dtype)


def by_component(name, method, shape, *arrays):
    component = COMPONENTS[name](*shape)
    rows = zip(*(array.numpy() for array in arrays), strict=True)
    return torch.from_numpy(np.stack([getattr(component, method)(*row) for row in rows]))


@pytest.mark.parametrize("name", KINDS)
@given(shapes, seeds)
def test_agree_with_the_numpy_geometry(name, shape, seed):
    w, u = batch(name, shape, seed)
    ops = OPS[name]
    tangent = ops.project(w, u)
    torch.testing.assert_close(tangent, by_component(name, "projection", shape, w, u))
    step = 0.5 * tangent
    longest = float(torch.linalg.matrix_norm(step).max())
    for known in (None, longest, 1e9):
        point = ops.retract(w, step, "qr", known)
        expected = by_component(name, "retraction", shape, w, step)
        torch.testing.assert_close(point, expected, rtol=1e-9, atol=1e-12)
    nearest = by_component(name, "nearest_point", shape, u)
    torch.testing.assert_close(ops.nearest(u), nearest)
    torch.testing.assert_close(
        ops.retract(w, step, "exp"), by_component(name, "exp", shape, w, step)
    )
    off = ops.violation(1.1 * w)
    assert (off > 0.1).all() if name in CURVED else (off == 0).all()


@pytest.mark.parametrize("shape", [(3, 3), (40, 7), (64, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_q_by_cholesky_is_that_of_qr_for_short_steps(shape, dtype):
    w, u = batch("stiefel", shape, 0, dtype=dtype)
    v = OPS["stiefel"].project(w, u)
    v = v / torch.linalg.matrix_norm(v, keepdim=True)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(qr_by_cholesky(w + v), qr_positive(w + v), rtol=0, atol=20 * eps)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("shape", [(3, 3), (64, 64), (300, 20)])
@pytest.mark.parametrize("length", [1.5, 30.0, 700.0, 1e4, 1e6])
@pytest.mark.parametrize("one_rank", [True, False])
def test_long_steps_stay_on_the_manifold_in_float32(shape, length, one_rank, known):
    ops, (w, u) = OPS["stiefel"], batch("stiefel", shape, 1, n=3)
    if one_rank:
        u = u[:, :, :1] @ u[:, :1, :]
    v = ops.project(w, u)
    v = length * v / torch.linalg.matrix_norm(v, keepdim=True)
    found = ops.retract(w.float(), v.float(), "qr", length if known else None)
    assert ops.violation(found.double()).max() < 2e-6
    if length < 1000:
        exact = qr_positive(w + v)
        bound = 1e-6 + 1e-7 * length
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=bound)


class Planes:
    """The maps on planes as functions of ``[n, A, B]`` tensors that leave these alone."""

    @staticmethod
    def columns(x):
        return planes.columns_of(x.permute(1, 2, 0).clone())

    @staticmethod
    def matrices(columns):
        return torch.stack([torch.stack(column, 1) for column in columns], 2)

    @classmethod
    def project(cls, w, u, masks):
        vectors = cls.columns(u)
        planes.project_(cls.columns(w), vectors, masks, w.new_ones(len(w)), KINDS)
        return cls.matrices(vectors)

    @classmethod
    def retract(cls, x, masks, passes=2):
        points = cls.columns(x)
        planes.retract_(points, masks, x.new_ones(len(x)), KINDS, passes=passes)
        return cls.matrices(points)


def mixed(shape, seed, n=40, dtype=torch.float64):
    """Unit points on all manifolds, mixed, with ambient vectors."""
    kinds = torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(seed))
    w, u = torch.empty(2, n, *shape, dtype=dtype)
    for number, name in enumerate(KINDS):
        rows = kinds == number
        w[rows], u[rows] = batch(name, shape, seed + number, int(rows.sum()), dtype)
    return kinds, w, u


@given(shapes, seeds)
def test_planes_are_as_the_reference(shape, seed):
    kinds, w, u = mixed(shape, seed)
    masks = Masks.of(kinds, torch.float64)
    tangent = Planes.project(w, u, masks)
    point = Planes.retract(w + 0.5 * tangent, masks)
    for number, name in enumerate(KINDS):
        rows = kinds == number
        expected = OPS[name].project(w[rows], u[rows])
        torch.testing.assert_close(tangent[rows], expected)
        expected = OPS[name].normalise(w[rows] + 0.5 * expected)
        torch.testing.assert_close(point[rows], expected, rtol=1e-9, atol=1e-12)


def test_planes_at_other_radii():
    kinds, w, u = mixed((3, 3), 0)
    masks, radius = Masks.of(kinds, torch.float64), torch.rand(40, dtype=torch.float64) + 0.1
    radius[kinds == 0] = 1.0
    vectors = Planes.columns(u)
    planes.project_(Planes.columns(radius[:, None, None] * w), vectors, masks, radius, KINDS)
    torch.testing.assert_close(Planes.matrices(vectors), Planes.project(w, u, masks))


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("shape", [(3, 3), (7, 7), (8, 8), (5, 1), (3, 2)])
def test_planes_are_accurate_in_float32(shape, size):
    """Steps from tiny to a million times the weight stay on the manifolds."""
    kinds, w, u = mixed(shape, 1, n=2000, dtype=torch.float32)
    masks = Masks.of(kinds, torch.float32)
    tangent = Planes.project(w, size * u, masks)
    point = Planes.retract(w + tangent, masks, passes=3 if size > 1e3 else 2).double()
    for number, name in enumerate(KINDS[1:], 1):
        own = point[kinds == number]
        assert (own - OPS[name].nearest(own)).abs().max() < 1e-6


def test_nearly_dependent_columns():
    """A tangent step from nearly equal columns of the direction is still retracted well."""
    w, u = batch("stiefel", (3, 3), 2, n=500, dtype=torch.float32)
    u[:, :, 1] = u[:, :, 0] + 1e-6 * u[:, :, 1]
    masks = Masks.of(torch.full((500,), KINDS.index("stiefel")), torch.float32)
    point = Planes.retract(w + Planes.project(w, 100 * u, masks), masks)
    gram = point.double().mT @ point.double()
    assert (gram - torch.eye(3)).abs().max() < 1e-6
