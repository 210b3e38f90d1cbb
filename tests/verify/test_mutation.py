"""Every check notices the faults that belong to it; and faults leave nothing behind."""

import inspect
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import fgmanifolds
from fgmanifolds.cli import app
from fgmanifolds.solver import corollary2
from fgmanifolds.steps import denominator
from fgmanifolds.verify import CLAIMS, FAULTS, Fault, mutate, mutation_table
from fgmanifolds.verify.fault import FORMULA, PACKAGE, instead, negated, scaled, with_argument

#: Entries whose checks take more than a second.
SLOW = {"eq5", "theorem2", "remark1", "corollary1", "corollary2", "algorithm1"}


def should(fault):
    return [name for name, claim in CLAIMS.items() if fault in claim.faults]


#: Every fifth fault, of those that fast checks must notice.
SAMPLE = [name for name, fault in FAULTS.items() if not SLOW & set(should(fault))][::5]


def test_every_entry_with_a_verdict_has_faults_of_both_sides():
    for name, claim in CLAIMS.items():
        sides = {fault.side for fault in claim.faults}
        without = claim.expected in ("definition", "not testable")
        assert sides == (set() if without else {FORMULA, PACKAGE}), name


def test_faults_have_one_name_each():
    every = [fault for claim in CLAIMS.values() for fault in claim.faults]
    assert {fault.name for fault in every} == set(FAULTS)
    assert all(FAULTS[fault.name] is fault for fault in every)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_faults_is_noticed(name):
    (found,) = mutate([name], others=0)
    assert not found.unnoticed, found


def test_a_fault_in_corollary_2_reaches_its_rule():
    """The rule that steps take is the formula; by hand, R = 0.8, rho = 1 halved."""
    with FAULTS["corollary2-half-rho"].applied():
        assert denominator("corollary2", 0.8, c=1.0) == pytest.approx(0.8 * 1.8)
        assert corollary2(np.array(0.8), np.array(1.0)) == pytest.approx(0.8 * 1.8)
    assert denominator("corollary2", 0.8, c=1.0) == pytest.approx(0.8 * 2.8)


@pytest.mark.slow
def test_all_faults_are_noticed():
    table = mutate()
    assert [one.fault.name for one in table if one.unnoticed] == []
    assert len(table) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_faults_are_taken_back(fault):
    owner, attribute = fault._place()
    before = inspect.getattr_static(owner, attribute)
    inherited = attribute not in vars(owner)
    with fault.applied():
        assert inspect.getattr_static(owner, attribute) is not before
    assert inspect.getattr_static(owner, attribute) is before
    assert (attribute not in vars(owner)) == inherited


def test_a_fault_that_nobody_notices_is_told(monkeypatch):
    """One that changes nothing: exit status 1, and its name."""
    harmless = Fault("harmless", FORMULA, "nothing", FAULTS["eq33-right-sign"].target, scaled(1.0))
    claim = CLAIMS["eq33"]
    monkeypatch.setitem(FAULTS, "harmless", harmless)
    monkeypatch.setitem(CLAIMS, "eq33", type(claim)(**{**vars(claim), "faults": (harmless,)}))
    (found,) = mutate(["harmless"], others=0)
    assert found.unnoticed == ("eq33",)
    monkeypatch.setattr("fgmanifolds.verify.mutate", lambda *_, **__: [found])
    result = CliRunner().invoke(app, ["verify", "--mutate", "--only", "eq33"])
    assert result.exit_code == 1
    assert "harmless: not noticed by eq33" in result.output


def test_mutate_from_the_command_line(tmp_path, monkeypatch):
    few = mutate(["eq33-right-sign", "eq32-right-square"], others=0)
    monkeypatch.setattr("fgmanifolds.verify.mutate", lambda *_, **__: few)
    for form in ("table", "json", "html"):
        out = tmp_path / form
        arguments = ["verify", "--mutate", "--only", "eq33", "--format", form, "--out", str(out)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        assert "2 faults, 2 noticed" in result.output
        assert "eq33-right-sign" in out.read_text()
    rows = json.loads((tmp_path / "json").read_text())
    assert rows[0]["should notice"] == "eq33"
    assert rows[0]["noticed"] == "eq33 (fails)"


def test_table():
    table = mutation_table(mutate(["c-a-printed-right"], others=0))
    assert table.loc["c-a-printed-right", "noticed"] == "c-a-projection (not confirmed)"
    assert table.loc["c-a-printed-right", "unnoticed"] == ""


def test_bad_input():
    with pytest.raises(ValueError, match="names='eq34-sign' is unknown"):
        mutate(["eq34-sign"])
    with pytest.raises(ValueError, match="others=-1"):
        mutate(["gain-sign"], others=-1)


def test_a_verdict_that_is_wrong_without_faults_is_an_error(monkeypatch):
    claim = CLAIMS["eq33"]
    wrong = {"eq33": type(claim)(**{**vars(claim), "expected": "fails"})}
    monkeypatch.setattr("fgmanifolds.verify.mutation.CLAIMS", wrong)
    with pytest.raises(RuntimeError, match="eq33: holds as corrected without any fault"):
        mutate(["gain-sign"], others=0.05)


def test_changes():
    def double(a, b):
        return 2 * a + b

    assert scaled(3.0)(double)(1, 2) == 12
    assert negated(double)(1, 2) == -4
    assert instead(5)(double) == 5
    assert with_argument(1, lambda b: 10 * b)(double)(1, 2) == 22


class Thing:
    @staticmethod
    def double(x):
        return 2 * x


def test_faults_apply_to_properties_and_static_methods():
    bounds = "fgmanifolds.geometry:Stiefel.sectional_curvature_bounds"
    fault = Fault(
        "x", PACKAGE, "y", bounds, lambda p: property(lambda self: (-9.0, p.fget(self)[1]))
    )
    with fault.applied():
        assert fgmanifolds.Stiefel(3, 2).sectional_curvature_bounds == (-9.0, 0.5)
        assert fgmanifolds.Sphere(3, 2).sectional_curvature_bounds == (1.0, 1.0)
    assert fgmanifolds.Stiefel(3, 2).sectional_curvature_bounds == (-0.5, 0.5)
    with Fault("x", PACKAGE, "y", f"{__name__}:Thing.double", scaled(5)).applied():
        assert Thing.double(1) == Thing().double(1) == 10
    assert Thing().double(1) == 2
    with pytest.raises(AttributeError), Fault("x", PACKAGE, "y", bounds + "s", scaled(1)).applied():
        pass
