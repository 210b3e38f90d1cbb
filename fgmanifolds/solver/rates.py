"""The rate that a solver takes by itself where costs are exact."""

from __future__ import annotations

import math

__all__ = ["DescentRate"]

#: Predicted falls below this share of the cost tell nothing: costs are rounded.
ROUNDING = 1e-13
#: Shares of the predicted fall of the cost below which steps are shortened, above which lengthened.
POOR, GOOD = 0.25, 0.5


class DescentRate:
    """A rate that follows how far the cost falls, over what its gradient predicts.

    On a quadratic the share is ``1 - s L / 2`` with a step s along the gradient and the
    Hessian L. Below a quarter, the rate is halved; above a half it grows by a tenth. Eq. (4)
    is there for noise; without noise a rate that stays as large as the cost allows
    reaches a minimum in far fewer steps than one that decays. It never exceeds 1, as the
    proof of Theorem 2 needs.

    Parameters
    ----------
    first : float
        In (0, 1].
    """

    def __init__(self, first: float = 0.5) -> None:
        self.rate = first
        self._cost = math.nan
        self._predicted = 0.0

    def __call__(self, cost: float) -> float:
        """Rate of the step from a point of this cost."""
        if self._predicted > ROUNDING * abs(self._cost):
            share = (self._cost - cost) / self._predicted
            if share < POOR:
                self.rate *= 0.5
            elif share > GOOD:
                self.rate = min(1.0, 1.1 * self.rate)
        self._cost = cost
        return self.rate

    def moved(self, predicted: float) -> None:
        """Take note of the fall of the cost that the gradient predicts for the step made."""
        self._predicted = predicted
