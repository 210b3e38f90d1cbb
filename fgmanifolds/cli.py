"""The command line: ``fgmanifolds train``, ``compare`` and ``verify``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import fgmanifolds
from fgmanifolds.validation import check_choice, check_choices, check_integer

if TYPE_CHECKING:
    from fgmanifolds.experiments import RunResult
    from fgmanifolds.verify import Claim, Verified

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train networks on products of weight manifolds with FG-SGD.",
)
console = Console()

#: What a user can mend: shown as one line, without a traceback.
USER_ERRORS = (ValueError, ImportError, FloatingPointError, OSError)


@contextmanager
def _user_errors() -> Iterator[None]:
    try:
        yield
    except USER_ERRORS as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the last whole epoch is in the checkpoint (--resume)")
        raise typer.Exit(130) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.replace("+", ",").split(",") if name.strip())


def _progress(*, stderr: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True) if stderr else console,
    )


Data = Annotated[str, typer.Option(help="Data set: digits, or mnist5k (extra 'mnist').")]
Model = Annotated[str, typer.Option(help="Model: cnn, resnet20 or resnet44.")]
Scheme = Annotated[str, typer.Option(help="Sets of weights: pio, pi, po, layer or kernel.")]
Manifolds = Annotated[
    str, typer.Option(help="Comma-separated list of sphere, oblique, stiefel, euclidean.")
]
Exclude = Annotated[str, typer.Option(help="Comma-separated layers (patterns) kept Euclidean.")]
Epochs = Annotated[int, typer.Option(help="Number of epochs.")]
BatchSize = Annotated[int, typer.Option(help="Images in a minibatch.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, sets and order of images.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Amp = Annotated[bool, typer.Option("--amp", help="Train under bfloat16 autocast.")]


def _show_version(value: bool) -> None:
    if value:
        console.print(f"fgmanifolds {fgmanifolds.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Train networks on products of weight manifolds with FG-SGD."""


@app.command()
def train(
    data: Data = "digits",
    model: Model = "cnn",
    optimizer: Annotated[str, typer.Option(help="fgsgd or sgd.")] = "fgsgd",
    scheme: Scheme = "pio",
    manifolds: Manifolds = "sphere,oblique,stiefel,euclidean",
    exclude: Exclude = "classifier",
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    lr: Annotated[float, typer.Option(help="Learning rate at the start of its cosine.")] = 0.05,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder for metrics, checkpoint, report.")] = Path(
        "runs/train"
    ),
    device: Device = "cpu",
    amp: Amp = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run in OUT.")] = False,
) -> None:
    """Train one network; write metrics.csv, report.html and a checkpoint to OUT."""
    with _user_errors():
        from fgmanifolds import experiments

        config = experiments.TrainConfig(
            data=data,
            model=model,
            optimizer=optimizer,
            scheme=scheme,
            manifolds=_names(manifolds),
            exclude=_names(exclude),
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            seed=seed,
            device=device,
            amp=amp,
        )
        with _progress() as progress:
            task = progress.add_task(config.label, total=epochs)

            def on_epoch(row: dict[str, float]) -> None:
                error = f"validation error {row['validation_error']:.2f}%"
                progress.update(
                    task, completed=int(row["epoch"]), description=f"{config.label}: {error}"
                )

            result = experiments.train(
                config, out, resume=resume, overwrite=overwrite, on_epoch=on_epoch
            )
            progress.update(task, completed=epochs)
        _show_result(result)


def _show_result(result: RunResult) -> None:
    console.print(f"{result.label}, seed {result.seed}", markup=False, highlight=False)
    console.print(f"  test error        {result.test_error:.2f}%")
    console.print(f"  validation error  {result.validation_error:.2f}%")
    console.print(f"  seconds per epoch {result.seconds_per_epoch:.3f}")
    if result.residual is not None:
        console.print(f"  largest residual  {result.residual:.1e}")
    report = Path(result.folder) / "report.html"
    console.print(f"  report            {report}", soft_wrap=True, highlight=False)


