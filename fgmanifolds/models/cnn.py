"""A small convolutional network for small images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["cnn"]


def _block(number: int, inputs: int, outputs: int, pool: nn.Module) -> dict[str, nn.Module]:
    return {
        f"conv{number}": nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        f"bn{number}": nn.BatchNorm2d(outputs),
        f"relu{number}": nn.ReLU(),
        f"pool{number}": pool,
    }


def cnn(channels: int, classes: int, width: int = 24) -> nn.Sequential:
    """Three 3 x 3 convolutions of 24, 48 and 96 channels, then a linear classifier.

    Parameters
    ----------
    channels, classes : int
        Numbers of image channels and of classes.
    width : int
        Channels of the first convolution, at least 1; the others have 2 and 4 times as many.

    Returns
    -------
    nn.Sequential
        From images ``[N, channels, H, W]``, H, W >= 4, to scores ``[N, classes]``.
    """
    layers = {
        **_block(1, channels, width, nn.MaxPool2d(2)),
        **_block(2, width, 2 * width, nn.MaxPool2d(2)),
        **_block(3, 2 * width, 4 * width, nn.AdaptiveAvgPool2d(1)),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(4 * width, classes),
    }
    return nn.Sequential(OrderedDict(layers))
