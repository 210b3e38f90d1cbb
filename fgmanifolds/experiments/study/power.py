"""Numbers of seeds: what a difference or an equivalence needs to be found."""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.stats import nct
from scipy.stats import t as student

from fgmanifolds.validation import check_integer, check_number

__all__ = [
    "MOST_SEEDS",
    "difference_power",
    "equivalence_power",
    "seeds_for_difference",
    "seeds_for_equivalence",
    "smallest_margin",
]

#: Numbers of seeds beyond which none is looked for.
MOST_SEEDS = 100_000


def _spread(seeds: int, deviation: float, paired: bool) -> tuple[float, int]:
    """Standard error of a difference of two means, and its degrees of freedom.

    Paired differences are taken to be those of independent runs: pairing gains what the runs
    of one seed have in common, which is not counted on.
    """
    check_integer("seeds", seeds, low=2)
    check_number("deviation", deviation, low=0, open_low=True)
    return deviation * math.sqrt(2 / seeds), (seeds - 1 if paired else 2 * (seeds - 1))


def difference_power(
    seeds: int, deviation: float, difference: float, alpha: float, paired: bool = False
) -> float:
    """How surely a two-sided t test at level alpha finds a true difference of two arms.

    Parameters
    ----------
    seeds : int
        Of each arm, >= 2.
    deviation : float
        Standard deviation of a run's error, the same in both arms.
    difference : float
    alpha : float
    paired : bool
        Whether differences are taken seed by seed.

    Notes
    -----
    By the noncentral t distribution (Cohen 1988, chapter 2).
    """
    error, freedom = _spread(seeds, deviation, paired)
    bound, shift = student.ppf(1 - alpha / 2, freedom), difference / error
    return float(nct.sf(bound, freedom, shift) + nct.cdf(-bound, freedom, shift))


def equivalence_power(
    seeds: int, deviation: float, margin: float, alpha: float, paired: bool = False
) -> float:
    """How surely two one-sided t tests at level alpha find equal arms to differ by < margin.

    Parameters
    ----------
    seeds : int
    deviation : float
    margin : float
    alpha : float
    paired : bool

    Notes
    -----
    By Bonferroni's bound on the two tests (Schuirmann 1987), which is nearly exact where the
    power is large.
    """
    error, freedom = _spread(seeds, deviation, paired)
    bound = student.ppf(1 - alpha, freedom)
    return max(0.0, float(2 * nct.sf(bound, freedom, margin / error) - 1))


def seeds_for_difference(
    deviation: float, difference: float, alpha: float, power: float, paired: bool = False
) -> int:
    """Smallest number of seeds of each arm with at least that power.

    Parameters
    ----------
    deviation : float
    difference : float
    alpha : float
    power : float
    paired : bool

    Raises
    ------
    ValueError
        If it is beyond `MOST_SEEDS`.
    """
    return _smallest(
        lambda seeds: difference_power(seeds, deviation, difference, alpha, paired), power
    )


def seeds_for_equivalence(
    deviation: float, margin: float, alpha: float, power: float, paired: bool = False
) -> int:
    """Smallest number of seeds of each arm with at least that power.

    Parameters
    ----------
    deviation : float
    margin : float
    alpha : float
    power : float
    paired : bool

    Raises
    ------
    ValueError
        If it is beyond `MOST_SEEDS`.
    """
    return _smallest(
        lambda seeds: equivalence_power(seeds, deviation, margin, alpha, paired), power
    )


def smallest_margin(
    seeds: int, deviation: float, alpha: float, power: float, paired: bool = False
) -> float:
    """Smallest equivalence margin that a number of seeds resolves with that power.

    Parameters
    ----------
    seeds : int
    deviation : float
    alpha : float
    power : float
    paired : bool
    """

    def lacking(margin: float) -> float:
        return equivalence_power(seeds, deviation, margin, alpha, paired) - power

    return float(brentq(lacking, 1e-6 * deviation, 100 * deviation))


def _smallest(power_of: Callable[[int], float], power: float) -> int:
    low, high = 1, 2
    while power_of(high) < power:
        low, high = high, 2 * high
        if high > MOST_SEEDS:
            raise ValueError(f"no number of seeds up to {MOST_SEEDS} has power {power:g}.")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high
