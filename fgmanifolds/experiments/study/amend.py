"""Whether two protocols are of one study, and in what they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["changes", "check_same_study"]

#: Sections from which runs follow: they may not change.
FIXED = ("name", "data", "model", "budget", "search")


def check_same_study(mine: Mapping[str, Any], theirs: Mapping[str, Any], out: str) -> None:
    """Raise ``ValueError`` naming the first difference that makes it another study.

    Parameters
    ----------
    mine, theirs : mapping
        As :meth:`Protocol.to_dict` gives them: the one at hand, and the folder's.
    out : str
        The folder.
    """
    pairs = [(name, mine[name], theirs.get(name)) for name in FIXED]
    first = mine["test"]["first_seed"], theirs.get("test", {}).get("first_seed")
    pairs.append(("test.first_seed", *first))
    both = [name for name in mine["arms"] if name in theirs.get("arms", {})]
    pairs += [(f"arm.{name}", mine["arms"][name], theirs["arms"][name]) for name in both]
    for name, ours, stored in pairs:
        found = _difference(name, ours, stored)
        if found is not None:
            where, here, there = found
            raise ValueError(
                f"out={out!r} is of another protocol: {where} is {there!r} there and {here!r} "
                "here; name another folder."
            )


def changes(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between two protocols of one study, one line each.

    Parameters
    ----------
    mine : mapping
    theirs : mapping
    """
    arms = [f"arm {name!r} added" for name in mine["arms"] if name not in theirs["arms"]]
    arms += [f"arm {name!r} removed" for name in theirs["arms"] if name not in mine["arms"]]
    lines = []
    for section in ("test", "analysis"):
        for option, value in mine[section].items():
            before = theirs[section].get(option)
            if value != before:
                lines.append(f"{section}.{option}: {before!r} to {value!r}")
    return arms + lines


def _difference(name: str, mine: Any, theirs: Any) -> tuple[str, Any, Any] | None:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*mine, *theirs]):
            if key == "title":
                continue
            found = _difference(f"{name}.{key}", mine.get(key), theirs.get(key))
            if found is not None:
                return found
        return None
    return None if mine == theirs else (name, mine, theirs)
