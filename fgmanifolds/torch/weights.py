"""How a layer's weight is seen as components: kernels, or blocks of a matrix.

A convolution of shape D x C x A x B holds D C kernels of shape A x B. A linear
layer or a 1 x 1 convolution holds a D x C matrix, cut into blocks. Either is
oriented tall, so that Stiefel manifolds exist for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fgmanifolds.torch.weight_sets import Block, block_sets, kernel_sets

__all__ = ["SUPPORTED", "ComponentBatch", "WeightView", "view_weight"]

#: Layers whose weights can lie on POMs.
SUPPORTED = (nn.Conv2d, nn.Linear)


@dataclass
class ComponentBatch:
    """The components of one layer that have the same shape.

    Attributes
    ----------
    shape : (int, int)
        Tall shape (A, B) of a component.
    members : int tensor of shape [n]
        Their numbers within the layer.
    positions : int tensor of shape [n, A, B] or None
        Where their entries stand in the flattened weight. None: the batch is
        the whole weight, kernel after kernel.
    kernel : (int, int)
        Shape of a kernel as stored, for ``positions=None``.
    """

    shape: tuple[int, int]
    members: Tensor
    positions: Tensor | None
    kernel: tuple[int, int]

    def read(self, weight: Tensor) -> Tensor:
        """Give the components of `weight` as ``[n, A, B]``, as a view where possible."""
        if self.positions is not None:
            return torch.take(weight, self.positions.to(weight.device))
        kernels = weight.reshape(-1, *self.kernel)
        return kernels if self.kernel == self.shape else kernels.mT

    def write_(self, weight: Tensor, components: Tensor) -> None:
        """Store ``[n, A, B]`` components in `weight`."""
        if self.positions is not None:
            weight.put_(self.positions.to(weight.device), components)
            return
        kernels = components if self.kernel == self.shape else components.mT
        weight.copy_(kernels.reshape(weight.shape))


@dataclass
class WeightView:
    """One layer's weight as components.

    Attributes
    ----------
    batches : list of ComponentBatch
        The components by shape.
    manifold, pom : int tensors of shape [n]
        Number of each component's manifold, and of its POM in the layer.
    labels : list of str
        For each POM, the channels it belongs to.
    fan_in, fan_out : int
        b and b-hat of eq. (2) with the Glorot reading: A B C and A B D.
    channels : int
        Number of input channels of the layer.
    reads : (int tensor, int tensor)
        Pairs (component, input channel): the channels that a component reads.
    """

    batches: list[ComponentBatch]
    manifold: Tensor
    pom: Tensor
    labels: list[str]
    fan_in: int
    fan_out: int
    channels: int
    reads: tuple[Tensor, Tensor]

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.manifold)

    @property
    def n_poms(self) -> int:
        """Number of POMs."""
        return len(self.labels)


def _tensor(values: object) -> Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.int64))


def _view_kernels(
    module: nn.Conv2d, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    outputs, inputs, height, width = module.weight.shape
    sets = kernel_sets((outputs, inputs), scheme, manifolds, rng, pom)
    members = torch.arange(outputs * inputs)
    shape = (max(height, width), min(height, width))
    batch = ComponentBatch(shape, members, None, (height, width))
    group = np.arange(outputs) // (outputs // module.groups)
    channel = group[:, None] * inputs + np.arange(inputs)
    return WeightView(
        batches=[batch],
        manifold=_tensor(sets.manifold.ravel()),
        pom=_tensor(sets.pom.ravel()),
        labels=sets.labels,
        fan_in=height * width * inputs,
        fan_out=height * width * outputs,
        channels=module.in_channels,
        reads=(members, _tensor(channel.ravel())),
    )


def _matrix_blocks(
    size: tuple[int, int], groups: int, scheme: str, manifolds: int, rng: np.random.Generator
) -> list[tuple[Block, int]]:
    """Blocks of each group's matrix, with the group's number; outputs count over all groups."""
    outputs, inputs = size
    per_group = outputs // groups
    blocks = []
    for group in range(groups):
        for block in block_sets((per_group, inputs), scheme, manifolds, rng):
            label = f"group {group}, {block.label}" if groups > 1 else block.label
            shifted = Block(block.outputs + group * per_group, block.inputs, block.manifold, label)
            blocks.append((shifted, group))
    return blocks


def _tall_positions(block: Block, row_length: int) -> NDArray[np.int64]:
    """Positions of a block's entries in the flattened D x C weight, as a tall matrix."""
    positions = block.inputs[:, None] + row_length * block.outputs[None, :]
    return positions if positions.shape[0] >= positions.shape[1] else positions.T


def _batches_of(positions: Sequence[NDArray[np.int64]]) -> list[ComponentBatch]:
    by_shape: dict[tuple[int, int], list[int]] = {}
    for number, entries in enumerate(positions):
        by_shape.setdefault((entries.shape[0], entries.shape[1]), []).append(number)
    return [
        ComponentBatch(shape, _tensor(members), _tensor([positions[i] for i in members]), shape)
        for shape, members in by_shape.items()
    ]


def _view_matrix(
    module: nn.Conv2d | nn.Linear, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    outputs, inputs = module.weight.shape[:2]
    groups = module.groups if isinstance(module, nn.Conv2d) else 1
    blocks = _matrix_blocks((outputs, inputs), groups, scheme, manifolds, rng)
    owner = np.array([block.manifold for block, _ in blocks])
    if pom == "set":
        numbers, labels = np.arange(len(blocks)), [block.label for block, _ in blocks]
    else:
        used, numbers = np.unique(owner, return_inverse=True)
        labels = ["all blocks of one manifold"] * len(used)
    reader = np.concatenate([np.full(len(b.inputs), i) for i, (b, _) in enumerate(blocks)])
    channel = np.concatenate([b.inputs + group * inputs for b, group in blocks])
    return WeightView(
        batches=_batches_of([_tall_positions(block, inputs) for block, _ in blocks]),
        manifold=_tensor(owner),
        pom=_tensor(numbers),
        labels=labels,
        fan_in=inputs,
        fan_out=outputs,
        channels=inputs * groups,
        reads=(_tensor(reader), _tensor(channel)),
    )


def view_weight(
    module: nn.Conv2d | nn.Linear, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    """See the weight of `module` as components, and draw their sets.

    Parameters
    ----------
    module : nn.Conv2d or nn.Linear
    scheme, manifolds, pom, rng
        As :func:`fgmanifolds.torch.weight_sets.kernel_sets`.
    """
    if isinstance(module, nn.Conv2d) and module.weight.shape[2:] != (1, 1):
        return _view_kernels(module, scheme, manifolds, pom, rng)
    return _view_matrix(module, scheme, manifolds, pom, rng)
