"""Small kernels of the built-in manifolds as planes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fgmanifolds.torch.components import ComponentBatch, Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.ops.parts import Part, Source
from fgmanifolds.torch.ops.planes import Masks

__all__ = ["PlanesPart", "Scratch", "cut", "pack"]


@dataclass
class Scratch:
    """What the parts in planes of one shape share.

    Attributes
    ----------
    names : list of str
        Manifolds that may occur.
    memory : tensor of shape [2, A, B, n]
        Planes that weights and directions are copied to.
    compiled : planes.Compiled or None
        Projection and move through ``torch.compile``.
    """

    names: list[str]
    memory: Tensor
    compiled: planes.Compiled | None


class PlanesPart(Part):
    """Small kernels of any of the built-in manifolds, as planes."""

    def __init__(self, scratch: Scratch, *args: Any) -> None:
        super().__init__(*args)
        layers: Sequence[POMLayer] = args[1]
        self._shared = scratch
        kinds = [layers[one.position] for one in self.sources]
        numbers = [
            _kinds(layer)[one.members.long()]
            for layer, one in zip(kinds, self.sources, strict=True)
        ]
        self.kinds = torch.cat(numbers).to(self.radius.device)
        self._planes = scratch.memory[..., : len(self.radius)]
        self._layers = kinds
        self._w, self._u = (self._views(part) for part in self._planes)
        self._masks: Masks | None = None

    @property
    def masks(self) -> Masks:
        """Masks of the manifolds; of one manifold only, they take no memory."""
        if len(self._shared.names) > 1:
            return Masks.of(self.kinds, self.radius.dtype)
        one = Masks.of(self.kinds[:1], self.radius.dtype)
        return Masks(*(mask.expand_as(self.kinds) for mask in one))

    @property
    def _curved(self) -> Tensor | bool:
        return self.kinds != KINDS.index("euclidean")

    def by_manifold(self) -> Iterator[tuple[str, Any]]:
        """As :meth:`Part.by_manifold`."""
        for number, name in enumerate(KINDS):
            rows = torch.nonzero(self.kinds == number)[:, 0]
            if len(rows):
                yield name, rows

    def _views(self, part: Tensor) -> list[Tensor]:
        """Parts of some planes, in the shapes that the sources read and write."""
        views = []
        pairs = zip(self.split(part.permute(2, 0, 1)), self._layers, strict=True)
        for (one, own), layer in pairs:
            assert isinstance(one.batch, Kernels)
            views.append(one.batch.planes_as_rows(own.permute(1, 2, 0), layer.weight))
        return views

    def _rows(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensors[one.position][one.rows] for one in self.sources]

    def _read_(self, views: list[Tensor], tensors: Sequence[Tensor]) -> None:
        torch._foreach_copy_(views, self._rows(tensors))

    def _write_(self, tensors: Sequence[Tensor], views: list[Tensor]) -> None:
        for rows, view in zip(self._rows(tensors), views, strict=True):
            rows.copy_(view)

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.gather`."""
        own = torch.empty_like(self._planes[0])
        self._read_(self._views(own), tensors)
        return own.permute(2, 0, 1)

    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """As :meth:`Part.tangents_`."""
        self._read_(self._w, weights)
        self._read_(self._u, vectors)
        w, u = map(planes.columns_of, self._planes)
        planes.project_(w, u, self.masks, self.radius, self._shared.names)
        self._write_(vectors, self._u)

    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.project`."""
        self._read_(self._w, weights)
        self._read_(self._u, directions)
        if self._shared.compiled is not None:
            w, u = map(planes.columns_of, self._shared.memory)
            squares = self._shared.compiled.project(w, u, *self._padded())
            self._squares = squares[: len(self.radius)]
            return self._squares
        w, u = map(planes.columns_of, self._planes)
        self._masks = self.masks
        planes.project_(w, u, self._masks, self.radius, self._shared.names)
        self._squares = planes.squared_norm(u)
        return self._squares

    def move_(self, weights: Sequence[Tensor], move: Tensor) -> None:
        """As :meth:`Part.move_`."""
        move, longest = self._bounded(move)
        passes = 3 if longest is None else planes.passes_for(longest)
        if self._shared.compiled is not None:
            w, u = map(planes.columns_of, self._shared.memory)
            missing = (0, w[0][0].numel() - len(move))
            self._shared.compiled.move(passes)(w, u, *self._padded(), F.pad(move, missing))
        else:
            w, u = map(planes.columns_of, self._planes)
            masks = self.masks if self._masks is None else self._masks
            planes.move_(w, u, masks, self.radius, self._shared.names, move, passes=passes)
            self._masks = None
        self._write_(weights, self._w)

    def _padded(self) -> tuple[Tensor, Tensor]:
        """Kinds and radii for the whole memory, so that all parts have one shape."""
        missing = (0, self._shared.memory.shape[-1] - len(self.radius))
        # Bytes are slow there.
        kinds = F.pad(self.kinds.to(torch.int32), missing)
        return kinds, F.pad(self.radius, missing, value=1.0)


def _kinds(layer: POMLayer) -> Tensor:
    """Number of each component's manifold among :data:`KINDS`."""
    numbers = [KINDS.index(name) for name in layer.manifolds]
    return torch.tensor(numbers, dtype=torch.uint8)[layer.view.manifold.long()]


def cut(position: int, batch: ComponentBatch, weight: Tensor, size: int) -> list[Source]:
    """Cut kernels, at rows of their weight, into sources of about `size` components.

    Parameters
    ----------
    position : int
    batch : ComponentBatch
    weight : Tensor
    size : int
    """
    rows = len(weight)
    each = len(batch.members) // rows
    step = max(1, size // each)
    sources = []
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        members = batch.members[start * each : stop * each]
        sources.append(Source(position, batch, slice(start, stop), members))
    return sources


def pack(sources: Iterable[Source], size: int) -> list[list[Source]]:
    """Put sources together to packs of about `size` components.

    Parameters
    ----------
    sources : Iterable[Source]
    size : int
    """
    packs: list[list[Source]] = [[]]
    filled = 0
    for one in sources:
        if packs[-1] and filled + len(one.members) > size:
            packs.append([])
            filled = 0
        packs[-1].append(one)
        filled += len(one.members)
    return packs
