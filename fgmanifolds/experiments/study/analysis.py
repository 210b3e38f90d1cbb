"""What the results of a study say, apart from running it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from fgmanifolds.experiments.study.arm import RATES
from fgmanifolds.experiments.study.contrasts import Difference, difference, holm
from fgmanifolds.experiments.study.power import MOST_SEEDS, difference_power, seeds_for_difference
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.experiments.study.sections import Analysis
from fgmanifolds.experiments.study.target import (
    hazard_test,
    restricted_difference,
    restricted_mean,
    times_to_target,
)

__all__ = ["Findings", "analyse", "contrast_table", "observed_deviation", "power_warning"]

#: A chosen rate within this share of its range's ends (on the logarithmic scale) is remarked.
EDGE = 0.1


@dataclass(frozen=True)
class Findings:
    """What a study found.

    Attributes
    ----------
    arms : DataFrame
        For each arm: its search, its test errors and their interval, its costs.
    contrasts : DataFrame
        For each contrast, the primary first: difference with interval, p values, verdict.
    targets : DataFrame
        For each contrast: restricted mean steps to the target of both arms, and their test.
    times : DataFrame
        Steps to the target of each test run.
    warnings : list of str
    """

    arms: pd.DataFrame
    contrasts: pd.DataFrame
    targets: pd.DataFrame
    times: pd.DataFrame
    warnings: list[str]


def analyse(protocol: Protocol, runs: pd.DataFrame, curves: pd.DataFrame) -> Findings:
    """Analyse the results of a study, as far as there are any.

    Contrasts are tested when both arms have all the seeds that the protocol plans.

    Parameters
    ----------
    protocol : Protocol
    runs : DataFrame
        Rows of ``runs.csv``.
    curves : DataFrame
        Columns arm, stage, seed, step, validation_error, as in ``curves.csv``.

    Returns
    -------
    Findings
    """
    planned = range(protocol.test.first_seed, protocol.test.first_seed + protocol.test.seeds)
    tested = runs[(runs["stage"] == "test") & runs["seed"].isin(planned)]
    tested = tested.sort_values("seed")
    shown = curves[(curves["stage"] == "test") & curves["seed"].isin(planned)]
    times = times_to_target(shown, tested, protocol.analysis.target)
    arms = pd.DataFrame([_arm_row(protocol, name, runs, tested) for name in protocol.arms])
    warnings = [
        *power_warning(protocol, tested),
        *_edges(protocol, arms),
        *_diverged(tested),
        *_commits(runs),
    ]
    contrasts = contrast_table(protocol, tested)
    return Findings(arms, contrasts, _targets(protocol, tested, times), times, warnings)


def _errors(tested: pd.DataFrame, arm: str) -> pd.Series[float]:
    return tested.loc[tested["arm"] == arm, "test_error"]


def _arm_row(
    protocol: Protocol, name: str, runs: pd.DataFrame, tested: pd.DataFrame
) -> dict[str, object]:
    mine = runs[runs["arm"] == name]
    test = tested[tested["arm"] == name]
    n = len(test)
    mean, std = test["test_error"].mean(), test["test_error"].std()
    half = math.nan
    if n > 1:
        alpha = protocol.analysis.alpha
        half = float(student.ppf(1 - alpha / 2, n - 1)) * std / math.sqrt(n)
    row: dict[str, object] = {
        "arm": name,
        "title": protocol.arms[name].title,
        "trials": int((mine["stage"] == "search").sum()),
        "seeds": n,
        "test error": mean,
        "std": std,
        "low": mean - half,
        "high": mean + half,
        "validation error": test["validation_error"].mean(),
        "training loss": test["train_loss"].mean(),
        "diverged": int(test["diverged"].sum()),
    }
    row |= {rate: test[rate].iloc[0] if n else math.nan for rate in RATES}
    row["trial"] = int(test["trial"].iloc[0]) if n else None
    row["CPU seconds an epoch"] = test["cpu_seconds_per_epoch"].median() if n else math.nan
    row["largest residual"] = test["residual"].max() if n else math.nan
    return row


# Contrasts -----------------------------------------------------------------------------------


def contrast_table(protocol: Protocol, tested: pd.DataFrame) -> pd.DataFrame:
    """The contrasts of a protocol, the primary first.

    Parameters
    ----------
    protocol : Protocol
    tested : DataFrame
        Columns arm, test_error, ordered by seed: the runs of the planned seeds.

    Returns
    -------
    DataFrame
        Columns first, second, kind, seeds, mean, low, high, p, p_equivalence, p adjusted,
        verdict; nan and "not finished" where an arm lacks seeds.
    """
    analysis = protocol.analysis
    found = [_difference(protocol, tested, pair) for pair in analysis.contrasts]
    adjusted = [math.nan if one is None else one.p for one in found]
    adjusted = [*adjusted[:1], *holm(adjusted[1:])]
    rows = []
    for pair, one, p in zip(analysis.contrasts, found, adjusted, strict=True):
        row: dict[str, object] = {
            "first": pair[0],
            "second": pair[1],
            "kind": "primary" if pair == analysis.primary else "secondary",
            "seeds": min(len(_errors(tested, arm)) for arm in pair),
        }
        for name in ("mean", "low", "high", "p", "p_equivalence"):
            row[name] = math.nan if one is None else getattr(one, name)
        row["p adjusted"] = p
        row["verdict"] = _verdict(one, p, protocol)
        rows.append(row)
    return pd.DataFrame(rows)


def _complete(protocol: Protocol, tested: pd.DataFrame, pair: Sequence[str]) -> bool:
    return all(len(_errors(tested, arm)) == protocol.test.seeds for arm in pair)


def _difference(
    protocol: Protocol, tested: pd.DataFrame, pair: tuple[str, str]
) -> Difference | None:
    if not _complete(protocol, tested, pair):
        return None
    first, second = (_errors(tested, arm).to_numpy(dtype=float) for arm in pair)
    analysis = protocol.analysis
    return difference(first, second, analysis.alpha, analysis.margin, analysis.paired)


def _verdict(one: Difference | None, p: float, protocol: Protocol) -> str:
    if one is None:
        return "not finished"
    alpha = protocol.analysis.alpha
    words = []
    if p < alpha:
        words.append("first is better" if one.mean < 0 else "first is worse")
    if one.p_equivalence < alpha:
        words.append("by less than the margin" if words else "no difference within the margin")
    return ", ".join(words) or "undecided"


# Steps to the target -------------------------------------------------------------------------


def _targets(protocol: Protocol, tested: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for pair in protocol.analysis.contrasts:
        row: dict[str, object] = {"first": pair[0], "second": pair[1]}
        mine = [times[times["arm"] == arm] for arm in pair]
        for place, one in zip(("first", "second"), mine, strict=True):
            row[f"{place} reached"] = f"{int(one['reached'].sum())} of {len(one)}"
            row[f"{place} steps"] = restricted_mean(one) if len(one) else math.nan
        if _complete(protocol, tested, pair) and times["steps"].notna().all():
            found = restricted_difference(mine[0], mine[1], protocol.analysis.alpha)
            row |= {"mean": found.mean, "low": found.low, "high": found.high}
            row["p of log-rank"] = hazard_test(mine[0], mine[1])
        else:
            row |= dict.fromkeys(("mean", "low", "high", "p of log-rank"), math.nan)
        rows.append(row)
    return pd.DataFrame(rows)


# Warnings ------------------------------------------------------------------------------------


def observed_deviation(tested: pd.DataFrame) -> float:
    """Pooled standard deviation of the test error over seeds; nan without two runs of an arm."""
    groups = [group["test_error"] for _, group in tested.groupby("arm")]
    freedom = sum(len(group) - 1 for group in groups)
    if freedom < 1:
        return math.nan
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return float(np.sqrt(squares / freedom))


def power_warning(protocol: Protocol, tested: pd.DataFrame | None = None) -> list[str]:
    """A line for each reason to think that there are too few seeds, with the number needed.

    Parameters
    ----------
    protocol : Protocol
    tested : DataFrame, optional
        Test runs: with them, by their own standard deviation of the primary arms too.
    """
    analysis, seeds = protocol.analysis, protocol.test.seeds
    deviations = {"the deviation that the protocol expects": analysis.deviation}
    if tested is not None:
        primary = tested[tested["arm"].isin(analysis.primary)]
        found = observed_deviation(primary)
        if found > 0 and _complete(protocol, tested, analysis.primary):
            deviations["the deviation of the primary arms"] = found
    lines = []
    for what, deviation in deviations.items():
        options = (deviation, analysis.difference, analysis.alpha)
        if difference_power(seeds, *options, analysis.paired) < analysis.power:
            needed = _needed(options, analysis)
            lines.append(
                f"{seeds} seeds are fewer than the power needs: with {what}, {deviation:.3g}, "
                f"{needed} seeds find a difference of {analysis.difference:g} with power "
                f"{analysis.power:g}."
            )
    return lines


def _needed(options: tuple[float, float, float], analysis: Analysis) -> str:
    try:
        return str(seeds_for_difference(*options, analysis.power, analysis.paired))
    except ValueError:
        return f"more than {MOST_SEEDS}"


def _edges(protocol: Protocol, arms: pd.DataFrame) -> list[str]:
    lines = []
    for _, row in arms.iterrows():
        arm = protocol.arms[str(row["arm"])]
        for rate in ("lr", "lr_euclidean"):
            low, high = getattr(arm, rate)
            if low == high or pd.isna(row[rate]):
                continue
            place = math.log(row[rate] / low) / math.log(high / low)
            if not EDGE <= place <= 1 - EDGE:
                end = "lower" if place < 0.5 else "upper"
                lines.append(
                    f"arm {arm.name!r}: {rate}={row[rate]:.3g} was chosen near the {end} end of "
                    f"its range, {low:g} to {high:g}; a better one may lie beyond."
                )
    return lines


def _diverged(tested: pd.DataFrame) -> list[str]:
    counts = tested.groupby("arm")["diverged"].sum()
    return [
        f"arm {arm!r}: {int(count)} test runs diverged and count with the error of guessing."
        for arm, count in counts.items()
        if count
    ]


def _commits(runs: pd.DataFrame) -> list[str]:
    commits = runs["commit"].fillna("").astype(str)
    lines = []
    if commits.nunique() > 1:
        lines.append(f"the runs are of {commits.nunique()} commits of the code.")
    changed = commits.str.endswith("-dirty")
    if changed.any():
        lines.append(f"{int(changed.sum())} runs are of files that differed from their commit.")
    return lines
