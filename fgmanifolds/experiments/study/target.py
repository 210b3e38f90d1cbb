"""Steps until a run reaches a target, runs that never do counted."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import CensoredData, logrank

from fgmanifolds.experiments.study.contrasts import Difference, difference

__all__ = ["hazard_test", "restricted_difference", "restricted_mean", "times_to_target"]

Array = NDArray[np.float64]


def times_to_target(curves: pd.DataFrame, target: float) -> pd.DataFrame:
    """First step after which the validation error is at or below the target, for each run.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, seed, step, validation_error: a row for each evaluation of each run.
    target : float
        In percent.

    Returns
    -------
    DataFrame
        Columns arm, seed, steps, reached. A run that never gets there is censored at its
        last step; so is one that diverged, which has no more evaluations: it counts as
        running to the length of the longest.
    """
    rows = []
    longest = float(curves["step"].max()) if len(curves) else math.nan
    for (arm, seed), run in curves.groupby(["arm", "seed"], sort=False):
        there = run.loc[run["validation_error"] <= target, "step"]
        steps = float(there.min()) if len(there) else longest
        rows.append({"arm": arm, "seed": seed, "steps": steps, "reached": bool(len(there))})
    return pd.DataFrame(rows, columns=["arm", "seed", "steps", "reached"])


def restricted_mean(times: pd.DataFrame) -> float:
    """Mean number of steps to the target, up to the length of the runs.

    All runs are censored at the same step, so that the area below the Kaplan-Meier curve is
    the mean of the steps themselves.
    """
    return float(times["steps"].mean())


def restricted_difference(first: pd.DataFrame, second: pd.DataFrame, alpha: float) -> Difference:
    """Difference of the restricted means of two arms, in steps, by Welch's method."""
    return difference(first["steps"], second["steps"], alpha, margin=1.0)


def hazard_test(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """P value of the log-rank test that two arms reach the target alike; nan if none does."""
    if not (first["reached"].any() or second["reached"].any()):
        return math.nan
    return float(logrank(_censored(first), _censored(second)).pvalue)


def _censored(times: pd.DataFrame) -> CensoredData:
    reached = times["reached"].to_numpy(dtype=bool)
    steps: Array = times["steps"].to_numpy(dtype=float)
    return CensoredData.right_censored(steps, ~reached)
