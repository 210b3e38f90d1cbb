"""The step of Algorithm 1 on all POMs at once: project, scale, move and retract.

Components of equal shape, over all layers, are handled in a few large parts. A unit is some
parts that no POM leaves: its directions are projected, their squared norms summed over the
POMs (Theorem 1), and with the denominators that follow its weights are moved and retracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from fgmanifolds.steps.formulas import local_distance
from fgmanifolds.torch.components import Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops.blocks_part import WALKED, BlocksPart, can_walk
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.ops.parts import BatchedPart, Part, Source
from fgmanifolds.torch.ops.planes_part import PlanesPart, Scratch, cut, pack
from fgmanifolds.torch.poms import pom_bounds

__all__ = ["Bounds", "PomTable", "Unit", "UnitGeometry", "computing_type"]

#: Matrices of up to this many columns and entries are handled as planes.
PLANES_COLUMNS, PLANES_ENTRIES = 8, 64

#: About how many kernels go together in planes, by device: on the CPU, what caches hold.
PART_SIZES = {"cpu": 1 << 16}
PART_SIZE = 1 << 20


def computing_type(dtype: torch.dtype) -> torch.dtype:
    """Type in which steps of weights of a type are computed: float32 at least."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class Bounds:
    """Curvature bounds and norms of the POMs of some layers, one after the other.

    Attributes
    ----------
    sizes, offsets : list of int
        Number of POMs of each layer, and number of its first one.
    """

    def __init__(self, layers: Sequence[POMLayer], like: Tensor) -> None:
        self.layers, self.like = list(layers), like
        self.sizes = [layer.view.n_poms for layer in layers]
        self.offsets = torch.tensor([0, *self.sizes]).cumsum(0).tolist()

    @property
    def n_poms(self) -> int:
        """Number of POMs."""
        return int(self.offsets[-1])

    @cached_property
    def _bounds(self) -> tuple[Tensor, ...]:
        bounds = [pom_bounds(layer) for layer in self.layers]
        return tuple(torch.cat(parts).to(self.like) for parts in zip(*bounds, strict=True))

    @property
    def c_hat(self) -> Tensor:
        """Tight upper bound of the sectional curvature, at least 0, shape [POMs]."""
        return self._bounds[0]

    @property
    def kappa(self) -> Tensor:
        """Minus the tight lower bound, at least 0, shape [POMs]."""
        return self._bounds[1]

    @property
    def curved_norm(self) -> Tensor:
        """Frobenius norm of the curved components, shape [POMs]."""
        return self._bounds[2]

    @cached_property
    def rho_hat(self) -> Tensor:
        """Distance of Corollary 2, shape [POMs]; 0 on flat POMs, and on no others."""
        return local_distance(self.c_hat, self.kappa)

    @cached_property
    def curved(self) -> Tensor:
        """1.0 on POMs with curvature, 0.0 on flat ones, shape [POMs]."""
        return self.rho_hat.sign()


@dataclass
class Unit:
    """Parts that no POM leaves, and the slice of the POMs that is theirs."""

    parts: list[Part]
    poms: slice

    def sums(self, values: Sequence[Tensor], like: Tensor) -> Tensor:
        """Sums over the unit's POMs of a value of each component, given by parts.

        Parameters
        ----------
        values : sequence of Tensor
        like : Tensor
        """
        total = like.new_zeros(self.poms.stop - self.poms.start)
        for part, value in zip(self.parts, values, strict=True):
            total.index_add_(0, part.pom - self.poms.start, value)
        return total


@dataclass
class UnitGeometry:
    """The :class:`~fgmanifolds.steps.PomGeometry` of a unit at the present weights."""

    bounds: Bounds
    unit: Unit
    weights: Sequence[Tensor]
    references: Callable[[], Sequence[Tensor]]

    @property
    def c_hat(self) -> Tensor:
        """See :class:`Bounds`."""
        return self.bounds.c_hat[self.unit.poms]

    @property
    def kappa(self) -> Tensor:
        """See :class:`Bounds`."""
        return self.bounds.kappa[self.unit.poms]

    @property
    def curved_norm(self) -> Tensor:
        """See :class:`Bounds`."""
        return self.bounds.curved_norm[self.unit.poms]

    @property
    def rho_hat(self) -> Tensor:
        """See :class:`Bounds`."""
        return self.bounds.rho_hat[self.unit.poms]

    @property
    def curved(self) -> Tensor:
        """See :class:`Bounds`."""
        return self.bounds.curved[self.unit.poms]

    def distance(self) -> Tensor:
        """Distance (21) to the reference, or an upper bound of it."""
        others = self.references()
        each = [part.distance(self.weights, others) for part in self.unit.parts]
        return self.unit.sums(each, self.bounds.like)

    def point_norm(self) -> Tensor:
        """Frobenius norm of the present point."""
        each = [part.squares(self.weights) for part in self.unit.parts]
        return self.unit.sums(each, self.bounds.like).sqrt()


