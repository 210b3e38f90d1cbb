"""The analysis on made-up results: error rates as planned, what is not finished is not judged."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from fgmanifolds.experiments.study.analysis import analyse, contrast_table, power_warning
from fgmanifolds.experiments.study.power import equivalence_power, seeds_for_difference
from tests.experiments.study.common import small
from tests.experiments.study.made_up import made_up_curves, made_up_runs

ARMS = ('arms = ["sgd", "pio4"]', 'arms = ["sgd", "pio4", "muon", "adam", "spheres"]')
SECONDARY = '[["muon", "sgd"], ["adam", "sgd"], ["spheres", "pio4"]]'
SEEDS = seeds_for_difference(0.2, 0.25, 0.05, 0.8)
CHANGES = (
    ARMS,
    ("seeds = 2", f"seeds = {SEEDS}"),
    ("margin = 5.0", f"margin = 0.25\nsecondary = {SECONDARY}"),
    ("deviation = 1.0", "deviation = 0.2"),
    ("difference = 5.0", "difference = 0.25"),
    ("target = 20.0", "target = 10.0"),
)
NONE = dict.fromkeys(["sgd", "pio4", "muon", "adam", "spheres"], 9.0)


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    return small(tmp_path_factory.mktemp("protocol"), *CHANGES)


def simulated(protocol, means, number, seed):
    """Tables of contrasts of that many studies."""
    rng = np.random.default_rng(seed)
    template = made_up_runs(protocol, dict.fromkeys(means, 0.0), 0.0, rng)
    template = template[template["stage"] == "test"]
    level = template["arm"].map(means)
    for _ in range(number):
        errors = level + 0.2 * rng.normal(size=len(template))
        yield contrast_table(protocol, template.assign(test_error=errors))


def test_without_effects_at_most_alpha_is_found(protocol):
    n, primary, family, signs = 800, 0, 0, set()
    for table in simulated(protocol, NONE, n, 0):
        found = table["p adjusted"] < 0.05
        judged = table["verdict"].str.contains("better|worse")
        assert (found == judged).all()
        primary += bool(found[0])
        family += bool(found[1:].any())
        signs |= set(table.loc[judged, "verdict"].str.split(",").str[0])
    limit = binom.ppf(0.999, n, 0.05)
    assert primary <= limit
    assert family <= limit
    # The simulation is long enough to find something, or it could not fail.
    assert primary > 0
    assert family > 0
    assert signs == {"first is better", "first is worse"}


def test_an_effect_of_the_planned_size_is_found_with_the_planned_power(protocol):
    n, found = 300, 0
    for table in simulated(protocol, {**NONE, "pio4": 8.75}, n, 1):
        found += table["verdict"][0].startswith("first is better")
    assert binom.ppf(0.001, n, 0.8) <= found < n


def test_equivalence_errs_at_most_alpha_and_finds_what_is_equal(protocol):
    n = 300
    at_margin = sum(
        table["p_equivalence"][0] < 0.05
        for table in simulated(protocol, {**NONE, "pio4": 9.25}, n, 2)
    )
    assert 0 < at_margin <= binom.ppf(0.999, n, 0.05)
    power = equivalence_power(SEEDS, 0.2, 0.25, 0.05)
    equal = [
        "no difference within the margin" in table["verdict"][0]
        for table in simulated(protocol, NONE, n, 3)
    ]
    assert sum(equal) >= binom.ppf(0.001, n, power - 0.05)


def test_what_is_not_finished_is_not_judged(protocol):
    runs = made_up_runs(protocol, NONE, 0.2, np.random.default_rng(5))
    last = (runs["arm"] == "sgd") & (runs["seed"] == runs["seed"].max())
    found = analyse(protocol, runs[~last], made_up_curves(runs[~last]))
    verdicts = found.contrasts.set_index(["first", "second"])["verdict"]
    for pair in (("pio4", "sgd"), ("muon", "sgd"), ("adam", "sgd")):
        assert verdicts[pair] == "not finished"
    assert verdicts["spheres", "pio4"] != "not finished"
    third = found.contrasts.set_index("first").loc["spheres"]
    assert third["p adjusted"] == pytest.approx(min(1.0, 3 * third["p"]))


def test_nothing_is_made_of_no_runs(protocol):
    runs = made_up_runs(protocol, NONE, 0.2, np.random.default_rng(5)).iloc[:0]
    found = analyse(protocol, runs, made_up_curves(runs))
    assert set(found.contrasts["verdict"]) == {"not finished"}
    assert (found.arms["seeds"] == 0).all()


def test_search_runs_and_other_seeds_do_not_count(protocol):
    runs = made_up_runs(protocol, NONE, 0.2, np.random.default_rng(6))
    curves = made_up_curves(runs)
    expected = analyse(protocol, runs, curves).contrasts
    strange = runs.assign(test_error=0.0, seed=runs["seed"] + 5000)
    strange.loc[strange["stage"] != "test", "seed"] = 1000
    again = analyse(protocol, pd.concat([strange, runs]), curves).contrasts
    pd.testing.assert_frame_equal(again, expected)


def test_rates_at_the_end_of_their_range_are_remarked(protocol):
    runs = made_up_runs(protocol, NONE, 0.2, np.random.default_rng(7))
    runs.loc[runs["arm"] == "muon", "lr"] = 0.9
    runs.loc[runs["arm"] == "adam", "lr_euclidean"] = 3.1e-4
    found = analyse(protocol, runs, made_up_curves(runs))
    remarks = [line for line in found.warnings if "end of its range" in line]
    assert len(remarks) == 2
    assert "arm 'muon': lr=0.9 was chosen near the upper end" in remarks[0]
    assert "arm 'adam': lr_euclidean=0.00031 was chosen near the lower end" in remarks[1]


def test_runs_that_diverged_are_told(protocol):
    runs = made_up_runs(protocol, NONE, 0.2, np.random.default_rng(8))
    last = (runs["arm"] == "pio4") & (runs["seed"] == runs["seed"].max())
    runs.loc[last, ["diverged", "test_error"]] = [True, 90.0]
    found = analyse(protocol, runs, made_up_curves(runs))
    assert any("arm 'pio4': 1 test runs diverged" in line for line in found.warnings)
    assert found.arms.set_index("arm").loc["pio4", "diverged"] == 1
    runs.loc[last, "test_error"] = 9e4
    found = analyse(protocol, runs, made_up_curves(runs))
    assert any("more than 100000 seeds find" in line for line in found.warnings)


def test_runs_of_several_commits_are_told(protocol):
    runs = made_up_runs(protocol, NONE, 0.1, np.random.default_rng(8))
    assert analyse(protocol, runs, made_up_curves(runs)).warnings == []
    runs.loc[:2, "commit"] = "def-dirty"
    warnings = analyse(protocol, runs, made_up_curves(runs)).warnings
    assert warnings == [
        "the runs are of 2 commits of the code.",
        "3 runs are of files that differed from their commit.",
    ]


def test_too_few_seeds_are_warned_of_by_plan_and_by_result(protocol, tmp_path):
    assert power_warning(protocol) == []
    poor = small(tmp_path, *CHANGES[:1], *CHANGES[2:])
    (line,) = power_warning(poor)
    assert line.startswith("2 seeds are fewer than the power needs")
    assert f"{SEEDS} seeds find a difference of 0.25 with power 0.8" in line
    wild = made_up_runs(protocol, NONE, 0.8, np.random.default_rng(9))
    (line,) = power_warning(protocol, wild[wild["stage"] == "test"])
    needed = int(line.split(" seeds find")[0].split()[-1])
    assert "the deviation of the primary arms" in line
    assert 100 < needed < 400


def test_verdicts_in_words(protocol):
    rng = np.random.default_rng(10)
    runs = made_up_runs(protocol, {**NONE, "pio4": 9.1, "muon": 8.0, "adam": 9.001}, 0.01, rng)
    verdicts = analyse(protocol, runs, made_up_curves(runs)).contrasts["verdict"].tolist()
    assert verdicts[0] == "first is worse, by less than the margin"
    assert verdicts[1] == "first is better"
    assert verdicts[2] == "no difference within the margin"
    assert verdicts[3] == "first is better, by less than the margin"
