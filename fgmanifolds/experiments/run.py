"""A training run on disk: metrics.csv, checkpoint.pt, result.json and report.html."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.report import run_report
from fgmanifolds.experiments.trainer import Trainer

__all__ = ["RunResult", "finish", "prepare_folder", "train"]

CHECKPOINT, METRICS, RESULT, REPORT = "checkpoint.pt", "metrics.csv", "result.json", "report.html"


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    label : str
        Short name of the method.
    lr : float
    seed : int
    validation_error, validation_loss : float
        After the last epoch; the error in percent.
    test_error : float or None
        In percent; None if the test part was not touched.
    seconds_per_epoch : float
        Median training time of an epoch, evaluation left out.
    residual : float or None
        Largest relative distance of a weight from its manifold in any epoch.
    folder : str
    """

    label: str
    lr: float
    seed: int
    validation_error: float
    validation_loss: float
    test_error: float | None
    seconds_per_epoch: float
    residual: float | None
    folder: str


def prepare_folder(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Make the output folder, or say why it cannot be used.

    Parameters
    ----------
    out : path
    resume, overwrite : bool

    Raises
    ------
    ValueError
        If the folder cannot be written to, or holds a run that is neither to
        be resumed nor overwritten, or holds none to resume.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"out={str(out)!r} cannot be written to: {error.strerror}.") from None
    has_run = (out / CHECKPOINT).exists()
    if resume and not has_run:
        raise ValueError(f"out={str(out)!r} holds no {CHECKPOINT} to resume from.")
    if has_run and not (resume or overwrite):
        raise ValueError(
            f"out={str(out)!r} already holds a run; resume or overwrite it, or name another folder."
        )


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    write(draft)
    os.replace(draft, path)


def train(
    config: TrainConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    test: bool = True,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> RunResult:
    """Train, and write metrics, a checkpoint, the result and a report to the folder `out`.

    Parameters
    ----------
    config : TrainConfig
    out : path
    resume : bool
        Go on from the checkpoint in `out`, bit for bit. A finished run is not
        trained further.
    overwrite : bool
        Replace a run in `out`.
    test : bool
        Whether to measure the test error at the end and write the report. If
        not, :func:`finish` does so later.
    on_epoch : callable, optional
        Called with the row of metrics after each epoch.

    Raises
    ------
    ValueError
        If the folder cannot be used, or the run to resume has other options.
    """
    out = Path(out)
    prepare_folder(out, resume=resume, overwrite=overwrite)
    trainer = Trainer(config)
    if resume:
        trainer.load_state_dict(_load_checkpoint(out / CHECKPOINT))
        stored = _finished_result(out, trainer)
        if stored is not None:
            return stored
    else:
        (out / RESULT).unlink(missing_ok=True)
    while trainer.epoch < config.epochs:
        row = trainer.run_epoch()
        rows = pd.DataFrame(trainer.history).astype({"epoch": int})
        _write(out / METRICS, partial(rows.to_csv, index=False))
        _write(out / CHECKPOINT, partial(torch.save, trainer.state_dict()))
        if on_epoch is not None:
            on_epoch(row)
    return _finish(trainer, out, test)


def finish(config: TrainConfig, out: str | Path) -> RunResult:
    """Measure the test error of a run that was trained without it, and write its report.

    Parameters
    ----------
    config : TrainConfig
    out : path
    """
    trainer = Trainer(config)
    trainer.load_state_dict(_load_checkpoint(Path(out) / CHECKPOINT))
    return _finish(trainer, Path(out), test=True)


def _finish(trainer: Trainer, out: Path, test: bool) -> RunResult:
    result = _result(trainer, out, test)
    _write(out / RESULT, lambda path: path.write_text(json.dumps(asdict(result), indent=2) + "\n"))
    if test:
        page = run_report(trainer.config, trainer.history, result)
        _write(out / REPORT, lambda path: path.write_text(page, encoding="utf-8"))
    return result


def _load_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run: {error}") from None
    if not isinstance(state, dict) or "config" not in state:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run.")
    return state


def _finished_result(out: Path, trainer: Trainer) -> RunResult | None:
    if trainer.epoch < trainer.config.epochs or not (out / RESULT).exists():
        return None
    stored = json.loads((out / RESULT).read_text())
    return RunResult(**{**stored, "folder": str(out)})


def _result(trainer: Trainer, out: Path, test: bool) -> RunResult:
    history = pd.DataFrame(trainer.history)
    last = history.iloc[-1]
    residuals = history.filter(regex="^residual_")
    return RunResult(
        label=trainer.config.label,
        lr=trainer.config.lr,
        seed=trainer.config.seed,
        validation_error=float(last["validation_error"]),
        validation_loss=float(last["validation_loss"]),
        test_error=trainer.test_error() if test else None,
        seconds_per_epoch=float(history["seconds"].median()),
        residual=None if trainer.adapter is None else float(residuals.max().max()),
        folder=str(out),
    )
