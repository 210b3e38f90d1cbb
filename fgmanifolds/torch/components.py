"""A layer's weight as components: kernels, or blocks of a matrix.

A convolution of shape D x C x A x B holds D C kernels of shape A x B; those of
one dimension are A x 1, those of three A x (B E). Transposed convolutions are
stored C x D. A linear layer or a 1 x 1 convolution holds a D x C matrix, cut into
blocks; packed projections are several of them. Every component is
oriented tall, so that Stiefel manifolds exist for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.torch.layers import Grid

__all__ = ["Blocks", "ComponentBatch", "Kernels", "WeightView", "kernel_places", "stored_order"]


@dataclass
class ComponentBatch:
    """The components of one layer that have the same shape.

    Attributes
    ----------
    shape : (int, int)
        Tall shape (A, B) of a component.
    members : int tensor of shape [n]
        Their numbers within the layer.
    """

    shape: tuple[int, int]
    members: Tensor

    def read(self, weight: Tensor) -> Tensor:
        """Give the components of `weight` as ``[n, A, B]``, as a view where possible."""
        raise NotImplementedError

    def write_(self, weight: Tensor, components: Tensor) -> None:
        """Store ``[n, A, B]`` components in `weight`, in its type.

        Parameters
        ----------
        weight : Tensor
        components : Tensor of shape [n, A, B]
        """
        raise NotImplementedError

    def multiply_(self, weight: Tensor, factors: Tensor) -> None:
        """Multiply each component in `weight` by its factor.

        Parameters
        ----------
        weight : Tensor
        factors : Tensor of shape [n]
        """
        self.write_(weight, self.read(weight) * factors[:, None, None])

    def select(self, rows: Tensor) -> ComponentBatch:
        """Give a batch of some of the components."""
        raise NotImplementedError


@dataclass
class Kernels(ComponentBatch):
    """All of a weight, kernel after kernel.

    Attributes
    ----------
    kernel : (int, int)
        Shape of a kernel as stored.
    """

    kernel: tuple[int, int]

    def read(self, weight: Tensor) -> Tensor:
        """As :meth:`ComponentBatch.read`."""
        kernels = weight.reshape(-1, *self.kernel)
        return kernels if self.kernel == self.shape else kernels.mT

    def write_(self, weight: Tensor, components: Tensor) -> None:
        """As :meth:`ComponentBatch.write_`.

        Parameters
        ----------
        weight : Tensor
        components : Tensor of shape [n, A, B]
        """
        kernels = components if self.kernel == self.shape else components.mT
        weight.copy_(kernels.reshape(weight.shape))

    def multiply_(self, weight: Tensor, factors: Tensor) -> None:
        """As :meth:`ComponentBatch.multiply_`, in one pass where kernels lie one after the other.

        Parameters
        ----------
        weight : Tensor
        factors : Tensor of shape [n]
        """
        if weight.is_contiguous():
            weight.view(len(factors), -1).mul_(factors[:, None])
        else:
            super().multiply_(weight, factors)

    def select(self, rows: Tensor) -> ComponentBatch:
        """As :meth:`ComponentBatch.select`."""
        if len(rows) == len(self.members):
            return self
        return SomeKernels(self.shape, self.members[rows], self.kernel, rows)

    def planes_as_rows(self, planes: Tensor, weight: Tensor) -> Tensor:
        """View planes ``[A, B, n]`` in the shape of rows of the weight's first axis.

        Parameters
        ----------
        planes : Tensor of shape [A, B, n]
        weight : Tensor
        """
        grid = planes.unflatten(2, (-1, weight.shape[1]))
        order = (2, 3, 0, 1) if self.kernel == self.shape else (2, 3, 1, 0)
        return grid.permute(order).reshape(-1, *weight.shape[1:])


@dataclass
class SomeKernels(ComponentBatch):
    """Some kernels of a weight.

    Attributes
    ----------
    kernel : (int, int)
        Shape of a kernel as stored.
    rows : int64 tensor of shape [n]
        Their numbers, kernel after kernel.
    """

    kernel: tuple[int, int]
    rows: Tensor

    def read(self, weight: Tensor) -> Tensor:
        """As :meth:`ComponentBatch.read`."""
        kernels = weight.reshape(-1, *self.kernel)[self.rows.to(weight.device)]
        return kernels if self.kernel == self.shape else kernels.mT

    def write_(self, weight: Tensor, components: Tensor) -> None:
        """As :meth:`ComponentBatch.write_`."""
        kernels = components if self.kernel == self.shape else components.mT
        every = weight.reshape(-1, *self.kernel)
        every[self.rows.to(weight.device)] = kernels.to(weight.dtype)
        if every.data_ptr() != weight.data_ptr():
            weight.copy_(every.reshape(weight.shape))


@dataclass
class Blocks(ComponentBatch):
    """Blocks of a matrix, one for each row of the indices.

    Attributes
    ----------
    rows, columns : int64 tensors of shape [n, a] and [n, b], or None
        Rows and columns of the stored matrix that each block takes; None: the only block is
        the whole weight.
    stored : (int, int)
        Shape of the weight as a matrix.
    swapped : bool
        Whether the first two axes of the weight change places first (transposed convolutions
        as one matrix).
    """

    rows: Tensor | None
    columns: Tensor | None
    stored: tuple[int, int]
    swapped: bool = False
    _by_device: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    def _indices(self, device: torch.device) -> tuple[Tensor, Tensor]:
        assert self.rows is not None
        assert self.columns is not None
        if device not in self._by_device:
            rows, columns = self.rows.to(device), self.columns.to(device)
            self._by_device[device] = rows[:, :, None], columns[:, None, :]
        return self._by_device[device]

    def places(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Rows, columns and number of each block."""
        if self.rows is None or self.columns is None:
            yield torch.arange(self.stored[0]), torch.arange(self.stored[1]), int(self.members[0])
            return
        yield from zip(self.rows, self.columns, self.members.tolist(), strict=True)

    def _wide(self) -> bool:
        if self.rows is None or self.columns is None:
            return self.stored[0] < self.stored[1]
        return self.rows.shape[1] < self.columns.shape[1]

    def read(self, weight: Tensor) -> Tensor:
        """As :meth:`ComponentBatch.read`."""
        whole = weight.transpose(0, 1) if self.swapped else weight
        matrix = whole.reshape(self.stored)
        blocks = matrix[None] if self.rows is None else matrix[self._indices(weight.device)]
        return blocks.mT if self._wide() else blocks

    def write_(self, weight: Tensor, components: Tensor) -> None:
        """As :meth:`ComponentBatch.write_`.

        Parameters
        ----------
        weight : Tensor
        components : Tensor of shape [n, A, B]
        """
        blocks = (components.mT if self._wide() else components).to(weight.dtype)
        whole = weight.transpose(0, 1) if self.swapped else weight
        if self.rows is None:
            whole.copy_(blocks.reshape(whole.shape))
        else:
            weight.view(self.stored)[self._indices(weight.device)] = blocks

    def select(self, rows: Tensor) -> ComponentBatch:
        """As :meth:`ComponentBatch.select`."""
        if len(rows) == len(self.members):
            return self
        assert self.rows is not None
        assert self.columns is not None
        own = self.members[rows], self.rows[rows], self.columns[rows]
        return Blocks(self.shape, *own, self.stored, self.swapped)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is kept for each device."""
        return {**self.__dict__, "_by_device": {}}


@dataclass
class WeightView:
    """One layer's weight as components.

    Attributes
    ----------
    grid : Grid
    batches : list of ComponentBatch
        The components by shape.
    manifold : uint8 tensor of shape [n]
        Number of each component's manifold.
    pom : int32 tensor of shape [n]
        Number of its POM in the layer.
    labels : list of str
        For each POM, the channels it belongs to.
    reads : (int tensor, int tensor)
        Pairs (component, input channel): the channels that a component reads.
    """

    grid: Grid
    batches: list[ComponentBatch]
    manifold: Tensor
    pom: Tensor
    labels: list[str]
    reads: tuple[Tensor, Tensor]

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.manifold.numel()

    @property
    def n_poms(self) -> int:
        """Number of POMs."""
        return len(self.labels)

    @cached_property
    def lines(self) -> tuple[Tensor, Tensor] | None:
        """Of a matrix in blocks, the group of each row, and the component at each group and column.

        The rows of a group are cut alike; None for kernels, and where blocks share rows in part.

        Returns
        -------
        group, component : int64 tensors of shape [rows] and [groups, columns], or None
        """
        blocks = [batch for batch in self.batches if isinstance(batch, Blocks)]
        if len(blocks) < len(self.batches) or any(batch.swapped for batch in blocks):
            return None
        height, width = blocks[0].stored
        group = torch.full((height,), -1, dtype=torch.int64)
        found: dict[bytes, int] = {}
        component: list[Tensor] = []
        for batch in blocks:
            for rows, columns, number in batch.places():
                own = found.setdefault(rows.numpy().tobytes(), len(found))
                if own == len(component):
                    if bool((group[rows] >= 0).any()):
                        return None
                    group[rows] = own
                    component.append(torch.full((width,), -1, dtype=torch.int64))
                component[own][columns] = number
        table = torch.stack(component)
        return None if bool((group < 0).any() or (table < 0).any()) else (group, table)

    def cells(self) -> list[list[tuple[int, int]]]:
        """For each POM, the (output, input) channels of the layer that its weights connect."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.labels]
        grid = self.grid
        for batch in self.batches:
            poms = self.pom[batch.members].tolist()
            if isinstance(batch, Kernels):
                outputs, inputs = kernel_places(grid)
                for pom, d, c in zip(poms, outputs.tolist(), inputs.tolist(), strict=True):
                    found[pom].append((d, c))
            else:
                assert isinstance(batch, Blocks)
                for pom, cells in zip(poms, block_places(grid, batch), strict=True):
                    found[pom].extend(cells)
        return [sorted(cells) for cells in found]

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Sets as plain data and tensors, for :func:`fgmanifolds.torch.views.view_of_state`."""
        blocks = [
            {"shape": tuple(b.shape), "members": b.members, "rows": b.rows, "columns": b.columns}
            for b in self.batches
            if isinstance(b, Blocks)
        ]
        sets = {"manifold": self.manifold, "pom": self.pom, "labels": list(self.labels)}
        return {**sets, "blocks": blocks}


def stored_order(grid: Grid, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values (D, C / groups) in the order of the weight's kernels.

    Parameters
    ----------
    grid : Grid
    values : array of int, shape (D, C / groups)
    """
    split = values.reshape(grid.groups, grid.outputs, grid.inputs)
    return (split.swapaxes(1, 2) if grid.transposed else split).ravel()


def kernel_places(grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Output and input channel of each kernel, in the order of storage."""
    g, d, c = np.indices((grid.groups, grid.outputs, grid.inputs))
    inputs = grid.channel(g, c) if grid.links is None else grid.links
    return stored_order(grid, g * grid.outputs + d), stored_order(grid, inputs)


def block_places(grid: Grid, batch: Blocks) -> list[list[tuple[int, int]]]:
    """The (output, input) channels of each block of a batch."""
    if batch.rows is None or batch.columns is None:
        outputs, inputs = kernel_places(grid)
        return [list(zip(outputs.tolist(), inputs.tolist(), strict=True))]
    found = []
    each = batch.stored[0] // grid.groups
    for rows, columns in zip(batch.rows.numpy(), batch.columns.numpy(), strict=True):
        group, inside = rows[0] // each, rows % each
        outputs, inputs = (columns, inside) if grid.transposed else (inside, columns)
        outputs, inputs = group * grid.outputs + outputs, grid.channel(group, inputs)
        found.append([(int(d), int(c)) for d in outputs for c in inputs])
    return found
