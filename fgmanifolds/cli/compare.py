"""``fgmanifolds compare``."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.box import SIMPLE
from rich.table import Table

from fgmanifolds.cli.app import (
    app,
    check_flags,
    console,
    output_folder,
    progress_bar,
    user_errors,
)
from fgmanifolds.cli.options import Amp, BatchSize, Data, Device, Epochs, FanOut, Model, Seed
from fgmanifolds.validation import check_choice, check_integer


@app.command()
def compare(
    data: Data = "digits",
    model: Model = "cnn",
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    fan_out: FanOut = "none",
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
    out: Annotated[Path, typer.Option(help="Folder of runs and report.")] = Path("runs/compare"),
    device: Device = "cpu",
    amp: Amp = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the finished runs in OUT, go on with others.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the runs in OUT.")
    ] = False,
) -> None:
    """Compare SGD with FG-SGD, each at its best learning rate of the same grid.

    Each method's learning rate is chosen from the same grid on the validation
    part; the test part is touched only by the networks of the chosen rates.
    """
    with user_errors("stopped; --resume goes on after the last whole epoch"), output_folder(out):
        check_flags(out, any(out.rglob("checkpoint.pt")), resume=resume, overwrite=overwrite)
        check_integer("seeds", seeds, low=1)
        if lr_seeds is not None:
            check_integer("lr-seeds", lr_seeds, low=1)
        from fgmanifolds.experiments import TrainConfig
        from fgmanifolds.experiments import compare as run_comparison
        from fgmanifolds.experiments.compare import METHODS

        check_choice("methods", methods, METHODS)
        base = TrainConfig(
            data=data,
            model=model,
            epochs=epochs,
            batch_size=batch_size,
            fan_out=fan_out,
            seed=seed,
            device=device,
            amp=amp,
        )
        rows, grid = METHODS[methods](), lr or [0.02, 0.05, 0.1]
        first = seeds if lr_seeds is None else min(lr_seeds, seeds)
        runs = len(rows) * (len(grid) * first + seeds - first)
        with progress_bar() as progress:
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


#: Columns of the table on the screen, which is 80 wide in a log.
COLUMNS = ("lr", "test error %", "p", "s/epoch", "off by")


def _show_table(frame: pd.DataFrame, title: str) -> None:
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    table.add_column("method", min_width=20, overflow="fold")
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for method, row in frame.iterrows():
        table.add_row(str(method), *_cells(row))
    console.print(table)
    console.print("p: paired t test against SGD; off by: largest distance from a manifold")


def _cells(row: Any) -> list[str]:
    residual, p = row["largest residual"], row["p against SGD"]
    return [
        f"{row['lr']:g}",
        f"{row['test error %']:.2f} ± {row['std']:.2f}",
        "" if pd.isna(p) else f"{p:.2g}",
        f"{row['seconds per epoch']:.2g}",
        "" if pd.isna(residual) else f"{residual:.0e}",
    ]
