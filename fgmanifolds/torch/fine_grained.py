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

from fgmanifolds.solver.step_size import corollary2
from fgmanifolds.torch import kernels, unrolled
from fgmanifolds.torch.kernels import Masks
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.weights import ComponentBatch

__all__ = ["RULES", "PomTable", "fine_grained_step"]

#: Denominators of the step by name; None stands for a plain step, g = 1.
RULES: dict[str | None, Callable[[Tensor, Tensor], Tensor]] = {
    "corollary2": corollary2,
    None: lambda gradient_norm, curvature: torch.ones_like(gradient_norm),
}

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


class PomTable:
    """What a step needs to know of some layers' POMs, on one device and in one type."""

    def __init__(self, layers: Sequence[POMLayer], like: Tensor) -> None:
        self.sizes = [layer.view.n_poms for layer in layers]
        self.curvature = torch.cat([layer.pom_curvature() for layer in layers]).to(like)
        offsets = torch.tensor([0, *self.sizes]).cumsum(0).tolist()
        by_shape: dict[tuple[int, int], list[tuple[int, ComponentBatch]]] = {}
        for position, layer in enumerate(layers):
            for batch in layer.view.batches:
                by_shape.setdefault(batch.shape, []).append((position, batch))
        self.buckets = [
            self._bucket(shape, sources, layers, offsets, like)
            for shape, sources in by_shape.items()
        ]

    @staticmethod
    def _bucket(
        shape: tuple[int, int],
        sources: list[tuple[int, ComponentBatch]],
        layers: Sequence[POMLayer],
        offsets: Sequence[int],
        like: Tensor,
    ) -> Bucket:
        masks = [layers[position].masks(batch, like) for position, batch in sources]
        scale = [layers[position].scale(batch, like) for position, batch in sources]
        pom = [layers[i].view.pom[batch.members] + offsets[i] for i, batch in sources]
        return Bucket(
            sources=sources,
            masks=Masks(*(torch.cat(mask) for mask in zip(*masks, strict=True))),
            scale=torch.cat(scale),
            pom=torch.cat(pom).to(like.device),
            unroll=shape[1] <= UNROLLED_COLUMNS and shape[0] * shape[1] <= UNROLLED_ENTRIES,
        )


def fine_grained_step(
    table: PomTable,
    weights: Sequence[Tensor],
    directions: Sequence[Tensor],
    lr: float | Tensor,
    denominator: Callable[[Tensor, Tensor], Tensor],
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
        From the norms R of the projected directions and the curvature bounds,
        both of shape [POMs], to g.

    Returns
    -------
    gradient_norm, g : tensors of shape [POMs]
    """
    square = torch.zeros_like(table.curvature)
    moves = []
    for bucket in table.buckets:
        maps = unrolled if bucket.unroll else kernels
        unit = bucket.gather(weights) / bucket.scale
        tangent = maps.project(unit, bucket.gather(directions), bucket.masks)
        square.index_add_(0, bucket.pom, unrolled.squared_norm(tangent))
        moves.append((unit, tangent))
    norm = square.sqrt()
    g = denominator(norm, table.curvature)
    for bucket, (unit, tangent) in zip(table.buckets, moves, strict=True):
        maps = unrolled if bucket.unroll else kernels
        factor = (-lr / g)[bucket.pom][:, None, None] / bucket.scale
        bucket.scatter_(
            weights, bucket.scale * maps.retract(torch.addcmul(unit, tangent, factor), bucket.masks)
        )
    return norm, g
