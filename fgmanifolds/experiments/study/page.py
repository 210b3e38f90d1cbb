"""The report of a study: a page, and its tables in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from fgmanifolds.experiments.report import Section, as_svg, as_table, make_page
from fgmanifolds.experiments.storage import write_text
from fgmanifolds.experiments.study.analysis import Findings, analyse
from fgmanifolds.experiments.study.arm import RATES
from fgmanifolds.experiments.study.folder import StudyFolder
from fgmanifolds.experiments.study.gather import gather
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.plot.study import (
    study_angles,
    study_curves,
    study_errors,
    study_search,
    study_targets,
)

__all__ = ["finished", "unfinished", "write_report"]

#: Arms that a plot of curves shows at most: the first of the protocol that have test runs.
SHOWN = 12


def write_report(protocol: Protocol, out: str | Path) -> tuple[Findings, list[Path]]:
    """Analyse a study and write ``report.html`` and ``report.md`` to its folder.

    Needs the runs, or the tables ``runs.csv``, ``curves.csv`` and ``angles.csv`` that an
    earlier report has left.

    Parameters
    ----------
    protocol : Protocol
    out : path or str

    Returns
    -------
    Findings
    list of Path
        The two files.

    Raises
    ------
    ValueError
        If the folder has no runs, or is of another protocol.
    """
    folder = StudyFolder(Path(out))
    amendments = folder.compare(protocol)
    tables = gather(folder)
    found = analyse(protocol, tables["runs"], tables["curves"])
    files = [folder.path / "report.html", folder.path / "report.md"]
    write_text(files[0], _html(protocol, found, tables, amendments))
    write_text(files[1], _markdown(protocol, found, tables, amendments))
    return found, files


# What is said ----------------------------------------------------------------------------------


def _lead(protocol: Protocol) -> str:
    budget, search = protocol.budget, protocol.search
    return (
        f"{protocol.model.name} on {protocol.data.name}, {budget.epochs} epochs, batches of "
        f"{budget.batch_size}; {search.trials} trials an arm, the best {search.best} again with "
        f"{search.reruns} more seed{'s' * (search.reruns != 1)}, {protocol.test.seeds} fresh seeds "
        "for the test"
    )


def _how(protocol: Protocol) -> str:
    a = protocol.analysis
    method = "seed by seed" if a.paired else "by Welch's method"
    return (
        f"Differences of test errors in points, first minus second, {method}, with intervals at "
        f"{1 - a.alpha:.0%}. The primary contrast is tested at {a.alpha:g}, the secondary ones "
        f"together by Holm's procedure over all {len(a.secondary)} that are planned. Equivalence: "
        f"two one-sided tests at {a.alpha:g} with the margin of {a.margin:g} points, each contrast "
        "by itself. A contrast is shown when both arms have all their seeds."
    )


def _target_text(protocol: Protocol) -> str:
    return (
        f"Steps until the validation error is at most {protocol.analysis.target:g}%, evaluated "
        f"{protocol.budget.evaluations} times an epoch. Runs that never get there are censored at "
        "their last step: the means are restricted to the length of a run, and the arms are "
        "compared by Welch's method on these and by the log-rank test, without adjustment."
    )


def _interval(frame: pd.DataFrame, form: str) -> list[str]:
    ends = zip(frame["low"], frame["high"], strict=True)
    return [f"{low:{form}} to {high:{form}}" if low == low else "-" for low, high in ends]


def _points(values: pd.Series, form: str) -> pd.Series:
    return values.map(f"{{:{form}}}".format, na_action="ignore")


def _arms_table(found: Findings) -> pd.DataFrame:
    arms = found.arms[found.arms["trials"] > 0].rename(columns={"title": "arm", "arm": "name"})
    arms["interval"] = _interval(arms, ".2f")
    for name in ("test error", "validation error"):
        arms[name] = _points(arms[name], ".2f")
    names = ["arm", "seeds", "test error", "interval", "std", *RATES, "validation error"]
    return arms[[*names, "training loss", "CPU seconds an epoch", "diverged"]]


def _contrasts_table(protocol: Protocol, found: Findings) -> pd.DataFrame:
    frame = _titled(protocol, finished(found.contrasts)).rename(
        columns={"mean": "difference", "p_equivalence": "p of equivalence"}
    )
    frame["interval"] = _interval(frame, "+.2f")
    frame["difference"] = _points(frame["difference"], "+.2f")
    names = ["first", "second", "difference", "interval", "verdict", "p", "p adjusted"]
    return frame[[*names, "p of equivalence", "kind"]]


def _targets_table(protocol: Protocol, found: Findings) -> pd.DataFrame:
    done = finished(found.contrasts)
    both = found.targets.merge(done[["first", "second"]], on=["first", "second"])
    frame = _titled(protocol, both).rename(columns={"mean": "difference"})
    frame["interval"] = _interval(frame, "+.0f")
    names = ["first", "second", "difference", "interval", "p of log-rank", "first steps"]
    return frame[[*names, "second steps", "first reached", "second reached"]]


def finished(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Those contrasts whose arms have all their seeds."""
    return contrasts[contrasts["verdict"] != "not finished"]


def unfinished(found: Findings) -> str:
    """A sentence on the other contrasts."""
    number = len(found.contrasts) - len(finished(found.contrasts))
    return f" Of {len(found.contrasts)} contrasts {number} are not finished." if number else ""


def _titled(protocol: Protocol, frame: pd.DataFrame) -> pd.DataFrame:
    """With the titles of arms in place of their names."""
    titles = {name: arm.title for name, arm in protocol.arms.items()}
    return frame.assign(first=frame["first"].map(titles), second=frame["second"].map(titles))


