"""Components of one shape, from many layers, put together for one operation."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.torch.components import Blocks, ComponentBatch
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops.manifolds import OPS
from fgmanifolds.torch.ops.native.blocks import BlockCopies

__all__ = ["BatchedPart", "Part", "Source"]


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
        self._sizes = [layer.view.n_components for layer in layers]

    @cached_property
    def components(self) -> Tensor:
        """Numbers of the components, which are counted through all layers."""
        starts = torch.tensor([0, *self._sizes]).cumsum(0).tolist()
        numbers = [one.members.long() + starts[one.position] for one in self.sources]
        return torch.cat(numbers).to(self.pom)

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
    """Matrices of any size on one manifold.

    Parameters
    ----------
    manifold, retraction : str
    native : bool
        Whether blocks are read and written by C++.
    *args
        As :class:`Part` takes them.
    """

    def __init__(self, manifold: str, retraction: str, native: bool, *args: Any) -> None:
        super().__init__(*args)
        self._name, self._retraction = manifold, retraction
        self._kept: tuple[Tensor, Tensor, BlockCopies | None] | None = None
        self._copies: BlockCopies | None = None
        batches = [(one.position, one.batch) for one in self.sources]
        if native and all(isinstance(batch, Blocks) and not batch.swapped for _, batch in batches):
            self._copies = BlockCopies(batches, self.sources[0].batch.shape)  # type: ignore[arg-type]

    @property
    def _curved(self) -> Tensor | bool:
        return self._name != "euclidean"

    def by_manifold(self) -> Iterator[tuple[str, Any]]:
        """As :meth:`Part.by_manifold`."""
        yield self._name, slice(None)

    def _copies_of(self, *columns: Sequence[Tensor]) -> BlockCopies | None:
        """What reads and writes blocks by C++, if it takes all of these tensors."""
        return self._copies if self._copies is not None and self._copies.fit(*columns) else None

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.gather`."""
        return self._read(tensors, self._copies_of(tensors))

    def _read(self, tensors: Sequence[Tensor], copies: BlockCopies | None) -> Tensor:
        if copies is not None:
            return copies.read(tensors)
        read = [one.batch.read(tensors[one.position]) for one in self.sources]
        return (read[0] if len(read) == 1 else torch.cat(read)).to(self.radius.dtype)

    def _unit_and_tangent(
        self, weights: Sequence[Tensor], vectors: Sequence[Tensor], copies: BlockCopies | None
    ) -> tuple[Tensor, Tensor]:
        """The weights at radius 1, and the vectors projected there."""
        if copies is not None:
            unit = copies.read(weights, 1 / self.radius)
        else:
            unit = self._read(weights, None) / self.scale
        return unit, OPS[self._name].project(unit, self._read(vectors, copies))

    def _scatter_(
        self,
        tensors: Sequence[Tensor],
        components: Tensor,
        scale: Tensor,
        copies: BlockCopies | None,
    ) -> None:
        if copies is not None:
            copies.write_(tensors, components, scale)
            return
        for one, part in self.split(components * scale[:, None, None]):
            one.batch.write_(tensors[one.position], part)

    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """As :meth:`Part.tangents_`."""
        copies = self._copies_of(weights, vectors)
        _, tangent = self._unit_and_tangent(weights, vectors, copies)
        self._scatter_(vectors, tangent, torch.ones_like(self.radius), copies)

    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.project`."""
        copies = self._copies_of(weights, directions)
        unit, tangent = self._unit_and_tangent(weights, directions, copies)
        self._kept, self._squares = (unit, tangent, copies), _squared_norm(tangent)
        return self._squares

    def move_(self, weights: Sequence[Tensor], move: Tensor) -> None:
        """As :meth:`Part.move_`."""
        assert self._kept is not None
        (unit, tangent, copies), self._kept = self._kept, None
        move, longest = self._bounded(move)
        step = tangent * (move / self.radius)[:, None, None]
        unit = OPS[self._name].retract(unit, step, self._retraction, longest)
        self._scatter_(weights, unit, self.radius, copies)


def _squared_norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=2).square().sum(1)
