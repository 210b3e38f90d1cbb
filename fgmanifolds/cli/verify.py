"""``fgmanifolds verify``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fgmanifolds.cli.app import app, console, names_of, progress_bar, user_errors
from fgmanifolds.validation import check_choice, check_choices, check_integer

if TYPE_CHECKING:
    from fgmanifolds.verify import Claim, Verified

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
    with user_errors():
        check_choice("format", form, FORMATS)
        from fgmanifolds.verify import CLAIMS
        from fgmanifolds.verify import verify as run_checks

        names = list(CLAIMS) if only is None else list(names_of(only))
        check_choices("only", names, CLAIMS)
        check_integer("seed", seed, low=0)
        with progress_bar(stderr=True) as progress:
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
