"""Self-contained report pages: tables, and plots as inline SVG."""

from __future__ import annotations

import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2
import pandas as pd
import torch
from matplotlib.figure import Figure

from fgmanifolds import __version__, plot
from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.verify import Verified, claims_table

if TYPE_CHECKING:
    from fgmanifolds.experiments.run import RunResult

__all__ = [
    "Section",
    "as_svg",
    "as_table",
    "compare_report",
    "make_page",
    "run_report",
    "verification_report",
]


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, and a text, a table (HTML) or a figure (SVG)."""

    title: str
    text: str = ""
    table: str = ""
    figure: str = ""


_BOUNDS_TEXT = (
    "Up to constants and logarithms, with the margin that 95% of the training images have; there "
    "is no curve where it is not positive. Above: from the norms of whole layers, as the theorems "
    "say. Below: from products over the groups, as the paper's Tables I and VI say, which are no "
    "bounds; a layer without POMs is one group."
)


_LAG_TEXT = (
    "Where the error of the first epochs is high and then drops at once, batch normalisation "
    "lags: it evaluates with running means of its statistics, and the weights still turn fast. "
    "With statistics measured anew such errors are a few percent."
)


def as_svg(figure: Figure) -> str:
    """A figure as SVG to be put into a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _number(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"


def as_table(frame: pd.DataFrame, index: bool = True, classes: str | None = None) -> str:
    """A frame as a table in HTML.

    Parameters
    ----------
    frame : pd.DataFrame
    index : bool
    classes : str, optional
    """
    shown = frame.reset_index() if index else frame
    return str(
        shown.to_html(index=False, border=0, float_format=_number, na_rep="–", classes=classes)
    )


def make_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A page that needs no other file.

    Parameters
    ----------
    title : str
    lead : str
    sections : sequence of Section
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fgmanifolds.experiments"), autoescape=True
    )
    footer = (
        f"fgmanifolds {__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, {torch.get_num_threads()} threads"
    )
    template = environment.get_template("report.html.j2")
    return template.render(title=title, lead=lead, sections=sections, footer=footer)


def _options(config: TrainConfig) -> str:
    rows = [(name, _plain(value)) for name, value in config.to_dict().items()]
    return as_table(pd.DataFrame(rows, columns=["option", "value"]), index=False)


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def run_report(
    config: TrainConfig, history: Sequence[Mapping[str, float]], result: RunResult
) -> str:
    """Page of one run: its result, plots of all metrics, and its options.

    Parameters
    ----------
    config : TrainConfig
    history : sequence of mapping
        A row of metrics for each epoch.
    result : RunResult
    """
    frame = pd.DataFrame(history)
    test = "not measured" if result.test_error is None else f"{result.test_error:.2f}%"
    residual = "–" if result.residual is None else f"{result.residual:.1e}"
    outcome = pd.DataFrame(
        {
            "test error": [test],
            "validation error": [f"{result.validation_error:.2f}%"],
            "validation loss": [f"{result.validation_loss:.4f}"],
            "seconds per epoch": [f"{result.seconds_per_epoch:.3f}"],
            "largest residual": [residual],
        }
    )
    sections = [
        Section("Result", table=as_table(outcome, index=False)),
        Section("Training", text=_LAG_TEXT, figure=as_svg(plot.training_curves(frame))),
        Section(
            "Generalization bounds",
            text=_BOUNDS_TEXT,
            figure=as_svg(plot.bound_curves({config.label: [frame]})),
        ),
        Section("Options", table=_options(config)),
    ]
    lead = f"{config.model} on {config.data}, {config.epochs} epochs, seed {config.seed}"
    return make_page(config.label, lead, sections)


def compare_report(
    base: TrainConfig,
    runs: pd.DataFrame,
    table: pd.DataFrame,
    histories: Mapping[str, Sequence[pd.DataFrame]],
) -> str:
    """Page of a comparison: the table, the curves, the test errors and the grid.

    Parameters
    ----------
    base : TrainConfig
    runs : DataFrame
        A row for each run.
    table : DataFrame
        A row for each method.
    histories : mapping of str to sequence of DataFrame
    """
    chosen = runs[runs["chosen"]]
    grid = runs.pivot_table(
        index="label", columns="lr", values="validation_error", aggfunc="mean", sort=False
    )
    grid.columns = [f"lr {lr:g}" for lr in grid.columns]
    seeds = runs["seed"].nunique()
    images = sum(len(histories[label]) for label in histories)
    sections = [
        Section("Result", table=as_table(table)),
        Section("Test error", figure=as_svg(plot.errors_by_method(chosen))),
        Section(
            "Validation over the epochs",
            text="At the chosen learning rates: mean over the seeds, band from least to largest. "
            + _LAG_TEXT,
            figure=as_svg(plot.validation_curves(histories)),
        ),
        Section(
            "Generalization bounds", text=_BOUNDS_TEXT, figure=as_svg(plot.bound_curves(histories))
        ),
        Section(
            "How the learning rates were chosen",
            text="Mean validation error in percent. The smallest of each row was chosen (ties: "
            f"the smallest validation loss), and only the {images} networks of the chosen rates "
            "were tested.",
            table=as_table(grid.rename_axis("method")),
        ),
    ]
    first = runs.loc[runs["label"] != "SGD", "folder"]
    if len(first):
        label = runs.loc[chosen.index, "label"].iloc[-1]
        sections.append(
            Section(
                f"Inside one run: {label}", figure=as_svg(plot.training_curves(histories[label][0]))
            )
        )
    lead = f"{base.model} on {base.data}, {base.epochs} epochs, {seeds} seeds"
    return make_page("Comparison of optimizers", lead, sections)


def verification_report(found: Sequence[Verified], seed: int) -> str:
    """Page of what the checks of the paper's statements found.

    Parameters
    ----------
    found : sequence of Verified
    seed : int
    """
    table = claims_table(found, figures=1000).reset_index()
    notes = [one.finding.note for one in found]
    sections = [
        Section(
            f"{row['paper']}: {row['verdict']}",
            text=f"Printed: {row['printed']} Right: {row['right']} {note} Code: {row['code']}. "
            f"The check notices {_faults(one)}.",
            table=as_table(_figures(one), index=False) if one.finding.measured else "",
        )
        for one, note, (_, row) in zip(found, notes, table.iterrows(), strict=True)
    ]
    counts = table["verdict"].value_counts(sort=False)
    lead = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    summary = Section(
        "Verdicts",
        table=as_table(
            table[["name", "paper", "printed", "right", "verdict"]], index=False, classes="text"
        ),
    )
    return make_page(
        "The paper, statement by statement", f"{lead}; seed {seed}", [summary, *sections]
    )


def _figures(one: Verified) -> pd.DataFrame:
    demands = one.finding.demands
    rows = [(name, value, demands.get(name, "")) for name, value in one.finding.measured.items()]
    return pd.DataFrame(rows, columns=["measured", "value", "demanded"])


def _faults(one: Verified) -> str:
    return "; ".join(fault.what for fault in one.claim.faults) or "nothing: it has no verdict"
