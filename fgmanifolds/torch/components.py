"""How a layer's weight is seen as components: kernels, or blocks of a matrix.

A convolution of shape D x C x A x B holds D C kernels of shape A x B; those of
one dimension are A x 1, those of three A x (B E). Transposed convolutions are
stored C x D. A linear layer or a 1 x 1 convolution holds a D x C matrix, cut into
blocks; the packed projections of attention are three of them. Every component is
oriented tall, so that Stiefel manifolds exist for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from fgmanifolds.torch.schemes import Block, block_sets, kernel_sets

__all__ = ["ComponentBatch", "Grid", "WeightView", "grid_of", "view_weight"]


@dataclass(frozen=True)
class Grid:
    """A weight as a grid of kernels: how its axes are to be read.

    Attributes
    ----------
    outputs, inputs : int
        D and C / groups; D / groups and C if `transposed`.
    kernel : (int, int)
        Shape A x B of a kernel as stored; (1, 1) for matrices.
    groups : int
        Groups of a convolution, or parts of a packed matrix.
    transposed : bool
        Whether inputs come first in storage.
    channels : int
        Number of input channels whose spread is measured.
    parts : tuple of str
        Names of the groups of a packed matrix.
    """

    outputs: int
    inputs: int
    kernel: tuple[int, int]
    groups: int
    transposed: bool
    channels: int
    parts: tuple[str, ...] = ()


def grid_of(module: nn.Module, weight: Tensor) -> Grid:
    """Read the axes of a layer's weight.

    Parameters
    ----------
    module : nn.Module
        A convolution, transposed or not, a linear layer, an embedding or
        ``nn.MultiheadAttention``.
    weight : Tensor
        One of its parameters.
    """
    if isinstance(module, nn.MultiheadAttention):
        rows, width = weight.shape
        packed = weight is module.in_proj_weight
        parts = ("query", "key", "value") if packed else ()
        groups = len(parts) or 1
        return Grid(rows, width, (1, 1), groups, False, groups * width, parts)
    if isinstance(module, nn.Embedding):
        symbols, width = weight.shape
        return Grid(width, symbols, (1, 1), 1, True, symbols)
    if isinstance(module, nn.Linear):
        outputs, inputs = weight.shape
        return Grid(outputs, inputs, (1, 1), 1, False, inputs)
    assert isinstance(module, _ConvNd)
    first, second, height, *rest = weight.shape
    outputs, inputs = (second, first) if module.transposed else (first, second)
    kernel = (height, int(np.prod(rest, dtype=int)))
    return Grid(outputs, inputs, kernel, module.groups, module.transposed, module.in_channels)


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

    # Entries as planes, by rows -------------------------------------------------

    def rows(self, weight: Tensor) -> int:
        """Number of rows that planes can be cut at: of the weight's first axis, or components."""
        return len(weight) if self.positions is None else len(self.members)

    def rows_of(self, weight: Tensor, rows: slice) -> Tensor:
        """Some rows of `weight`: a view of its first axis, or ``[n, A, B]`` components."""
        if self.positions is None:
            return weight if rows == slice(0, len(weight)) else weight[rows]
        return torch.take(weight, self.positions[rows].to(weight.device))

    def write_rows_(self, weight: Tensor, rows: slice, values: Tensor) -> None:
        """Store what :meth:`rows_of` gives."""
        if self.positions is None:
            self.rows_of(weight, rows).copy_(values)
        else:
            weight.put_(self.positions[rows].to(weight.device), values)

    def planes_as_rows(self, planes: Tensor, weight: Tensor) -> Tensor:
        """View planes ``[A, B, n]`` in the shape of :meth:`rows_of`."""
        if self.positions is not None:
            return planes.permute(2, 0, 1)
        grid = planes.unflatten(2, (-1, weight.shape[1]))
        order = (2, 3, 0, 1) if self.kernel == self.shape else (2, 3, 1, 0)
        return grid.permute(order).reshape(-1, *weight.shape[1:])


