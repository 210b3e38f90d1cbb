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
        self._members: list[Tensor] | None = None
        self._flat: Tensor | None = layer.is_euclidean.float() if layer.is_euclidean.any() else None
        walk = native and layer.view.lines is not None
        self._steps = _flat_steps(self._batches, self._n) if walk else None
        (first, *others) = self._batches
        #: Entries of a component, if components lie in storage one after the other, in order.
        self._entries = None
        if isinstance(first, Kernels) and not others:
            self._entries = first.shape[0] * first.shape[1]
        self._shares: Tensor | None = None
        #: For small kernels in C++.
        self.rows = Rows(first.members, self._entries) if native and self._entries else None

    def _members_on(self, device: torch.device) -> list[Tensor]:
        """Numbers of the components of each batch; brought to a device once."""
        if self._members is None or self._members[0].device != device:
            self._members = [batch.members.long().to(device) for batch in self._batches]
        return self._members

    def mean_squares(self, tensor: Tensor, kind: torch.dtype) -> Tensor:
        """Mean of the squared entries of each component, shape [n], in a floating type.

        Parameters
        ----------
        tensor : Tensor
        kind : torch.dtype
        """
        own = None if self._steps is None else self._steps.take([tensor])
        if self._steps is not None and own is not None:
            sums = self._steps.project(own, own).to(kind)
            for batch, members in zip(self._batches, self._members_on(sums.device), strict=True):
                sums[members] /= batch.shape[0] * batch.shape[1]
            return sums
        if self._entries is not None:
            return self._means_of_rows(tensor.reshape(-1, self._entries).to(kind))
        means = tensor.new_empty(self._n, dtype=kind)
        for batch, members in zip(self._batches, self._members_on(tensor.device), strict=True):
            means[members] = self._means_of_rows(batch.read(tensor).flatten(1).to(kind))
        return means

    def _means_of_rows(self, rows: Tensor) -> Tensor:
        """Mean squares of rows, as a product with shares: torch sums a few numbers slowly."""
        shares, n = self._shares, rows.shape[1]
        if shares is None or (len(shares), shares.dtype, shares.device) != (
            n,
            rows.dtype,
            rows.device,
        ):
            shares = self._shares = rows.new_full((n,), 1 / n)
        return rows.square() @ shares

    def scaled(self, tensor: Tensor, factor: Tensor) -> Tensor:
        """The tensor with each component times its factor.

        Parameters
        ----------
        tensor : Tensor
        factor : Tensor
        """
        if self.rows is not None and self.rows.take(tensor):
            return self.rows.scaled(tensor, factor)
        if self._steps is not None and self._steps.take([tensor]) is not None:
            out = torch.zeros_like(tensor)
            self._steps.add_([out], [tensor], factor)
            return out
        if self._entries is not None:
            own = factor.to(tensor.dtype)
            return (tensor.reshape(-1, self._entries) * own[:, None]).reshape(tensor.shape)
        out = torch.empty_like(tensor)
        for batch, members in zip(self._batches, self._members_on(tensor.device), strict=True):
            own = factor.to(tensor.dtype)[members]
            batch.write_(out, batch.read(tensor) * own[:, None, None])
        return out

    def shrink_(self, tensor: Tensor, share: float | Tensor) -> None:
        """Take a share off the Euclidean components, in place.

        Parameters
        ----------
        tensor : Tensor
        share : float or tensor of one element
        """
        if self._flat is None:
            return
        if self._flat.device != tensor.device:
            self._flat = self._flat.to(tensor.device)
        tensor.copy_(self.scaled(tensor, 1 - share * self._flat))


def _flat_steps(batches: list[ComponentBatch], n: int) -> BlockSteps:
    """Functions that take all blocks of a matrix as Euclidean ones."""
    blocks = [batch for batch in batches if isinstance(batch, Blocks)]
    found = [
        Block(rows, columns, number, 0)
        for batch in blocks
        for number, (rows, columns) in zip(batch.members.tolist(), blocks_of(batch), strict=True)
    ]
    return BlockSteps({0: found}, {0: blocks[0].stored}, torch.ones(n))
