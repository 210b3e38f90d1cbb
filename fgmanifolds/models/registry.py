"""Models by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from fgmanifolds.models.cnn import cnn
from fgmanifolds.models.resnet import resnet20, resnet44
from fgmanifolds.validation import check_choice

__all__ = ["MODELS", "build_model"]

#: Builders by name, each taking the numbers of input channels and classes.
MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "cnn": cnn,
    "resnet20": resnet20,
    "resnet44": resnet44,
}


def build_model(name: str, channels: int, classes: int) -> nn.Module:
    """Build the model called `name` for images of `channels` and `classes`.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    check_choice("model", name, MODELS)
    return MODELS[name](channels, classes)
