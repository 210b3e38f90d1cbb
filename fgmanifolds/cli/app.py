"""What all commands share: the app, its console, errors and progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import fgmanifolds

__all__ = ["app", "console", "main", "names_of", "progress_bar", "user_errors"]

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
def user_errors() -> Iterator[None]:
    """Show what a user can mend as one line, and exit with status 2."""
    try:
        yield
    except USER_ERRORS as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the last whole epoch is in the checkpoint (--resume)")
        raise typer.Exit(130) from None


def names_of(text: str) -> tuple[str, ...]:
    """Split a list at commas or plus signs."""
    return tuple(name.strip() for name in text.replace("+", ",").split(",") if name.strip())


def progress_bar(*, stderr: bool = False) -> Progress:
    """Progress of a long command."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True) if stderr else console,
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
