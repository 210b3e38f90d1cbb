"""First and second moments of FGAdam through torch, and of blocks of matrices through C++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.component_scales import BlockMoments, ComponentScales
from fgmanifolds.torch.ops.table import computing_type
from fgmanifolds.torch.optim.foreach import lerp_
from fgmanifolds.torch.optim.pom_steps import TABLES
from fgmanifolds.torch.sharded import whole

__all__ = ["AdamMoments", "bias_corrections"]


class AdamMoments:
    """Brings moments up to date; keeps what it must know of the layers.

    Parameters
    ----------
    native : bool
        Whether float32 tensors on the CPU go through C++.
    """

    def __init__(self, *, native: bool) -> None:
        self._native = native
        self._scales: dict[str, tuple[int, ComponentScales]] = {}
        self._blocks: dict[tuple[tuple[str, int], ...], BlockMoments] = {}

    def scales_of(self, layer: POMLayer) -> ComponentScales:
        """Kept until the layer's sets or radii change.

        Parameters
        ----------
        layer : POMLayer
        """
        known = self._scales.get(layer.name)
        if known is None or known[0] != layer.version:
            known = layer.version, ComponentScales(layer, native=self._native)
            self._scales[layer.name] = known
        return known[1]

    def update_(
        self,
        grads: Sequence[Tensor],
        states: Sequence[dict[str, Any]],
        layers: Sequence[POMLayer | None],
        group: dict[str, Any],
    ) -> list[Tensor]:
        """Roots that the first moments are divided by, bias corrections included.

        Parameters
        ----------
        grads : sequence of Tensor
        states : sequence of dict
            Moments and numbers of steps, which count the present one.
        layers : sequence of POMLayer or None
        group : dict
        """
        first, second = group["betas"]
        averages = [state["exp_avg_sq"] for state in states]
        squares = self._first_moments_(grads, states, layers, group)
        lerp_(averages, squares, group["foreach"], weight=1 - second)
        roots = torch._foreach_sqrt(averages)
        steps = [state["step"] for state in states]
        torch._foreach_div_(roots, bias_corrections(second, steps, root=True))
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_mul_(roots, bias_corrections(first, steps))
        return list(roots)

    def _first_moments_(
        self,
        grads: Sequence[Tensor],
        states: Sequence[dict[str, Any]],
        layers: Sequence[POMLayer | None],
        group: dict[str, Any],
    ) -> list[Tensor]:
        """Squares of the gradients' entries, or their means over each component."""
        moments, share = [state["exp_avg"] for state in states], 1 - group["betas"][0]
        walked = self._walked(moments, grads, layers)
        found: dict[int, Tensor] = {}
        if walked:
            blocks = self._blocks_of([layer for i in walked if (layer := layers[i]) is not None])
            own = [moments[i] for i in walked], [grads[i] for i in walked]
            found = dict(zip(walked, blocks.average_(*own, share), strict=True))
        left = [i for i in range(len(grads)) if i not in found]
        rest = [grads[i] for i in left]
        lerp_([moments[i] for i in left], rest, group["foreach"], weight=share)
        found |= zip(left, self._mean_squares(rest, [layers[i] for i in left]), strict=True)
        return [found[i] for i in range(len(grads))]

    def _walked(
        self,
        moments: Sequence[Tensor],
        grads: Sequence[Tensor],
        layers: Sequence[POMLayer | None],
    ) -> list[int]:
        """Places of layers whose blocks C++ takes."""
        places = [
            i for i, layer in enumerate(layers) if layer is not None and self.scales_of(layer).walks
        ]
        columns = moments, grads
        return (
            places
            if BlockMoments.take([[own[i] for i in places] for own in columns])
            else [i for i in places if BlockMoments.take([[own[i]] for own in columns])]
        )

    def _blocks_of(self, layers: Sequence[POMLayer]) -> BlockMoments:
        key = tuple([(layer.name, layer.version) for layer in layers])
        if key not in self._blocks:
            if len(self._blocks) >= TABLES:
                self._blocks.clear()
            self._blocks[key] = BlockMoments(layers)
        return self._blocks[key]

    def _mean_squares(
        self, grads: Sequence[Tensor], layers: Sequence[POMLayer | None]
    ) -> list[Tensor]:
        pairs = list(zip(grads, layers, strict=True))
        plain = [x.to(computing_type(x.dtype)) for x, layer in pairs if layer is None]
        squares = iter(torch._foreach_mul(plain, plain) if plain else ())
        return [
            next(squares)
            if layer is None
            else self.scales_of(layer).mean_squares(whole(x), computing_type(x.dtype))
            for x, layer in pairs
        ]


def bias_corrections(
    decay: float, steps: Sequence[Tensor], *, root: bool = False
) -> list[float] | list[Tensor]:
    """1 - decay^step or its root: the share of a running mean that its steps are.

    Numbers on the CPU; elsewhere tensors, since nothing may wait for a device.

    Parameters
    ----------
    decay : float
    steps : sequence of Tensor
    root : bool
    """
    power = 0.5 if root else 1.0
    if all(step.is_cpu for step in steps):
        return [(1 - decay**step) ** power for step in map(float, steps)]
    return [(1 - decay**step) ** power for step in steps]
