"""Schedules, and the conditions of eq. (4)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgmanifolds.solver import check_schedule, constant, cosine, robbins_monro, step_decay


@given(st.floats(0.01, 1), st.floats(1, 100), st.floats(0.51, 1))
def test_robbins_monro_satisfies_4(a, b, power):
    schedule = robbins_monro(a, b, power)
    assert check_schedule(schedule) is schedule
    assert schedule(0) == a
    # As a plain function it is judged by its decay, and passes too.
    assert check_schedule(lambda t: a / (1 + t / b) ** power)(7) == schedule(7)


def power_law(a, power):
    return lambda t: a / (1 + t) ** power


REFUSED = [
    (lambda c: check_schedule(0.1, check=c), r"sum of r\(t\)\^2 is infinite"),
    (lambda c: constant(0.1, check=c), r"sum of r\(t\)\^2 is infinite"),
    (lambda c: cosine(0.1, 100, check=c), r"0 after finitely many steps"),
    (lambda c: step_decay(0.1, 0.5, 10, check=c), r"sum of r\(t\) is finite"),
    (lambda c: check_schedule(lambda t: 0.1 * 0.99**t, check=c), "vanishes"),
    (
        lambda c: check_schedule(power_law(0.1, 0.4), check=c),
        r"t\^-0.4, so that the sum of r\(t\)\^2",
    ),
    (
        lambda c: check_schedule(power_law(0.1, 1.2), check=c),
        r"t\^-1.2, so that the sum of r\(t\) is",
    ),
    (
        lambda c: check_schedule(lambda t: 2 / (1 + t) ** 0.7 + 0.0, check=c),
        r"reaches 1.23114, and the proof",
    ),
    (lambda c: check_schedule(lambda t: -1.0 / (1 + t), check=c), "non-negative"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_schedules_that_break_4_are_refused_with_the_reason(make, reason):
    with pytest.raises(ValueError, match=f"does not satisfy eq. \\(4\\): .*{reason}.*check=False"):
        make(True)
    schedule = make(False)
    assert isinstance(schedule(3), float)


def test_values():
    assert constant(0.2, check=False)(99) == 0.2
    assert step_decay(1.0, 0.5, 10, check=False)(25) == 0.25
    half = cosine(1.0, 10, check=False)
    assert [half(t) for t in (0, 5, 10, 20)] == pytest.approx([1, 0.5, 0, 0])
    assert repr(robbins_monro(0.5, 10, 0.75)) == "robbins_monro(a=0.5, b=10, power=0.75)"
    assert check_schedule(lambda t: 1 / (2 + t) / math.log(2 + t))  # decays like 1 / (t log t)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: robbins_monro(power=0.5),
            ValueError,
            r"power=0.5 must be finite and in \(0.5, 1\]",
        ),
        (lambda: robbins_monro(power=1.1), ValueError, "power=1.1"),
        (lambda: robbins_monro(a=2), ValueError, r"a=2 must .* in \(0, 1\]"),
        (lambda: robbins_monro(b=0), ValueError, "b=0"),
        (lambda: step_decay(1, 1.0, 5, check=False), ValueError, "factor=1.0"),
        (lambda: cosine(1, 0, check=False), ValueError, "steps=0"),
        (
            lambda: check_schedule("fast"),
            TypeError,
            "lr='fast': a number, a schedule",
        ),
        (lambda: check_schedule(math.nan, check=False), ValueError, "a=nan"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
