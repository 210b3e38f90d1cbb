"""Checks of arguments, with one form of message for the whole package."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "check_bool",
    "check_choice",
    "check_choices",
    "check_integer",
    "check_number",
    "damage_refused",
]

#: What comes of looking at data that are not built as they should be.
DAMAGE = (KeyError, TypeError, AttributeError, LookupError, RuntimeError, ArithmeticError)


@contextmanager
def damage_refused(what: str) -> Iterator[None]:
    """Turn what checks of damaged data stumble over into a ``ValueError`` that says so."""
    try:
        yield
    except DAMAGE as error:
        raise ValueError(f"{what} is damaged: {type(error).__name__}: {error}") from None


def check_choice(argument: str, value: object, allowed: Iterable[object]) -> None:
    """Raise ``ValueError`` unless `value` is one of `allowed`.

    The message names the argument, the value given and what is allowed.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : object
    allowed : iterable
    """
    options = list(allowed)
    if value in options:
        return
    near = difflib.get_close_matches(str(value), [str(option) for option in options], n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(repr(option) for option in options) or "nothing"
    raise ValueError(f"{argument}={value!r} is unknown; allowed: {listed}.{hint}")


def check_choices(argument: str, values: Iterable[object], allowed: Iterable[object]) -> None:
    """Raise ``ValueError`` unless `values` is a non-empty list of distinct members of `allowed`.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    values, allowed : iterable
    """
    options, given = list(allowed), list(values)
    if not given:
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{argument} is empty; give at least one of {listed}.")
    for value in given:
        check_choice(argument, value, options)
    if len(set(given)) < len(given):
        raise ValueError(f"{argument}={tuple(given)!r} names the same thing twice.")


def check_number(
    argument: str,
    value: float,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
) -> None:
    """Raise ``ValueError`` unless `value` is a finite number in ``[low, high]``.

    With `open_low` the lower end is excluded.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : object
    low, high : float
    open_low : bool
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{argument}={value!r} is not a number.") from None
    inside = number > low if open_low else number >= low
    if not (math.isfinite(number) and inside and number <= high):
        raise ValueError(f"{argument}={value!r} must be {_range(low, high, open_low)}.")


def _range(low: float, high: float, open_low: bool) -> str:
    left, right = "(" if open_low or math.isinf(low) else "[", ")" if math.isinf(high) else "]"
    return f"finite and in {left}{low:g}, {high:g}{right}"


def check_bool(argument: str, value: object) -> None:
    """Raise ``ValueError`` unless `value` is True or False.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : object
    """
    if not isinstance(value, bool):
        raise ValueError(f"{argument}={value!r} must be True or False.")


def check_integer(argument: str, value: int, *, low: int) -> None:
    """Raise ``ValueError`` unless `value` is an integer not below `low`.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    value : object
    low : float
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < low:
        raise ValueError(f"{argument}={value!r} must be an integer of at least {low}.")
