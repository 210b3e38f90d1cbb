"""The step of Algorithm 1 on all POMs at once: the kernel below :class:`FGSGD`.

Components of equal shape, over all layers, are handled in a few large parts.
A step projects the directions of every part, sums their squared norms over the
POMs (Theorem 1), and moves and retracts with the denominators that it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fgmanifolds.torch.components import ComponentBatch
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import batched as kernels
from fgmanifolds.torch.ops import planes as unrolled
from fgmanifolds.torch.ops.batched import KINDS
from fgmanifolds.torch.ops.bounds import PomBounds
from fgmanifolds.torch.ops.parts import Part, Source, UnrolledPart, Workshop, cut, pack

__all__ = ["PomTable", "fine_grained_step"]


#: Matrices of up to this many columns and entries are unrolled.
UNROLLED_COLUMNS, UNROLLED_ENTRIES = 8, 64

#: About how many unrolled matrices go together, by device: on the CPU, what caches hold.
PART_SIZES = {"cpu": 1 << 16}
PART_SIZE = 1 << 20


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
            one for i, batch in batches for one in cut(i, batch, self._layers[i].weight, size)
        ]
        packs = pack(pieces, size)
        shop = self._workshop(shape, packs)
        return [UnrolledPart(one, shop, self._layers, offsets, like, retraction) for one in packs]

    def _workshop(self, shape: tuple[int, int], packs: list[list[Source]]) -> Workshop:
        like = self._context[1]
        owners = {source.position for one in packs for source in one}
        used = {name for position in owners for name in self._layers[position].manifolds}
        names = [name for name in KINDS if name in used]
        longest = max(sum(len(source.members) for source in one) for one in packs)
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
