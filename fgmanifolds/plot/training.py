"""Pictures of how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["bound_curves", "errors_by_method", "training_curves", "validation_curves"]

#: Panels of a run: title, axis label, columns, logarithmic axis.
_PANELS: tuple[tuple[str, str, tuple[str, ...], bool], ...] = (
    ("Loss", "cross-entropy", ("train_loss", "validation_loss"), True),
    ("Error", "percent", ("train_error", "validation_error"), False),
    ("Gradient norm", "mean over steps", ("gradient_norm", "pom_gradient_norm"), True),
    ("Denominator g of the step", "over POMs", ("denominator_mean", "denominator_max"), True),
    ("Radii", "of curved components", ("radius_min", "radius_mean", "radius_max"), False),
    ("Frobenius norm of POMs", "", ("group_norm_mean", "group_norm_max"), False),
    (
        "Distance from the manifolds",
        "relative",
        ("residual_sphere", "residual_oblique", "residual_stiefel"),
        True,
    ),
)

#: Columns of the angles of steps, one for each layer, begin so.
_ANGLE = "angle_"

#: Lines up to which a panel has a legend.
_NAMED = 8


def training_curves(history: pd.DataFrame) -> Figure:
    """Plot the metrics of one run over its epochs.

    Parameters
    ----------
    history : DataFrame
        The rows of ``metrics.csv``. Panels without any data are left out. Layers are coloured
        from the first, dark, to the last, bright.

    Returns
    -------
    Figure
    """
    angles = tuple(str(column) for column in history if str(column).startswith(_ANGLE))
    turned = [("Angle of a step, by layer", "radians", angles, True)] if angles else []
    panels = [
        panel for panel in (*_PANELS, *turned) if history[list(panel[2])].notna().any(axis=None)
    ]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(9, 2.7 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, 2, squeeze=False)).ravel()
    for ax, (title, label, columns, log) in zip(axes, panels, strict=False):
        _panel(ax, history, columns, log)
        ax.set(title=title, ylabel=label)
        _epochs(ax)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure


def _epochs(ax: Axes) -> None:
    """Label the axis, with ticks at whole epochs."""
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _panel(ax: Axes, history: pd.DataFrame, columns: Sequence[str], log: bool) -> None:
    if columns[0].startswith(_ANGLE):
        ax.set_prop_cycle(color=colormaps["viridis"](np.linspace(0, 0.9, len(columns))))
    for column in columns:
        if history[column].notna().any():
            label = column.removeprefix("residual_").removeprefix(_ANGLE).replace("_", " ")
            ax.plot(history["epoch"], history[column], marker=".", label=label)
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    if len(columns) <= _NAMED:
        ax.legend(frameon=False, fontsize="small")


def _colors(count: int) -> list[tuple[float, ...]]:
    """Colours that differ for up to 20 methods."""
    name = "tab10" if count <= 10 else "tab20"
    return [tuple(color) for color in colormaps[name].colors]  # type: ignore[attr-defined]


def _figure_with_legend(height: float, entries: int) -> Figure:
    """Room for a legend of three columns below the axes."""
    return Figure(figsize=(9, height + 0.25 * -(-entries // 3)), layout="constrained")


def _legend_below(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small"
    )


def validation_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Plot validation loss and error of several methods: mean over seeds, band from min to max.

    Parameters
    ----------
    histories : mapping of str to sequence of DataFrame
        For each method, the metrics of its runs.
    """
    figure = _figure_with_legend(3.4, len(histories))
    loss, error = figure.subplots(1, 2)
    for ax, column in ((loss, "validation_loss"), (error, "validation_error")):
        ax.set_prop_cycle(color=_colors(len(histories)))
        for label, runs in histories.items():
            values = np.stack([run[column].to_numpy() for run in runs])
            epochs = runs[0]["epoch"]
            (line,) = ax.plot(epochs, values.mean(0), label=label)
            ax.fill_between(
                epochs, values.min(0), values.max(0), color=line.get_color(), alpha=0.15
            )
        ax.set_yscale("log")
        ax.set_title(column.replace("_", " ").capitalize())
        _epochs(ax)
        ax.grid(alpha=0.3)
    loss.set_ylabel("cross-entropy")
    error.set_ylabel("percent")
    _legend_below(figure, loss)
    return figure


#: Bounds in the metrics, with their titles.
_BOUNDS = {
    "neyshabur_2015": "Neyshabur et al. 2015",
    "bartlett_2017": "Bartlett et al. 2017",
    "neyshabur_2018": "Neyshabur et al. 2018",
}


def bound_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Plot the generalization bounds of several methods over the epochs, in the logarithm.

    Parameters
    ----------
    histories : mapping of str to sequence of DataFrame
        For each method, the metrics of its runs.

    Returns
    -------
    Figure
        Upper row: from the norms of whole layers; lower row: from products over groups,
        as in the paper. Means over the runs; epochs without a margin are left out.
    """
    figure = _figure_with_legend(5.2, len(histories))
    axes = figure.subplots(2, 3, sharex=True)
    for row, (norms, label) in enumerate((("layers", "from layers"), ("groups", "from groups"))):
        for ax, (name, title) in zip(axes[row], _BOUNDS.items(), strict=True):
            ax.set_prop_cycle(color=_colors(len(histories)))
            for method, runs in histories.items():
                values = np.stack([run[f"bound_{norms}_{name}"].to_numpy() for run in runs])
                ax.plot(runs[0]["epoch"], values.mean(0), label=method)
            ax.grid(alpha=0.3)
            if row == 0:
                ax.set_title(title, fontsize="medium")
            else:
                _epochs(ax)
        axes[row, 0].set_ylabel(f"log10 of the bound,\n{label}")
    _legend_below(figure, axes[0, 0])
    return figure


def errors_by_method(runs: pd.DataFrame) -> Figure:
    """Plot the test errors of each method's runs, with their means.

    Parameters
    ----------
    runs : DataFrame
        Columns ``label`` and ``test_error`` (percent).
    """
    groups = list(runs.groupby("label", sort=False)["test_error"])
    figure = Figure(figsize=(9, 0.9 + 0.5 * len(groups)), layout="constrained")
    ax = figure.subplots()
    for place, (_, errors) in enumerate(groups):
        (dots,) = ax.plot(errors, np.full(len(errors), place), "o", alpha=0.6)
        ax.plot(errors.mean(), place, "|", color=dots.get_color(), markersize=22)
    ax.set_yticks(range(len(groups)), [str(label) for label, _ in groups])
    ax.set(xlabel="test error in percent: one dot for each seed, bar at the mean")
    ax.set_xlim(left=0)
    ax.set_ylim(len(groups) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    return figure
