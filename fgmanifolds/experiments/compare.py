"""Compare methods fairly: the same grid of learning rates for each, chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.report import compare_report
from fgmanifolds.experiments.run import METRICS, REPORT, finish, prepare_folder, train
from fgmanifolds.validation import check_integer, check_number

__all__ = ["Comparison", "Method", "compare", "default_methods"]


@dataclass(frozen=True)
class Method:
    """A row of the table: an optimizer, and for FG-SGD its collection of POMs."""

    optimizer: str
    scheme: str = "pio"
    manifolds: tuple[str, ...] = ("sphere", "oblique", "stiefel", "euclidean")


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    runs : DataFrame
        One row for each run, the learning rates that were not chosen included.
    table : DataFrame
        One row for each method, at its chosen learning rate.
    report : Path
        The page that shows both.
    """

    runs: pd.DataFrame
    table: pd.DataFrame
    report: Path


def default_methods() -> list[Method]:
    """SGD, and FG-SGD with PIO of four and of three manifolds."""
    curved = ("sphere", "oblique", "stiefel")
    return [Method("sgd"), Method("fgsgd"), Method("fgsgd", manifolds=curved)]


def compare(
    base: TrainConfig,
    methods: Sequence[Method],
    lrs: Sequence[float],
    seeds: int,
    out: str | Path,
    *,
    on_run: Callable[[TrainConfig], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Comparison:
    """Train every method at every learning rate with every seed.

    For each method the learning rate with the smallest mean validation error
    is chosen (ties: the smallest mean validation loss). Only then are the
    networks of the chosen rate tested, once each. Runs in `out` are replaced.

    Parameters
    ----------
    base : TrainConfig
        What all runs share.
    methods : sequence of Method
    lrs : sequence of float
        The grid, the same for all methods.
    seeds : int
        Number of seeds, counted from ``base.seed``.
    out : path
    on_run, on_epoch : callable, optional
        Called before each run and after each epoch.
    """
    check_integer("seeds", seeds, low=1)
    for lr in lrs or [float("nan")]:
        check_number("lr", lr, low=0, open_low=True)
    out = Path(out)
    prepare_folder(out, resume=False, overwrite=True)
    configs = [
        replace(base, **asdict(method), lr=lr, seed=base.seed + shift)
        for method in methods
        for lr in lrs
        for shift in range(seeds)
    ]
    rows = []
    for config in configs:
        if on_run is not None:
            on_run(config)
        result = train(config, _folder(out, config), overwrite=True, test=False, on_epoch=on_epoch)
        rows.append(asdict(result))
    runs = pd.DataFrame(rows)
    chosen = choose_lr(runs)
    for number, config in enumerate(configs):
        if config.lr == chosen[config.label]:
            runs.loc[number, "test_error"] = finish(config, _folder(out, config)).test_error
    runs["test_error"] = runs["test_error"].astype(float)
    runs["chosen"] = runs["lr"] == runs["label"].map(chosen)
    table = summarise(runs)
    return Comparison(runs, table, _write_results(out, base, runs, table))


def _folder(out: Path, config: TrainConfig) -> Path:
    name = config.optimizer
    if config.optimizer != "sgd":
        name += "-".join(["", config.scheme, *(m[:3] for m in config.manifolds)])
    return out / name / f"lr{config.lr:g}-seed{config.seed}"


def choose_lr(runs: pd.DataFrame) -> dict[str, float]:
    """For each method, the learning rate of the smallest mean validation error, then loss."""
    means = runs.groupby(["label", "lr"], sort=False)[["validation_error", "validation_loss"]]
    order = means.mean().reset_index().sort_values(["validation_error", "validation_loss"])
    best = order.drop_duplicates("label")
    return dict(zip(best["label"], best["lr"], strict=True))


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """Test error (mean and standard deviation over seeds) and costs of the chosen runs."""
    groups = runs[runs["chosen"]].groupby("label", sort=False)
    columns: dict[str, Any] = {
        "lr": groups["lr"].first(),
        "validation error %": groups["validation_error"].mean(),
        "test error %": groups["test_error"].mean(),
        "std": groups["test_error"].std(),
        "seconds per epoch": groups["seconds_per_epoch"].median(),
        "largest residual": groups["residual"].max(),
    }
    table = pd.DataFrame(columns)
    table.index.name = "method"
    return table


def _write_results(out: Path, base: TrainConfig, runs: pd.DataFrame, table: pd.DataFrame) -> Path:
    runs.to_csv(out / "runs.csv", index=False)
    table.to_csv(out / "table.csv")
    histories = {
        str(label): [pd.read_csv(Path(folder) / METRICS) for folder in group["folder"]]
        for label, group in runs[runs["chosen"]].groupby("label", sort=False)
    }
    report = out / REPORT
    report.write_text(compare_report(base, runs, table, histories), encoding="utf-8")
    return report
