"""Differences of arms, against SciPy and by simulation: error rates are those that are claimed."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fgmanifolds.experiments.study.contrasts import difference, holm
from fgmanifolds.experiments.study.power import (
    difference_power,
    equivalence_power,
    seeds_for_difference,
    seeds_for_equivalence,
    smallest_margin,
)
from fgmanifolds.experiments.study.target import (
    hazard_test,
    restricted_difference,
    restricted_mean,
    times_to_target,
)


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_and_p_values_are_scipys(paired):
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.normal(0, 1, 9), rng.normal(0.5, 2, 9)
        found = difference(x, y, 0.1, 0.3, paired)
        if paired:
            reference = stats.ttest_rel(x, y)
            lower = stats.ttest_1samp(x - y, -0.3, alternative="greater").pvalue
            upper = stats.ttest_1samp(x - y, 0.3, alternative="less").pvalue
        else:
            reference = stats.ttest_ind(x, y, equal_var=False)
            lower = stats.ttest_ind(x + 0.3, y, equal_var=False, alternative="greater").pvalue
            upper = stats.ttest_ind(x - 0.3, y, equal_var=False, alternative="less").pvalue
        interval = reference.confidence_interval(0.9)
        assert found.p == pytest.approx(reference.pvalue)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
        assert found.freedom == pytest.approx(reference.df)
        assert found.p_equivalence == pytest.approx(max(lower, upper))


def test_equivalence_is_an_interval_within_the_margin():
    rng = np.random.default_rng(1)
    both = []
    for _ in range(200):
        x, y = rng.normal(0, 1, 12), rng.normal(0.2, 1, 12)
        wide = difference(x, y, 0.1, 0.9)
        inside = wide.low > -0.9 and wide.high < 0.9
        assert (wide.p_equivalence < 0.05) == inside
        both.append(inside)
    assert 0 < sum(both) < 200


def test_arms_without_spread_are_compared_exactly():
    same = difference([3.0, 3.0], [3.0, 3.0], 0.05, 0.1)
    assert (same.mean, same.p, same.p_equivalence) == (0, 1, 0)
    apart = difference([3.0, 3.0], [2.0, 2.0], 0.05, 0.1)
    assert (apart.mean, apart.p, apart.p_equivalence) == (1, 0, 1)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([1.0], [1.0, 2.0], {}, "the arms have 1 and 2 runs; two of each"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], {"paired": True}, "paired arms have 3 and 2 runs"),
        ([1.0, 2.0], [1.0, 2.0], {"margin": 0}, "margin=0 must be"),
        ([1.0, 2.0], [1.0, 2.0], {"alpha": 0.7}, "alpha=0.7 must be"),
    ],
)
def test_bad_arguments_are_refused(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        difference(x, y, **{"alpha": 0.05, "margin": 1.0, **options})


def test_holm_by_its_definition():
    """A test is rejected at a level if and only if its adjusted p value is at most that level."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        p = rng.random(6) ** 3
        adjusted = holm(p)
        for level in (0.01, 0.05, 0.2):
            rejected, order = set(), np.argsort(p)
            for place, index in enumerate(order):
                if p[index] > level / (6 - place):
                    break
                rejected.add(index)
            assert {i for i in range(6) if adjusted[i] <= level} == rejected


def test_holm_counts_tests_that_are_not_made():
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.03, math.nan, 0.08], nan_ok=True)
    assert holm([]) == []


# Power -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("paired", [False, True])
def test_power_is_the_share_of_simulations_that_find_it(paired):
    rng, n, seeds = np.random.default_rng(3), 4000, 12
    x = rng.normal(0.9, 1, (n, seeds))
    y = rng.normal(0.0, 1, (n, seeds))
    found = sum(difference(a, b, 0.05, 1.2, paired).p < 0.05 for a, b in zip(x, y))
    expected = difference_power(seeds, 1.0, 0.9, 0.05, paired)
    assert abs(found / n - expected) < 4 * math.sqrt(0.25 / n)
    equal = sum(
        difference(a - 0.9, b, 0.05, 1.2, paired).p_equivalence < 0.05 for a, b in zip(x, y)
    )
    expected = equivalence_power(seeds, 1.0, 1.2, 0.05, paired)
    assert abs(equal / n - expected) < 4 * math.sqrt(0.25 / n)


def test_numbers_of_seeds_are_the_smallest_that_suffice():
    for deviation, effect in ((0.2, 0.25), (1.0, 0.5), (0.3, 2.0)):
        n = seeds_for_difference(deviation, effect, 0.05, 0.9)
        assert difference_power(n, deviation, effect, 0.05) >= 0.9
        assert n == 2 or difference_power(n - 1, deviation, effect, 0.05) < 0.9
        n = seeds_for_equivalence(deviation, effect, 0.05, 0.9)
        assert equivalence_power(n, deviation, effect, 0.05) >= 0.9
        assert n == 2 or equivalence_power(n - 1, deviation, effect, 0.05) < 0.9
    assert seeds_for_difference(0.2, 0.2, 0.01, 0.9) in range(29, 33)  # as tables have it
    margin = smallest_margin(20, 0.2, 0.05, 0.9)
    assert margin == pytest.approx(0.21, abs=0.005)
    assert equivalence_power(20, 0.2, margin, 0.05) == pytest.approx(0.9)
    with pytest.raises(ValueError, match="no number of seeds up to"):
        seeds_for_difference(1.0, 1e-5, 0.05, 0.9)


# Steps to a target -----------------------------------------------------------------------------


def curves(rows):
    columns = ["arm", "seed", "step", "validation_error"]
    return pd.DataFrame(
        [(a, s, 10 * (i + 1), e) for a, s, es in rows for i, e in enumerate(es)], columns=columns
    )


def test_times_are_first_passages_and_lost_runs_are_censored():
    runs = pd.DataFrame({"arm": ["a", "a", "a", "b"], "seed": [0, 1, 2, 0]})
    frame = curves([("a", 0, [9, 5, 7]), ("a", 1, [9, 8, 7]), ("b", 0, [6, 6.0001, 3])])
    times = times_to_target(frame, runs, 6.0)
    assert times["steps"].tolist() == [20, 30, 30, 10]
    assert times["reached"].tolist() == [True, False, False, True]
    assert restricted_mean(times[times["arm"] == "a"]) == pytest.approx(80 / 3)


def test_the_log_rank_test_has_its_level_and_finds_a_difference():
    rng, n = np.random.default_rng(4), 300

    def sample(scale):
        steps = rng.exponential(scale, 20)
        return pd.DataFrame({"steps": steps.clip(max=100), "reached": steps < 100})

    null = sum(hazard_test(sample(60), sample(60)) < 0.05 for _ in range(n))
    assert null <= stats.binom.ppf(0.9999, n, 0.06)
    power = sum(hazard_test(sample(25), sample(100)) < 0.05 for _ in range(100))
    assert power > 80
    found = restricted_difference(sample(25), sample(400), 0.05)
    assert found.high < 0
    never = pd.DataFrame({"steps": [100.0, 100.0], "reached": [False, False]})
    assert math.isnan(hazard_test(never, never))
    at_once = pd.DataFrame({"steps": [10.0, 10.0], "reached": [True, True]})
    assert math.isnan(hazard_test(at_once, at_once))
