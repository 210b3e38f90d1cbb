"""One number for each component of a weight: mean squares, and multiples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fgmanifolds.torch.components import Blocks, Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native.blocks import Block, BlockSteps, Rows, blocks_of
from fgmanifolds.torch.ops.native.plain import are_whole

__all__ = ["BlockMoments", "ComponentScales"]


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
        #: Whether :class:`BlockMoments` is for it.
        self.walks = native and layer.view.lines is not None
        self._steps = _flat_steps([layer]) if self.walks else None
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


class BlockMoments:
    """Running means of gradients, and mean squares, of several layers' blocks: one pass of C++.

    Parameters
    ----------
    layers : sequence of POMLayer
        Such that :attr:`ComponentScales.walks`.
    """

    def __init__(self, layers: Sequence[POMLayer]) -> None:
        self._steps = _flat_steps(layers)
        self._sizes = [layer.view.n_components for layer in layers]
        entries = [torch.empty(n) for n in self._sizes]
        for layer, own in zip(layers, entries, strict=True):
            for batch in layer.view.batches:
                own[batch.members.long()] = float(batch.shape[0] * batch.shape[1])
        self._shares = 1 / torch.cat(entries)

    @staticmethod
    def take(columns: Sequence[Sequence[Tensor]]) -> bool:
        """Whether C++ can read all tensors of some columns, which are alike in sizes.

        Parameters
        ----------
        columns : sequence of sequence of Tensor
        """
        numels = list(map(Tensor.numel, columns[0]))
        return all(are_whole(own, numels) for own in columns)

    def average_(
        self, means: Sequence[Tensor], vectors: Sequence[Tensor], share: float
    ) -> list[Tensor]:
        """Bring means nearer to vectors; for each layer the mean squares of the latter's blocks.

        Parameters
        ----------
        means, vectors : sequence of Tensor
            One for each layer.
        share : float
            Of the new vectors in the means.
        """
        squares = self._steps.average_(means, vectors, share)
        return list(squares.mul_(self._shares).split(self._sizes))


def _flat_steps(layers: Sequence[POMLayer]) -> BlockSteps:
    """Functions that take all blocks of some layers as Euclidean ones, layer after layer."""
    found: dict[int, list[Block]] = {}
    shapes: dict[int, tuple[int, int]] = {}
    first = 0
    for i, layer in enumerate(layers):
        batches = [batch for batch in layer.view.batches if isinstance(batch, Blocks)]
        found[i], shapes[i] = [], batches[0].stored
        for batch in batches:
            rows = zip(batch.members.tolist(), blocks_of(batch), strict=True)
            found[i] += [Block(*lines, first + number, 0) for number, lines in rows]
        first += layer.view.n_components
    return BlockSteps(found, shapes, torch.ones(first))
