"""Denominators of the step."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds.solver import corollary2

norms = st.floats(0, 1e6)
curvatures = st.floats(1e-6, 1e6)


@given(norms)
def test_equation_7_at_unit_curvature(norm):
    printed = max(1.0, norm**2 * (2 + norm) ** 2) ** 0.5
    assert corollary2(np.array(norm), np.array(1.0)) == pytest.approx(printed)


@given(norms, curvatures)
def test_at_any_curvature(norm, curvature):
    rho = curvature**-0.5
    expected = max(1.0, norm**2 * max((2 * rho + norm) ** 2, 1.0)) ** 0.5
    assert corollary2(np.array(norm), np.array(curvature)) == pytest.approx(expected)


@given(norms)
def test_flat_poms_take_plain_steps(norm):
    assert corollary2(np.array(norm), np.array(0.0)) == 1


@given(st.lists(st.tuples(norms, st.floats(0, 1e3)), min_size=1, max_size=5))
def test_numpy_and_torch_agree(pairs):
    norm, curvature = (np.array(column) for column in zip(*pairs, strict=True))
    ours = corollary2(torch.from_numpy(norm), torch.from_numpy(curvature))
    np.testing.assert_allclose(ours.numpy(), corollary2(norm, curvature))
