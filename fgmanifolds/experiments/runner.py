"""Run the rows of a table of the paper: what is missing, from where it stopped."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from fgmanifolds.data import ImageData, load_images
from fgmanifolds.experiments.ensemble import vote_error
from fgmanifolds.experiments.lock import locked
from fgmanifolds.experiments.outcome import write_outcome
from fgmanifolds.experiments.run import prepare_folder
from fgmanifolds.experiments.run_config import RunConfig, row_config
from fgmanifolds.experiments.session import Session
from fgmanifolds.experiments.storage import (
    read_checkpoint,
    write_json,
    write_state,
    write_text,
    write_whole,
)
from fgmanifolds.experiments.table import Row, load_table
from fgmanifolds.validation import check_integer

__all__ = ["Outcome", "Plan", "Settings", "plan_runs", "reproduce", "run_row"]

CHECKPOINT, METRICS, RESULT, SCORES = "checkpoint.pt", "metrics.csv", "result.json", "scores.npz"

#: Classes up to which the scores of the test part are kept, for votes.
KEPT_CLASSES = 100

#: What a smoke test runs: two epochs of two steps of eight digits, at half of all widths.
SMOKE = {"data": "digits", "widths": "quarter", "batch_size": 8, "steps": 2}
SMOKE_EPOCHS = 2


@dataclass(frozen=True)
class Settings:
    """How the rows of a table are run, and what takes the place of the table's own choices.

    Attributes
    ----------
    out : Path
        Folder of runs, tables and curves.
    data_dir : Path or None
        Folder of the data sets' official files, and of a folder ``imagenet``.
    seeds : int
        Number of seeds, counted from `seed`.
    seed : int
    epochs : int or None
        Length of the runs; the schedule keeps its shape. None: the source's.
    smoke : bool
        Two epochs of two steps on digits, at half of all widths.
    device : str
    amp : bool
    data : str or None
        A data set as :func:`~fgmanifolds.data.load_images` names it.
    side : int or None
        Side that images are cut to; ImageNet's is 224 by default.
    model, widths : str or None
    batch_size : int or None
    lr : float or None
    unreadable : {"error", "skip"}
    """

    out: Path
    data_dir: Path | None = None
    seeds: int = 1
    seed: int = 0
    epochs: int | None = None
    smoke: bool = False
    device: str = "cpu"
    amp: bool = False
    data: str | None = None
    side: int | None = None
    model: str | None = None
    widths: str | None = None
    batch_size: int | None = None
    lr: float | None = None
    unreadable: str = "error"

    def __post_init__(self) -> None:
        check_integer("seeds", self.seeds, low=1)
        check_integer("seed", self.seed, low=0)
        if self.epochs is not None:
            check_integer("epochs", self.epochs, low=1)

    def config(self, row: Row, seed: int) -> RunConfig:
        """The run of a row.

        Parameters
        ----------
        row : Row
        seed : int
        """
        changes: dict[str, Any] = {
            "data": self.data,
            "side": self.side,
            "model": self.model,
            "widths": self.widths,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "amp": self.amp,
        }
        epochs = self.epochs
        if self.smoke:
            changes |= {k: v for k, v in SMOKE.items() if changes.get(k) is None}
            epochs = SMOKE_EPOCHS if epochs is None else epochs
        imagenet = (changes["data"] or row.system.data) == "imagenet"
        if imagenet and changes["side"] is None:
            changes["side"] = 224
        return row_config(row, seed, epochs, **changes)


@dataclass(frozen=True)
class Plan:
    """A run to make: its row, its configuration and its folder."""

    row: Row
    config: RunConfig
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a table's runs gave so far.

    Attributes
    ----------
    table : DataFrame
        A row for each that was asked for or has been run before with these settings: the
        paper's figure, ours, and the difference.
    files : list of Path
        ``TABLE.csv``, ``TABLE.md`` and the curves.
    """

    table: pd.DataFrame
    files: list[Path]


