"""Runs of which only a study's tables were kept: they are taken over, not made again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fgmanifolds.experiments.storage import write_json, write_text
from fgmanifolds.experiments.study.folder import ANGLES, CURVE, RESULT, StudyFolder
from fgmanifolds.experiments.study.gather import read_tables
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.experiments.study.result import KINDS, Result
from fgmanifolds.experiments.study.tasks import STAGES, Task, rates_of

__all__ = ["Known", "read_known", "take_over"]


@dataclass(frozen=True)
class Known:
    """Runs that the tables of a study hold.

    Attributes
    ----------
    results : list of Result
    tables : dict of str to DataFrame
    """

    results: list[Result]
    tables: dict[str, pd.DataFrame]


def read_known(protocol: Protocol, tables: str | Path) -> Known:
    """Read the tables of a study, and hold its runs against the protocol.

    Parameters
    ----------
    protocol : Protocol
    tables : path
        Folder of ``runs.csv``, ``curves.csv`` and ``angles.csv``.

    Raises
    ------
    ValueError
        If a table is missing or damaged, or a run is not one of the protocol's.
    """
    path = Path(tables)
    found = read_tables(path)
    rows = [_result(row, path / "runs.csv") for row in found["runs"].to_dict("records")]
    for result in rows:
        _check(result, protocol, path / "runs.csv")
    return Known(rows, found)


def take_over(folder: StudyFolder, known: Known) -> int:
    """Make finished runs of a folder from the tables of a study, where it lacks them.

    Curves are those of the test runs; the angles of each are the means over its arm, as the tables
    have no others, so that means over runs stay what they are.

    Parameters
    ----------
    folder : StudyFolder
    known : Known

    Returns
    -------
    int
        Number of runs that were taken over.
    """
    return sum(_write(folder, result, known.tables) for result in known.results)


def _result(row: dict[Any, Any], path: Path) -> Result:
    """A row of ``runs.csv``; empty cells are nan, or empty texts."""
    texts = {name for name, kind in KINDS.items() if kind is str}
    values = {
        str(name): "" if name in texts and isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }
    try:
        return Result.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}") from None


def _check(result: Result, protocol: Protocol, path: Path) -> None:
    what = f"{str(path)!r}: a run of arm {result.arm!r}, trial {result.trial},"
    if result.arm not in protocol.arms or result.stage not in STAGES:
        raise ValueError(f"{what} is none of the protocol's.")
    if not 0 <= result.trial < protocol.search.trials:
        trials = protocol.search.trials
        raise ValueError(f"{what} is none of the protocol's, which has {trials} trials.")
    wanted = rates_of(protocol.arm(result.arm), result.trial)
    for name in ("lr", "lr_euclidean", "weight_decay"):
        own, theirs = getattr(result, name), getattr(wanted, name)
        if not math.isclose(own, theirs, rel_tol=1e-9):
            raise ValueError(f"{what} has {name}={own!r}; by the protocol it is {theirs!r}.")
    if not result.diverged and result.epochs != protocol.budget.epochs:
        raise ValueError(f"{what} has {result.epochs} epochs, not {protocol.budget.epochs}.")


def _write(folder: StudyFolder, result: Result, tables: dict[str, pd.DataFrame]) -> bool:
    """Write the files of a run, its result last; False if it was there or is under way."""
    task = Task(result.arm, result.stage, result.trial, result.seed)
    with folder.claim(task) as mine:
        if not mine or folder.result(task) is not None:
            return False
        place = folder.run_folder(task)
        place.mkdir(parents=True, exist_ok=True)
        if result.stage == "test":
            curves, angles = tables["curves"], tables["angles"]
            own = curves[(curves["arm"] == task.arm) & (curves["seed"] == task.seed)]
            write_text(
                place / CURVE, own.drop(columns=["arm", "stage", "seed"]).to_csv(index=False)
            )
            means = angles[angles["arm"] == task.arm].drop(columns="arm")
            write_text(place / ANGLES, means.to_csv(index=False))
        write_json(place / RESULT, result.to_dict())
    return True
