"""Spread of the features that come into a layer: lambda of eq. (2).

A forward pre-hook adds the moments of each channel to sums; :meth:`FeatureSpread.fold_` takes
what the passes of one optimizer step have brought together into running averages. The hook
is one operator to ``torch.compile``, and absent from exported models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fgmanifolds.torch.layers import Features, LayerReader
from fgmanifolds.torch.moments import add_moments_, add_moments_op

__all__ = ["FeatureSpread", "fold_spreads_", "remove_hooks"]

#: Weight of the newest step in the running averages, as in BatchNorm.
MOMENTUM = 0.1

#: Tensors of a :class:`FeatureSpread`, and those that states of older versions lack (being 0).
STATE = ("mean", "square", "sums", "seen", "passes")
NEW_STATE = ("seen",)

#: Rows of a :class:`FeatureSpread`'s sums.
COUNT, SUM, SQUARE = range(3)


def _is_exporting_without_dynamo() -> bool:
    return torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()


#: Whether a model is being exported. torch 2.6 does not say so of a strict export, which to it is
#: a compilation.
_is_exporting = getattr(torch.compiler, "is_exporting", _is_exporting_without_dynamo)


class FeatureSpread:
    """Running mean and second moment of each input channel of a layer.

    At work in training mode only. The mean starts at 0 and the second moment at 1, so that
    the spread starts at 1, the value of the first epoch in Algorithm 1. Values that are not
    finite are left out. Passes inside of the backward pass (gradient checkpointing) are not
    counted again.

    Parameters
    ----------
    module : nn.Module
    parameter : str
        Name of the weight that is applied to the features.
    reader : LayerReader
        Finds the features among the arguments of a forward pass.
    channels : int
        Number of input channels.

    Attributes
    ----------
    native : bool
        Whether features on the CPU are summed in C++.
    mean, square : float64 tensors of shape [channels]
        Running averages of the mean and of the second moment.
    sums : float64 tensor of shape [3, channels]
        Numbers of values, their sums, and sums of squares, since the last fold.
    seen : float64 tensor of shape [channels]
        Numbers of values in the averages since ranks last shared theirs.
    passes : int64 tensor
        Number of passes seen, from which random places are drawn.
    waiting : bool
        Whether something may have come in since the last fold.
    compiled : bool
        Whether the hook is part of a compiled model, which does not say when it runs.
    removed : bool
        Whether the hook was taken off.
    """

    native = False
    waiting = False
    compiled = False
    removed = False

    def __init__(
        self,
        module: nn.Module,
        parameter: str,
        reader: LayerReader,
        channels: int,
    ) -> None:
        device = getattr(module, parameter).device
        self.mean = torch.zeros(channels, dtype=torch.float64, device=device)
        self.square = torch.ones(channels, dtype=torch.float64, device=device)
        self.sums = torch.zeros(3, channels, dtype=torch.float64, device=device)
        self.seen = torch.zeros(channels, dtype=torch.float64, device=device)
        self.passes = torch.zeros((), dtype=torch.int64, device=device)
        self._parameter, self._reader = parameter, reader
        self._handle: RemovableHandle = module.register_forward_pre_hook(
            self._observe, with_kwargs=True
        )

    @property
    def value(self) -> Tensor:
        """Spread lambda of each channel: the root of the variance, shape [channels]."""
        return (self.square - self.mean**2).clamp(min=0).sqrt()

    def _observe(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not module.training or _is_exporting() or torch._C._get_tracing_state():
            return
        start = 0
        for one in self._reader.features(module, self._parameter, args, kwargs):
            width = one.tensor.shape[one.axis]
            self._take(one, start, width)
            start += width

    def _take(self, features: Features, start: int, width: int) -> None:
        x = features.tensor.detach()
        axis = features.axis % x.dim()
        if self.sums.device != x.device:
            self._to(x.device)
        self.waiting = True
        if torch.compiler.is_compiling():
            self.compiled = True
            add_moments_op(x, self.sums, self.passes, axis, start, width, self.native)
        else:
            add_moments_(x, self.sums, self.passes, axis, start, width, self.native)

    def _to(self, device: torch.device) -> None:
        for name in STATE:
            setattr(self, name, getattr(self, name).to(device))

    def state_dict(self) -> dict[str, Tensor]:
        """Running averages, sums since the last fold, and the number of passes."""
        return {name: getattr(self, name).clone() for name in STATE}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state, on the present device."""
        for name in STATE:
            if name in state:
                getattr(self, name).copy_(state[name])
            else:
                getattr(self, name).zero_()
        self.waiting = True

    def remove(self) -> None:
        """Take the hook off the module."""
        self._handle.remove()
        self.removed = True


@torch.no_grad()
def fold_spreads_(spreads: Sequence[FeatureSpread]) -> None:
    """Take what has come in since the last fold into the running averages.

    All passes since then count as one batch, however many there were. A channel of which
    nothing came in keeps its averages.
    """
    waiting = [spread for spread in spreads if spread.waiting]
    if not waiting:
        return
    counts, totals, squares = zip(*(spread.sums.unbind(0) for spread in waiting), strict=True)
    torch._foreach_add_([spread.seen for spread in waiting], counts)
    shares = torch._foreach_clamp_max(counts, 1)  # 0 where nothing came in
    torch._foreach_mul_(shares, MOMENTUM)
    numbers = torch._foreach_clamp_min(counts, 1)
    for name, sums in (("mean", totals), ("square", squares)):
        averages = [getattr(spread, name) for spread in waiting]
        torch._foreach_lerp_(averages, torch._foreach_div(sums, numbers), shares)
    torch._foreach_zero_([spread.sums for spread in waiting])
    for spread in waiting:
        spread.waiting = spread.compiled


def remove_hooks(module: nn.Module) -> None:
    """Take all hooks of :class:`FeatureSpread` off a module, those of copies too."""
    for key, hook in list(module._forward_pre_hooks.items()):
        spread = getattr(hook, "__self__", None)
        if isinstance(spread, FeatureSpread):
            spread.removed = True
            del module._forward_pre_hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)
