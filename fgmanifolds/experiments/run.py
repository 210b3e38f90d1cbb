"""A training run on disk: metrics.csv, checkpoint.pt, result.json and report.html."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.lock import locked
from fgmanifolds.experiments.report import run_report
from fgmanifolds.experiments.storage import read_checkpoint, write_json, write_state, write_text
from fgmanifolds.experiments.trainer import Trainer

__all__ = ["RunResult", "clear_run", "finish", "prepare_folder", "train"]

CHECKPOINT, METRICS, RESULT, REPORT = "checkpoint.pt", "metrics.csv", "result.json", "report.html"

#: Files of a run; what the others follow from is last.
FILES = (REPORT, RESULT, METRICS, CHECKPOINT)


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

    def check(self) -> None:
        """Raise ``TypeError`` unless each attribute is of its type."""
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = {"str": (str,), "int": (int,)}.get(str(field.type), (float, int))
            optional = value is None and "None" in str(field.type)
            if not optional and (isinstance(value, bool) or not isinstance(value, kinds)):
                raise TypeError(f"{field.name} is a {type(value).__name__}.")


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
        probe.unlink(missing_ok=True)  # another process may have been here, too
    except OSError as error:
        raise ValueError(f"out={str(out)!r} cannot be written to: {error.strerror}.") from None
    if resume and not (out / CHECKPOINT).exists():
        raise ValueError(f"out={str(out)!r} holds no {CHECKPOINT} to resume from.")
    if any((out / name).exists() for name in FILES) and not (resume or overwrite):
        raise ValueError(
            f"out={str(out)!r} already holds a run; resume or overwrite it, or name another folder."
        )


def clear_run(out: Path) -> None:
    """Remove a run's files from a folder, what the others follow from last.

    Whenever that is stopped, what is left is the old run, or nothing but parts of it, which
    are not taken for a run to go on with.
    """
    for name in FILES:
        (out / name).unlink(missing_ok=True)


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
        trained further; what is missing of its files is written.
    overwrite : bool
        Replace a run in `out`, whose files are removed first.
    test : bool
        Whether to measure the test error at the end and write the report. If
        not, :func:`finish` does so later.
    on_epoch : callable, optional
        Called with the row of metrics after each epoch.

    Raises
    ------
    ValueError
        If the folder cannot be used, another process works in it, or the run to resume has
        other options or is damaged.
    OSError
        If a file cannot be written; the checkpoint of the last whole epoch is kept.
    """
    out = Path(out)
    with locked(out):
        prepare_folder(out, resume=resume, overwrite=overwrite)
        trainer = Trainer(config)
        if resume:
            trainer.load_state_dict(read_checkpoint(out / CHECKPOINT))
        else:
            clear_run(out)
        while trainer.epoch < config.epochs:
            row = trainer.run_epoch()
            _write_metrics(trainer, out)
            write_state(out / CHECKPOINT, trainer.state_dict())
            if on_epoch is not None:
                on_epoch(row)
        return _finish(trainer, out, test)


def finish(config: TrainConfig, out: str | Path) -> RunResult:
    """Measure the test error of a run that was trained without it, and write its report.

    Parameters
    ----------
    config : TrainConfig
    out : path or str
    """
    out = Path(out)
    with locked(out):
        trainer = Trainer(config)
        trainer.load_state_dict(read_checkpoint(out / CHECKPOINT))
        return _finish(trainer, out, test=True)


def _write_metrics(trainer: Trainer, out: Path) -> None:
    rows = pd.DataFrame(trainer.history).astype({"epoch": int})
    write_text(out / METRICS, rows.to_csv(index=False))


def _finish(trainer: Trainer, out: Path, test: bool) -> RunResult:
    """Write what is missing of a run that was trained to its end."""
    if not (out / METRICS).exists():
        _write_metrics(trainer, out)
    result = _stored_result(out, trainer)
    if result is None or (test and result.test_error is None):
        result = _result(trainer, out, test)
        write_json(out / RESULT, asdict(result))
        (out / REPORT).unlink(missing_ok=True)
    if test and not (out / REPORT).exists():
        write_text(out / REPORT, run_report(trainer.config, trainer.history, result))
    return result


def _stored_result(out: Path, trainer: Trainer) -> RunResult | None:
    """The result in a folder, if it is this run's; ``ValueError`` if it is none at all."""
    path = out / RESULT
    if not path.exists():
        return None
    try:
        stored = RunResult(**{**json.loads(path.read_text(encoding="utf-8")), "folder": str(out)})
        stored.check()
    except (ValueError, TypeError):
        raise ValueError(f"{str(path)!r} is not the result of a run; delete it.") from None
    last = trainer.history[-1]
    same = stored.validation_error == last["validation_error"] and stored.lr == trainer.config.lr
    return stored if same else None


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
