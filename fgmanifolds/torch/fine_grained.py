"""The step of Algorithm 1 on all POMs at once: the kernel below :class:`FGSGD`.

Components of equal shape, over all layers, form one bucket. A step projects
the directions of every bucket, sums their squared norms over the POMs
(Theorem 1), takes the denominators of the step from these, and retracts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fgmanifolds.torch import kernels, unrolled
from fgmanifolds.torch.bounds import PomBounds
from fgmanifolds.torch.kernels import Masks
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.weights import ComponentBatch

__all__ = ["PomTable", "fine_grained_step"]


#: Matrices of up to this many columns and entries are unrolled.
UNROLLED_COLUMNS, UNROLLED_ENTRIES = 8, 64


@dataclass
class Bucket:
    """Components of one shape, from several layers, in one batch."""

    sources: list[tuple[int, ComponentBatch]]
    masks: Masks
    scale: Tensor
    pom: Tensor
    unroll: bool

    def gather(self, tensors: Sequence[Tensor]) -> Tensor:
        """Components ``[n, A, B]`` of the weight-shaped `tensors`, one for each layer."""
        blocks = [batch.read(tensors[position]) for position, batch in self.sources]
        return unrolled.as_planes(blocks) if self.unroll else torch.cat(blocks)

    def scatter_(self, tensors: Sequence[Tensor], components: Tensor) -> None:
        """Store components in the weight-shaped `tensors`."""
        sizes = [len(batch.members) for _, batch in self.sources]
        for (position, batch), part in zip(self.sources, components.split(sizes), strict=True):
            batch.write_(tensors[position], part)


class PomTable(PomBounds):
    """What a step needs to know of some layers' POMs, on one device and in one type."""

    def __init__(self, layers: Sequence[POMLayer], like: Tensor, retraction: str = "qr") -> None:
        self.retraction = retraction
        super().__init__(layers, like)
        offsets = torch.tensor([0, *self.sizes]).cumsum(0).tolist()
        by_shape: dict[tuple[int, int], list[tuple[int, ComponentBatch]]] = {}
        for position, layer in enumerate(layers):
            for batch in layer.view.batches:
                by_shape.setdefault(batch.shape, []).append((position, batch))
        self.buckets = [
            self._bucket(shape, sources, layers, offsets, like)
            for shape, sources in by_shape.items()
        ]

    def _bucket(
        self,
        shape: tuple[int, int],
        sources: list[tuple[int, ComponentBatch]],
        layers: Sequence[POMLayer],
        offsets: Sequence[int],
        like: Tensor,
    ) -> Bucket:
        masks = [layers[position].masks(batch, like) for position, batch in sources]
        scale = [layers[position].scale(batch, like) for position, batch in sources]
        pom = [layers[i].view.pom[batch.members] + offsets[i] for i, batch in sources]
        small = shape[1] <= UNROLLED_COLUMNS and shape[0] * shape[1] <= UNROLLED_ENTRIES
        return Bucket(
            sources=sources,
            masks=Masks(*(torch.cat(mask) for mask in zip(*masks, strict=True))),
            scale=torch.cat(scale),
            pom=torch.cat(pom).to(like.device),
            unroll=small and self.retraction == "qr",
        )

    def sum_by_pom(self, values: Sequence[Tensor]) -> Tensor:
        """Sums over the POMs of a value of each component, given by buckets."""
        total = torch.zeros_like(self.curvature)
        for bucket, value in zip(self.buckets, values, strict=True):
            total.index_add_(0, bucket.pom, value)
        return total

    def distance(self, weights: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """Upper bound of the distance (21) of each POM's weights to others, shape [POMs]."""
        found = []
        for bucket in self.buckets:
            unit, other = bucket.gather(weights) / bucket.scale, bucket.gather(others)
            bound = kernels.chord_distance(unit, other / bucket.scale, bucket.masks)
            found.append(bound * bucket.scale[:, 0, 0])
        return self.sum_by_pom(found)

    def project_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """Project vectors of the weights' shapes on the tangent spaces, in place."""
        for bucket in self.buckets:
            unit = bucket.gather(weights) / bucket.scale
            bucket.scatter_(vectors, kernels.project(unit, bucket.gather(vectors), bucket.masks))

    def nearest_(self, weights: Sequence[Tensor]) -> None:
        """Move weights to the nearest points of their manifolds, in place."""
        for bucket in self.buckets:
            unit = bucket.gather(weights) / bucket.scale
            bucket.scatter_(weights, bucket.scale * kernels.nearest(unit, bucket.masks))

    def violation(self, weights: Sequence[Tensor]) -> Tensor:
        """Largest relative violation of the constraints in each weight."""
        worst = weights[0].new_zeros(len(weights))
        for bucket in self.buckets:
            off = kernels.violation(bucket.gather(weights) / bucket.scale, bucket.masks)
            sizes = [len(batch.members) for _, batch in bucket.sources]
            for (position, _), part in zip(bucket.sources, off.split(sizes), strict=True):
                worst[position] = torch.maximum(worst[position], part.max().to(worst))
        return worst


def fine_grained_step(
    table: PomTable,
    weights: Sequence[Tensor],
    directions: Sequence[Tensor],
    lr: float | Tensor,
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
    denominator : callable
        From the norms R of the projected directions, of shape [POMs], to g.

    Returns
    -------
    gradient_norm, g : tensors of shape [POMs]
    """
    squares, moves = [], []
    for bucket in table.buckets:
        maps = unrolled if bucket.unroll else kernels
        unit = bucket.gather(weights) / bucket.scale
        tangent = maps.project(unit, bucket.gather(directions), bucket.masks)
        squares.append(unrolled.squared_norm(tangent))
        moves.append((unit, tangent))
    norm = table.sum_by_pom(squares).sqrt()
    g = denominator(norm)
    for bucket, (unit, tangent) in zip(table.buckets, moves, strict=True):
        factor = (-lr / g)[bucket.pom][:, None, None] / bucket.scale
        if bucket.unroll:
            moved = unrolled.retract(torch.addcmul(unit, tangent, factor), bucket.masks)
        else:
            retraction = kernels.RETRACTIONS[table.retraction]
            moved = retraction(unit, tangent * factor, bucket.masks)
        bucket.scatter_(weights, bucket.scale * moved)
    return norm, g