@app.command()
def compare(
    data: Data = "digits",
    model: Model = "cnn",
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    lr: Annotated[
        list[float] | None, typer.Option(help="Learning rate of the grid; give several.")
    ] = None,
    methods: Annotated[
        str, typer.Option(help="short: SGD and two of FG-SGD; paper: all rows (extra 'peers').")
    ] = "short",
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    lr_seeds: Annotated[
        int | None, typer.Option(help="Seeds to choose learning rates with; default: all.")
    ] = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Folder; runs in it are replaced.")] = Path(
        "runs/compare"
    ),
    device: Device = "cpu",
    amp: Amp = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the finished runs in OUT, go on with others.")
    ] = False,
) -> None:
    """Compare SGD with FG-SGD, each at its best learning rate of the same grid.

    Each method's learning rate is chosen from the same grid on the validation
    part; the test part is touched only by the networks of the chosen rates.
    """
    with _user_errors():
        from fgmanifolds.experiments import TrainConfig
        from fgmanifolds.experiments import compare as run_comparison
        from fgmanifolds.experiments.compare import METHODS

        check_choice("methods", methods, METHODS)
        base = TrainConfig(
            data=data,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            device=device,
            amp=amp,
        )
        rows, grid = METHODS[methods](), lr or [0.02, 0.05, 0.1]
        first = seeds if lr_seeds is None else min(lr_seeds, seeds)
        runs = len(rows) * (len(grid) * first + seeds - first)
        with _progress() as progress:
            task, started = progress.add_task("", total=runs * epochs), count()

            def on_run(config: TrainConfig) -> None:
                text = f"{config.label}, lr {config.lr:g}, seed {config.seed}"
                progress.update(task, description=text, completed=next(started) * epochs)

            def on_test(config: TrainConfig) -> None:
                text = f"testing {config.label}, seed {config.seed}"
                progress.update(task, description=text, completed=runs * epochs)

            found = run_comparison(
                base,
                rows,
                grid,
                seeds,
                out,
                lr_seeds=lr_seeds,
                resume=resume,
                on_run=on_run,
                on_epoch=lambda row: progress.advance(task),
                on_test=on_test,
            )
        title = f"{model} on {data}, {epochs} epochs, {seeds} seeds"
        _show_table(found.table, title)
        console.print(f"report: {found.report}", soft_wrap=True, highlight=False)


COLUMNS = (
    "method",
    "lr",
    "test error %",
    "p against SGD",
    "seconds per epoch",
    "largest residual",
)


def _show_table(frame: pd.DataFrame, title: str) -> None:
    table = Table(title=title)
    for name in COLUMNS:
        if name == "method":
            table.add_column(name, min_width=16)
        else:
            table.add_column(name, justify="right")
    for method, row in frame.iterrows():
        table.add_row(str(method), *_cells(row))
    console.print(table)


def _cells(row: Any) -> list[str]:
    residual, p = row["largest residual"], row["p against SGD"]
    return [
        f"{row['lr']:g}",
        f"{row['test error %']:.2f} +- {row['std']:.2f}",
        "-" if pd.isna(p) else f"{p:.2g}",
        f"{row['seconds per epoch']:.3f}",
        "-" if pd.isna(residual) else f"{residual:.1e}",
    ]


FORMATS = ("table", "json", "html")


@app.command()
def verify(
    only: Annotated[
        str | None, typer.Option(help="Comma-separated names, such as lemma1,eq24; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 0,
    form: Annotated[str, typer.Option("--format", help="table, json or html.")] = "table",
    out: Annotated[
        Path | None, typer.Option(help="File to write to in place of the screen.")
    ] = None,
) -> None:
    """Check the paper's statements; exit status 0 when every verdict is the expected one."""
    with _user_errors():
        check_choice("format", form, FORMATS)
        from fgmanifolds.verify import CLAIMS
        from fgmanifolds.verify import verify as run_checks

        names = list(CLAIMS) if only is None else list(_names(only))
        check_choices("only", names, CLAIMS)
        check_integer("seed", seed, low=0)
        with _progress(stderr=True) as progress:
            task = progress.add_task("", total=len(names))

            def on_claim(claim: Claim) -> None:
                progress.update(task, description=claim.where, advance=1)

            found = run_checks(names, seed=seed, on_claim=on_claim)
        _write_findings(found, seed, form, out)
    surprises = [one for one in found if not one.as_expected]
    for one in surprises:
        text = f"{one.claim.name}: {one.finding.verdict}, expected: {one.claim.expected}"
        Console(stderr=True).print(text, style="red", markup=False)
    if surprises:
        raise typer.Exit(1)


def _write_findings(found: list[Verified], seed: int, form: str, out: Path | None) -> None:
    if form == "table":
        with open(out, "w", encoding="utf-8") if out else nullcontext() as file:
            screen = Console(file=file, width=160) if out else console
            screen.print(_verdicts(found))
        return
    if form == "json":
        text = json.dumps({"seed": seed, "claims": [one.to_dict() for one in found]}, indent=2)
    else:
        from fgmanifolds.experiments.report import verification_report

        text = verification_report(found, seed)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


VERDICT_STYLES = {"holds": "green", "holds as corrected": "yellow", "fails": "red"}


def _verdicts(found: list[Verified]) -> Table:
    table = Table(title="The paper, statement by statement", show_lines=True)
    for name in ("name", "paper", "verdict", "printed", "right or measured"):
        table.add_column(name, overflow="fold")
    for one in found:
        verdict = one.finding.verdict
        figures = [f"{key}: {value:.3g}" for key, value in list(one.finding.measured.items())[:2]]
        table.add_row(
            one.claim.name,
            one.claim.where,
            Text(verdict, style=VERDICT_STYLES.get(verdict, "")),
            Text(one.claim.printed),
            Text("\n".join(filter(None, [one.claim.right, *figures]))),
        )
    return table


def main() -> None:
    """Run the command line."""
    app(prog_name="fgmanifolds" if sys.argv[0].endswith("__main__.py") else None)
