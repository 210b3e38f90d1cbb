"""Pictures of a study: errors by arm, the search, curves, angles of steps, steps to a target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import CensoredData, ecdf

__all__ = [
    "study_angles",
    "study_curves",
    "study_errors",
    "study_search",
    "study_targets",
]

Color = tuple[float, ...]


def _colors(arms: list[str]) -> dict[str, Color]:
    values = colormaps["turbo"](np.linspace(0.05, 0.95, max(1, len(arms))))
    return {arm: tuple(map(float, value)) for arm, value in zip(arms, values, strict=False)}


def _arms_of(frame: pd.DataFrame, titles: Mapping[str, str]) -> list[str]:
    """Arms that a frame has rows of, in the order of the titles."""
    there = set(frame["arm"])
    return [arm for arm in titles if arm in there]


def _legend_below(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize="small"
        )


def _room(arms: int) -> float:
    """Height of a legend of three columns."""
    return 0.3 * -(-arms // 3)


def study_errors(arms: pd.DataFrame, tested: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Plot the test error of every run, with each arm's mean and its interval.

    Parameters
    ----------
    arms : DataFrame
        Columns arm, test error, low, high: a row for each arm.
    tested : DataFrame
        Columns arm, test_error: a row for each run.
    titles : mapping of str to str
        What each arm is called, in the order from top to bottom.
    """
    shown = _arms_of(tested, titles)
    figure = Figure(figsize=(9, 1.0 + 0.42 * max(1, len(shown))), layout="constrained")
    ax = figure.subplots()
    rows = arms.set_index("arm")[["test error", "low", "high"]].astype(float)
    for place, (arm, color) in enumerate(_colors(shown).items()):
        errors = tested.loc[tested["arm"] == arm, "test_error"].to_numpy(dtype=float)
        heights = place + 0.28 * np.linspace(-1, 1, len(errors)) if len(errors) > 1 else [place]
        ax.plot(errors, heights, "o", color=color, alpha=0.5, markersize=4)
        mean, low, high = rows.loc[arm].to_numpy(dtype=float)
        if np.isfinite(low) and np.isfinite(high):
            ax.plot([low, high], [place, place], color="black", linewidth=1.5)
        ax.plot(mean, place, "|", color="black", markersize=14, markeredgewidth=2)
    ax.set_yticks(range(len(shown)), [titles[arm] for arm in shown])
    ax.set(xlabel="test error in percent: a dot for each seed, mean and its interval")
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.grid(axis="x", alpha=0.3)
    return figure


