"""A statement in words, with its derivation and its measured figures."""

from __future__ import annotations

import textwrap

from fgmanifolds.validation import check_choice
from fgmanifolds.verify.claim import Claim
from fgmanifolds.verify.claims import CLAIMS
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.verification import run_check

__all__ = ["explanation"]

WIDTH = 96


def explanation(name: str, *, seed: int = 0) -> str:
    """Explain a statement: what is printed and right, why, and what its check measures.

    Parameters
    ----------
    name : str
        In :data:`fgmanifolds.verify.CLAIMS`.
    seed : int
        Of the check, which is run.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    check_choice("name", name, CLAIMS)
    claim = CLAIMS[name]
    finding = run_check(claim.check, seed)
    parts = [
        f"{claim.name}: {claim.where}: {finding.verdict}",
        _paragraph("Printed", claim.printed),
        _paragraph("Right", claim.right),
        _paragraph("Why", claim.why),
        _figures(finding),
        _paragraph("Note", finding.note),
        _paragraph("Code", claim.code),
        _faults(claim),
    ]
    return "\n\n".join(part for part in parts if part)


def _paragraph(title: str, text: str) -> str:
    return textwrap.fill(f"{title}: {text}", WIDTH, subsequent_indent="  ") if text else ""


def _figures(finding: Finding) -> str:
    lines = []
    for name, value in finding.measured.items():
        demand = finding.demands.get(name)
        lines.append(f"  {name}: {value:.6g}" + (f"\n      {demand}" if demand else ""))
    return "Measured:\n" + "\n".join(lines) if lines else ""


def _faults(claim: Claim) -> str:
    lines = [f"  {fault.name} ({fault.side}): {fault.what}" for fault in claim.faults]
    return "Faults that the check notices:\n" + "\n".join(lines) if lines else ""
