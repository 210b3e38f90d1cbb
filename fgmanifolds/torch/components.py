"""A layer's weight as components: kernels, or blocks of a matrix.

A convolution of shape D x C x A x B holds D C kernels of shape A x B; those of
one dimension are A x 1, those of three A x (B E). Transposed convolutions are
stored C x D. A linear layer or a 1 x 1 convolution holds a D x C matrix, cut into
blocks; packed projections are several of them. Every component is
oriented tall, so that Stiefel manifolds exist for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.torch.layers import Grid
from fgmanifolds.torch.schemes import block_sets, check_scheme, kernel_sets

__all__ = ["Blocks", "ComponentBatch", "Kernels", "WeightView", "view_weight"]


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
        """Store ``[n, A, B]`` components in `weight`, in its type."""
        raise NotImplementedError

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
        """As :meth:`ComponentBatch.write_`."""
        kernels = components if self.kernel == self.shape else components.mT
        weight.copy_(kernels.reshape(weight.shape))

    def select(self, rows: Tensor) -> ComponentBatch:
        """As :meth:`ComponentBatch.select`."""
        if len(rows) == len(self.members):
            return self
        return SomeKernels(self.shape, self.members[rows], self.kernel, rows)

    def planes_as_rows(self, planes: Tensor, weight: Tensor) -> Tensor:
        """View planes ``[A, B, n]`` in the shape of rows of the weight's first axis."""
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
        """As :meth:`ComponentBatch.write_`."""
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
        return len(self.manifold)

    @property
    def n_poms(self) -> int:
        """Number of POMs."""
        return len(self.labels)

    def cells(self) -> list[list[tuple[int, int]]]:
        """For each POM, the (output, input) channels of the layer that its weights connect."""
        found: list[list[tuple[int, int]]] = [[] for _ in self.labels]
        grid = self.grid
        for batch in self.batches:
            poms = self.pom[batch.members].tolist()
            if isinstance(batch, Kernels):
                outputs, inputs = _kernel_places(grid)
                for pom, d, c in zip(poms, outputs.tolist(), inputs.tolist(), strict=True):
                    found[pom].append((d, c))
            else:
                assert isinstance(batch, Blocks)
                for pom, cells in zip(poms, _block_places(grid, batch), strict=True):
                    found[pom].extend(cells)
        return [sorted(cells) for cells in found]

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Sets as plain data and tensors, for :func:`view_of_state`."""
        blocks = [
            {"shape": tuple(b.shape), "members": b.members, "rows": b.rows, "columns": b.columns}
            for b in self.batches
            if isinstance(b, Blocks)
        ]
        sets = {"manifold": self.manifold, "pom": self.pom, "labels": list(self.labels)}
        return {**sets, "blocks": blocks}


def _tensor(values: object, dtype: torch.dtype = torch.int32) -> Tensor:
    """Numbers in few bytes: there is one for each kernel of a model."""
    return torch.as_tensor(np.asarray(values, dtype=np.int64)).to(dtype)


# Kernels ----------------------------------------------------------------------------


def _stored(grid: Grid, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values (D, C / groups) in the order of the weight's kernels."""
    split = values.reshape(grid.groups, grid.outputs, grid.inputs)
    return (split.swapaxes(1, 2) if grid.transposed else split).ravel()


