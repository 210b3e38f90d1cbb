"""Radii from the geometry of a layer and the spread of its features, eq. (2).

The radius of the component that holds W_{c,d} is ``gamma / lambda_c``: gamma
from the numbers of channels and the kernel's size, lambda_c the running
standard deviation of input channel c.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

__all__ = ["FeatureSpread", "geometric_scaling", "radii"]

#: Weight of the newest batch in the running spread, as in BatchNorm.
MOMENTUM = 0.1


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
    value of the first epoch in Algorithm 1.
    """

    def __init__(self, module: nn.Module, channels: int) -> None:
        self.value = torch.ones(channels)
        self._channel_axis = 1 if isinstance(module, nn.Conv2d) else -1
        self._handle: RemovableHandle = module.register_forward_pre_hook(self._observe)

    @torch.no_grad()
    def _observe(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if not module.training:
            return
        features = inputs[0].detach().float()
        if features.dim() == 3 and self._channel_axis == 1:
            features = features[None]  # a convolution's unbatched input
        others = [a for a in range(features.dim()) if a != self._channel_axis % features.dim()]
        if features.numel() < 2 * len(self.value):
            return  # a single sample has no spread
        spread = features.std(others, correction=0)
        self.value = self.value.to(spread.device).lerp_(spread, MOMENTUM)

    def remove(self) -> None:
        """Take the hook off the module."""
        self._handle.remove()
