"""One number for each component of a weight: mean squares, and multiples."""

from __future__ import annotations

import torch
from torch import Tensor

from fgmanifolds.torch.components import Blocks, ComponentBatch, Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native.blocks import Block, BlockSteps, Rows, blocks_of

__all__ = ["ComponentScales"]


class ComponentScales:
    """Of the components of one layer.

    Parameters
    ----------
    layer : POMLayer
    native : bool
        Whether float32 tensors on the CPU go through C++.
    """

    def __init__(self, layer: POMLayer, *, native: bool) -> None:
        self._batches, self._n = layer.view.batches, layer.view.n_components
        walk = native and layer.view.lines is not None
        self._steps = _flat_steps(self._batches, self._n) if walk else None
        (first, *others) = self._batches
        rows = native and isinstance(first, Kernels) and not others
        self._rows = Rows(first.members, first.shape[0] * first.shape[1]) if rows else None

    def mean_squares(self, tensor: Tensor, kind: torch.dtype) -> Tensor:
        """Mean of the squared entries of each component, shape [n], in a floating type.

        Parameters
        ----------
        tensor : Tensor
        kind : torch.dtype
        """
        if self._rows is not None and self._rows.take(tensor):
            return self._rows.mean_squares(tensor).to(kind)
        own = None if self._steps is None else self._steps.take([tensor])
        if self._steps is not None and own is not None:
            sums = self._steps.project(own, own).to(kind)
            for batch in self._batches:
                sums[batch.members.long()] /= batch.shape[0] * batch.shape[1]
            return sums
        means = tensor.new_empty(self._n, dtype=kind)
        for batch in self._batches:
            entries = batch.shape[0] * batch.shape[1]
            if isinstance(batch, Kernels):
                flat = tensor.reshape(-1, entries)
            else:
                flat = batch.read(tensor).flatten(1)
            # As a product with ones: sums of a few numbers each are twice as slow.
            squares = flat.to(kind).square()
            share = squares.new_full((entries,), 1 / entries)
            means[batch.members.long().to(tensor.device)] = squares @ share
        return means

    def scaled(self, tensor: Tensor, factor: Tensor) -> Tensor:
        """The tensor with each component times its factor.

        Parameters
        ----------
        tensor : Tensor
        factor : Tensor
        """
        if self._rows is not None and self._rows.take(tensor):
            return self._rows.scaled(tensor, factor)
        if self._steps is not None and self._steps.take([tensor]) is not None:
            out = torch.zeros_like(tensor)
            self._steps.add_([out], [tensor], factor)
            return out
        (first, *others) = self._batches
        if isinstance(first, Kernels) and not others:
            own = factor.to(tensor.dtype)[first.members.long().to(tensor.device)]
            flat = tensor.reshape(len(own), -1) * own[:, None]
            return flat.reshape(tensor.shape)
        out = tensor.clone(memory_format=torch.preserve_format)
        for batch in self._batches:
            own = factor.to(tensor.dtype)[batch.members.long().to(tensor.device)]
            batch.write_(out, batch.read(tensor) * own[:, None, None])
        return out


def _flat_steps(batches: list[ComponentBatch], n: int) -> BlockSteps:
    """Functions that take all blocks of a matrix as Euclidean ones."""
    blocks = [batch for batch in batches if isinstance(batch, Blocks)]
    found = [
        Block(rows, columns, number, 0)
        for batch in blocks
        for number, (rows, columns) in zip(batch.members.tolist(), blocks_of(batch), strict=True)
    ]
    return BlockSteps({0: found}, {0: blocks[0].stored}, torch.ones(n))
