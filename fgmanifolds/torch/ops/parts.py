"""Components of one shape, from many layers, put together for one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fgmanifolds.torch.components import ComponentBatch
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import batched as kernels
from fgmanifolds.torch.ops import planes as unrolled
from fgmanifolds.torch.ops.batched import Masks

__all__ = ["Part", "Source", "UnrolledPart", "Workshop", "cut", "pack"]


@dataclass
class Source:
    """Some components of one layer: where a part reads and writes them."""

    position: int
    batch: ComponentBatch
    rows: slice
    members: Tensor


class Part:
    """Components of one shape, from several layers, handled together.

    Parameters
    ----------
    sources : list of Source
    layers : sequence of POMLayer
    offsets : sequence of int
        Number of the first POM of each layer.
    like : Tensor
        Of the device and the type of the weights.
    retraction : str
    """

    def __init__(
        self,
        sources: list[Source],
        layers: Sequence[POMLayer],
        offsets: Sequence[int],
        like: Tensor,
        retraction: str,
    ) -> None:
        self.sources = sources
        owners = [layers[one.position] for one in sources]
        members = [one.members for one in sources]
        pairs = list(zip(owners, members, strict=True))
        poms = [
            layer.view.pom[own] + offsets[one.position]
            for one, (layer, own) in zip(sources, pairs, strict=True)
        ]
        self.kinds = torch.cat([layer.kinds[own] for layer, own in pairs]).to(like.device)
        self.radius = torch.cat([layer.radius[own] for layer, own in pairs]).to(like)
        self.pom = torch.cat(poms).to(like.device, torch.int32)
        self.retract = kernels.RETRACTIONS[retraction]

    @property
    def masks(self) -> Masks:
        """Masks of the manifolds, in the type of the weights."""
        return Masks.of(self.kinds, self.radius.dtype)

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

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Components ``[n, A, B]`` of the weight-shaped `tensors`, one for each layer."""
        return torch.cat([one.batch.read(tensors[one.position]) for one in self.sources])

    def scatter_(self, tensors: Sequence[Tensor], components: Tensor) -> None:
        """Store components in the weight-shaped `tensors`."""
        for one, part in self.split(components):
            one.batch.write_(tensors[one.position], part)

    def project_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """Project vectors of the weights' shapes on the tangent spaces, in place."""
        unit = self.gather(weights) / self.scale
        self.scatter_(vectors, kernels.project(unit, self.gather(vectors), self.masks))

    def step_(
        self, weights: Sequence[Tensor], directions: Sequence[Tensor], factor: Tensor | None
    ) -> Tensor:
        """Squared norms of the projected directions, shape [n]; with factors also move."""
        unit, masks = self.gather(weights) / self.scale, self.masks
        tangent = kernels.project(unit, self.gather(directions), masks)
        if factor is not None:
            move = factor.index_select(0, self.pom)[:, None, None] / self.scale
            self.scatter_(weights, self.scale * self.retract(unit, tangent * move, masks))
        return (tangent * tangent).sum((1, 2))


@dataclass
class Workshop:
    """What the unrolled parts of one shape share.

    Attributes
    ----------
    names : list of str
        Manifolds that may occur.
    memory : tensor of shape [2, A, B, n]
        Planes that weights and directions are copied to.
    compiled : callable or None
        The step through ``torch.compile``.
    """

    names: list[str]
    memory: Tensor
    compiled: Callable[..., Tensor] | None


