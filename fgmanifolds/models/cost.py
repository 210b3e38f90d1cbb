"""Shapes, parameters and multiply-adds of a network's layers, counted as it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fgmanifolds.models.registry import build_model

__all__ = ["LayerCost", "describe", "layer_costs"]


@dataclass(frozen=True)
class LayerCost:
    """A convolution, or a linear layer (kernel, stride, groups and maps of 1).

    Attributes
    ----------
    name : str
        Name of the module.
    inputs, outputs : int
        Channels C and D, over all groups.
    kernel, stride, groups : int
    size : (int, int)
        Height and width of the output maps.
    parameters : int
        Entries of weight and bias.
    multiply_adds : int
        For one image, biases not counted.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    groups: int
    size: tuple[int, int]
    parameters: int
    multiply_adds: int


def layer_costs(model: nn.Module, images: Tensor) -> tuple[LayerCost, ...]:
    """Count the layers of a model as it maps `images`; batch normalisation is not counted.

    Parameters
    ----------
    model : nn.Module
    images : Tensor of shape (N, C, H, W)
        On the model's device; ``"meta"`` costs nothing.

    Returns
    -------
    tuple of LayerCost
        Convolutions of two dimensions and linear layers, in the order of the modules.

    Raises
    ------
    ValueError
        If the model has no such layer.
    """
    found: dict[str, LayerCost] = {}

    def noter(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def note(module: nn.Module, _: object, output: Tensor) -> None:
            found[name] = _cost(name, module, output)

        return note

    counted = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if not counted:
        raise ValueError(f"{type(model).__name__} has no Conv2d and no Linear layer.")
    hooks = [module.register_forward_hook(noter(name)) for name, module in counted]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(images)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return tuple(found[name] for name, _ in counted if name in found)


def describe(name: str, side: int, num_classes: int = 1000, **options: Any) -> tuple[int, int]:
    """Numbers of parameters, and of multiply-adds for one image, of a network by name.

    Parameters
    ----------
    name : str
        As :func:`build_model` takes it.
    side : int
        Height and width of the image.
    num_classes : int
    **options
        As :func:`build_model` takes them.
    """
    with torch.device("meta"):
        model = build_model(name, num_classes, **options)
        images = torch.empty(1, options.get("in_channels", 3), side, side)
    multiply_adds = sum(layer.multiply_adds for layer in layer_costs(model, images))
    return sum(p.numel() for p in model.parameters()), multiply_adds


def _cost(name: str, module: nn.Module, output: Tensor) -> LayerCost:
    assert isinstance(module, nn.Conv2d | nn.Linear)
    weights = module.weight.numel()
    parameters = sum(p.numel() for p in module.parameters())
    if isinstance(module, nn.Linear):
        sides = module.in_features, module.out_features
        return LayerCost(name, *sides, 1, 1, 1, (1, 1), parameters, weights)
    height, width = output.shape[-2:]
    return LayerCost(
        name,
        module.in_channels,
        module.out_channels,
        module.kernel_size[0],
        module.stride[0],
        module.groups,
        (height, width),
        parameters,
        weights * height * width,
    )
