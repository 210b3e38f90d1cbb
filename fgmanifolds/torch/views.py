"""From a grid of kernels to components: sets are drawn, or taken from a state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.torch.components import (
    Blocks,
    ComponentBatch,
    Kernels,
    WeightView,
    kernel_places,
    stored_order,
)
from fgmanifolds.torch.layers import Grid
from fgmanifolds.torch.linked_schemes import linked_sets
from fgmanifolds.torch.schemes import block_sets, check_scheme, kernel_sets

__all__ = ["view_of_state", "view_weight"]


def _tensor(values: object, dtype: torch.dtype = torch.int32) -> Tensor:
    """Numbers in few bytes: there is one for each kernel of a model."""
    return torch.as_tensor(np.asarray(values, dtype=np.int64)).to(dtype)


# Kernels ----------------------------------------------------------------------------


def _kernel_batches(grid: Grid) -> list[ComponentBatch]:
    n = grid.groups * grid.outputs * grid.inputs
    shape = (max(grid.kernel), min(grid.kernel))
    return [Kernels(shape, torch.arange(n, dtype=torch.int32), grid.kernel)]


def _view_kernels(
    grid: Grid, scheme: str, manifolds: int, pom: str, rng: np.random.Generator
) -> WeightView:
    if grid.links is None:
        sets = kernel_sets((grid.outputs, grid.inputs), scheme, manifolds, rng, pom, grid.groups)
    else:
        sets = linked_sets(grid.links, scheme, manifolds, rng, pom)
    return WeightView(
        grid,
        _kernel_batches(grid),
        _tensor(stored_order(grid, sets.manifold), torch.uint8),
        _tensor(stored_order(grid, sets.pom)),
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


def _reads(grid: Grid, batches: list[ComponentBatch]) -> tuple[Tensor, Tensor]:
    """Pairs (component, input channel), in the order of the components."""
    components, channels = [], []
    for batch in batches:
        if isinstance(batch, Kernels):
            components.append(batch.members)
            channels.append(_tensor(kernel_places(grid)[1]))
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
    component, channel = torch.cat(components), torch.cat(channels)
    order = torch.argsort(component, stable=True)
    return component[order], channel[order]


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
