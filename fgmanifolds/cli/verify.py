"""``fgmanifolds verify``."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fgmanifolds.cli.app import app, console, names_of, progress_bar, user_errors
from fgmanifolds.validation import check_choice, check_choices, check_integer

if TYPE_CHECKING:
    from fgmanifolds.verify import Claim, Fault, Mutation, Verified

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
    listed: Annotated[
        bool, typer.Option("--list", help="Show names, places and verdicts; run nothing.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(help="Explain one statement, with its figures.")
    ] = None,
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Put faults in, and show which checks notice.")
    ] = False,
) -> None:
    """Check the paper's statements; exit status 0 when every verdict is the expected one.

    With --mutate: 0 when every fault is noticed by the entries that should.
    """
    with user_errors("stopped; nothing was written"):
        check_choice("format", form, FORMATS)
        check_integer("seed", seed, low=0)
        from fgmanifolds.verify import CLAIMS

        names = list(CLAIMS) if only is None else list(names_of(only))
        check_choices("only", names, CLAIMS)
        if explain is not None:
            check_choice("explain", explain, CLAIMS)
        if listed:
            console.print(_names(names))
        elif explain is not None:
            from fgmanifolds.verify.explain import explanation

            typer.echo(explanation(explain, seed=seed))
        elif mutate:
            _mutate(names, seed, form, out)
        else:
            _check(names, seed, form, out)


def _check(names: list[str], seed: int, form: str, out: Path | None) -> None:
    from fgmanifolds.verify import verify as run_checks

    with progress_bar(stderr=True) as progress:
        task = progress.add_task("", total=len(names))

        def on_claim(claim: Claim) -> None:
            progress.update(task, description=claim.where, advance=1)

        found = run_checks(names, seed=seed, on_claim=on_claim)
    _write(found, seed, form, out)
    surprises = [one for one in found if not one.as_expected]
    for one in surprises:
        text = f"{one.claim.name}: {one.finding.verdict}, expected: {one.claim.expected}"
        Console(stderr=True).print(text, style="red", markup=False)
    if surprises:
        raise typer.Exit(1)


def _mutate(names: list[str], seed: int, form: str, out: Path | None) -> None:
    from fgmanifolds.verify import CLAIMS
    from fgmanifolds.verify import mutate as run_faults

    faults = dict.fromkeys(fault.name for name in names for fault in CLAIMS[name].faults)
    with progress_bar(stderr=True) as progress:
        task = progress.add_task("", total=len(faults))

        def on_fault(fault: Fault) -> None:
            progress.update(task, description=fault.name, advance=1)

        found = run_faults(faults, seed=seed, on_fault=on_fault)
    _write_mutations(found, form, out)
    lost = [one for one in found if one.unnoticed]
    for one in lost:
        text = f"{one.fault.name}: not noticed by {', '.join(one.unnoticed)}"
        Console(stderr=True).print(text, style="red", markup=False)
    console.print(f"{len(found)} faults, {len(found) - len(lost)} noticed wherever they should be")
    if lost:
        raise typer.Exit(1)


def _write(found: list[Verified], seed: int, form: str, out: Path | None) -> None:
    if form == "table":
        _show(_verdicts(found), out)
        return
    if form == "json":
        text = json.dumps({"seed": seed, "claims": [one.to_dict() for one in found]}, indent=2)
    else:
        from fgmanifolds.experiments.report import verification_report

        text = verification_report(found, seed)
    _write_text(text, out)


def _write_mutations(found: list[Mutation], form: str, out: Path | None) -> None:
    from fgmanifolds.verify import mutation_table

    frame = mutation_table(found)
    if form == "json":
        _write_text(frame.reset_index().to_json(orient="records", indent=2), out)
        return
    if form == "html":
        _write_text(frame.to_html(), out)
        return
    table = Table(title="Faults put in on purpose", show_lines=True)
    for name in ("fault", "side", "changes", "should notice", "noticed", "unnoticed"):
        table.add_column(name, overflow="fold")
    for fault, row in frame.iterrows():
        missed = Text(str(row["unnoticed"]), style="red")
        table.add_row(str(fault), *(Text(str(value)) for value in list(row)[:-1]), missed)
    _show(table, out)


def _show(table: Table, out: Path | None) -> None:
    with open(out, "w", encoding="utf-8") if out else nullcontext() as file:
        screen: Any = Console(file=file, width=160) if out else console
        screen.print(table)


def _write_text(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")


VERDICT_STYLES = {"holds": "green", "holds as corrected": "yellow", "fails": "red"}


def _names(names: list[str]) -> Table:
    from fgmanifolds.verify import CLAIMS

    table = Table(title="The paper, statement by statement")
    for column in ("name", "paper", "kind", "expected", "faults", "printed"):
        table.add_column(column, overflow="fold")
    for name in names:
        claim = CLAIMS[name]
        verdict = Text(claim.expected, style=VERDICT_STYLES.get(claim.expected, ""))
        faults = str(len(claim.faults)) if claim.faults else "–"
        table.add_row(name, Text(claim.where), claim.kind, verdict, faults, Text(claim.printed))
    return table


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
