"""What a check of a statement found out."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fgmanifolds.validation import check_choice

__all__ = ["VERDICTS", "Finding"]

#: What can come out of a check. A definition says nothing that could be false and has no verdict;
#: "not confirmed" is a statement that fails and whose counterpart could not be confirmed either.
VERDICTS = (
    "holds",
    "holds as corrected",
    "fails",
    "not confirmed",
    "not testable",
    "definition",
)


@dataclass(frozen=True)
class Finding:
    """Result of the check of one statement.

    Attributes
    ----------
    statement : str
        Where it stands in the paper.
    claim : str
        What was checked, in words.
    verdict : str
        One of :data:`VERDICTS`.
    measured : mapping of str to float
        The figures that the verdict rests on; deviations are relative.
    note : str
        What to know about the verdict.
    counterexample : object, optional
        For a statement that fails.
    demands : mapping of str to str
        For each figure what was demanded of it, and whether it met that.
    """

    statement: str
    claim: str
    verdict: str
    measured: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    counterexample: Any = None
    demands: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("verdict", self.verdict, VERDICTS)

    def __str__(self) -> str:
        figures = "\n".join(f"  {name}: {value:.4g}" for name, value in self.measured.items())
        parts = [f"{self.statement}: {self.verdict}", f"  {self.claim}", figures]
        return "\n".join(part for part in (*parts, f"  {self.note}" if self.note else "") if part)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{value:.4g}</td></tr>"
            for name, value in self.measured.items()
        )
        title = html.escape(f"{self.statement}: {self.verdict}")
        return (
            f"<table><caption><b>{title}</b><br>{html.escape(self.claim)}</caption>{rows}"
            f"<tr><td colspan=2>{html.escape(self.note)}</td></tr></table>"
        )
