"""The blocks that the networks are made of: residual, squeeze-and-excitation, inverted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fgmanifolds.models.splitting import SplitConv2d

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "InvertedResidual",
    "ResidualBlock",
    "Shortcut",
    "SqueezeExcite",
    "conv",
]


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    split_seed: int | None = None,
) -> nn.Conv2d:
    """Convolution without bias that keeps the size of its maps, but for the stride.

    With a `split_seed`, the inputs of each output are drawn at random rather than
    cut into groups; see :class:`SplitConv2d`.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Side.
    stride, groups : int
    split_seed : int, optional
        Of random groups.
    """
    if split_seed is not None and 1 < groups < inputs:
        return SplitConv2d(inputs, outputs, kernel, stride, groups, split_seed)
    return nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )


class Shortcut(nn.Module):
    """Option A of He et al. 2016: subsample, and fill new channels with zeros.

    Parameters
    ----------
    stride : int
    new_channels : int
        Channels of zeros, after those that are there.
    pool : bool
        Whether means over ``stride x stride`` pixels are taken, as in the code of
        Huang et al. 2016, in place of the first pixel of each.
    """

    def __init__(self, stride: int, new_channels: int, pool: bool = False) -> None:
        super().__init__()
        self.stride, self.new_channels, self.pool = stride, new_channels, pool

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C + new, ceil(H / stride), ceil(W / stride)]``."""
        if self.pool and self.stride > 1:
            x = F.avg_pool2d(x, self.stride, ceil_mode=True)
        else:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from the means of all (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to the same shape."""
        gates = self.excite(torch.relu(self.squeeze(x.mean((2, 3)))))
        return x * torch.sigmoid(gates)[:, :, None, None]


class ResidualBlock(nn.Module):
    """The sum of a branch and a shortcut, then ReLU.

    Attributes
    ----------
    survival : float
        Probability that the branch is there in a training pass (Huang et al. 2016).
        In evaluation the branch is multiplied by it.
    open : bool
        Whether the branch is there in this training pass; the network draws it. A
        closed branch is not computed: its statistics stay as they are.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str, pool: bool) -> None:
        super().__init__()
        self.survival, self.open = 1.0, True
        self.shortcut: nn.Module = nn.Identity()
        if stride == 1 and inputs == outputs:
            return
        if shortcut == "A":
            self.shortcut = Shortcut(stride, outputs - inputs, pool)
        else:
            self.shortcut = nn.Sequential()
            self.shortcut.add_module("conv", conv(inputs, outputs, 1, stride))
            self.shortcut.add_module("bn", nn.BatchNorm2d(outputs))

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the shortcut."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        shortcut: Tensor = self.shortcut(x)
        if self.training and not self.open:
            return torch.relu(shortcut)
        branch = self.branch(x)
        if not self.training and self.survival < 1:
            branch = branch * self.survival
        return torch.relu(branch + shortcut)


class BasicBlock(ResidualBlock):
    """Two 3 x 3 convolutions; the stride is on the first."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        stride: int,
        *,
        shortcut: str = "A",
        pool: bool = False,
        squeezed: int = 0,
        groups: int = 1,
        split_seed: int | None = None,
    ) -> None:
        super().__init__(inputs, outputs, stride, shortcut, pool)
        self.conv1 = conv(inputs, middle, 3, stride, groups, split_seed)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = conv(middle, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcite(outputs, squeezed) if squeezed else nn.Identity()

    def branch(self, x: Tensor) -> Tensor:
        """See :class:`ResidualBlock`."""
        x = torch.relu(self.bn1(self.conv1(x)))
        found: Tensor = self.se(self.bn2(self.conv2(x)))
        return found


class Bottleneck(ResidualBlock):
    """A 1 x 1, a 3 x 3 and a 1 x 1 convolution; stride and groups are on the 3 x 3."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        stride: int,
        *,
        shortcut: str = "B",
        pool: bool = False,
        squeezed: int = 0,
        groups: int = 1,
        split_seed: int | None = None,
    ) -> None:
        super().__init__(inputs, outputs, stride, shortcut, pool)
        self.conv1 = conv(inputs, middle, 1)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = conv(middle, middle, 3, stride, groups, split_seed)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = conv(middle, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.se = SqueezeExcite(outputs, squeezed) if squeezed else nn.Identity()

    def branch(self, x: Tensor) -> Tensor:
        """See :class:`ResidualBlock`."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        found: Tensor = self.se(self.bn3(self.conv3(x)))
        return found


class InvertedResidual(nn.Module):
    """Widen, convolve each channel by itself, narrow (Sandler et al. 2018); no ReLU at the end."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential()
            self.expand.add_module("conv", conv(inputs, middle, 1))
            self.expand.add_module("bn", nn.BatchNorm2d(middle))
            self.expand.add_module("relu", nn.ReLU6())
        self.conv = conv(middle, middle, 3, stride, groups=middle)
        self.bn1 = nn.BatchNorm2d(middle)
        self.project = conv(middle, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        y = F.relu6(self.bn1(self.conv(self.expand(x))))
        y = self.bn2(self.project(y))
        return x + y if self.adds else y
