"""The mutation table: every fault, the entries that should notice it and those that did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from fgmanifolds.validation import check_choices, check_integer, check_number
from fgmanifolds.verify.claims import CLAIMS, FAULTS
from fgmanifolds.verify.fault import Fault
from fgmanifolds.verify.verification import run_check

__all__ = ["Mutation", "mutate", "mutation_table"]

#: What a check may raise when the package it runs on is broken; that is noticing, too.
BREAKAGES = (ValueError, ArithmeticError, IndexError, KeyError)


@dataclass(frozen=True)
class Mutation:
    """What a fault did to the verdicts.

    Attributes
    ----------
    fault : Fault
    should : tuple of str
        Entries that must notice it.
    noticed : dict of str to str
        Entries whose verdict changed, with what it became; ``"stopped: ..."`` is a check that
        could not be carried through.
    asked : int
        Number of entries that were asked.
    """

    fault: Fault
    should: tuple[str, ...]
    noticed: dict[str, str]
    asked: int

    @property
    def unnoticed(self) -> tuple[str, ...]:
        """Entries that should have noticed and did not."""
        return tuple(name for name in self.should if name not in self.noticed)


def mutate(
    names: Iterable[str] | None = None,
    *,
    seed: int = 0,
    others: float = 0.05,
    on_fault: Callable[[Fault], None] | None = None,
) -> list[Mutation]:
    """Apply the faults one at a time, and ask the checks.

    Parameters
    ----------
    names : iterable of str, optional
        Of faults in :data:`FAULTS`. Default: all.
    seed : int
    others : float
        Besides the entries that should notice a fault, those whose check takes at most this many
        seconds are asked as well; 0: none.
    on_fault : callable, optional
        Called with each fault before it is applied.

    Returns
    -------
    list of Mutation

    Raises
    ------
    ValueError
        If a name is unknown.
    RuntimeError
        If an entry has another verdict than the expected one before any fault is applied.
    """
    chosen = list(FAULTS) if names is None else list(names)
    check_choices("names", chosen, FAULTS)
    check_integer("seed", seed, low=0)
    check_number("others", others, low=0.0)
    quick = _quick(seed, others) if others else []
    table = []
    for fault in (FAULTS[name] for name in chosen):
        if on_fault is not None:
            on_fault(fault)
        should = tuple(name for name, claim in CLAIMS.items() if fault in claim.faults)
        asked = list(dict.fromkeys([*should, *quick]))
        with fault.applied():
            noticed = _changed(asked, seed)
        table.append(Mutation(fault, should, noticed, len(asked)))
    return table


def _quick(seed: int, limit: float) -> list[str]:
    """Entries whose checks are fast; all of them must be as expected to begin with."""
    found, seconds = [], {}
    for name, claim in CLAIMS.items():
        if claim.check not in seconds:
            start = time.perf_counter()
            verdict = run_check(claim.check, seed).verdict
            seconds[claim.check] = time.perf_counter() - start
            if verdict != claim.expected:
                raise RuntimeError(f"{name}: {verdict} without any fault, not {claim.expected}.")
        if seconds[claim.check] <= limit:
            found.append(name)
    return found


def _changed(names: Sequence[str], seed: int) -> dict[str, str]:
    """Entries whose verdict is not the expected one; each check runs once."""
    known: dict[object, str] = {}
    for name in names:
        check = CLAIMS[name].check
        if check not in known:
            try:
                known[check] = run_check(check, seed).verdict
            except BREAKAGES as error:
                known[check] = f"stopped: {type(error).__name__}"
    return {
        name: known[CLAIMS[name].check]
        for name in names
        if known[CLAIMS[name].check] != CLAIMS[name].expected
    }


def mutation_table(mutations: Sequence[Mutation]) -> pd.DataFrame:
    """Table of faults: side, what is changed, who should notice, who did, who did not.

    Parameters
    ----------
    mutations : sequence of Mutation

    Returns
    -------
    DataFrame
        Index: name of the fault.
    """
    rows = [
        {
            "fault": one.fault.name,
            "side": one.fault.side,
            "changes": one.fault.what,
            "should notice": ", ".join(one.should),
            "noticed": ", ".join(f"{name} ({what})" for name, what in one.noticed.items()),
            "unnoticed": ", ".join(one.unnoticed),
        }
        for one in mutations
    ]
    columns = ["fault", "side", "changes", "should notice", "noticed", "unnoticed"]
    return pd.DataFrame(rows, columns=columns).set_index("fault")