def study_search(runs: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Plot validation error against lr for every run of the search, arm by arm.

    Parameters
    ----------
    runs : DataFrame
        Columns arm, stage, trial, lr, validation_error, diverged.
    titles : mapping of str to str

    Returns
    -------
    Figure
        Dots: trials; triangles: the best ones on other seeds; a line at the chosen lr. Runs
        that diverged are crosses at the top.
    """
    shown = _arms_of(runs, titles)
    columns = min(4, max(1, len(shown)))
    lines = -(-max(1, len(shown)) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.2 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    fine = runs.loc[~runs["diverged"].astype(bool), "validation_error"]
    top = min(100.0, 3.0 * float(fine.min())) if len(fine) else 100.0
    for ax, (arm, color) in zip(axes, _colors(shown).items(), strict=False):
        mine = runs[(runs["arm"] == arm)]
        for stage, marker in (("search", "o"), ("rerun", "^")):
            part = mine[mine["stage"] == stage]
            lost = part["diverged"].astype(bool)
            heights = part["validation_error"].clip(upper=top)
            ax.plot(part.loc[~lost, "lr"], heights[~lost], marker, color=color, markersize=4)
            ax.plot(part.loc[lost, "lr"], heights[lost], "x", color=color, markersize=5)
        chosen = mine.loc[mine["stage"] == "test", "lr"].unique()
        for lr in chosen:
            ax.axvline(lr, color="black", linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.set_title(titles[arm], fontsize="x-small")
        ax.grid(alpha=0.3)
        ax.tick_params(labelsize="x-small")
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    figure.supxlabel("lr", fontsize="small")
    figure.supylabel(f"validation error %, up to {top:.3g}", fontsize="small")
    return figure


def study_curves(curves: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Plot training loss and validation error of the test runs: mean, band from least to largest.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, seed, epoch, train_loss, validation_error.
    titles : mapping of str to str
    """
    shown = _arms_of(curves, titles)
    figure = Figure(figsize=(9, 3.6 + _room(len(shown))), layout="constrained")
    axes = figure.subplots(1, 2)
    names = {"train_loss": "Training loss", "validation_error": "Validation error %"}
    for ax, (column, title) in zip(axes, names.items(), strict=True):
        for arm, color in _colors(shown).items():
            groups = curves[curves["arm"] == arm].groupby("epoch")[column]
            mean = groups.mean()
            ax.plot(mean.index, mean, color=color, label=titles[arm])
            ax.fill_between(mean.index, groups.min(), groups.max(), color=color, alpha=0.1)
        ax.set_yscale("log")
        for axis in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
            axis("{x:g}")
        ax.set(title=title, xlabel="epoch")
        ax.grid(alpha=0.3, which="both")
    _legend_below(figure, axes[0])
    return figure


def study_angles(angles: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Plot by what angle steps turn each layer's weights, over training.

    Parameters
    ----------
    angles : DataFrame
        Columns arm, layer, step, angle (radians): means over the runs.
    titles : mapping of str to str
    """
    shown = _arms_of(angles, titles)
    layers = list(dict.fromkeys(angles["layer"]))[:24]
    columns = min(4, max(1, len(layers)))
    lines = -(-max(1, len(layers)) // columns)
    height = 2.3 * lines + _room(len(shown))
    figure = Figure(figsize=(2.6 * columns, height), layout="constrained")
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, layer in zip(axes, layers, strict=False):
        for arm, color in _colors(shown).items():
            mine = angles[(angles["arm"] == arm) & (angles["layer"] == layer)]
            mine = mine[mine["angle"] > 0].sort_values("step")
            ax.plot(mine["step"], mine["angle"], color=color, label=titles[arm], linewidth=1)
        ax.set_yscale("log")
        ax.set_title(layer, fontsize="small")
        ax.grid(alpha=0.3)
        ax.set_xlabel("step", fontsize="small")
    for ax in axes[len(layers) :]:
        ax.set_visible(False)
    figure.supylabel("angle of a step (radians)", fontsize="small")
    if layers:
        _legend_below(figure, axes[0])
    return figure


def study_targets(times: pd.DataFrame, titles: Mapping[str, str]) -> Figure:
    """Plot the share of runs that have not reached the target, over the steps (Kaplan-Meier).

    Parameters
    ----------
    times : DataFrame
        Columns arm, steps, reached: a row for each run.
    titles : mapping of str to str
    """
    shown = _arms_of(times, titles)
    figure = Figure(figsize=(9, 3.2 + _room(len(shown))), layout="constrained")
    ax = figure.subplots()
    end = float(times["steps"].max()) if len(times) else 1.0
    for arm, color in _colors(shown).items():
        mine = times[times["arm"] == arm]
        reached = mine["reached"].to_numpy(dtype=bool)
        data = CensoredData.right_censored(mine["steps"].to_numpy(dtype=float), ~reached)
        survival = ecdf(data).sf
        steps = [0.0, *survival.quantiles, end]
        shares = [1.0, *survival.probabilities, survival.probabilities[-1]]
        ax.step(steps, shares, where="post", color=color, label=titles[arm])
    ax.set(xlabel="step", ylabel="share of runs not there yet", ylim=(-0.02, 1.02))
    ax.grid(alpha=0.3)
    _legend_below(figure, ax)
    return figure