class PomTable(Bounds):
    """What a step needs to know of some layers' POMs, on one device and in one type.

    Parameters
    ----------
    layers : sequence of POMLayer
    retraction : str
    compile : bool
        Whether kernels in planes go through ``torch.compile``.
    native : bool
        Whether blocks of float32 matrices on the CPU go through C++.

    Attributes
    ----------
    layers : list of POMLayer
        The same in another order, so that the POMs of a unit follow each other. Weights and
        directions are given in this order.
    """

    def __init__(
        self,
        layers: Sequence[POMLayer],
        retraction: str = "qr",
        *,
        compile: bool = False,
        native: bool = False,
    ) -> None:
        weight = layers[0].weight
        like = torch.empty(0, dtype=computing_type(weight.dtype), device=weight.device)
        self._retraction, self._compile = retraction, compile
        self._native = native and like.device.type == "cpu" and weight.dtype == torch.float32
        in_planes: list[POMLayer] = []
        rest: list[POMLayer] = []
        for layer in layers:
            (in_planes if self._goes_in_planes(layer) else rest).append(layer)
        groups = _packs_of_layers(in_planes, PART_SIZES.get(like.device.type, PART_SIZE))
        super().__init__([*(layer for group in groups for layer in group), *rest], like)
        ends = torch.tensor([0, *map(len, groups)]).cumsum(0).tolist()
        cut_up = [self._packs(start, stop) for start, stop in pairwise(ends)]
        self._scratch = self._shared_memory([pack for packs in cut_up for pack in packs])
        self.units = [
            self._unit_of_planes(start, stop, packs)
            for (start, stop), packs in zip(pairwise(ends), cut_up, strict=True)
        ]
        if rest:
            self.units.append(self._batched_unit(ends[-1], len(self.layers)))

    def _goes_in_planes(self, layer: POMLayer) -> bool:
        batches = layer.view.batches
        (a, b), known = batches[0].shape, set(layer.manifolds) <= set(KINDS)
        small = b <= PLANES_COLUMNS and a * b <= PLANES_ENTRIES
        return self._retraction == "qr" and known and small and isinstance(batches[0], Kernels)

    def _poms(self, start: int, stop: int) -> slice:
        return slice(self.offsets[start], self.offsets[stop])

    def _batched_unit(self, start: int, stop: int) -> Unit:
        walked: dict[tuple[tuple[int, int], str], list[Source]] = {}
        rest: dict[tuple[tuple[int, int], str], list[Source]] = {}
        for position in range(start, stop):
            layer = self.layers[position]
            walk = self._native and can_walk(layer, self._retraction)
            for batch in layer.view.batches:
                for name, rows in layer.rows_by_manifold(batch):
                    own = batch.select(rows)
                    source = Source(position, own, slice(None), own.members)
                    where = walked if walk and name in WALKED else rest
                    where.setdefault((batch.shape, name), []).append(source)
        context = self.layers, self.offsets, self.like
        parts: list[Part] = [
            BatchedPart(name, self._retraction, self._native, own, *context)
            for (_, name), own in rest.items()
        ]
        if walked:
            named = [(name, own) for (_, name), own in walked.items()]
            parts.append(BlocksPart(named, self._retraction, *context))
        return Unit(parts, self._poms(start, stop))

    def _packs(self, start: int, stop: int) -> list[list[Source]]:
        """Kernels of some layers as one pack, or of one large layer as several of equal sizes."""
        size = PART_SIZES.get(self.like.device.type, PART_SIZE)
        pieces = []
        for position in range(start, stop):
            layer = self.layers[position]
            (batch,) = layer.view.batches
            parts = -(-len(batch.members) // size)
            pieces += cut(position, batch, layer.weight, -(-len(batch.members) // parts))
        return pack(pieces, size) if stop - start == 1 else [pieces]

    def _shared_memory(self, packs: list[list[Source]]) -> dict[tuple[int, int], Scratch]:
        longest: dict[tuple[int, int], int] = {}
        for one in packs:
            shape = one[0].batch.shape
            longest[shape] = max(longest.get(shape, 0), sum(len(s.members) for s in one))
        used = {name for layer in self.layers for name in layer.manifolds}
        names = [name for name in KINDS if name in used]
        return {
            shape: Scratch(
                names,
                self._memory(shape, length),
                planes.Compiled(names) if self._compile else None,
            )
            for shape, length in longest.items()
        }

    def _memory(self, shape: tuple[int, int], length: int) -> Tensor:
        return torch.empty(2, *shape, length, dtype=self.like.dtype, device=self.like.device)

    def _unit_of_planes(self, start: int, stop: int, packs: list[list[Source]]) -> Unit:
        shared = self._scratch[packs[0][0].batch.shape]
        parts: list[Part] = []
        for one in packs:
            # Parts of one unit keep their planes until all of it moves.
            memory = shared.memory if len(packs) == 1 else torch.empty_like(shared.memory)
            own = Scratch(shared.names, memory, shared.compiled)
            parts.append(PlanesPart(own, one, self.layers, self.offsets, self.like))
        return Unit(parts, self._poms(start, stop))

    # Steps ------------------------------------------------------------------------

    def tangents_(self, weights: Sequence[Tensor], vectors: Sequence[Tensor]) -> None:
        """Project vectors of the weights' shapes on the tangent spaces, in place.

        Parameters
        ----------
        weights, vectors : sequence of Tensor
        """
        for unit in self.units:
            for part in unit.parts:
                part.tangents_(weights, vectors)

    def violation(self, weights: Sequence[Tensor]) -> Tensor:
        """Largest relative violation of the constraints in each weight."""
        worst = self.like.new_zeros(len(weights))
        for unit in self.units:
            for part in unit.parts:
                for one, own in part.split(part.violation(weights)):
                    worst[one.position] = torch.maximum(worst[one.position], own.max())
        return worst

    def step_(
        self,
        weights: Sequence[Tensor],
        directions: Sequence[Tensor],
        lr: float | Tensor,
        denominator: Callable[[Tensor, slice, UnitGeometry], Tensor],
        references: Callable[[], Sequence[Tensor]],
        factors: Sequence[Tensor | None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Lines 5 to 7 of Algorithm 1: project, scale the step, retract, in place.

        Parameters
        ----------
        weights : sequence of tensor
            The layers' weights, changed in place.
        directions : sequence of tensor
            Of the weights' shapes; the step goes against them.
        lr : float or tensor
        denominator : callable
            From the norms of a unit's projected directions, its slice of the POMs and its
            geometry to g.
        references : callable
            Gives the weights that distances are measured to.
        factors : sequence of (Tensor or None), optional
            Of each layer's components, which their directions go by. Default: 1.

        Returns
        -------
        norm, g : tensors of shape [POMs]
        """
        norms, denominators = self.like.new_empty(2, self.n_poms)
        every = self._factors(factors)
        for unit in self.units:
            # Projections are linear: a factor may come after them.
            each = [part.project(weights, directions) for part in unit.parts]
            own = None if every is None else [every[part.components] for part in unit.parts]
            if own is not None:
                each = [x * f * f for x, f in zip(each, own, strict=True)]
            norm = unit.sums(each, self.like).sqrt()
            g = denominator(norm, unit.poms, UnitGeometry(self, unit, weights, references))
            norms[unit.poms], denominators[unit.poms] = norm, g
            factor = (-lr / g).to(self.like)
            for i, part in enumerate(unit.parts):
                move = factor.index_select(0, part.pom - unit.poms.start)
                part.move_(weights, move if own is None else move * own[i])
        return norms, denominators

    def _factors(self, given: Sequence[Tensor | None] | None) -> Tensor | None:
        """Factors of all components, layer after layer; None if all are 1."""
        if given is None or all(own is None for own in given):
            return None
        ones = [self.like.new_ones(layer.view.n_components) for layer in self.layers]
        pairs = zip(given, ones, strict=True)
        return torch.cat([one if own is None else own.to(one) for own, one in pairs])


def _packs_of_layers(layers: Sequence[POMLayer], size: int) -> list[list[POMLayer]]:
    """Layers of one shape together, whole, up to about `size` kernels; large ones alone."""
    by_shape: dict[tuple[int, int], list[POMLayer]] = {}
    for layer in layers:
        by_shape.setdefault(layer.view.batches[0].shape, []).append(layer)
    packs = []
    for own in by_shape.values():
        sources = [
            Source(i, layer.view.batches[0], slice(None), layer.view.batches[0].members)
            for i, layer in enumerate(own)
        ]
        packs += [[own[one.position] for one in group] for group in pack(sources, size)]
    return packs
