"""The minimum that ``rule="theorem2"`` measures distances to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.sharded import whole

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.active import Active

__all__ = ["ReferenceMixin"]


class ReferenceMixin:
    """Keeps the reference weights of an optimizer in its state."""

    adapter: POMAdapter
    state: Any
    _best_loss: float = math.inf

    @torch.no_grad()
    def set_reference_(self) -> None:
        """Take the present weights for the minimum that ``rule="theorem2"`` measures distances to.

        Without it, steps with a closure take the weights of the lowest loss so far.
        """
        for layer in self.adapter.layers.values():
            self.state[layer.weight]["reference"] = layer.weight.detach().clone()

    def _keep_best(self, active: Sequence[Active], loss: Any) -> None:
        wanted = any(one.rule.needs_reference for one in active)
        if loss is None or not wanted:
            return
        mean = self.adapter.collection.ranks.mean(float(loss))
        if mean < self._best_loss:
            self._best_loss = mean
            self.set_reference_()

    def _check_references(self, active: Sequence[Active]) -> None:
        for one in active:
            if one.rule.needs_reference:
                self._references(one.layers)

    def _references(self, layers: Sequence[POMLayer]) -> list[Tensor]:
        found = [self.state[layer.weight].get("reference") for layer in layers]
        known = [reference for reference in found if reference is not None]
        if len(known) < len(found):
            raise ValueError(
                "rule='theorem2' needs a reference point: call set_reference_() at weights near "
                "the minimum, or step with a closure, which takes the best weights so far. "
                "Nothing was updated."
            )
        return [whole(reference) for reference in known]
