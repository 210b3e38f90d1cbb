"""Batched maps: reference, unrolled version and the NumPy geometry in lockstep."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.ops import batched as kernels
from fgmanifolds.torch.ops import planes as unrolled
from fgmanifolds.torch.ops.batched import Masks

NAMES = kernels.KINDS
shapes = st.tuples(st.integers(1, 6), st.integers(1, 6)).map(lambda s: (max(s), min(s)))
seeds = st.integers(0, 2**31 - 1)


class Unrolled:
    """The unrolled maps as functions of ``[n, A, B]`` tensors that leave these alone."""

    @staticmethod
    def columns(x):
        return unrolled.columns_of(x.permute(1, 2, 0).clone())

    @staticmethod
    def matrices(columns):
        return torch.stack([torch.stack(column, 1) for column in columns], 2)

    @classmethod
    def project(cls, w, u, masks):
        vectors = cls.columns(u)
        unrolled.project_(cls.columns(w), vectors, masks, w.new_ones(len(w)), NAMES)
        return cls.matrices(vectors)

    @classmethod
    def retract(cls, x, masks):
        points = cls.columns(x)
        unrolled.retract_(points, masks, x.new_ones(len(x)), NAMES)
        return cls.matrices(points)


MAPS = {"reference": kernels, "unrolled": Unrolled}


def batch(shape, seed, n=40, dtype=torch.float64):
    """Random unit points on all manifolds, with ambient vectors."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(0, 4, (n,), generator=generator)
    masks = Masks.of(kinds, torch.float64)
    x, u = torch.randn(2, n, *shape, generator=generator, dtype=torch.float64)
    w = kernels.nearest(x, masks)
    masks = Masks(*(mask.to(dtype) for mask in masks))
    return kinds, masks, w.to(dtype), u.to(dtype)


def by_component(method, kinds, shape, *arrays):
    results = [
        getattr(COMPONENTS[NAMES[kind]](*shape), method)(*(a[i].numpy() for a in arrays))
        for i, kind in enumerate(kinds.tolist())
    ]
    return torch.from_numpy(np.stack(results))


@pytest.mark.parametrize("maps", MAPS.values(), ids=MAPS)
@given(shapes, seeds)
def test_agree_with_the_numpy_geometry(maps, shape, seed):
    kinds, masks, w, u = batch(shape, seed)
    tangent = maps.project(w, u, masks)
    torch.testing.assert_close(tangent, by_component("projection", kinds, shape, w, u))
    point = maps.retract(w + 0.5 * tangent, masks)
    expected = by_component("retraction", kinds, shape, w, 0.5 * tangent)
    torch.testing.assert_close(point, expected, rtol=1e-9, atol=1e-12)


@given(shapes, seeds)
def test_nearest_agrees_with_the_numpy_geometry(shape, seed):
    kinds, masks, _, u = batch(shape, seed)
    point = kernels.nearest(u, masks)
    torch.testing.assert_close(point, by_component("nearest_point", kinds, shape, u))


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("shape", [(3, 3), (7, 7), (8, 8), (5, 1), (3, 2)])
def test_unrolled_is_accurate_in_float32(shape, size):
    """Steps from tiny to a million times the weight stay on the manifolds."""
    kinds, masks, w, u = batch(shape, 1, n=2000, dtype=torch.float32)
    tangent = Unrolled.project(w, size * u, masks)
    point = Unrolled.retract(w + tangent, masks)
    curved = kinds != NAMES.index("euclidean")
    exact = Masks(*(mask.double() for mask in masks))
    distance = point.double() - kernels.nearest(point.double(), exact)
    assert distance[curved].abs().max() < 1e-6


def test_nearly_dependent_columns():
    """A tangent step from nearly equal columns of the direction is still retracted well."""
    kinds = torch.full((500,), NAMES.index("stiefel"))
    masks = Masks.of(kinds, torch.float32)
    _, _, w, u = batch((3, 3), 2, n=500, dtype=torch.float32)
    w = kernels.nearest(w, masks)
    u[:, :, 1] = u[:, :, 0] + 1e-6 * u[:, :, 1]
    point = Unrolled.retract(w + Unrolled.project(w, 100 * u, masks), masks)
    gram = point.double().mT @ point.double()
    assert (gram - torch.eye(3)).abs().max() < 1e-6
