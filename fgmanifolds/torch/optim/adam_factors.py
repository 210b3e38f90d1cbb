"""Factors that turn first moments into directions, and their growth between steps in C++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

__all__ = ["Factor", "FactorMemory", "factor_at"]


class Factor(NamedTuple):
    """What turns a first moment m and a mean square v into a direction, and shares of new ones.

    The direction is ``scale * m / (sqrt(v) * root_scale + eps)``.
    """

    first: float
    second: float
    root_scale: float
    eps: float
    scale: float


def factor_at(group: dict[str, Any], step: float) -> Factor:
    """That of a step, counted from 1.

    Parameters
    ----------
    group : dict
    step : float
    """
    first, second = group["betas"]
    root_scale = (1 - second**step) ** -0.5
    return Factor(1 - first, 1 - second, root_scale, group["eps"], 1 / (1 - first**step))


class _Last(NamedTuple):
    """What a group's step has left; `versions` change when somebody writes to a second moment."""

    averages: list[Tensor]
    versions: list[int]
    factors: list[Factor]


class FactorMemory:
    """Factors of the layers' last steps."""

    def __init__(self) -> None:
        self._last: dict[int, _Last] = {}
        self._earlier: dict[int, tuple[Tensor, int, Factor]] = {}

    def remember(self, key: int, averages: list[Tensor], factors: list[Factor]) -> None:
        """Take those of a step, with the second moments that it has left.

        Parameters
        ----------
        key : int
            Identity of the group.
        averages : list of Tensor
        factors : list of Factor
        """
        self._last[key] = _Last(averages, _versions(averages), factors)

    def growth(
        self, key: int, averages: Sequence[Tensor], factors: Sequence[Factor]
    ) -> tuple[float, list[int]]:
        """By how much factors may grow at a step, as second moments shrink.

        Parameters
        ----------
        key : int
        averages : sequence of Tensor
            Second moments of some layers, before the step.
        factors : sequence of Factor

        Returns
        -------
        growth : float
            Of the layers that are known, at most.
        unknown : list of int
            Places of layers whose second moments are not those of their last step.
        """
        last, versions = self._last.get(key, _Last([], [], [])), _versions(averages)
        if list(map(id, last.averages)) == list(map(id, averages)) and last.versions == versions:
            before: Sequence[Factor | None] = last.factors
        else:  # other layers than at the step before, or other moments
            self._earlier.update(zip(map(id, last.averages), zip(*last, strict=True), strict=True))
            before = [self._earlier_of(*one) for one in zip(averages, versions, strict=True)]
        if factors[0].second == 1:
            before = [None] * len(factors)
        pairs = set(zip(before, factors, strict=True))
        known = [_growth(old, now) for old, now in pairs if old is not None]
        unknown = range(len(before)) if len(known) < len(pairs) else ()
        return max(known, default=0.0), [i for i in unknown if before[i] is None]

    def _earlier_of(self, average: Tensor, version: int) -> Factor | None:
        """Factor of a layer's last step, if its second moments are the same since."""
        known, then, factor = self._earlier.get(id(average), (None, 0, None))
        return factor if known is average and then == version else None


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    return [x._version for x in tensors]


def _growth(before: Factor, now: Factor) -> float:
    """By how much the factor may grow from one step to the next, whose gradient may be 0."""
    root = (1 - now.second) ** -0.5 * before.root_scale / now.root_scale
    return now.scale / before.scale * max(root, before.eps / now.eps)