def plan_runs(rows: Sequence[Row], settings: Settings) -> list[Plan]:
    """The runs that rows need, each once: seeds, and the members of votes.

    Parameters
    ----------
    rows : sequence of Row
    settings : Settings
    """
    plans: dict[Path, Plan] = {}
    for row in rows:
        members = [Row(row.system, row.augmentation, m) for m in row.method.members()] or [row]
        for seed in range(settings.seed, settings.seed + settings.seeds):
            for member in members:
                plan = plan_of(member, settings, seed)
                plans.setdefault(plan.folder, plan)
    return list(plans.values())


def plan_of(row: Row, settings: Settings, seed: int) -> Plan:
    """The run of a row (not of a vote) with a seed."""
    config = settings.config(row, seed)
    data = config.data.replace(":", "-").replace("/", "-").strip("-")
    name = str(row.method).replace(":", "-").replace("@", "-")
    place = Path(f"{row.system.key}-{data}") / row.augmentation / name / f"seed-{seed}"
    return Plan(row, config, settings.out / "runs" / place)


def reproduce(
    table: str,
    settings: Settings,
    rows: Sequence[str] | None = None,
    *,
    on_run: Callable[[Plan], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Outcome:
    """Run a table of the paper, or some rows; finished runs are kept, others go on.

    Under torchrun each process takes its share of the runs, on a device of its own.

    Parameters
    ----------
    table : {"III", "XI", "XII", "XIII", "XIV", "XV", "XVI", "D.B"}
    settings : Settings
    rows : sequence of str, optional
        Patterns of rows, as :meth:`Table.select` takes them.
    on_run, on_epoch : callable, optional
        Called before each run and after each epoch.

    Raises
    ------
    ValueError
        If an argument is out of range, data are missing or wrong, or a run to go on with
        has other options.
    """
    found = load_table(table)
    chosen = found.select(rows)
    prepare_folder(settings.out, resume=False, overwrite=True)
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = settings.device
    if device == "cuda" and world > 1:
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    load = lru_cache(maxsize=1)(_load)
    for plan in plan_runs(chosen, settings)[rank::world]:
        if on_run is not None:
            on_run(plan)
        run_row(plan, partial(_data, load, settings), device, on_epoch)
    shown = [row for row in found.rows if row in chosen or _was_run(row, settings)]
    seeds = range(settings.seed, settings.seed + settings.seeds)
    results = {(row.key, seed): _result(row, settings, seed) for row in shown for seed in seeds}
    histories = {row.key: _histories(row, settings) for row in shown}
    frame, files = write_outcome(found, shown, results, histories, settings.out)
    return Outcome(frame, files)


def _data(load: Callable[..., ImageData], settings: Settings, config: RunConfig) -> ImageData:
    share = float(config.recipe["validation"])
    return load(config.data, config.side, share, settings.data_dir, settings.unreadable)


def _load(
    name: str, side: int | None, share: float, data_dir: Path | None, unreadable: str
) -> ImageData:
    if name == "imagenet":
        name = "folder:imagenet"
    packaged = name in ("digits", "mnist5k")
    return load_images(
        name,
        data_dir=data_dir,
        validation=None if packaged else share,
        side=side if name.startswith(("folder:", "zip:")) else None,
        unreadable=unreadable,
    )


def run_row(
    plan: Plan,
    data: Callable[[RunConfig], ImageData],
    device: str = "cpu",
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Train what is missing of a run, and test once at its end; returns its result.

    A checkpoint is written after each epoch, so that one epoch at most is lost. A run that
    diverges is a result, too.

    Parameters
    ----------
    plan : Plan
    data : callable
        Gives the images of a configuration.
    device : str
    on_epoch : callable, optional
        Told the metrics of each epoch.
    """
    folder, config = plan.folder, plan.config
    stored = _finished(folder, config)
    if stored is not None and _is_whole(folder, stored):
        return stored
    with locked(folder):
        return _run(plan, data(config), device, on_epoch)


def _is_whole(folder: Path, stored: dict[str, Any]) -> bool:
    """Whether a finished run has all its files."""
    if stored.get("diverged") or not (folder / CHECKPOINT).exists():
        return True  # as far as can be
    scores = not stored.get("scores") or (folder / SCORES).exists()
    return scores and (folder / METRICS).exists()


def _run(
    plan: Plan,
    data: ImageData,
    device: str,
    on_epoch: Callable[[dict[str, float]], None] | None,
) -> dict[str, Any]:
    folder, config = plan.folder, plan.config
    session = Session(config, data, device)
    if (folder / CHECKPOINT).exists():
        session.load_state_dict(read_checkpoint(folder / CHECKPOINT))
        write_text(folder / METRICS, _metrics(session))
    result: dict[str, Any] = {"config": config.to_dict(), "diverged": False}
    while session.epoch < config.epochs:
        try:
            row = session.run_epoch()
        except FloatingPointError as error:
            result |= {"diverged": True, "error": None, "message": str(error)}
            break
        write_text(folder / METRICS, _metrics(session))
        write_state(folder / CHECKPOINT, session.state_dict())
        if on_epoch is not None:
            on_epoch(row)
    if not result["diverged"]:
        result |= _test(session, folder)
    result |= _costs(session)
    write_json(folder / RESULT, result)
    return result


def _metrics(session: Session) -> str:
    return pd.DataFrame(session.history).to_csv(index=False)


def _test(session: Session, folder: Path) -> dict[str, Any]:
    scores, labels = session.test_scores()
    kept = session.data.classes <= KEPT_CLASSES
    if kept:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, scores=scores, labels=labels)
        write_whole(folder / SCORES, buffer.getvalue())
    best = None if session.best is None else session.best["epoch"]
    error = 100.0 * float(np.mean(scores.argmax(1) != labels))
    return {"error": error, "epoch_reported": best, "scores": kept}


def _costs(session: Session) -> dict[str, Any]:
    history = pd.DataFrame(session.history, columns=["seconds", "seconds_waited"])
    skipped = len(session.data.skipped)
    for part in (session.data.train, session.data.validation, session.data.test):
        skipped += len(getattr(part, "skipped", ()))
    return {
        "seconds_per_epoch": float(history["seconds"].median()),
        "share_waited": float((history["seconds_waited"] / history["seconds"]).mean()),
        "residual": None if session.adapter is None else session.adapter.residual(),
        "images_skipped": skipped,
        "torch": torch.__version__,
        "device": session.device,
    }


def _finished(folder: Path, config: RunConfig) -> dict[str, Any] | None:
    path = folder / RESULT
    if not path.exists():
        return None
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config.check_same(stored["config"])
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(f"{str(path)!r} is not the result of a run; delete it.") from None
    return stored


def _result(row: Row, settings: Settings, seed: int) -> dict[str, Any] | None:
    """Result of a row with a seed; None if it has not been run (by another process, say)."""
    members = row.method.members()
    if not members:
        plan = plan_of(row, settings, seed)
        return _finished(plan.folder, plan.config)
    results, scores, labels = [], [], np.empty(0)
    for member in members:
        plan = plan_of(Row(row.system, row.augmentation, member), settings, seed)
        result = _finished(plan.folder, plan.config)
        if result is None or not (plan.folder / SCORES).exists():
            return None
        with np.load(plan.folder / SCORES) as stored:
            scores.append(stored["scores"])
            labels = stored["labels"]
        results.append(result)
    return {**results[0], "error": vote_error(scores, labels), "residual": None}


def _was_run(row: Row, settings: Settings) -> bool:
    """Whether a row has a result with the same settings, from an earlier call."""
    try:
        return _result(row, settings, settings.seed) is not None
    except ValueError:
        return False


def _histories(row: Row, settings: Settings) -> list[pd.DataFrame]:
    """Metrics of a row's runs, as far as they are there; none of votes."""
    if row.method.members():
        return []
    seeds = range(settings.seed, settings.seed + settings.seeds)
    paths = [plan_of(row, settings, seed).folder / METRICS for seed in seeds]
    return [pd.read_csv(path) for path in paths if path.exists()]
