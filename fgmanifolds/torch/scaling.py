"""Radii from the geometry of a layer and the spread of its features, eq. (2).

The radius of the component that holds W_{c,d} is ``gamma / lambda_c``: gamma
from the numbers of channels and the kernel's size, lambda_c the running
standard deviation of input channel c.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["FAN_OUT", "geometric_scaling", "map_sizes", "radii"]

#: Readings of b-hat in eq. (2); ``"none"`` leaves it out, so that all filters have one norm.
FAN_OUT = ("none", "glorot", "feature_map")


def geometric_scaling(fan_in: int, fan_out: int) -> float:
    """Gamma of eq. (2), ``(b + b_hat)^(-1/2)``.

    Parameters
    ----------
    fan_in, fan_out : int
        b and b-hat, not both 0.
    """
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
        Pairs (component, channel), in the order of the components. One that reads several
        channels (a block of a matrix) takes their root mean square.
    n : int

    Returns
    -------
    tensor of shape [n], float64
    """
    component, channel = (index.to(spread.device) for index in reads)
    # A number over a tensor would be multiplied by its reciprocal: rounded twice, and x / x not 1.
    own = torch.tensor(gamma, dtype=torch.float64, device=spread.device)
    if len(component) == n:
        # Each component reads one channel.
        return (own / spread.double()).index_select(0, channel)
    total = spread.new_zeros(n, dtype=torch.float64)
    total.index_add_(0, component, (spread.double() ** 2).index_select(0, channel))
    count = torch.bincount(component, minlength=n)
    return own / (total / count).sqrt()


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
    training = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(*(example if isinstance(example, tuple) else (example,)))
    finally:
        for module, mode in training.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    return sizes
