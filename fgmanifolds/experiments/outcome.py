"""The table of a reproduction: the paper's figures beside ours, and curves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fgmanifolds.experiments.storage import write_text, write_whole
from fgmanifolds.experiments.table import Row, Table, paper_figures

__all__ = ["curves", "outcome_table", "write_outcome"]

Results = Mapping[tuple[str, int], dict[str, Any] | None]


def outcome_table(table: Table, rows: Sequence[Row], results: Results) -> pd.DataFrame:
    """A row for each of the table.

    Parameters
    ----------
    table : Table
    rows : sequence of Row
    results : mapping

    Returns
    -------
    DataFrame
        The paper's test error (of its own runs where it prints several, else the one it
        cites), its standard deviation, ours over the seeds that are done, and the difference;
        all in percent. ``what`` says where our runs differ from the table's.
    """
    lines = []
    for row in rows:
        figure = _printed(row, table.name)
        mine = [found for (key, _), found in results.items() if key == row.key and found]
        errors = [found["error"] for found in mine if found["error"] is not None]
        diverged = sum(bool(found["diverged"]) for found in mine)
        ours = float(np.mean(errors)) if errors else np.nan
        lines.append(
            {
                "system": row.system.key,
                "augmentation": row.augmentation,
                "method": str(row.method),
                "label": row.method.label,
                "paper": figure["error"],
                "paper std": figure["std"],
                "paper note": figure["note"],
                "ours": ours,
                "std": float(np.std(errors, ddof=1)) if len(errors) > 1 else np.nan,
                "seeds": len(errors),
                "diverged": diverged,
                "difference": ours - figure["error"],
                "seconds per epoch": _median(mine, "seconds_per_epoch"),
                "what": _what(row, mine[0]["config"]) if mine else "not run",
            }
        )
    return pd.DataFrame(lines)


def _printed(row: Row, table: str) -> dict[str, Any]:
    figures = paper_figures(row, table)
    own = figures[~figures["note"].str.startswith("cited")]
    chosen = own if len(own) else figures
    return dict(chosen.iloc[0])


def _median(results: Sequence[dict[str, Any]], name: str) -> float:
    values = [found[name] for found in results if found[name] is not None]
    return float(np.median(values)) if values else np.nan


def _what(row: Row, config: Mapping[str, Any]) -> str:
    """How a run differs from the table's: its data, network, length and so on."""
    source = row.system.recipe
    changed = []
    for name, theirs in (
        ("model", row.system.model),
        ("data", row.system.data),
        ("epochs", source.epochs),
        ("batch_size", source.batch_size),
    ):
        if config[name] != theirs:
            changed.append(f"{name} {config[name]} (not {theirs})")
    if config["recipe"]["lr"] != source.lr:
        changed.append(f"lr {config['recipe']['lr']:g} (not {source.lr:g})")
    widths = config["options"].get("widths")
    if widths != row.system.options.get("widths"):
        changed.append(f"widths {widths}")
    if config["side"] not in (None, 224):
        changed.append(f"images of {config['side']} pixels")
    if config["steps"] is not None:
        changed.append(f"{config['steps']} steps an epoch")
    return "; ".join(changed) or "as in the table"


def curves(rows: Sequence[Row], histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Training loss and error over the epochs; validation where there is some. Means of seeds.

    Parameters
    ----------
    rows : sequence of Row
    histories : mapping of str to sequence of DataFrame
    """
    shown = [row for row in rows if histories.get(row.key)]
    figure = Figure(figsize=(11, 4.2 + 0.14 * len(shown)), layout="constrained")
    axes = figure.subplots(1, 3)
    colors = mpl.colormaps["turbo"](np.linspace(0.05, 0.95, len(shown)))
    titles = {
        "train_loss": "Training loss",
        "train_error": "Training error %",
        "validation_error": "Validation error %",
    }
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for row, color in zip(shown, colors, strict=True):
            runs = histories[row.key]
            length = min(map(len, runs))
            values = np.stack([run[column].to_numpy()[:length] for run in runs])
            if np.isnan(values).all():
                continue
            label = f"{row.system.key}, {row.augmentation}: {row.method.label}"
            ax.plot(runs[0]["epoch"][:length], values.mean(0), color=color, label=label)
        ax.set(title=title, xlabel="epoch")
        ax.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    return figure


def write_outcome(
    table: Table,
    rows: Sequence[Row],
    results: Results,
    histories: Mapping[str, Sequence[pd.DataFrame]],
    out: Path,
) -> tuple[pd.DataFrame, list[Path]]:
    """Write ``TABLE.csv``, ``TABLE.md`` and ``TABLE-curves.svg`` to a folder, each whole.

    Parameters
    ----------
    table : Table
    rows : sequence of Row
    results : mapping
    histories : mapping of str to sequence of DataFrame
    out : path
    """
    frame = outcome_table(table, rows, results)
    files = [out / f"{table.name}{end}" for end in (".csv", ".md", "-curves.svg")]
    write_text(files[0], frame.to_csv(index=False))
    write_text(files[1], _markdown(table, frame))
    buffer = io.BytesIO()
    figure = curves(rows, histories)
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_whole(files[2], buffer.getvalue())
    return frame, files


def _number(value: float, std: float = np.nan) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.2f}" + ("" if np.isnan(std) else f" ± {std:.2f}")


def _markdown(table: Table, frame: pd.DataFrame) -> str:
    lines = [
        f"# {table.where}: {table.title}",
        "",
        "Test errors in percent, mean and standard deviation over the seeds. Where the paper "
        "prints several figures of a row, that of its own implementation stands here.",
        "",
        "| system | images | method | paper | ours | seeds | difference | our runs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for _, line in frame.iterrows():
        ours = _number(line["ours"], line["std"])
        if line["diverged"]:
            ours += f" ({line['diverged']} diverged)"
        cells = [
            line["system"],
            line["augmentation"],
            line["label"],
            _number(line["paper"], line["paper std"]),
            ours,
            str(line["seeds"]),
            "-" if np.isnan(line["difference"]) else f"{line['difference']:+.2f}",
            line["what"],
        ]
        lines.append("| " + " | ".join(cells) + " |")
    notes = {row.system.key: row.system.note for row in table.rows if row.system.note}
    lines += ["", *(f"- {key}: {note}" for key, note in notes.items())]
    return "\n".join(lines).rstrip() + "\n"