def _versions(runs: pd.DataFrame) -> pd.DataFrame:
    columns = ["commit", "version", "torch", "device"]
    there = [name for name in columns if name in runs]
    return runs.fillna({"commit": ""}).groupby(there, sort=False).size().reset_index(name="runs")


def _options(protocol: Protocol) -> pd.DataFrame:
    plain = protocol.to_dict()
    rows = [(name, str(value)) for name, value in plain.items() if not isinstance(value, dict)]
    for section, options in plain.items():
        if isinstance(options, dict) and section != "arms":
            rows += [(f"{section}.{name}", str(value)) for name, value in options.items()]
    return pd.DataFrame(rows, columns=["option", "value"])


def _arm_options(protocol: Protocol) -> pd.DataFrame:
    return pd.DataFrame(arm.to_dict() for arm in protocol.arms.values()).astype(str)


def _notes(found: Findings, amendments: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = list(found.warnings)
    for entry in amendments:
        changed = "; ".join(entry["changes"])
        lines.append(f"Changed at {entry['time']}, after {entry['tests']} test runs: {changed}.")
    return lines


# The page --------------------------------------------------------------------------------------


def _html(
    protocol: Protocol,
    found: Findings,
    tables: Mapping[str, pd.DataFrame],
    amendments: Sequence[Mapping[str, Any]],
) -> str:
    contrasts = as_table(_contrasts_table(protocol, found), index=False, classes="dense")
    sections = [
        Section("Contrasts", text=_how(protocol) + unfinished(found), table=contrasts),
        *[Section("To be kept in mind", text=line) for line in _notes(found, amendments)],
        Section("Arms", table=as_table(_arms_table(found), index=False, classes="dense")),
        *_figures(protocol, found, tables),
        Section(
            "Steps to the target",
            text=_target_text(protocol),
            table=as_table(_targets_table(protocol, found), index=False, classes="dense"),
        ),
        Section("Code", table=as_table(_versions(tables["runs"]), index=False)),
        Section("Protocol", table=as_table(_options(protocol), index=False, classes="text")),
        Section("Options of the arms", table=as_table(_arm_options(protocol), index=False)),
    ]
    return make_page(protocol.title, _lead(protocol), sections)


def _figures(
    protocol: Protocol, found: Findings, tables: Mapping[str, pd.DataFrame]
) -> list[Section]:
    titles = {name: arm.title for name, arm in protocol.arms.items()}
    runs = tables["runs"]
    tested = runs[runs["stage"] == "test"]
    with_tests = [name for name in titles if (tested["arm"] == name).any()]
    few = {name: titles[name] for name in with_tests[:SHOWN]}
    rest = ""
    if len(with_tests) > SHOWN:
        rest = f" The first {SHOWN} arms of {len(with_tests)} are shown."
    parts: list[tuple[str, str, bool, Callable[[], Figure]]] = [
        (
            "Test error",
            "The line is the interval of the arm's own mean.",
            bool(len(tested)),
            lambda: study_errors(found.arms, tested, titles),
        ),
        (
            "The search",
            "Dots: trials; triangles: the best of them with other seeds; dotted: the chosen lr. "
            "lr_euclidean and weight decay vary along.",
            bool(len(runs)),
            lambda: study_search(runs, titles),
        ),
        (
            "Curves",
            f"Test runs: mean over the seeds, and band from least to largest.{rest}",
            bool(few),
            lambda: study_curves(tables["curves"], few),
        ),
        (
            "Angles of steps",
            "By what angle single steps turn the filters of each layer: mean over the filters and "
            f"the test runs.{rest}",
            bool(few) and bool(len(tables["angles"])),
            lambda: study_angles(tables["angles"], few),
        ),
        (
            "Who has reached the target",
            f"Kaplan-Meier curves.{rest}",
            bool(few) and bool(len(found.times)),
            lambda: study_targets(found.times, few),
        ),
    ]
    return [
        Section(title, text=text, figure=as_svg(make()))
        for title, text, there, make in parts
        if there
    ]


def _markdown(
    protocol: Protocol,
    found: Findings,
    tables: Mapping[str, pd.DataFrame],
    amendments: Sequence[Mapping[str, Any]],
) -> str:
    lines = [f"# {protocol.title}", "", f"{_lead(protocol)}.", ""]
    lines += ["## Contrasts", "", _how(protocol) + unfinished(found), ""]
    lines += [*_rows(_contrasts_table(protocol, found)), ""]
    notes = _notes(found, amendments)
    if notes:
        lines += ["## To be kept in mind", "", *(f"- {line}" for line in notes), ""]
    lines += ["## Arms", "", *_rows(_arms_table(found)), ""]
    lines += ["## Steps to the target", "", _target_text(protocol), ""]
    lines += [*_rows(_targets_table(protocol, found)), ""]
    lines += ["## Code", "", *_rows(_versions(tables["runs"]))]
    return "\n".join(lines) + "\n"


def _rows(frame: pd.DataFrame) -> list[str]:
    """A table in Markdown."""
    head = "| " + " | ".join(map(str, frame.columns)) + " |"
    rows = ["| " + " | ".join(map(_cell, row)) + " |" for row in frame.itertuples(index=False)]
    return [head, "|" + "---|" * len(frame.columns), *rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        return f"{value:.2g}" if abs(value) < 0.01 else f"{value:.4g}"
    return str(value).replace("|", "\\|")
