"""Components of one shape, from many layers, put together for one operation."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fgmanifolds.torch.components import ComponentBatch, Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops.manifolds import KINDS, OPS
from fgmanifolds.torch.ops.planes import Masks

__all__ = ["BatchedPart", "Part", "PlanesPart", "Scratch", "Source", "cut", "pack"]


@dataclass
class Source:
    """Some components of one layer: where a part reads and writes them.

    Attributes
    ----------
    position : int
        Number of the layer.
    batch : ComponentBatch
    rows : slice
        Rows of the weight's first axis that are read; all, unless kernels are cut into planes.
    members : int tensor
        Numbers of the components within the layer.
    """

    position: int
    batch: ComponentBatch
    rows: slice
    members: Tensor


class Part(abc.ABC):
    """Components of one shape, from several layers, handled together.

    Parameters
    ----------
    sources : list of Source
    layers : sequence of POMLayer
    offsets : sequence of int
        Number of the first POM of each layer.
    like : Tensor
        Of the device and the type that is computed in.
    """

    def __init__(
        self,
        sources: list[Source],
        layers: Sequence[POMLayer],
        offsets: Sequence[int],
        like: Tensor,
    ) -> None:
        self.sources = sources
        pairs = [(layers[one.position], one.members.long()) for one in sources]
        poms = [
            layer.view.pom[own] + offsets[one.position]
            for one, (layer, own) in zip(sources, pairs, strict=True)
        ]
        self.radius = torch.cat([layer.radius[own] for layer, own in pairs]).to(like)
        self.pom = torch.cat(poms).to(like.device, torch.int32)
        self._squares = self.radius

    @property
    def scale(self) -> Tensor:
        """Radii in a form that broadcasts against the components."""
        return self.radius[:, None, None]

    def split(self, values: Tensor) -> Iterator[tuple[Source, Tensor]]:
        """Give each source with its rows of `values`."""
        start = 0
        for one in self.sources:
            stop = start + len(one.members)
            yield one, values[start:stop]
            start = stop

    @abc.abstractmethod
    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Components ``[n, A, B]`` of the weight-shaped `tensors`, one for each layer."""

    @abc.abstractmethod
    def by_manifold(self) -> Iterator[tuple[str, Any]]:
        """Manifolds of the part, each with the index of its rows."""

    @abc.abstractmethod
    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """Project vectors of the weights' shapes on the tangent spaces, in place.

        Parameters
        ----------
        weights, vectors : sequence of Tensor
        """

    @abc.abstractmethod
    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """Project directions and keep them for :meth:`move_`; their squared norms, shape [n].

        Parameters
        ----------
        weights, directions : sequence of Tensor
        """

    @abc.abstractmethod
    def move_(self, weights: Sequence[Tensor], move: Tensor) -> None:
        """Move by `move` (shape [n]) times what :meth:`project` kept, and retract.

        Parameters
        ----------
        weights : sequence of Tensor
        move : Tensor of shape [n]
        """

    @property
    def _curved(self) -> Tensor | bool:
        """Whether each component, or every one, is curved."""
        return True

    def _bounded(self, move: Tensor) -> tuple[Tensor, float | None]:
        """Moves of curved components up to a length of LONGEST radii, and the largest length.

        Only on the CPU does a look at that not make anybody wait; elsewhere it is None.
        """
        turn = planes.turns(move, self.radius, self._squares)
        longest = float(turn.max()) if turn.device.type == "cpu" else None
        if longest is not None and longest <= planes.LONGEST:
            return move, longest
        far = torch.where(torch.as_tensor(self._curved), (planes.LONGEST / turn).clamp(max=1), 1.0)
        return move * far, longest

    def distance(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Distances of components, or upper bounds of them, shape [n].

        Parameters
        ----------
        weights, others : sequence of Tensor
        """
        unit, other = self.gather(weights) / self.scale, self.gather(others) / self.scale
        found = torch.empty_like(self.radius)
        for name, rows in self.by_manifold():
            found[rows] = OPS[name].distance(unit[rows], other[rows])
        return found * self.radius

    def violation(self, weights: Sequence[Tensor]) -> Tensor:
        """Relative distance of each component from its manifold, shape [n]."""
        unit = self.gather(weights) / self.scale
        found = torch.empty_like(self.radius)
        for name, rows in self.by_manifold():
            found[rows] = OPS[name].violation(unit[rows])
        return found

    def squares(self, tensors: Sequence[Tensor]) -> Tensor:
        """Squared norms of the components of weight-shaped tensors, shape [n]."""
        return self.gather(tensors).square().sum((1, 2))


class BatchedPart(Part):
    """Matrices of any size on one manifold."""

    def __init__(self, manifold: str, retraction: str, *args: Any) -> None:
        super().__init__(*args)
        self._name, self._retraction = manifold, retraction
        self._kept: tuple[Tensor, Tensor] | None = None

    @property
    def _curved(self) -> Tensor | bool:
        return self._name != "euclidean"

    def by_manifold(self) -> Iterator[tuple[str, Any]]:
        """As :meth:`Part.by_manifold`."""
        yield self._name, slice(None)

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.gather`."""
        read = [one.batch.read(tensors[one.position]) for one in self.sources]
        return (read[0] if len(read) == 1 else torch.cat(read)).to(self.radius.dtype)

    def _scatter_(self, tensors: Sequence[Tensor], components: Tensor) -> None:
        for one, part in self.split(components):
            one.batch.write_(tensors[one.position], part)

    def _tangent(self, unit: Tensor, vectors: Sequence[Tensor]) -> Tensor:
        return OPS[self._name].project(unit, self.gather(vectors))

    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """As :meth:`Part.tangents_`."""
        self._scatter_(vectors, self._tangent(self.gather(weights) / self.scale, vectors))

    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.project`."""
        unit = self.gather(weights) / self.scale
        tangent = self._tangent(unit, directions)
        self._kept, self._squares = (unit, tangent), _squared_norm(tangent)
        return self._squares

    def move_(self, weights: Sequence[Tensor], move: Tensor) -> None:
        """As :meth:`Part.move_`."""
        assert self._kept is not None
        (unit, tangent), self._kept = self._kept, None
        move, longest = self._bounded(move)
        short = None if longest is None else longest <= 1
        step = tangent * (move / self.radius)[:, None, None]
        unit = OPS[self._name].retract(unit, step, self._retraction, short)
        self._scatter_(weights, self.scale * unit)


def _squared_norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=2).square().sum(1)


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
    sources : sequence
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
