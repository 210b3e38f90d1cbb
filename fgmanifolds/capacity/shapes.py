"""Convolution layers of the paper's networks, with the channel numbers of Appendix C."""

from __future__ import annotations

from dataclasses import dataclass

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


def _basic(stem: LayerShape, stages: list[tuple[int, int, int]]) -> tuple[LayerShape, ...]:
    """Networks of basic blocks; stages are (width, blocks, size of the maps)."""
    layers, inputs = [stem], stem.outputs
    for stage, (width, blocks, size) in enumerate(stages, 1):
        for block in range(blocks):
            name = f"stage {stage}, block {block + 1}"
            layers.append(LayerShape(f"{name}, first", inputs, width, 3, size))
            layers.append(LayerShape(f"{name}, second", width, width, 3, size))
            if inputs != width:
                layers.append(LayerShape(f"{name}, shortcut", inputs, width, 1, size))
            inputs = width
    return tuple(layers)


def _bottleneck(blocks: tuple[int, ...], squeeze: tuple[int, ...] = ()) -> tuple[LayerShape, ...]:
    """Networks of bottleneck blocks, Tables IX and X."""
    stem = LayerShape("stem", 3, 64, 7, 112)
    layers, inputs = [stem], stem.outputs
    stages = zip(blocks, (72, 144, 264, 528), (264, 528, 1032, 2064), (56, 28, 14, 7), strict=True)
    for stage, (count, width, outputs, size) in enumerate(stages, 1):
        for block in range(count):
            name = f"stage {stage}, block {block + 1}"
            layers.append(LayerShape(f"{name}, first", inputs, width, 1, size))
            layers.append(LayerShape(f"{name}, second", width, width, 3, size))
            layers.append(LayerShape(f"{name}, third", width, outputs, 1, size))
            if inputs != outputs:
                layers.append(LayerShape(f"{name}, shortcut", inputs, outputs, 1, size))
            if squeeze:
                narrow = squeeze[stage - 1]
                layers.append(LayerShape(f"{name}, squeeze", outputs, narrow, 1, 1))
                layers.append(LayerShape(f"{name}, excite", narrow, outputs, 1, 1))
            inputs = outputs
    return tuple(layers)


#: Layers by the name of the network.
ARCHITECTURES: dict[str, tuple[LayerShape, ...]] = {
    "ResNet-18": _basic(
        LayerShape("stem", 3, 72, 7, 112),
        [(72, 2, 56), (144, 2, 28), (288, 2, 14), (576, 2, 7)],
    ),
    "ResNet-44": _basic(LayerShape("stem", 3, 24, 3, 32), [(24, 7, 32), (48, 7, 16), (96, 7, 8)]),
    "RCD-110": _basic(LayerShape("stem", 3, 24, 3, 32), [(24, 18, 32), (48, 18, 16), (72, 18, 8)]),
    "ResNet-50": _bottleneck((3, 4, 6, 3)),
    "SENet-ResNet-50": _bottleneck((3, 4, 6, 3), (24, 48, 72, 144)),
    "ResNet-101": _bottleneck((3, 4, 23, 3)),
}
