"""Run the checks of the paper's statements and put what they find side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import pandas as pd

from fgmanifolds.validation import check_choices, check_integer
from fgmanifolds.verify.claim import Claim
from fgmanifolds.verify.claims import CLAIMS
from fgmanifolds.verify.finding import Finding

__all__ = ["Verified", "claims_table", "run_check", "verify"]


@dataclass(frozen=True)
class Verified:
    """A claim with what its check found.

    Attributes
    ----------
    claim : Claim
    finding : Finding
    """

    claim: Claim
    finding: Finding

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.finding.verdict == self.claim.expected

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        claim, finding = self.claim, self.finding
        example = finding.counterexample
        return {
            "name": claim.name,
            "where": claim.where,
            "printed": claim.printed,
            "right": claim.right,
            "code": claim.code,
            "verdict": finding.verdict,
            "expected": claim.expected,
            "measured": {key: float(value) for key, value in finding.measured.items()},
            "demands": dict(finding.demands),
            "kind": claim.kind,
            "note": finding.note,
            "counterexample": None if example is None else str(example),
        }


def verify(
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    on_claim: Callable[[Claim], None] | None = None,
) -> list[Verified]:
    """Run the checks of the paper's statements.

    A check that several statements share runs once.

    Parameters
    ----------
    names : sequence of str, optional
        Names in :data:`fgmanifolds.verify.CLAIMS`. Default: all.
    seed : int
        Of all random draws.
    on_claim : callable, optional
        Called with each claim before its check runs.

    Returns
    -------
    list of Verified
        In the order of the paper.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    chosen = list(CLAIMS) if names is None else list(names)
    check_choices("names", chosen, CLAIMS)
    check_integer("seed", seed, low=0)
    known: dict[Callable[..., Finding], Finding] = {}
    found = []
    for claim in (CLAIMS[name] for name in CLAIMS if name in chosen):
        if on_claim is not None:
            on_claim(claim)
        if claim.check not in known:
            known[claim.check] = run_check(claim.check, seed)
        found.append(Verified(claim, known[claim.check]))
    return found


def run_check(check: Callable[..., Finding], seed: int) -> Finding:
    """Run a check; those of fixed numbers have no seed.

    Parameters
    ----------
    check : callable
    seed : int
    """
    return check(seed=seed) if "seed" in signature(check).parameters else check()


def claims_table(found: Sequence[Verified], *, figures: int = 3) -> pd.DataFrame:
    """Table of what was found: one row for each statement.

    Parameters
    ----------
    found : sequence of Verified
    figures : int
        Number of measured figures shown of each.

    Returns
    -------
    DataFrame
        Columns: paper, printed, right, verdict, measured, code; index: name.
    """
    rows = [
        {
            "name": one.claim.name,
            "paper": one.claim.where,
            "printed": one.claim.printed,
            "right": one.claim.right or "as printed",
            "verdict": one.finding.verdict,
            "measured": "; ".join(
                f"{key}: {value:.3g}" for key, value in list(one.finding.measured.items())[:figures]
            ),
            "code": one.claim.code,
        }
        for one in found
    ]
    return pd.DataFrame(rows).set_index("name")
