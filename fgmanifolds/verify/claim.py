"""A statement of the paper, with all that belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fgmanifolds.verify.fault import Fault
from fgmanifolds.verify.finding import Finding

__all__ = ["CORRECTED", "DEFINITION", "FAILS", "HOLDS", "OPEN", "Claim"]

HOLDS, CORRECTED, FAILS = "holds", "holds as corrected", "fails"
OPEN, DEFINITION = "not testable", "definition"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper.

    Attributes
    ----------
    name : str
        To select it by: ``"lemma1"``, ``"eq24"``.
    where : str
        Its number in the paper.
    printed : str
        What the paper says, in short.
    right : str
        What is right; empty where the printed statement is.
    code : str
        Where it is in the package.
    check : callable
        Measures it and gives a :class:`~fgmanifolds.verify.Finding`.
    expected : str
        The verdict that the check is known to give.
    why : str
        The mathematics: how the statement, or its correction, comes about.
    faults : tuple of Fault
        Faults that the check must notice.
    kind : {"statement", "text"}
        A numbered statement, or what the text says of the experiments.
    """

    name: str
    where: str
    printed: str
    right: str
    code: str
    check: Callable[..., Finding]
    expected: str
    why: str = ""
    faults: tuple[Fault, ...] = ()
    kind: str = "statement"
