"""What has gradients at a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, is_
from types import NoneType
from typing import Any

from torch import Tensor

from fgmanifolds.steps import StepRule
from fgmanifolds.torch.layer import POMLayer

__all__ = ["Active", "ActiveLook", "are_same"]

GRAD = attrgetter("grad")


@dataclass
class Active:
    """What of a group has gradients at a step: layers on POMs, and all other parameters.

    Attributes
    ----------
    group : dict
    rule : StepRule
    layers : list of POMLayer
    params, grads : list of Tensor
        The layers' weights, then the other parameters; and their gradients.
    """

    group: dict[str, Any]
    rule: StepRule
    layers: list[POMLayer]
    params: list[Tensor]
    grads: list[Tensor]

    @property
    def weights(self) -> list[Tensor]:
        """The layers' weights."""
        return self.params[: len(self.layers)]

    @property
    def plain(self) -> list[Tensor]:
        """The other parameters."""
        return self.params[len(self.layers) :]

    def without(self, stepped: Sequence[int]) -> Active:
        """What is left to be stepped.

        Parameters
        ----------
        stepped : sequence of int
            Places in `params`, in ascending order.
        """
        if not stepped:
            return self
        number = len(self.layers)
        if len(stepped) == number and stepped[-1] == number - 1:
            return Active(self.group, self.rule, [], self.params[number:], self.grads[number:])
        places = range(len(self.params)) if len(stepped) < len(self.params) else ()
        left = sorted(set(places).difference(stepped))
        layers = [self.layers[i] for i in left if i < number]
        params, grads = [self.params[i] for i in left], [self.grads[i] for i in left]
        return Active(self.group, self.rule, layers, params, grads)


class ActiveLook:
    """Finds what of one group has gradients; keeps which of its parameters are on POMs."""

    def __init__(self) -> None:
        self._params: list[Tensor] = []
        self._by_weight: Mapping[int, POMLayer] = {}
        self._layers: list[POMLayer] = []
        self._order: list[int] = []
        self._is_sorted = True

    def active(
        self, group: dict[str, Any], rule: StepRule, by_weight: Mapping[int, POMLayer]
    ) -> Active:
        """Layers first, then other parameters; the list of layers is the same while they are.

        Parameters
        ----------
        group : dict
        rule : StepRule
        by_weight : mapping of int to POMLayer
            By the identity of the weight; the same object while it has not changed.
        """
        params = group["params"]
        grads = list(map(GRAD, params))
        if NoneType in set(map(type, grads)):
            places = [i for i, grad in enumerate(grads) if grad is not None]
            layers, order = _sorted(params, places, by_weight)
            is_sorted = False
        else:
            if by_weight is not self._by_weight or not are_same(params, self._params):
                self._params, self._by_weight = list(params), by_weight
                self._layers, self._order = _sorted(params, range(len(params)), by_weight)
                self._is_sorted = self._order == list(range(len(params)))
            layers, order, is_sorted = self._layers, self._order, self._is_sorted
        if is_sorted:
            return Active(group, rule, layers, list(params), grads)
        return Active(group, rule, layers, [params[i] for i in order], [grads[i] for i in order])


def _sorted(
    params: Sequence[Tensor], places: Sequence[int], by_weight: Mapping[int, POMLayer]
) -> tuple[list[POMLayer], list[int]]:
    """Layers of some places, and the places, those of layers first."""
    found = [by_weight.get(id(params[i])) for i in places]
    rows = list(zip(places, found, strict=True))
    order = [i for i, layer in rows if layer is not None]
    order += [i for i, layer in rows if layer is None]
    return [layer for layer in found if layer is not None], order


def are_same(one: Sequence[object], other: Sequence[object]) -> bool:
    """Whether two sequences hold the same objects.

    Parameters
    ----------
    one, other : sequence of object
    """
    return len(one) == len(other) and all(map(is_, one, other))
