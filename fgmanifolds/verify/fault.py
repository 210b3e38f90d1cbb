"""Faults put in on purpose, in memory, to see which checks notice them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

__all__ = [
    "FORMULA",
    "PACKAGE",
    "Fault",
    "instead",
    "negated",
    "scaled",
    "with_argument",
]

#: Where a fault is: in a formula that a check holds against the package, or in the package.
FORMULA, PACKAGE = "formula", "package"

Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Fault:
    """A fault: one attribute replaced by a wrong one while a context is open.

    Attributes
    ----------
    name : str
    side : {"formula", "package"}
        Whether it is in a formula, printed or right, or in the package's own code.
    what : str
        What it changes, in words.
    target : str
        ``module:attribute``, with dots for attributes of attributes; looked up when it is
        applied.
    change : callable
        Makes the wrong attribute from the right one.
    """

    name: str
    side: str
    what: str
    target: str
    change: Change

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the attribute within the context, and put it back.

        Raises
        ------
        AttributeError
            If the attribute is not there.
        """
        owner, attribute = self._place()
        raw = inspect.getattr_static(owner, attribute)
        static = isinstance(raw, staticmethod)
        wrong = self.change(raw if isinstance(raw, property) else getattr(owner, attribute))
        with mock.patch.object(owner, attribute, staticmethod(wrong) if static else wrong):
            yield

    def _place(self) -> tuple[Any, str]:
        module, path = self.target.split(":")
        *parents, attribute = path.split(".")
        owner: Any = importlib.import_module(module)
        for parent in parents:
            owner = getattr(owner, parent)
        return owner, attribute


def scaled(factor: float) -> Change:
    """What a function gives, times a factor."""

    def change(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: factor * function(*args, **options)

    return change


def negated(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a function gives, with the other sign."""
    return scaled(-1.0)(function)


def instead(replacement: Any) -> Change:
    """Something else altogether."""
    return lambda _: replacement


def with_argument(position: int, change: Callable[[Any], Any]) -> Change:
    """A function that gets one of its arguments changed; ``self`` counts as number 0.

    Parameters
    ----------
    position : int
    change : callable
    """

    def outer(function: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any, **options: Any) -> Any:
            changed = list(args)
            changed[position] = change(changed[position])
            return function(*changed, **options)

        return inner

    return outer
