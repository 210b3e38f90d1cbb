"""Differences of arms: intervals, tests, equivalence, and Holm's procedure over several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from fgmanifolds.validation import check_number

__all__ = ["Difference", "difference", "holm"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Mean difference of two arms, first minus second.

    Attributes
    ----------
    mean : float
    low, high : float
        Interval at 1 - alpha.
    p : float
        Of the two-sided t test that there is no difference.
    p_equivalence : float
        Of two one-sided t tests that the difference is at least the margin; below alpha the
        arms are equivalent.
    freedom : float
        Degrees of freedom.
    seeds : int
        The smaller number of runs of the two.
    """

    mean: float
    low: float
    high: float
    p: float
    p_equivalence: float
    freedom: float
    seeds: int


def difference(
    first: ArrayLike, second: ArrayLike, alpha: float, margin: float, paired: bool = False
) -> Difference:
    """Difference of the means of two arms.

    Parameters
    ----------
    first, second : array of shape [n]
        Errors of their runs, two at least; by seed if `paired`.
    alpha : float
    margin : float
        Differences of less than it count as none, > 0.
    paired : bool
        Whether differences are taken run by run; else Welch's method, for unequal variances.

    Raises
    ------
    ValueError
        If there are too few runs, or paired arms have not the same number.

    Notes
    -----
    Equivalence by two one-sided tests (Schuirmann 1987): it is found if the interval at
    1 - 2 alpha lies within the margin. Where all runs agree exactly the tests have no spread
    to go by, and p is 0 or 1.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    check_number("alpha", alpha, low=0, high=0.5, open_low=True)
    check_number("margin", margin, low=0, open_low=True)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"the arms have {len(x)} and {len(y)} runs; two of each are needed.")
    if paired and len(x) != len(y):
        raise ValueError(f"paired arms have {len(x)} and {len(y)} runs; the same seeds are needed.")
    mean = float(x.mean() - y.mean())
    error, freedom = _paired(x - y) if paired else _welch(x, y)
    if error == 0:
        p, p_equivalence = float(mean == 0), float(abs(mean) >= margin)
        return Difference(mean, mean, mean, p, p_equivalence, freedom, min(len(x), len(y)))
    half = float(student.ppf(1 - alpha / 2, freedom)) * error
    p = 2 * float(student.sf(abs(mean) / error, freedom))
    p_equivalence = float(student.sf((margin - abs(mean)) / error, freedom))
    return Difference(
        mean, mean - half, mean + half, p, p_equivalence, freedom, min(len(x), len(y))
    )


def _paired(differences: Array) -> tuple[float, float]:
    n = len(differences)
    return float(differences.std(ddof=1)) / math.sqrt(n), n - 1.0


def _welch(x: Array, y: Array) -> tuple[float, float]:
    parts = [float(v.var(ddof=1)) / len(v) for v in (x, y)]
    total = math.fsum(parts)
    if total == 0:
        return 0.0, len(x) + len(y) - 2.0
    below = sum(part**2 / (len(v) - 1) for part, v in zip(parts, (x, y), strict=True))
    return math.sqrt(total), total**2 / below


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted by Holm's procedure (1979), in the order given.

    A test that has not been made is nan: it counts as one of the family, so that the others
    are adjusted for all that were planned, and stays nan.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(np.where(np.isnan(p), np.inf, p), kind="stable")
    adjusted, largest = np.full(len(p), np.nan), 0.0
    for place, index in enumerate(order):
        if np.isnan(p[index]):
            break
        largest = max(largest, min(1.0, (len(p) - place) * float(p[index])))
        adjusted[index] = largest
    return [float(value) for value in adjusted]
