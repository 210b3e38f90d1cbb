"""Residual networks for small images (He et al. 2016, section 4.2), 24, 48 and 96 wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BasicBlock", "ResNet", "resnet20", "resnet44"]


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut without parameters (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.new_channels = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H / stride, W / stride]``."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet(nn.Module):
    """Residual network of depth 6 n + 2.

    Parameters
    ----------
    blocks : int
        Number n of blocks in each of the three stages.
    channels, classes : int
        Numbers of image channels and of classes.
    widths : (int, int, int)
        Channels of the stages.
    """

    def __init__(
        self,
        blocks: int,
        channels: int,
        classes: int,
        widths: tuple[int, int, int] = (24, 48, 96),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = (widths[0], *widths[:2])
        self.layer1, self.layer2, self.layer3 = (
            self._stage(blocks, inputs[i], widths[i], stride=1 if i == 0 else 2) for i in range(3)
        )
        self.classifier = nn.Linear(widths[2], classes)

    @staticmethod
    def _stage(blocks: int, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        first = BasicBlock(inputs, outputs, stride)
        return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to scores ``[N, classes]``."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.classifier(x.mean((2, 3)))
        return scores


def resnet20(channels: int, classes: int) -> ResNet:
    """ResNet-20 of widths 24, 48 and 96."""
    return ResNet(3, channels, classes)


def resnet44(channels: int, classes: int) -> ResNet:
    """ResNet-44 of widths 24, 48 and 96."""
    return ResNet(7, channels, classes)
