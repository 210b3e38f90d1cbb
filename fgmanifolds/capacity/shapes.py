"""Convolution layers of the paper's networks, read from the networks themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from fgmanifolds.models import build_model, layer_costs

__all__ = ["ARCHITECTURES", "LayerShape"]


@dataclass(frozen=True)
class LayerShape:
    """A convolution (or a linear layer, with 1 x 1 kernels and maps).

    Attributes
    ----------
    name : str
    inputs, outputs : int
        Channels C and D.
    kernel : int
        Height and width of the kernel.
    size : int
        Height and width of the output maps.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    size: int


#: Name in ``fgmanifolds.models`` and side of the images, by the name of the network.
NETWORKS: dict[str, tuple[str, int]] = {
    "ResNet-18": ("resnet18", 224),
    "ResNet-44": ("resnet44", 32),
    "RCD-110": ("rcd110", 32),
    "ResNet-50": ("resnet50", 224),
    "SENet-ResNet-50": ("se_resnet50", 224),
    "ResNet-101": ("resnet101", 224),
}


class Architectures(Mapping[str, tuple[LayerShape, ...]]):
    """Layers of a network by its name, all but the classifier; built when first asked for."""

    def __getitem__(self, name: str) -> tuple[LayerShape, ...]:
        return _shapes(*NETWORKS[name])

    def __iter__(self) -> Iterator[str]:
        return iter(NETWORKS)

    def __len__(self) -> int:
        return len(NETWORKS)


@cache
def _shapes(model: str, side: int) -> tuple[LayerShape, ...]:
    with torch.device("meta"):
        network = build_model(model, 10)
        network.classifier = nn.Identity()
        costs = layer_costs(network, torch.empty(1, 3, side, side))
    return tuple(
        LayerShape(layer.name, layer.inputs, layer.outputs, layer.kernel, layer.size[0])
        for layer in costs
    )


#: Layers by the name of the network.
ARCHITECTURES = Architectures()
