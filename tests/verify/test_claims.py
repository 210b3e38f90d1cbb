"""Every numbered statement has an entry, and every verdict is the expected one."""

import importlib
import json
import random

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from fgmanifolds.cli import app
from fgmanifolds.verify import CLAIMS, VERDICTS, Finding, claims_table, verify
from fgmanifolds.verify.verification import Verified

NAMES = [
    *(f"eq{number}" for number in range(1, 34)),
    *("definition1", "definition2", "definition3", "remark1", "lemma1", "theorem1", "theorem2"),
    *("corollary1", "corollary2", "proposition1", "algorithm1", "example1"),
    *(f"table{number}" for number in (1, 2, 4, 5, 6, 7, 8)),
    *("c-a-projection", "c-a-times"),
]


@pytest.fixture(scope="module")
def states():
    return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002


@pytest.fixture(scope="module")
def found(states):
    return verify(seed=1)


def test_every_numbered_statement_has_an_entry():
    assert set(NAMES) <= set(CLAIMS)
    for name, claim in CLAIMS.items():
        assert claim.name == name
        assert claim.expected in VERDICTS
        assert claim.printed.endswith(".")
        assert bool(claim.right) == (claim.expected in ("holds as corrected", "fails")), name


def test_verdicts_are_the_expected_ones(found):
    assert [(one.claim.name, one.finding.verdict) for one in found] == [
        (name, claim.expected) for name, claim in CLAIMS.items()
    ]


def test_what_fails_has_a_counterexample_and_what_is_tested_has_figures(found):
    for one in found:
        if one.finding.verdict == "fails":
            assert one.finding.counterexample is not None, one.claim.name
        without = one.finding.verdict in ("not testable", "definition")
        assert bool(one.finding.measured) != without
        assert set(one.finding.demands) <= set(one.finding.measured)
        assert one.finding.note or one.finding.verdict == "holds"
    json.dumps([one.to_dict() for one in found], allow_nan=False)
    assert len(claims_table(found)) == len(CLAIMS)


def test_checks_leave_random_states_alone(states, found):
    python, numpy, generator = states
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy))  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_verdicts_do_not_depend_on_the_seed(seed):
    for one in verify(seed=seed):
        assert one.as_expected, (one.claim.name, one.finding)


def resolve(path):
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(path)


def test_the_code_named_exists():
    for claim in CLAIMS.values():
        for path in claim.code.split(", "):
            if path != "benchmarks":
                resolve(path)


def test_a_check_runs_once_for_statements_that_share_it():
    one, other = verify(["eq3", "eq30"])
    assert one.finding is other.finding


def test_unexpected_verdicts_are_told(monkeypatch):
    """A check that finds something else ends with status 1 and says what."""
    claim = CLAIMS["eq2"]
    surprise = Verified(claim, Finding("(2)", "x", "fails", {"y": 1.0}, "", 0))
    monkeypatch.setattr("fgmanifolds.verify.verify", lambda *_, **__: [surprise])
    result = CliRunner().invoke(app, ["verify", "--only", "eq2"])
    assert result.exit_code == 1
    assert "eq2: fails, expected: holds as corrected" in result.output


def test_list_runs_nothing(monkeypatch):
    monkeypatch.setattr("fgmanifolds.verify.verify", lambda *_, **__: pytest.fail("it ran"))
    result = CliRunner().invoke(app, ["verify", "--list", "--only", "eq24,text-pio"])
    assert result.exit_code == 0, result.output
    assert "eq24" in result.output
    assert "text-pio" in result.output
    assert "eq25" not in result.output


def test_explain():
    result = CliRunner().invoke(app, ["verify", "--explain", "eq33"])
    assert result.exit_code == 0, result.output
    for part in ("Printed:", "Right:", "Why: By homothety", "Measured:", "eq33-printed-sign"):
        assert part in result.output


@pytest.mark.parametrize("form", ["table", "json", "html"])
def test_formats(form, tmp_path):
    out = tmp_path / "found"
    arguments = ["verify", "--only", "eq2,table5", "--format", form, "--out", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert "Table V" in text
    if form == "json":
        assert [claim["name"] for claim in json.loads(text)["claims"]] == ["eq2", "table5"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "lemm1"], "Did you mean 'lemma1'"),
        (["--only", ","], "only is empty"),
        (["--format", "pdf"], "format='pdf'"),
        (["--seed", "-1"], "seed=-1"),
        (["--only", "eq2", "--out", "/proc/none/x"], "No such file"),
        (["--explain", "eq34"], "explain='eq34'"),
    ],
)
def test_bad_input(arguments, message):
    result = CliRunner().invoke(app, ["verify", *arguments])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