@dataclass
class WeightView:
    """One layer's weight as components.

    Attributes
    ----------
    batches : list of ComponentBatch
        The components by shape.
    manifold : uint8 tensor of shape [n]
        Number of each component's manifold.
    pom : int32 tensor of shape [n]
        Number of its POM in the layer.
    labels : list of str
        For each POM, the channels it belongs to.
    fan_in, fan_out : int
        b and b-hat of eq. (2) with the Glorot reading: A B C and A B D.
    outputs : int
        Number D of output channels.
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
    outputs: int
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


def _tensor(values: object, dtype: torch.dtype = torch.int32) -> Tensor:
    """Numbers in few bytes: there is one for each kernel of a model."""
    return torch.as_tensor(np.asarray(values, dtype=np.int64)).to(dtype)


def _view_kernels(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    outputs, inputs = grid.outputs, grid.inputs
    area = grid.kernel[0] * grid.kernel[1]
    sets = kernel_sets((outputs, inputs), scheme, manifolds, rng, pom)
    members = torch.arange(outputs * inputs, dtype=torch.int32)
    shape = (max(grid.kernel), min(grid.kernel))
    if grid.transposed:
        channel = np.broadcast_to(np.arange(inputs), (outputs, inputs))
    else:
        group = np.arange(outputs) // (outputs // grid.groups)
        channel = group[:, None] * inputs + np.arange(inputs)

    def stored(values: NDArray[np.int64], dtype: torch.dtype = torch.int32) -> Tensor:
        return _tensor((values.T if grid.transposed else values).ravel(), dtype)

    return WeightView(
        batches=[ComponentBatch(shape, members, None, grid.kernel)],
        manifold=stored(sets.manifold, torch.uint8),
        pom=stored(sets.pom),
        labels=sets.labels,
        fan_in=area * (inputs // grid.groups if grid.transposed else inputs),
        fan_out=area * (outputs * grid.groups if grid.transposed else outputs),
        outputs=outputs * grid.groups if grid.transposed else outputs,
        channels=grid.channels,
        reads=(members, stored(channel)),
    )


@dataclass(frozen=True)
class _Placed:
    """A block with the positions of its entries in the flattened weight, inputs x outputs."""

    block: Block
    positions: NDArray[np.int64]
    channels: NDArray[np.int64]
    label: str


def _placed_blocks(
    grid: Grid, scheme: str, manifolds: int, rng: np.random.Generator
) -> list[_Placed]:
    """Cut each group's matrix into blocks."""
    # The axis that the groups split is the first in storage, whichever it is.
    outputs = grid.outputs if grid.transposed else grid.outputs // grid.groups
    inputs = grid.inputs // grid.groups if grid.transposed else grid.inputs
    placed = []
    for group in range(grid.groups):
        name = grid.parts[group] if grid.parts else f"group {group}"
        for block in block_sets((outputs, inputs), scheme, manifolds, rng):
            rows, columns = block.outputs[None, :], block.inputs[:, None]
            if grid.transposed:
                positions = (columns + group * inputs) * outputs + rows
            else:
                positions = (rows + group * outputs) * inputs + columns
            label = f"{name}, {block.label}" if grid.groups > 1 else block.label
            placed.append(_Placed(block, positions, block.inputs + group * inputs, label))
    return placed


def _batches_of(positions: Sequence[NDArray[np.int64]]) -> list[ComponentBatch]:
    tall = [p if p.shape[0] >= p.shape[1] else p.T for p in positions]
    by_shape: dict[tuple[int, int], list[int]] = {}
    for number, entries in enumerate(tall):
        by_shape.setdefault((entries.shape[0], entries.shape[1]), []).append(number)
    return [
        ComponentBatch(
            shape, _tensor(members), _tensor([tall[i] for i in members], torch.int64), shape
        )
        for shape, members in by_shape.items()
    ]


def _view_matrix(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    placed = _placed_blocks(grid, scheme, manifolds, rng)
    owner = np.array([one.block.manifold for one in placed])
    if pom == "set":
        numbers, labels = np.arange(len(placed)), [one.label for one in placed]
    else:
        used, numbers = np.unique(owner, return_inverse=True)
        labels = ["all blocks of one manifold"] * len(used)
    reader = np.concatenate([np.full(len(one.channels), i) for i, one in enumerate(placed)])
    outputs = grid.outputs * grid.groups if grid.transposed else grid.outputs
    return WeightView(
        batches=_batches_of([one.positions for one in placed]),
        manifold=_tensor(owner, torch.uint8),
        pom=_tensor(numbers),
        labels=labels,
        fan_in=grid.inputs // grid.groups if grid.transposed else grid.inputs,
        fan_out=outputs // len(grid.parts) if grid.parts else outputs,
        outputs=outputs,
        channels=grid.channels,
        reads=(_tensor(reader), _tensor(np.concatenate([one.channels for one in placed]))),
    )


def view_weight(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    """See a weight as components, and draw their sets.

    Parameters
    ----------
    grid : Grid
    scheme, manifolds, pom, rng
        As :func:`fgmanifolds.torch.schemes.kernel_sets`.
    """
    view = _view_matrix if grid.kernel == (1, 1) else _view_kernels
    return view(grid, scheme, manifolds, pom, rng)
