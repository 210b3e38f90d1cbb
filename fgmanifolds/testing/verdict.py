"""What a check measures, and what the suite says of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Finding", "Measured", "Skipped", "Slope", "Verdict", "above", "measured_order", "worst"]

#: Errors below this are rounding, and tell no order.
ROUNDING = 1e-12


class Skipped(Exception):
    """A check that has nothing to look at on this manifold."""


@dataclass(frozen=True)
class Measured:
    """A deviation, and the largest one allowed."""

    figure: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the deviation is small enough (nan is not)."""
        return self.figure <= self.limit

    def __str__(self) -> str:
        return f"{self.figure:.2g} (at most {self.limit:g})"


@dataclass(frozen=True)
class Slope:
    """A measured order of vanishing, and the least one needed."""

    order: float
    needed: float

    @property
    def passed(self) -> bool:
        """Whether the order is high enough, up to a quarter."""
        return self.order >= self.needed - 0.25

    @property
    def figure(self) -> float:
        """The measured order; inf where there is nothing but rounding."""
        return self.order

    def __str__(self) -> str:
        return f"order {self.order:.3g} (at least {self.needed:g})"


def worst(*deviations: float) -> float:
    """Largest of some deviations; nan if one of them is."""
    return float(np.max(deviations))


def above(error: float, noise: float) -> float:
    """What of an error is above the rounding that is expected; nan stays.

    Parameters
    ----------
    error, noise : float
    """
    return error if math.isnan(error) else max(error - noise, 0.0)


def measured_order(error: Callable[[float], float], steps: Sequence[float]) -> float:
    """Order in t of an error that vanishes with t, from its logarithms at some steps.

    The median over successive steps, of those with errors above rounding; inf where there are
    fewer than two of them.

    Parameters
    ----------
    error : callable
        Error at t.
    steps : sequence of float
    """
    errors = [float(error(step)) for step in steps]
    if any(math.isnan(e) for e in errors):
        return math.nan
    rows = [(t, e) for t, e in zip(steps, errors, strict=True) if e > ROUNDING]
    if len(rows) < 2:
        return math.inf
    slopes = [
        math.log(e1 / e2) / math.log(t1 / t2) for (t1, e1), (t2, e2) in itertools.pairwise(rows)
    ]
    return float(np.median(slopes))


@dataclass(frozen=True)
class Finding:
    """Result of one check on one manifold.

    Attributes
    ----------
    name : str
    result : Measured, Slope or None
        None where the check was skipped, or an error came up.
    note : str
        Why it was skipped, or the error.
    passed : bool
        True for skipped checks.
    """

    name: str
    result: Measured | Slope | None
    note: str = ""
    passed: bool = True

    @property
    def skipped(self) -> bool:
        """Whether there was nothing to check."""
        return self.result is None and self.passed

    def __str__(self) -> str:
        word = "skipped" if self.skipped else "ok" if self.passed else "FAILED"
        said = ": ".join(
            text for text in (str(self.result) if self.result else "", self.note) if text
        )
        return f"{word:8}{self.name:30}{said}"


@dataclass(frozen=True)
class Verdict:
    """All findings on a manifold."""

    manifold: str
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Findings of the checks that failed."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def __str__(self) -> str:
        ran = sum(not finding.skipped for finding in self.findings)
        head = f"{self.manifold}: {ran} checks, {len(self.failed)} failed"
        return "\n".join([head, *map(str, self.findings)])

    __repr__ = __str__
