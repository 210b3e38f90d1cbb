"""The step of Algorithm 1 on all POMs at once: the kernel below :class:`FGSGD`.

Components of equal shape, over all layers, are handled in a few large parts.
A step projects the directions of every part, sums their squared norms over the
POMs (Theorem 1), and moves and retracts with the denominators that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fgmanifolds.torch import kernels, unrolled
from fgmanifolds.torch.bounds import PomBounds
from fgmanifolds.torch.kernels import KINDS, Masks
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.weights import ComponentBatch

__all__ = ["PomTable", "fine_grained_step"]


#: Matrices of up to this many columns and entries are unrolled.
UNROLLED_COLUMNS, UNROLLED_ENTRIES = 8, 64

#: About how many unrolled matrices go together, by device: on the CPU, what caches hold.
PART_SIZES = {"cpu": 1 << 16}
PART_SIZE = 1 << 20


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


def _cut(position: int, batch: ComponentBatch, weight: Tensor, size: int) -> Iterator[Source]:
    """Cut a batch, at rows of its weight, into sources of about `size` components."""
    rows = batch.rows(weight)
    each = len(batch.members) // rows
    step = max(1, size // each)
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        members = batch.members[start * each : stop * each]
        yield Source(position, batch, slice(start, stop), members)


def _pack(sources: Iterable[Source], size: int) -> list[list[Source]]:
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


class PomTable(PomBounds):
    """What a step needs to know of some layers' POMs, on one device and in one type."""

    def __init__(
        self,
        layers: Sequence[POMLayer],
        like: Tensor,
        retraction: str = "qr",
        *,
        compile: bool = False,
    ) -> None:
        super().__init__(layers, like)
        self._layers, self._compile = layers, compile
        self._context = (torch.tensor([0, *self.sizes]).cumsum(0).tolist(), like, retraction)
        by_shape: dict[tuple[int, int], list[tuple[int, ComponentBatch]]] = {}
        for position, layer in enumerate(layers):
            for batch in layer.view.batches:
                by_shape.setdefault(batch.shape, []).append((position, batch))
        self.parts = [
            part for shape, batches in by_shape.items() for part in self._parts(shape, batches)
        ]

    def _parts(
        self, shape: tuple[int, int], batches: list[tuple[int, ComponentBatch]]
    ) -> list[Part]:
        offsets, like, retraction = self._context
        small = shape[1] <= UNROLLED_COLUMNS and shape[0] * shape[1] <= UNROLLED_ENTRIES
        if not (small and retraction == "qr"):
            sources = [Source(i, batch, slice(None), batch.members) for i, batch in batches]
            return [Part(sources, self._layers, offsets, like, retraction)]
        size = PART_SIZES.get(like.device.type, PART_SIZE)
        total = sum(len(batch.members) for _, batch in batches)
        size = -(-total // -(-total // size))
        pieces = [
            one for i, batch in batches for one in _cut(i, batch, self._layers[i].weight, size)
        ]
        packs = _pack(pieces, size)
        shop = self._workshop(shape, packs)
        return [UnrolledPart(pack, shop, self._layers, offsets, like, retraction) for pack in packs]

    def _workshop(self, shape: tuple[int, int], packs: list[list[Source]]) -> Workshop:
        like = self._context[1]
        owners = {one.position for pack in packs for one in pack}
        used = {name for position in owners for name in self._layers[position].manifolds}
        names = [name for name in KINDS if name in used]
        longest = max(sum(len(one.members) for one in pack) for pack in packs)
        memory = torch.empty(2, *shape, longest, dtype=like.dtype, device=like.device)
        compiled = unrolled.compiled_step(names) if self._compile else None
        return Workshop(names, memory, compiled)

    def sum_by_pom(self, values: Sequence[Tensor]) -> Tensor:
        """Sums over the POMs of a value of each component, given by parts."""
        total = torch.zeros_like(self.curvature)
        for part, value in zip(self.parts, values, strict=True):
            total.index_add_(0, part.pom, value)
        return total

    def distance(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Upper bound of the distance (21) of each POM's weights to others, shape [POMs]."""
        found = []
        for part in self.parts:
            unit, other = part.gather(weights) / part.scale, part.gather(others) / part.scale
            found.append(kernels.chord_distance(unit, other, part.masks) * part.radius)
        return self.sum_by_pom(found)

    def project_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """Project vectors of the weights' shapes on the tangent spaces, in place."""
        for part in self.parts:
            part.project_(weights, vectors)

    def nearest_(self, weights: Sequence[Tensor]) -> None:
        """Move weights to the nearest points of their manifolds, in place."""
        for part in self.parts:
            unit = part.gather(weights) / part.scale
            part.scatter_(weights, part.scale * kernels.nearest(unit, part.masks))

    def violation(self, weights: Sequence[Tensor]) -> Tensor:
        """Largest relative violation of the constraints in each weight."""
        worst = weights[0].new_zeros(len(weights))
        for part in self.parts:
            off = kernels.violation(part.gather(weights) / part.scale, part.masks)
            for one, own in part.split(off):
                worst[one.position] = torch.maximum(worst[one.position], own.max().to(worst))
        return worst

    def step_(
        self, weights: Sequence[Tensor], directions: Sequence[Tensor], factor: Tensor | None
    ) -> Tensor:
        """Norms of the projected directions, shape [POMs]; with `factor` also move and retract."""
        return self.sum_by_pom(
            [part.step_(weights, directions, factor) for part in self.parts]
        ).sqrt()


def fine_grained_step(
    table: PomTable,
    weights: Sequence[Tensor],
    directions: Sequence[Tensor],
    lr: float | Tensor,
    past: Tensor | None,
    denominator: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Lines 5 to 7 of Algorithm 1: project, scale the step, retract, in place.

    Parameters
    ----------
    table : PomTable
    weights : sequence of tensor
        The layers' weights, changed in place.
    directions : sequence of tensor
        Euclidean gradients or momenta, of the weights' shapes; the step goes
        against them.
    lr : float or tensor
    past : tensor of shape [POMs] or None
        The norms R that the denominators are taken from; None: those of `directions`,
        for which these are projected twice, rather than kept.
    denominator : callable
        From the norms R to g, each of shape [POMs].

    Returns
    -------
    gradient_norm, g : tensors of shape [POMs]
    """
    used = table.step_(weights, directions, None) if past is None else past
    g = denominator(used)
    return table.step_(weights, directions, -lr / g), g
