"""Denominators of the step, against their formulas written with Python floats."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.solver import corollary2, global_bound, paper, theorem2
from fgmanifolds.steps import as_rule
from fgmanifolds.steps.norms import larger_where_curved
from fgmanifolds.steps.rules import GivenGeometry

norms = st.floats(0, 1e6)
lengths = st.floats(0, 1e3)
curvatures = st.floats(1e-6, 1e6)


def formula(norm, rho, second):
    return math.sqrt(max(1.0, norm**2 * max((2 * rho + norm) ** 2, second)))


@given(norms)
def test_equation_7_at_unit_curvature(norm):
    printed = max(1.0, norm**2 * (2 + norm) ** 2) ** 0.5
    assert corollary2(np.array(norm), np.array(1.0)) == pytest.approx(printed)
    assert paper(np.array(norm), np.array(1.0), np.array(1.0)) == pytest.approx(printed)


@given(norms, curvatures)
def test_corollary_2_at_any_curvature(norm, curvature):
    expected = formula(norm, curvature**-0.5, 1.0)
    assert corollary2(np.array(norm), np.array(curvature)) == pytest.approx(expected)


@given(norms, lengths, curvatures)
def test_the_others(norm, rho, kappa):
    args = np.array(norm), np.array(rho), np.array(kappa)
    second = 1 + math.sqrt(kappa) * (rho + norm)
    assert theorem2(*args) == pytest.approx(formula(norm, rho, second))
    assert paper(*args) == pytest.approx(formula(norm, rho, 1 + kappa * (rho + norm)))
    far = math.pi * rho
    expected = formula(norm, far, 1 + math.sqrt(kappa) * (far + norm)) if rho else 1.0
    assert global_bound(*args) == pytest.approx(expected)


@given(norms)
def test_flat_poms_take_plain_steps(norm):
    assert corollary2(np.array(norm), np.array(0.0)) == 1
    assert global_bound(np.array(norm), np.array(0.0), np.array(0.0)) == 1


@given(st.lists(st.tuples(norms, lengths, st.floats(0, 1e3)), min_size=1, max_size=5))
def test_numpy_and_torch_agree(rows):
    norm, rho, curvature = (np.array(column) for column in zip(*rows, strict=True))
    tensors = [torch.from_numpy(x) for x in (norm, rho, curvature)]
    for rule in (theorem2, paper, global_bound):
        expected = rule(norm, rho, curvature)
        np.testing.assert_allclose(rule(*tensors).numpy(), expected, rtol=1e-12)
        assert (expected >= 1).all()
    np.testing.assert_allclose(
        corollary2(tensors[0], tensors[2]).numpy(), corollary2(norm, curvature)
    )


@pytest.mark.parametrize("like", [np.array, torch.tensor])
def test_a_bounded_denominator_may_be_one_number(like):
    """A rule of one's own may give one for all POMs; on flat ones R does not count."""
    geometry = GivenGeometry(as_rule(None), {"c": like([1.0, 1.0, 0.0]), "kappa": 0.0})
    found = larger_where_curved(2.0, like([0.5, 3.0, 3.0]), geometry)
    np.testing.assert_array_equal(found, [2.0, 3.0, 2.0])


def test_gradients_that_overflow_squares():
    """1e20 squared is beyond float32; the denominators are not."""
    big = torch.tensor([1e18, 3e18])
    one = torch.ones(2)
    for g in (corollary2(big, one), theorem2(big, one, one)):
        assert torch.isfinite(g).all()


@pytest.mark.parametrize("seed", range(5))
def test_no_distance_exceeds_the_global_bound(seed):
    product = ScaledProductManifold(
        [Sphere(3, 3, k=2), Oblique(3, 2), Stiefel(3, 3)], [[1, 2], 3, 0.5]
    )
    x, y = product.random_point(seed), product.random_point(100 + seed)
    y[2][:, 0] *= np.sign(np.linalg.det(x[2]) * np.linalg.det(y[2]))
    norm = np.sqrt(sum(np.vdot(w, w) for w in x))
    assert product.dist(x, y) <= np.pi * norm


def test_half_the_hessian_of_the_squared_distance_exceeds_the_printed_bound():
    """On St(3, 2) it reaches 1.156 at rho = 1, by finite differences; curvature 0 gives 1."""
    stiefel = Stiefel(3, 2)
    rng = np.random.default_rng(0)
    worst = 0.0
    plane = stiefel.extremal_planes()[0]
    minimum = plane.point
    point = stiefel.exp(minimum, plane.u / stiefel.norm(minimum, plane.u))
    h = 1e-3
    for _ in range(200):
        v = stiefel.random_tangent_vector(point, rng)
        squares = [stiefel.dist(stiefel.exp(point, t * v), minimum) ** 2 for t in (-h, 0.0, h)]
        worst = max(worst, 0.5 * (squares[0] - 2 * squares[1] + squares[2]) / h**2)
    assert worst > 1.1
    assert worst <= 1 + math.sqrt(0.5) * 1.0
