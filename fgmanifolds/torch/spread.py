"""Radii from the geometry of a layer and the spread of its features, eq. (2).

The radius of the component that holds W_{c,d} is ``gamma / lambda_c``: gamma
from the numbers of channels and the kernel's size, lambda_c the running
standard deviation of input channel c.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

__all__ = ["FeatureSpread", "geometric_scaling", "map_sizes", "radii", "remove_hooks"]

#: Weight of the newest batch in the running spread, as in BatchNorm.
MOMENTUM = 0.1

#: Every second batch is looked at.
EVERY = 2

#: Values of a channel in one batch from which its spread is estimated, at least.
ENOUGH = 1024

#: Values of a channel that are taken from one sample, at least, where it has as many.
PER_SAMPLE = 128


def geometric_scaling(fan_in: int, fan_out: int) -> float:
    """Gamma of eq. (2), ``(b + b_hat)^(-1/2)``."""
    return float((fan_in + fan_out) ** -0.5)


def radii(gamma: float, spread: Tensor, reads: tuple[Tensor, Tensor], n: int) -> Tensor:
    """Radius ``gamma / lambda`` of each of `n` components.

    Parameters
    ----------
    gamma : float
        From :func:`geometric_scaling`.
    spread : tensor of shape [channels]
        Standard deviation lambda_c of each input channel.
    reads : (tensor, tensor)
        Pairs (component, channel). A component that reads several channels (a
        block of a matrix) takes their root mean square.
    n : int

    Returns
    -------
    tensor of shape [n], float64
    """
    component, channel = (index.to(spread.device) for index in reads)
    total = spread.new_zeros(n, dtype=torch.float64)
    total.index_add_(0, component, spread.double()[channel] ** 2)
    count = torch.bincount(component, minlength=n)
    return gamma / (total / count).sqrt()


class FeatureSpread:
    """Running standard deviation of each input channel of a layer.

    A forward pre-hook, at work in training mode only. It starts at 1, the
    value of the first epoch in Algorithm 1. Where a batch has plenty of values for
    each channel, samples spread evenly over the batch stand for all.

    Parameters
    ----------
    module : nn.Module
        The layer; of ``nn.MultiheadAttention`` the inputs query, key and value.
    parameter : str
        Name of the weight that is applied to the features.
    channels : int
        Number of input channels.

    Attributes
    ----------
    value : Tensor of shape [channels]
        The running standard deviation.
    batches : int
        Number of batches that came in.
    """

    def __init__(self, module: nn.Module, parameter: str, channels: int) -> None:
        self.value = torch.ones(channels)
        self.batches = 0
        # Axes of a batch of a convolution's inputs; 0 for layers with the channels last.
        self._axes = len(module.kernel_size) + 2 if isinstance(module, _ConvNd) else 0
        self._inputs = _INPUTS.get(parameter, ("input",))
        self._handle: RemovableHandle = module.register_forward_pre_hook(
            self._observe, with_kwargs=True
        )

    @torch.no_grad()
    def _observe(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not module.training:
            return
        self.batches += 1
        if (self.batches - 1) % EVERY:
            return
        features = [self._pick(name, args, kwargs).detach() for name in self._inputs]
        spreads = [self._spread(x) for x in features]
        if any(spread is None for spread in spreads):
            return
        spread = torch.cat([s for s in spreads if s is not None])
        if self.value.device != spread.device:
            self.value = self.value.to(spread.device)
        self.value.lerp_(spread, MOMENTUM if self.batches == 1 else 1 - (1 - MOMENTUM) ** EVERY)

    @staticmethod
    def _pick(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        position = _POSITIONS[name]
        value = args[position] if position < len(args) else kwargs[name]
        assert isinstance(value, Tensor)
        return value

    def _spread(self, features: Tensor) -> Tensor | None:
        """Spread of each channel; None of a single sample, which has none."""
        if not self._axes:
            samples = features.flatten(0, -2) if features.dim() > 1 else features[None]
            samples = samples[:: max(1, len(samples) // ENOUGH)]
            return _standard_deviation(samples.float().mT) if len(samples) > 1 else None
        # An unbatched input of a convolution has one axis less.
        batch = features if features.dim() == self._axes else features[None]
        batch = _thinned(batch)
        if batch[:, 0].numel() < 2:
            return None
        return _standard_deviation(batch.float().transpose(0, 1).flatten(1))

    def state_dict(self) -> dict[str, Any]:
        """The running spread and the number of batches."""
        return {"value": self.value.clone(), "batches": self.batches}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from a state."""
        self.value, self.batches = state["value"].clone().to(device), state["batches"]

    def remove(self) -> None:
        """Take the hook off the module."""
        self._handle.remove()


def _standard_deviation(rows: Tensor) -> Tensor:
    """Of each row, in two passes; several times faster than ``torch.std`` on small tensors."""
    return (rows - rows.mean(1, keepdim=True)).square_().mean(1).sqrt_()


def _thinned(batch: Tensor) -> Tensor:
    """Samples spread evenly over a batch and over its maps, enough of them for a spread."""
    axes = batch.dim() - 2
    stride = max(1, int((batch[0, 0].numel() / PER_SAMPLE) ** (1 / axes)))
    every = slice(None, None, stride)
    batch = batch[(slice(None), slice(None), *[every] * axes)]
    keep = min(len(batch), -(-ENOUGH // batch[0, 0].numel()))
    return batch[:: len(batch) // keep]


def remove_hooks(module: nn.Module) -> None:
    """Take all hooks of :class:`FeatureSpread` off a module, those of copies too."""
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(getattr(hook, "__self__", None), FeatureSpread):
            del module._forward_pre_hooks[key]
            module._forward_pre_hooks_with_kwargs.pop(key, None)


#: Features that a weight of attention is applied to.
_INPUTS = {
    "in_proj_weight": ("query", "key", "value"),
    "q_proj_weight": ("query",),
    "k_proj_weight": ("key",),
    "v_proj_weight": ("value",),
}

#: Places of the features among a module's positional arguments.
_POSITIONS = {"input": 0, "query": 0, "key": 1, "value": 2}


def map_sizes(model: nn.Module, example: Any) -> dict[nn.Module, int]:
    """Sizes H x W of the output maps of a model's convolutions, on an example input.

    Parameters
    ----------
    model : nn.Module
        It runs once, in evaluation mode.
    example : Tensor or tuple of Tensor
        Its input.
    """
    sizes: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, _ConvNd)
        axes = len(module.kernel_size)
        sizes[module] = int(output.shape[-axes:].numel())

    handles = [m.register_forward_hook(note) for m in model.modules() if isinstance(m, _ConvNd)]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(*(example if isinstance(example, tuple) else (example,)))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return sizes
