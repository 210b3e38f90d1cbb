"""``fgmanifolds reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table as Grid
from rich.text import Text

from fgmanifolds.cli.app import app, console, progress_bar, user_errors
from fgmanifolds.cli.options import Amp, Device

if TYPE_CHECKING:
    import pandas as pd

    from fgmanifolds.experiments.runner import Plan


@app.command()
def reproduce(
    table: Annotated[
        str | None, typer.Argument(help="III, XI, XII, XIII, XIV, XV, XVI or D.B.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the tables, or the rows of TABLE, and stop.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of the data sets' files (and of imagenet/).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables; runs in it go on.")] = Path(
        "runs/reproduce"
    ),
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Rows, by SYSTEM/AUGMENTATION/METHOD or METHOD, with * and ?; repeat."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 1,
    seed: Annotated[int, typer.Option(help="First seed.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="A shorter schedule of the same shape; default: as printed.")
    ] = None,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A few steps on digits at half of all widths.")
    ] = False,
    data: Annotated[
        str | None, typer.Option(help="Other data: a name, folder:PATH or zip:PATH.")
    ] = None,
    side: Annotated[int | None, typer.Option(help="Side that photographs are cut to.")] = None,
    model: Annotated[str | None, typer.Option(help="Another network.")] = None,
    widths: Annotated[str | None, typer.Option(help="paper, original or quarter.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images in a minibatch.")] = None,
    lr: Annotated[float | None, typer.Option(help="Another rate, for all rows.")] = None,
    unreadable: Annotated[
        str, typer.Option(help="error or skip: what to do with images that cannot be read.")
    ] = "error",
    download: Annotated[
        bool, typer.Option("--download", help="Download official files that DATA_DIR lacks.")
    ] = False,
    device: Device = "cpu",
    amp: Amp = False,
) -> None:
    """Run the rows of a table of the paper; write its figures beside ours, and curves.

    What is finished in OUT is kept, and what was stopped goes on after its last whole
    epoch. Under torchrun, each process takes its share of the runs.
    """
    with user_errors("stopped; the same command goes on after the last whole epoch"):
        if listed or table is None:
            console.print(_rows(table) if table is not None else _tables())
            return
        from fgmanifolds.experiments.config import check_device
        from fgmanifolds.experiments.runner import Settings, plan_runs
        from fgmanifolds.experiments.runner import reproduce as run_table
        from fgmanifolds.experiments.table import load_table

        check_device(device)
        settings = Settings(
            out,
            data_dir,
            seeds,
            seed,
            epochs,
            smoke,
            device,
            amp,
            data,
            side,
            model,
            widths,
            batch_size,
            lr,
            unreadable,
        )
        plans = plan_runs(load_table(table).select(rows), settings)
        if download:
            _download({plan.config.data for plan in plans}, data_dir)
        with progress_bar() as progress:
            task = progress.add_task("", total=sum(plan.config.epochs for plan in plans))

            def on_run(plan: Plan) -> None:
                done = sum(p.config.epochs for p in plans[: plans.index(plan)])
                text = f"{plan.row.key}, seed {plan.config.seed}"
                progress.update(task, description=text, completed=done)

            found = run_table(
                table, settings, rows, on_run=on_run, on_epoch=lambda row: progress.advance(task)
            )
        console.print(_outcome(found.table, load_table(table).where))
        for file in found.files:
            console.print(str(file), soft_wrap=True, highlight=False)


def _download(names: set[str], data_dir: Path | None) -> None:
    """Fetch what is missing of the data sets that have official files."""
    from fgmanifolds.data import download
    from fgmanifolds.data.sources import SOURCES

    if data_dir is None:
        raise ValueError("--download needs --data-dir, the folder to download to.")
    with progress_bar() as progress:
        task = progress.add_task("", total=None)

        def on_progress(file: str, there: int, total: int) -> None:
            progress.update(task, description=f"{file}, bytes", completed=there, total=total)

        for name in sorted(names & set(SOURCES)):
            download(name, data_dir, on_progress)


def _tables() -> Grid:
    from fgmanifolds.experiments.table import TABLES, load_table

    grid = Grid(title="Tables of the paper")
    for name in ("table", "what", "systems", "rows"):
        grid.add_column(name, overflow="fold")
    for name in TABLES:
        table = load_table(name)
        systems = list(dict.fromkeys(row.system.key for row in table.rows))
        grid.add_row(name, table.title, "\n".join(systems), str(len(table.rows)))
    return grid


def _rows(name: str) -> Grid:
    from fgmanifolds.experiments.table import load_table, paper_figures

    table = load_table(name)
    grid = Grid(title=f"{table.where}: {table.title}")
    for column in ("row", "paper's errors %"):
        grid.add_column(column, overflow="fold")
    for row in table.rows:
        figures = paper_figures(row, name)["error"]
        grid.add_row(row.key, ", ".join(f"{value:.2f}" for value in figures))
    return grid


def _ours(line: pd.Series[float]) -> str:
    if line["seeds"]:
        return f"{line['ours']:.2f}"
    return "diverged" if line["diverged"] else "not run"


def _outcome(frame: pd.DataFrame, title: str) -> Grid:
    """Our errors beside the paper's; a line for each system and its images, 80 wide in a log."""
    grid = Grid(title=title, box=SIMPLE, pad_edge=False)
    grid.add_column("method", min_width=20, overflow="fold")
    for name in ("paper", "ours", "seeds", "difference"):
        grid.add_column(name, justify="right", no_wrap=True)
    before = None
    for _, line in frame.iterrows():
        where = f"{line['system']}, {line['augmentation']}"
        if where != before:
            grid.add_row(Text(where, style="bold"))
            before = where
        grid.add_row(
            f"  {line['label']}",
            f"{line['paper']:.2f}",
            _ours(line),
            str(line["seeds"]),
            f"{line['difference']:+.2f}" if line["seeds"] else "",
        )
    return grid
