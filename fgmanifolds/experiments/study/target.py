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


def times_to_target(curves: pd.DataFrame, runs: pd.DataFrame, target: float) -> pd.DataFrame:
    """First step after which the validation error is at or below the target, for each run.

    Parameters
    ----------
    curves : DataFrame
        Columns arm, seed, step, validation_error: a row for each evaluation of each run.
    runs : DataFrame
        Columns arm, seed: the runs that count.
    target : float
        In percent.

    Returns
    -------
    DataFrame
        Columns arm, seed, steps, reached, in the order of `runs`. A run that never gets
        there is censored at the length of the longest run; so is one that diverged, however
        early.
    """
    there = curves[curves["validation_error"] <= target]
    first = there.groupby(["arm", "seed"])["step"].min().rename("steps").reset_index()
    found = runs[["arm", "seed"]].merge(first, how="left", on=["arm", "seed"])
    found["reached"] = found["steps"].notna()
    longest = float(curves["step"].max()) if len(curves) else math.nan
    found["steps"] = found["steps"].astype(float).fillna(longest)
    return found


def restricted_mean(times: pd.DataFrame) -> float:
    """Mean number of steps to the target, up to the length of the runs.

    All runs are censored at the same step, so that the area below the Kaplan-Meier curve is
    the mean of the steps themselves.
    """
    return float(times["steps"].mean())


def restricted_difference(first: pd.DataFrame, second: pd.DataFrame, alpha: float) -> Difference:
    """Difference of the restricted means of two arms, in steps, by Welch's method.

    Parameters
    ----------
    first : pd.DataFrame
    second : pd.DataFrame
    alpha : float
    """
    return difference(first["steps"], second["steps"], alpha, margin=1.0)


def hazard_test(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """P value of the log-rank test that two arms reach the target alike.

    nan if no run reaches it, or all do at the same step: there is no order to go by then.

    Parameters
    ----------
    first : pd.DataFrame
    second : pd.DataFrame
    """
    if not (first["reached"].any() or second["reached"].any()):
        return math.nan
    with np.errstate(invalid="ignore"):
        return float(logrank(_censored(first), _censored(second)).pvalue)


def _censored(times: pd.DataFrame) -> CensoredData:
    reached = times["reached"].to_numpy(dtype=bool)
    steps: Array = times["steps"].to_numpy(dtype=float)
    return CensoredData.right_censored(steps, ~reached)
