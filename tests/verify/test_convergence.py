"""Theorem 2, its inequalities and its corollaries, as measured."""

import numpy as np
import pytest

from fgmanifolds.verify import (
    corollary1,
    corollary2,
    denominator_bias,
    one_step,
    psi,
    supermartingale,
    theorem2,
)
from fgmanifolds.verify.problems import PROBLEMS, make_problem


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_the_minima_are_known(name):
    """No point is below, the gradient there is zero, and distances are zero there only."""
    known = make_problem(name, seed=1)
    manifold, problem = known.problem.manifold, known.problem
    for seed in range(20):
        point = known.initial_point(seed)
        manifold.check_point(point)
        assert known.distance(point) > 0
        if known.nearest is not None:
            best = known.nearest(point)
            manifold.check_point(best)
            assert known.distance(best) == 0
            assert known.gap(best) == pytest.approx(0, abs=1e-10)
            assert manifold.norm(best, problem.riemannian_gradient(best)) < 1e-6
    assert known.gap(known.initial_point(0)) > 0


@pytest.mark.slow
def test_theorem_2():
    finding = theorem2(seeds=2, steps=1500, rule="corollary2")
    assert finding.verdict == "holds as corrected"
    start = finding.measured["procrustes: distance at the start"]
    assert finding.measured["procrustes: distance after 1500 steps"] < 0.05 * start


def test_theorem_2_is_not_granted_to_runs_that_are_too_short():
    assert theorem2(["procrustes"], seeds=1, steps=100, rule="global").verdict == "fails"


def test_one_step_and_supermartingale():
    finding = one_step(points=25)
    assert finding.verdict == "holds as corrected"
    assert finding.measured["share of points, theorem2, current norm"] == 1
    assert finding.measured["share of points, no denominator"] < 0.5
    finding = supermartingale(points=25)
    assert finding.verdict == "holds as corrected"
    assert finding.measured["share of points at which (27) holds"] > 0.9


def test_psi_is_as_the_proof_demands():
    epsilon = 0.2
    s = np.linspace(0, 3, 3001)
    values = psi(s, epsilon)
    slope = np.gradient(values, s)
    bend = np.gradient(slope, s)
    assert (values[s <= epsilon] == 0).all()
    inside = (s > epsilon + 0.01) & (s < epsilon + 0.99)
    assert ((bend[inside] > 0) & (bend[inside] <= 2)).all()
    np.testing.assert_allclose(slope[s > epsilon + 1.01], 1, atol=1e-6)


def test_the_norm_of_the_same_sample_biases_the_steps():
    finding = denominator_bias(steps=8000)
    assert finding.verdict == "fails"
    assert finding.measured["angle of the minimum"] == pytest.approx(41.99, abs=0.01)
    assert finding.measured["angle with the norm of the same sample"] < 5
    assert finding.measured["angle with the norm of past samples"] == pytest.approx(42, abs=12)


def test_corollaries():
    finding = corollary1(seeds=8)
    assert finding.verdict == "holds as corrected"
    lowest = finding.measured["quadratic on a circle: lowest minimum found"]
    highest = finding.measured["quadratic on a circle: highest minimum found"]
    assert (lowest, highest) == (pytest.approx(0.0, abs=1e-6), pytest.approx(0.2, abs=1e-6))
    finding = corollary2(seeds=2, samples=5000)
    assert finding.verdict == "holds as corrected"
    assert finding.measured["share of random pairs on S^8 within 1 / c"] == pytest.approx(
        0.053, abs=0.01
    )


def test_bad_input():
    with pytest.raises(ValueError, match="'lasso' is unknown"):
        theorem2(["lasso"])
    with pytest.raises(ValueError, match="steps=5"):
        theorem2(steps=5)
    with pytest.raises(ValueError, match="name='lasso' is unknown"):
        make_problem("lasso")