class UnrolledPart(Part):
    """Small matrices, as planes."""

    def __init__(
        self, sources: list[Source], workshop: Workshop, layers: Sequence[POMLayer], *args: Any
    ) -> None:
        super().__init__(sources, layers, *args)
        self._shop = workshop
        self._planes = workshop.memory[..., : len(self.radius)]
        self._layers = [layers[one.position] for one in sources]
        self._w, self._u = (self._views(planes) for planes in self._planes)

    @property
    def masks(self) -> Masks:
        """As :attr:`Part.masks`; of one manifold only, they take no memory."""
        if len(self._shop.names) > 1:
            return super().masks
        one = Masks.of(self.kinds[:1], self.radius.dtype)
        return Masks(*(mask.expand_as(self.kinds) for mask in one))

    def _views(self, planes: Tensor) -> list[Tensor]:
        """Parts of some planes, in the shapes that the sources read and write."""
        pairs = zip(self.split(planes.permute(2, 0, 1)), self._layers, strict=True)
        return [
            one.batch.planes_as_rows(part.permute(1, 2, 0), layer.weight)
            for (one, part), layer in pairs
        ]

    def _read_(self, views: list[Tensor], tensors: Sequence[Tensor]) -> None:
        rows = [one.batch.rows_of(tensors[one.position], one.rows) for one in self.sources]
        torch._foreach_copy_(views, rows)

    def _write_(self, tensors: Sequence[Tensor], views: list[Tensor]) -> None:
        for one, view in zip(self.sources, views, strict=True):
            one.batch.write_rows_(tensors[one.position], one.rows, view)

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """As :meth:`Part.gather`."""
        planes = torch.empty_like(self._planes[0])
        self._read_(self._views(planes), tensors)
        return planes.permute(2, 0, 1)

    def scatter_(self, tensors: Sequence[Tensor], components: Tensor) -> None:
        """As :meth:`Part.scatter_`."""
        self._write_(tensors, self._views(components.permute(1, 2, 0)))

    def project_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """As :meth:`Part.project_`."""
        self._read_(self._w, weights)
        self._read_(self._u, vectors)
        w, u = map(unrolled.columns_of, self._planes)
        unrolled.project_(w, u, self.masks, self.radius, self._shop.names)
        self._write_(vectors, self._u)

    def step_(
        self, weights: Sequence[Tensor], directions: Sequence[Tensor], factor: Tensor | None
    ) -> Tensor:
        """As :meth:`Part.step_`."""
        self._read_(self._w, weights)
        self._read_(self._u, directions)
        if factor is None:
            return self._step_planes(None)
        move = factor.index_select(0, self.pom)
        compiled = self._shop.compiled
        squares = self._step_planes(move) if compiled is None else self._compiled(compiled, move)
        self._write_(weights, self._w)
        return squares

    def _step_planes(self, move: Tensor | None) -> Tensor:
        w, u = map(unrolled.columns_of, self._planes)
        # Only on the CPU does a look at the longest step not make anybody wait.
        passes = None if self.radius.device.type == "cpu" else 2
        return unrolled.step_(w, u, self.masks, self.radius, self._shop.names, move, passes)

    def _compiled(self, compiled: Callable[..., Tensor], move: Tensor) -> Tensor:
        """Call the compiled step on the whole memory, so that all parts have one shape."""
        w, u = map(unrolled.columns_of, self._shop.memory)
        missing = (0, w[0][0].numel() - len(move))
        # Bytes are slow there.
        kinds = F.pad(self.kinds.to(torch.int32), missing)
        radius = F.pad(self.radius, missing, value=1.0)
        return compiled(w, u, kinds, radius, F.pad(move, missing))[: len(move)]


def cut(position: int, batch: ComponentBatch, weight: Tensor, size: int) -> Iterator[Source]:
    """Cut a batch, at rows of its weight, into sources of about `size` components."""
    rows = batch.rows(weight)
    each = len(batch.members) // rows
    step = max(1, size // each)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        members = batch.members[start * each : stop * each]
        yield Source(position, batch, slice(start, stop), members)


def pack(sources: Iterable[Source], size: int) -> list[list[Source]]:
    """Put sources together to packs of about `size` components."""
    packs: list[list[Source]] = [[]]
    filled = 0
    for one in sources:
        if packs[-1] and filled + len(one.members) > size:
            packs.append([])
            filled = 0
        packs[-1].append(one)
        filled += len(one.members)
    return packs
