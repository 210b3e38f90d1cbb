"""``fgmanifolds study``."""

from __future__ import annotations

import multiprocessing
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fgmanifolds.cli.app import app, console, names_of, progress_bar, user_errors
from fgmanifolds.cli.options import Device
from fgmanifolds.validation import check_integer


@app.command()
def study(
    context: typer.Context,
    protocol: Annotated[Path, typer.Argument(help="TOML file of the study.")],
    out: Annotated[Path, typer.Option(help="Folder of the study; what is in it goes on.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the data sets' files.")] = None,
    known: Annotated[
        Path | None,
        typer.Option(help="Folder with the tables of runs made before: they are taken over."),
    ] = None,
    stage: Annotated[
        str, typer.Option(help="Comma-separated: search, rerun, test.")
    ] = "search,rerun,test",
    arms: Annotated[str | None, typer.Option(help="Comma-separated; default: all.")] = None,
    workers: Annotated[
        int, typer.Option(help="Processes; more shells on the same folder do as well.")
    ] = 1,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A few steps of everything, to see that it works.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Run nothing: analyse what there is.")
    ] = False,
    device: Device = "cpu",
) -> None:
    """Make the runs of a study that are missing; with --report, analyse those there are.

    A worker that is stopped loses its run's last epoch at most: give the same command again.
    """
    with user_errors():
        check_integer("workers", workers, low=1)
        from fgmanifolds.experiments.config import check_device
        from fgmanifolds.experiments.study import read_protocol
        from fgmanifolds.experiments.study.analysis import power_warning

        check_device(device)
        if smoke and known is not None:
            raise ValueError(
                "--smoke runs a smaller protocol, to which the runs of "
                f"--known={str(known)!r} do not belong: leave one of the two out."
            )
        plan = read_protocol(protocol)
        if smoke:
            plan = plan.smoke()
        if report:
            _refuse_beside_report(context)
            _report(plan, out)
            return
        options = {
            "arms": None if arms is None else names_of(arms),
            "stages": names_of(stage),
            "data_dir": data_dir,
            "known": known,
            "device": device,
        }
        for line in [] if smoke else power_warning(plan):
            console.print(f"warning: {line}", style="yellow", markup=False, soft_wrap=True)
        _run(plan, out, workers, options)
        console.print(str(out / "runs.csv"), soft_wrap=True, highlight=False)


def _refuse_beside_report(context: typer.Context) -> None:
    """Nothing is run with --report, so that options of runs would be ignored."""
    idle = ("data_dir", "known", "stage", "arms", "workers", "device")
    sources = {name: context.get_parameter_source(name) for name in idle}
    given = [
        f"--{name.replace('_', '-')}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        raise ValueError(
            f"--report runs nothing, so that {', '.join(given)} would do nothing: leave that out."
        )


def _report(plan: Any, out: Path) -> None:
    from fgmanifolds.experiments.study.page import finished, unfinished, write_report

    found, files = write_report(plan, out)
    grid = Table(title=plan.title)
    for name in ("first", "second", "difference", "interval", "p", "verdict"):
        grid.add_column(name, overflow="fold")
    for _, row in finished(found.contrasts).iterrows():
        grid.add_row(row["first"], row["second"], *_cells(row), row["verdict"])
    console.print(grid)
    if unfinished(found):
        console.print(unfinished(found).strip(), soft_wrap=True)
    for line in found.warnings:
        console.print(f"warning: {line}", style="yellow", markup=False, soft_wrap=True)
    for file in files:
        console.print(str(file), soft_wrap=True, highlight=False)


def _cells(row: Any) -> list[str]:
    return [
        f"{row['mean']:+.2f}",
        f"{row['low']:+.2f} to {row['high']:+.2f}",
        f"{row['p adjusted']:.2g}",
    ]


def _run(plan: Any, out: Path, workers: int, options: dict[str, Any]) -> None:
    context = multiprocessing.get_context("spawn")
    helpers: list[Any] = []
    try:
        with progress_bar() as progress:
            bar = progress.add_task("", total=None)

            def on_run(task: Any, done: int, total: int) -> None:
                # Not before this process has found the options and the data to be right.
                while len(helpers) < workers - 1:
                    helpers.append(context.Process(target=_help, args=(plan, out, options)))
                    helpers[-1].start()
                text = f"{task.arm}, {task.stage}, trial {task.trial}, seed {task.seed}"
                if console.is_terminal:
                    progress.update(bar, description=text, completed=done, total=total)
                else:
                    console.print(f"{done} of {total}; {text}", soft_wrap=True)

            _work(plan, out, options, on_run=on_run, notice=console.print)
    finally:
        for helper in helpers:
            helper.join()
    failed = sum(1 for helper in helpers if helper.exitcode)
    if failed:
        raise ValueError(f"{failed} of the workers ended with an error, which is above.")


def _help(plan: Any, out: Path, options: dict[str, Any]) -> None:
    """What another process does: its errors are shown as this one's are."""
    try:
        with user_errors():
            _work(plan, out, options)
    except typer.Exit as end:
        sys.exit(end.exit_code)


def _work(plan: Any, out: Path, options: dict[str, Any], **calls: Any) -> None:
    import torch

    from fgmanifolds.experiments.study import run_study

    torch.set_num_threads(plan.budget.threads)
    run_study(plan, out, **options, **calls)
