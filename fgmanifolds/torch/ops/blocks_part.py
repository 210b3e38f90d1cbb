"""Blocks of linear layers and 1 x 1 convolutions, walked in place by C++."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.torch.components import Blocks
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native.blocks import KINDS, Block, BlockSteps, blocks_of
from fgmanifolds.torch.ops.parts import BatchedPart, Part, Source

__all__ = ["WALKED", "BlocksPart", "can_walk"]

#: Manifolds whose blocks are walked.
WALKED = tuple(KINDS)


def can_walk(layer: POMLayer, retraction: str) -> bool:
    """Whether :class:`BlocksPart` is for the blocks of a layer, and for a retraction.

    Parameters
    ----------
    layer : POMLayer
    retraction : str
    """
    return retraction != "exp" and layer.view.lines is not None


class BlocksPart(Part):
    """Blocks of any shapes on spheres, oblique manifolds, and Euclidean ones.

    Where a weight or a direction is not dense, the way through torch is taken.

    Parameters
    ----------
    parts : sequence of (str, list of Source)
        Manifolds with their blocks of one shape each.
    retraction : str
    layers, offsets, like
        As :class:`~fgmanifolds.torch.ops.parts.Part` takes them.

    Raises
    ------
    NativeBuildError
        If the functions cannot be compiled.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, list[Source]]],
        retraction: str,
        layers: Sequence[POMLayer],
        offsets: Sequence[int],
        like: Tensor,
    ) -> None:
        super().__init__([one for _, own in parts for one in own], layers, offsets, like)
        self._parts = [
            BatchedPart(name, retraction, True, own, layers, offsets, like) for name, own in parts
        ]
        lengths = [len(part.radius) for part in self._parts]
        self._rows = [slice(end - n, end) for n, end in zip(lengths, _ends(lengths), strict=True)]
        curved = torch.tensor([name != "euclidean" for name, _ in parts])
        self._is_curved = curved.repeat_interleave(torch.tensor(lengths))
        shapes = {one.position: one.batch.stored for one in self.sources}  # type: ignore[attr-defined]
        self._steps = BlockSteps(_blocks(parts), shapes, self.radius)
        self._seen: tuple[list[Tensor], list[Tensor]] | None = None

    @property
    def _curved(self) -> Tensor | bool:
        return self._is_curved

    def _by_parts(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values))

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Not here: the blocks have several shapes."""
        raise NotImplementedError("blocks of several shapes are gathered by their parts.")

    def by_manifold(self) -> Iterator[tuple[str, Any]]:
        """As :meth:`Part.by_manifold`."""
        for part, rows in zip(self._parts, self._rows, strict=True):
            for name, _ in part.by_manifold():
                yield name, rows

    def distance(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.distance`."""
        return self._by_parts([part.distance(weights, others) for part in self._parts])

    def violation(self, weights: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.violation`."""
        return self._by_parts([part.violation(weights) for part in self._parts])

    def squares(self, tensors: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.squares`."""
        return self._by_parts([part.squares(tensors) for part in self._parts])

    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """As :meth:`Part.tangents_`."""
        for part in self._parts:
            part.tangents_(weights, vectors)

    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.project`."""
        own, towards = self._steps.take(weights), self._steps.take(directions)
        if own is None or towards is None:
            self._seen = None
            return self._by_parts([part.project(weights, directions) for part in self._parts])
        self._seen = own, towards
        self._squares = self._steps.project(own, towards)
        return self._squares

    def move_(self, weights: Sequence[Tensor], move: Tensor) -> None:
        """As :meth:`Part.move_`."""
        if self._seen is None:
            for part, rows in zip(self._parts, self._rows, strict=True):
                part.move_(weights, move[rows])
            return
        (own, _), self._seen = self._seen, None
        self._steps.move_(own, self._bounded(move)[0])


def _ends(lengths: Sequence[int]) -> list[int]:
    return [sum(lengths[: i + 1]) for i in range(len(lengths))]


def _blocks(parts: Sequence[tuple[str, list[Source]]]) -> dict[int, list[Block]]:
    """Blocks by layer, numbered in the order of the parts."""
    found: dict[int, list[Block]] = {}
    number = 0
    for name, sources in parts:
        for one in sources:
            assert isinstance(one.batch, Blocks)
            for rows, columns in blocks_of(one.batch):
                kind = KINDS[name][len(rows) < len(columns)]
                found.setdefault(one.position, []).append(Block(rows, columns, number, kind))
                number += 1
    return found
