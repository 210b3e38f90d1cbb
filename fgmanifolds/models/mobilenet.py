"""MobileNetV2 (Sandler et al. 2018, table 2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fgmanifolds.models.blocks import InvertedResidual, conv

__all__ = ["MobileNetV2"]

#: Expansion, channels, repetitions and stride of the stages.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """A stem, 17 inverted residual blocks, a 1 x 1 convolution and a linear classifier.

    Parameters
    ----------
    channels, classes : int
        Numbers of image channels and of classes.
    stem : {"large", "small"}
        With ``"small"``, stem and second stage have stride 1, for images of 32 pixels.
    divisor : int
        All widths are divided by it.
    """

    def __init__(self, channels: int, classes: int, stem: str, divisor: int = 1) -> None:
        super().__init__()
        first, last = 32 // divisor, 1280 // divisor
        self.conv1 = conv(channels, first, 3, 2 if stem == "large" else 1)
        self.bn1 = nn.BatchNorm2d(first)
        inputs, self.blocks = first, nn.Sequential()
        for stage, (expansion, width, count, stride) in enumerate(STAGES):
            if stage == 1 and stem == "small":
                stride = 1
            for number in range(count):
                step = stride if number == 0 else 1
                self.blocks.append(InvertedResidual(inputs, width // divisor, step, expansion))
                inputs = width // divisor
        self.conv2 = conv(inputs, last, 1)
        self.bn2 = nn.BatchNorm2d(last)
        self.classifier = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images ``[N, channels, H, W]`` to scores ``[N, classes]``."""
        x = self.blocks(F.relu6(self.bn1(self.conv1(x))))
        x = F.relu6(self.bn2(self.conv2(x)))
        scores: Tensor = self.classifier(x.mean((2, 3)))
        return scores
