"""Weight splitting (WSS): sparse convolutions whose inputs are drawn rather than grouped."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["SplitConv2d", "biregular_inputs"]


def biregular_inputs(inputs: int, outputs: int, groups: int, seed: int) -> NDArray[np.int64]:
    """Draw C / groups inputs for each output so that each input has D / groups outputs.

    The groups of a grouped convolution are mixed by random trades between pairs of
    outputs, which keep both counts (Strona et al. 2014).

    Parameters
    ----------
    inputs, outputs, groups : int
        C and D, multiples of `groups`.
    seed : int

    Returns
    -------
    int array of shape (outputs, inputs // groups)
        For each output its inputs, in increasing order.
    """
    rng = np.random.default_rng([seed, inputs, outputs, groups])
    mask = np.zeros((outputs, inputs), dtype=bool)
    for group in range(groups):
        rows = slice(group * outputs // groups, (group + 1) * outputs // groups)
        mask[rows, group * inputs // groups : (group + 1) * inputs // groups] = True
    mask = mask[rng.permutation(outputs)][:, rng.permutation(inputs)]
    for _ in range(5 * outputs if outputs > 1 else 0):
        first, second = rng.choice(outputs, size=2, replace=False)
        differ = np.flatnonzero(mask[first] != mask[second])
        traded = mask[first, differ][rng.permutation(len(differ))]
        mask[first, differ], mask[second, differ] = traded, ~traded
    return np.nonzero(mask)[1].reshape(outputs, -1)


class SplitConv2d(nn.Conv2d):
    """Convolution of which each output sees C / groups inputs of its own, drawn once.

    It has the parameters and multiply-adds of a grouped convolution, stored in the
    same shape, but no blocks: between inputs and outputs lies a random biregular
    graph. (Random *groups* would give nothing new between two dense 1 x 1 layers.)

    Parameters
    ----------
    inputs, outputs, kernel, stride, groups : int
    seed : int
        Of the draw.

    Attributes
    ----------
    input_channels : int64 tensor of shape (outputs, inputs // groups)
        The physical input of each kernel of :attr:`weight`.
    """

    input_channels: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, seed: int
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        chosen = torch.from_numpy(biregular_inputs(inputs, outputs, groups, seed))
        self.register_buffer("input_channels", chosen.to(self.weight.device))

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        return F.conv2d(input, self.dense_weight(), None, self.stride, self.padding)

    def dense_weight(self) -> Tensor:
        """The weight with zeros where an output does not see an input, ``[D, C, A, B]``."""
        outputs, _, *kernel = self.weight.shape
        places = self.input_channels[:, :, None, None].expand_as(self.weight)
        empty = self.weight.new_zeros(outputs, self.in_channels, *kernel)
        return empty.scatter(1, places, self.weight)
