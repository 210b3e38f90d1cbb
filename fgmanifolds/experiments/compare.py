"""Compare methods fairly: the same grid of learning rates for each, chosen on validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import ttest_1samp

from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.lock import locked
from fgmanifolds.experiments.report import compare_report
from fgmanifolds.experiments.run import (
    CHECKPOINT,
    METRICS,
    REPORT,
    RESULT,
    RunResult,
    clear_run,
    finish,
    prepare_folder,
    train,
)
from fgmanifolds.experiments.storage import write_text
from fgmanifolds.validation import check_integer, check_number

__all__ = ["METHODS", "Comparison", "Method", "compare", "paper_methods", "short_methods"]


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


#: Tables of a comparison: its runs, and its methods.
TABLES = ("runs.csv", "table.csv")

CURVED = ("sphere", "oblique", "stiefel")


def short_methods() -> list[Method]:
    """SGD, and FG-SGD with PIO of four and of three manifolds."""
    return [Method("sgd"), Method("fgsgd"), Method("fgsgd", manifolds=CURVED)]


def paper_methods() -> list[Method]:
    """The rows of the paper's tables, with geoopt's RiemannianSGD and POGO beside them."""
    baselines = [Method("sgd"), Method("geoopt"), Method("pogo")]
    single = [Method("fgsgd", scheme, (name,)) for scheme in ("kernel", "layer") for name in CURVED]
    sets = (("sphere", "stiefel"), CURVED, (*CURVED, "euclidean"))
    collections = [
        Method("fgsgd", scheme, names) for scheme in ("pi", "po", "pio") for names in sets
    ]
    return [*baselines, *single, *collections]


#: Lists of methods by name.
METHODS: dict[str, Callable[[], list[Method]]] = {"short": short_methods, "paper": paper_methods}


def compare(
    base: TrainConfig,
    methods: Sequence[Method],
    lrs: Sequence[float],
    seeds: int,
    out: str | Path,
    *,
    lr_seeds: int | None = None,
    resume: bool = False,
    on_run: Callable[[TrainConfig], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    on_test: Callable[[TrainConfig], None] | None = None,
) -> Comparison:
    """Train every method at every learning rate, and with every seed at the chosen one.

    For each method the learning rate with the smallest mean validation error
    over the first `lr_seeds` seeds is chosen (ties: the smallest mean validation
    loss). Only then are the networks of the chosen rate tested, once each.

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
    lr_seeds : int, optional
        Seeds that the learning rate is chosen with. Default: all of them.
    resume : bool
        Keep the runs in `out` that are finished, and go on from the checkpoints of
        others, bit for bit. By default all runs of a comparison in `out` are removed first.
    on_run, on_epoch, on_test : callable, optional
        Called before each run, after each epoch that is trained, and before each
        network of the chosen rate is tested.

    Raises
    ------
    ValueError
        If an argument is out of range, another process works in `out`, or a run to resume has
        other options.
    """
    check_integer("seeds", seeds, low=1)
    for lr in lrs or [float("nan")]:
        check_number("lr", lr, low=0, open_low=True)
    out = Path(out)
    with locked(out):
        prepare_folder(out, resume=False, overwrite=True)
        if (out / CHECKPOINT).exists():
            raise ValueError(f"out={str(out)!r} holds a run of train; name another folder.")
        if not resume:
            _clear(out)
        calls = on_run, on_epoch, on_test
        return _compare(base, methods, lrs, seeds, out, lr_seeds, resume, *calls)


def _compare(
    base: TrainConfig,
    methods: Sequence[Method],
    lrs: Sequence[float],
    seeds: int,
    out: Path,
    lr_seeds: int | None,
    resume: bool,
    on_run: Callable[[TrainConfig], None] | None,
    on_epoch: Callable[[dict[str, float]], None] | None,
    on_test: Callable[[TrainConfig], None] | None,
) -> Comparison:
    first = seeds if lr_seeds is None else min(lr_seeds, seeds)

    def run(config: TrainConfig) -> dict[str, Any]:
        if on_run is not None:
            on_run(config)
        folder = _folder(out, config)
        try:
            go_on = resume and (folder / CHECKPOINT).exists()
            result = train(
                config, folder, resume=go_on, overwrite=True, test=False, on_epoch=on_epoch
            )
        except FloatingPointError:
            return asdict(_diverged(config, folder))
        return asdict(replace(result, test_error=None))

    grid = _configs(base, methods, dict.fromkeys(methods, lrs), range(first))
    runs = pd.DataFrame([run(config) for config in grid])
    best = choose_lr(runs)
    rates = {method: [best[replace(base, **asdict(method)).label]] for method in methods}
    rest = _configs(base, methods, rates, range(first, seeds))
    runs = pd.DataFrame([*runs.to_dict("records"), *(run(config) for config in rest)])
    for number, config in enumerate([*grid, *rest]):
        if config.lr == best[config.label]:
            if on_test is not None:
                on_test(config)
            runs.loc[number, "test_error"] = _test(config, _folder(out, config))
    runs["test_error"] = runs["test_error"].astype(float)
    runs["chosen"] = runs["lr"] == runs["label"].map(best)
    table = summarise(runs)
    return Comparison(runs, table, _write_results(out, base, runs, table))


def _test(config: TrainConfig, folder: Path) -> float:
    """Test error of a run; 100 of one that diverged."""
    if not (folder / RESULT).exists():
        return 100.0
    error = finish(config, folder).test_error
    assert error is not None
    return error


def _diverged(config: TrainConfig, folder: Path) -> RunResult:
    """A run whose loss became nan or inf: the worst there is."""
    return RunResult(
        label=config.label,
        lr=config.lr,
        seed=config.seed,
        validation_error=100.0,
        validation_loss=math.inf,
        test_error=None,
        seconds_per_epoch=math.nan,
        residual=None,
        folder=str(folder),
    )


def _configs(
    base: TrainConfig,
    methods: Sequence[Method],
    lrs: Mapping[Method, Sequence[float]],
    shifts: Iterable[int],
) -> list[TrainConfig]:
    shifts = list(shifts)
    return [
        replace(base, **asdict(method), lr=lr, seed=base.seed + shift)
        for method in methods
        for lr in lrs[method]
        for shift in shifts
    ]


def _folder(out: Path, config: TrainConfig) -> Path:
    name = config.optimizer
    if config.optimizer == "fgsgd":
        name += "-".join(["", config.scheme, *(m[:3] for m in config.manifolds)])
    return out / name / f"lr{rate_name(config.lr)}-seed{config.seed}"


def rate_name(lr: float) -> str:
    """A rate in as few digits as tell it apart from all others."""
    short = f"{lr:g}"
    return short if float(short) == lr else repr(float(lr))


def _clear(out: Path) -> None:
    """Remove the runs, tables and the report of an older comparison."""
    for folder in out.glob("*/lr*-seed*"):
        clear_run(folder)
    for name in (*TABLES, REPORT):
        (out / name).unlink(missing_ok=True)


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
        "p against SGD": groups["test_error"].apply(_paired, runs[runs["chosen"]]),
        "seconds per epoch": groups["seconds_per_epoch"].median(),
        "largest residual": groups["residual"].max(),
    }
    table = pd.DataFrame(columns)
    table.index.name = "method"
    return table


def _paired(errors: pd.Series[float], runs: pd.DataFrame) -> float:
    """P value of the paired t test against SGD, over the seeds; nan where there is none."""
    sgd = runs[runs["label"] == "SGD"].set_index("seed")["test_error"]
    mine = errors.set_axis(runs.loc[errors.index, "seed"])
    difference = (mine - sgd).dropna()
    if len(difference) < 2 or difference.max() - difference.min() < 1e-9:  # percent
        return math.nan
    return float(ttest_1samp(difference, 0.0).pvalue)


def _write_results(out: Path, base: TrainConfig, runs: pd.DataFrame, table: pd.DataFrame) -> Path:
    for name, frame in zip(TABLES, (runs.set_index("label"), table), strict=True):
        write_text(out / name, frame.to_csv())
    histories = {
        str(label): [
            pd.read_csv(Path(folder) / METRICS)
            for folder in group["folder"]
            if (Path(folder) / RESULT).exists()
        ]
        for label, group in runs[runs["chosen"]].groupby("label", sort=False)
    }
    report = out / REPORT
    write_text(report, compare_report(base, runs, table, histories))
    return report