def _kernel_places(grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Output and input channel of each kernel, in the order of storage."""
    g, d, c = np.indices((grid.groups, grid.outputs, grid.inputs))
    places = g * grid.outputs + d, grid.channel(g, c)
    return _stored(grid, places[0]), _stored(grid, places[1])


def _kernel_batches(grid: Grid) -> list[ComponentBatch]:
    n = grid.groups * grid.outputs * grid.inputs
    shape = (max(grid.kernel), min(grid.kernel))
    return [Kernels(shape, torch.arange(n, dtype=torch.int32), grid.kernel)]


def _view_kernels(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    sets = kernel_sets((grid.outputs, grid.inputs), scheme, manifolds, rng, pom, grid.groups)
    return WeightView(
        grid,
        _kernel_batches(grid),
        _tensor(_stored(grid, sets.manifold), torch.uint8),
        _tensor(_stored(grid, sets.pom)),
        sets.labels,
        _reads(grid, _kernel_batches(grid)),
    )


# Blocks -----------------------------------------------------------------------------


def _stored_matrix(grid: Grid) -> tuple[int, int]:
    """Shape of the weight as a matrix: groups follow each other along the first axis."""
    first, second = (grid.inputs, grid.outputs) if grid.transposed else (grid.outputs, grid.inputs)
    return grid.groups * first, second


def _whole(grid: Grid) -> tuple[tuple[int, int], bool]:
    """Shape of each group's whole weight as outputs x (inputs times kernel), and if axes swap."""
    area = grid.kernel[0] * grid.kernel[1]
    swapped = grid.transposed and grid.groups == 1
    if grid.transposed and grid.groups > 1:
        # Outputs of different groups stand beside each other in storage: rows are inputs.
        return (grid.groups * grid.inputs, grid.outputs * area), False
    outputs = grid.outputs * (1 if grid.parts else grid.groups)
    return (outputs, grid.inputs * area), swapped


def _tall(shape: tuple[int, int]) -> tuple[int, int]:
    return max(shape), min(shape)


def _view_tensor(grid: Grid) -> WeightView:
    """The whole weight as one component, or each packed matrix as one."""
    (rows, columns), swapped = _whole(grid)
    if grid.parts:
        n = len(grid.parts)
        index = torch.arange(n * rows).reshape(n, rows)
        every = torch.arange(columns).expand(n, columns).contiguous()
        members = torch.arange(n, dtype=torch.int32)
        batch = Blocks(_tall((rows, columns)), members, index, every, (n * rows, columns))
        labels = [f"{part}, whole" for part in grid.parts]
    else:
        members, labels = torch.zeros(1, dtype=torch.int32), ["whole weight"]
        batch = Blocks(_tall((rows, columns)), members, None, None, (rows, columns), swapped)
    kinds = torch.zeros(len(labels), dtype=torch.uint8)
    poms = torch.arange(len(labels), dtype=torch.int32)
    return WeightView(grid, [batch], kinds, poms, labels, _reads(grid, [batch]))


def _view_matrix(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    first, second = _stored_matrix(grid)
    by_shape: dict[tuple[int, int], list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]] = {}
    owners: list[int] = []
    labels: list[str] = []
    groups = block_sets((grid.outputs, grid.inputs), scheme, manifolds, rng, grid.groups)
    for group, blocks in enumerate(groups):
        name = grid.parts[group] if grid.parts else f"group {group}"
        for block in blocks:
            rows, columns = block.outputs, block.inputs
            if grid.transposed:
                rows, columns = columns, rows
            rows = rows + group * (first // grid.groups)
            entry = len(owners), rows, columns
            by_shape.setdefault((len(rows), len(columns)), []).append(entry)
            owners.append(block.manifold)
            labels.append(f"{name}, {block.label}" if grid.groups > 1 else block.label)
    batches: list[ComponentBatch] = []
    for shape, entries in by_shape.items():
        numbers, rows_of, columns_of = zip(*entries, strict=True)
        rows_index = _tensor(np.stack(rows_of), torch.int64)
        columns_index = _tensor(np.stack(columns_of), torch.int64)
        members = _tensor(numbers)
        batches.append(Blocks(_tall(shape), members, rows_index, columns_index, (first, second)))
    poms = np.arange(len(owners))
    if pom == "manifold":
        used, poms = np.unique(owners, return_inverse=True)
        labels = ["all blocks of one manifold"] * len(used)
    reads = _reads(grid, batches)
    return WeightView(grid, batches, _tensor(owners, torch.uint8), _tensor(poms), labels, reads)


def _block_places(grid: Grid, batch: Blocks) -> list[list[tuple[int, int]]]:
    """The (output, input) channels of each block of a batch."""
    if batch.rows is None or batch.columns is None:
        outputs, inputs = _kernel_places(grid)
        return [list(zip(outputs.tolist(), inputs.tolist(), strict=True))]
    found = []
    each = batch.stored[0] // grid.groups
    for rows, columns in zip(batch.rows.numpy(), batch.columns.numpy(), strict=True):
        group, inside = rows[0] // each, rows % each
        outputs, inputs = (columns, inside) if grid.transposed else (inside, columns)
        outputs, inputs = group * grid.outputs + outputs, grid.channel(group, inputs)
        found.append([(int(d), int(c)) for d in outputs for c in inputs])
    return found


def _reads(grid: Grid, batches: list[ComponentBatch]) -> tuple[Tensor, Tensor]:
    """Pairs (component, input channel)."""
    components, channels = [], []
    for batch in batches:
        if isinstance(batch, Kernels):
            components.append(batch.members)
            channels.append(_tensor(_kernel_places(grid)[1]))
            continue
        assert isinstance(batch, Blocks)
        if batch.rows is None or batch.columns is None:
            every = torch.arange(grid.channels, dtype=torch.int32)
            components.append(torch.zeros_like(every))
            channels.append(every)
            continue
        each = batch.stored[0] // grid.groups
        group = batch.rows[:, :1] // each
        inputs = grid.channel(group, batch.rows % each if grid.transposed else batch.columns)
        components.append(batch.members[:, None].expand_as(inputs).flatten())
        channels.append(inputs.flatten().to(torch.int32))
    return torch.cat(components), torch.cat(channels)


# Both -------------------------------------------------------------------------------


def view_weight(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    """See a weight as components, and draw their sets.

    Parameters
    ----------
    grid : Grid
    scheme, manifolds, pom, rng
        As :func:`fgmanifolds.torch.schemes.kernel_sets` takes them; ``"tensor"`` takes the
        whole weight, flattened to outputs x (inputs times kernel), as one component.
    """
    check_scheme(scheme, manifolds)
    if scheme == "tensor":
        return _view_tensor(grid)
    view = _view_matrix if grid.kernel == (1, 1) else _view_kernels
    return view(grid, scheme, manifolds, pom, rng)


def view_of_state(view: WeightView, state: Mapping[str, Any]) -> WeightView:
    """Give the view of the same grid with the sets of a state.

    Parameters
    ----------
    view : WeightView
        Made with the same options.
    state : mapping
        From :meth:`WeightView.state_dict`.
    """
    batches = view.batches
    if state["blocks"]:
        like = next(batch for batch in batches if isinstance(batch, Blocks))
        batches = [
            Blocks(
                tuple(one["shape"]),
                one["members"].cpu(),
                None if one["rows"] is None else one["rows"].cpu(),
                None if one["columns"] is None else one["columns"].cpu(),
                like.stored,
                like.swapped,
            )
            for one in state["blocks"]
        ]
    manifold, pom = state["manifold"].cpu(), state["pom"].cpu()
    reads = _reads(view.grid, batches)
    return WeightView(view.grid, batches, manifold, pom, list(state["labels"]), reads)
