"""What all commands share: the app, its console, errors and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

import fgmanifolds

__all__ = [
    "LineProgress",
    "app",
    "check_flags",
    "console",
    "main",
    "names_of",
    "output_folder",
    "progress_bar",
    "user_errors",
]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train networks on products of weight manifolds with FG-SGD.",
)
console = Console()

#: What a user can mend: shown as one line, without a traceback.
USER_ERRORS = (ValueError, ImportError, FloatingPointError, OSError, MemoryError)


@contextmanager
def user_errors(stopped: str = "stopped") -> Iterator[None]:
    """Show what a user can mend as one line, and exit with status 2.

    Parameters
    ----------
    stopped : str
        What to say after ctrl-C, which ends with status 130.
    """
    try:
        yield
    except USER_ERRORS as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print(stopped, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None


@contextmanager
def output_folder(out: Path) -> Iterator[None]:
    """Take away again what was made of a folder if nothing came to lie in it."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def check_flags(out: Path, runs: bool, *, resume: bool, overwrite: bool) -> None:
    """Raise ``ValueError`` unless an existing folder is resumed or overwritten, and not both.

    Parameters
    ----------
    out : path
    runs : bool
        Whether there are runs in it.
    resume, overwrite : bool
    """
    if resume and overwrite:
        raise ValueError("--resume and --overwrite exclude each other: go on, or begin anew.")
    if runs and not (resume or overwrite):
        raise ValueError(
            f"out={str(out)!r} already holds runs; add --resume or --overwrite, or name "
            "another folder."
        )


def names_of(text: str) -> tuple[str, ...]:
    """Split a list at commas or plus signs."""
    return tuple(name.strip() for name in text.replace("+", ",").split(",") if name.strip())


class LineProgress:
    """Progress as lines, for logs: one at each tenth of the way.

    Takes the same calls as rich's ``Progress``, for one task.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text, self._done, self._total, self._said = "", 0.0, 0.0, 0

    def __enter__(self) -> LineProgress:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; there is nothing to take down."""

    def add_task(self, description: str, total: float | None) -> TaskID:
        """Begin the one task.

        Parameters
        ----------
        description : str
        total : float or None
        """
        self._text, self._total = description, total or 0.0
        return TaskID(0)

    def update(
        self,
        task: TaskID,
        *,
        description: str | None = None,
        completed: float | None = None,
        total: float | None = None,
        advance: float = 0.0,
    ) -> None:
        """Change the text or how far it is.

        Parameters
        ----------
        task : TaskID
        description : str, optional
        completed, total : float, optional
        advance : float
        """
        self._text = self._text if description is None else description
        self._total = self._total if total is None else total
        self._done = (self._done if completed is None else completed) + advance
        tenth = int(10 * self._done / self._total) if self._total else 0
        if tenth > self._said:
            self._said = tenth
            line = f"{self._done:.0f}/{self._total:.0f} {self._text}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def advance(self, task: TaskID, advance: float = 1.0) -> None:
        """Go a step on.

        Parameters
        ----------
        task : TaskID
        advance : float
        """
        self.update(task, advance=advance)


def progress_bar(*, stderr: bool = False) -> Progress | LineProgress:
    """Progress of a long command: a bar on a terminal, some lines elsewhere."""
    where = Console(stderr=True) if stderr else console
    if not where.is_terminal:
        return LineProgress(where)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=where,
    )


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


def main() -> None:
    """Run the command line."""
    app(prog_name="fgmanifolds" if sys.argv[0].endswith("__main__.py") else None)
