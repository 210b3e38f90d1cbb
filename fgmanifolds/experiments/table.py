"""The paper's tables: their rows, systems and figures, read from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pandas as pd

from fgmanifolds.experiments.recipe import Recipe, read_toml, recipe
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.models import MODELS
from fgmanifolds.torch.schemes import SCHEMES
from fgmanifolds.validation import check_choice, check_choices
from fgmanifolds.verify.results import paper_results

__all__ = ["TABLES", "Method", "Row", "System", "Table", "load_table", "paper_figures"]

#: The tables by the numbers that the paper gives them; the last is a paragraph of the appendix.
TABLES = ("III", "XI", "XII", "XIII", "XIV", "XV", "XVI", "D.B")

AUGMENTATIONS = ("with", "without", "imagenet")
SPLITTINGS = ("", "sose", "wss")


@dataclass(frozen=True)
class Method:
    """What a row trains with.

    Attributes
    ----------
    scheme : str
        ``"euclidean"``, a scheme of :class:`~fgmanifolds.torch.POMAdapter`, or ``"vote"``
        for the majority of one network for each manifold.
    manifolds : tuple of str
    splitting : {"", "sose", "wss"}
        How grouped convolutions are made: as the source does (the default and
        "sose"), or by weight splitting.
    """

    scheme: str
    manifolds: tuple[str, ...] = ()
    splitting: str = ""

    def __post_init__(self) -> None:
        check_choice("scheme", self.scheme, ("euclidean", "vote", *SCHEMES))
        check_choice("splitting", self.splitting, SPLITTINGS)
        if self.scheme != "euclidean":
            check_choices("manifolds", self.manifolds, COMPONENTS)

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read ``"pio:sphere+stiefel@wss"``."""
        head, _, splitting = text.partition("@")
        scheme, _, names = head.partition(":")
        return cls(scheme, tuple(names.split("+")) if names else (), splitting)

    def __str__(self) -> str:
        names = f":{'+'.join(self.manifolds)}" if self.manifolds else ""
        return f"{self.scheme}{names}{f'@{self.splitting}' if self.splitting else ''}"

    @property
    def label(self) -> str:
        """As the paper writes it."""
        short = {"sphere": "Sp", "oblique": "Ob", "stiefel": "St", "euclidean": "Euc."}
        names = "+".join(short[name] for name in self.manifolds)
        by_scheme = {
            "euclidean": "Euc.",
            "kernel": names,
            "layer": f"POMs of {names}",
            "vote": f"vote of {names}",
        }
        split = f" ({self.splitting.upper()})" if self.splitting else ""
        return by_scheme.get(self.scheme, f"{self.scheme.upper()} for POMs of {names}") + split

    def members(self) -> list[Method]:
        """Methods of the networks that vote; none for others."""
        if self.scheme != "vote":
            return []
        return [
            Method("euclidean") if name == "euclidean" else Method("kernel", (name,))
            for name in self.manifolds
        ]


@dataclass(frozen=True)
class System:
    """A network, its data and its recipe; attributes as in the files."""

    key: str
    model: str
    data: str
    recipe: Recipe
    options: dict[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table: a system, whether its images are augmented, and a method."""

    system: System
    augmentation: str
    method: Method

    @property
    def key(self) -> str:
        """Name of the row, ``SYSTEM/AUGMENTATION/METHOD``."""
        return f"{self.system.key}/{self.augmentation}/{self.method}"


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    name: str
    where: str
    title: str
    rows: tuple[Row, ...]

    def select(self, patterns: Sequence[str] | None) -> tuple[Row, ...]:
        """Rows whose key or method matches one of the patterns (``*`` and ``?``), or all.

        Raises
        ------
        ValueError
            If a pattern matches no row.
        """
        if patterns is None:
            return self.rows
        for pattern in patterns:
            if not any(_matches(row, pattern) for row in self.rows):
                check_choice("rows", pattern, [row.key for row in self.rows])
        return tuple(row for row in self.rows if any(_matches(row, p) for p in patterns))


def _matches(row: Row, pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in (row.key, str(row.method), row.system.key))


@cache
def load_table(name: str) -> Table:
    """Read a table; ``ValueError`` if there is none of that name."""
    check_choice("table", name, TABLES)
    content = read_toml(f"{name}.toml")
    rows = []
    for entry in content["systems"]:
        check_choice("model", entry["model"], MODELS)
        system = System(
            entry["key"],
            entry["model"],
            entry["data"],
            recipe(entry["recipe"]),
            entry.get("options", {}),
            entry.get("note", ""),
        )
        for augmentation in entry["augmentations"]:
            check_choice("augmentations", augmentation, AUGMENTATIONS)
            methods = [Method.parse(text) for text in entry["rows"]]
            rows += [Row(system, augmentation, method) for method in methods]
    return Table(content["table"], content["where"], content["title"], tuple(rows))


@cache
def _figures() -> pd.DataFrame:
    return paper_results()


def paper_figures(row: Row | None = None, table: str | None = None) -> pd.DataFrame:
    """The paper's figures: test errors in percent as printed, all or those of a row of a table.

    Parameters
    ----------
    row : Row, optional
    table : str, optional
        Name of a table.

    Returns
    -------
    DataFrame
        Columns table, system, dataset, augmentation, method, error, std, runs, note.
    """
    frame = _figures()
    if table is not None:
        frame = frame[frame["table"] == table]
    if row is not None:
        same = (frame["system"] == row.system.key) & (frame["augmentation"] == row.augmentation)
        frame = frame[same & (frame["method"] == str(row.method))]
    return frame.copy()
