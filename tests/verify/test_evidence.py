"""Verdicts follow from demands."""

import pytest

from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence


def evidence(printed, right=True, code=True):
    found = Evidence()
    for form, met in ((PRINTED, printed), (RIGHT, right), (CODE, code)):
        found.below(form, form, 0.0 if met else 1.0, 0.5)
    return found


@pytest.mark.parametrize(
    ("printed", "right", "code", "plain", "corrected", "beyond"),
    [
        (True, True, True, "holds", "holds", "holds"),
        (False, True, True, "fails", "holds as corrected", "fails"),
        (True, False, True, "fails", "fails", "not confirmed"),
        (True, True, False, "fails", "fails", "not confirmed"),
        (False, False, True, "fails", "fails", "not confirmed"),
        (False, True, False, "fails", "fails", "not confirmed"),
    ],
)
def test_verdicts(printed, right, code, plain, corrected, beyond):
    found = evidence(printed, right, code)
    assert found.verdict() == plain
    assert found.verdict(corrected=True) == corrected
    assert found.verdict(beyond_repair=True) == beyond


def test_demands():
    found = Evidence()
    found.below(PRINTED, "a", 1.0, 1.0)
    found.above(PRINTED, "b", 1.0, 1.0)
    found.between(PRINTED, "c", 1.0, 0.5, 1.5)
    found.near(PRINTED, "d", 1.0, 1.1, 0.2)
    assert found.verdict() == "holds"
    for demand in (
        lambda e: e.below(RIGHT, "x", 1.1, 1.0),
        lambda e: e.above(RIGHT, "x", 0.9, 1.0),
        lambda e: e.between(RIGHT, "x", 2.0, 0.5, 1.5),
        lambda e: e.near(RIGHT, "x", 1.5, 1.1, 0.2),
        lambda e: e.below(RIGHT, "x", float("nan"), 1.0),
    ):
        other = Evidence()
        demand(other)
        assert other.verdict() == "fails"
        assert other.demands["x"].endswith("not met")


def test_a_figure_may_have_two_demands():
    found = Evidence()
    found.below(PRINTED, "x", 1.0, 0.5)
    found.above(RIGHT, "x", 1.0, 0.5)
    assert found.demands == {"x": "printed: at most 0.5, not met; right: at least 0.5, met"}
    finding = found.finding("(0)", "It is so.", "A note.", "example", corrected=True)
    assert finding.verdict == "holds as corrected"
    assert finding.counterexample is None
    assert found.finding("(0)", "x", "", "example", beyond_repair=True).counterexample == "example"
