"""One layer of a model on its POMs: weight, sets and radii."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.components import ComponentBatch, WeightView
from fgmanifolds.torch.ops.manifolds import OPS, ManifoldOps
from fgmanifolds.torch.scaling import geometric_scaling, radii
from fgmanifolds.torch.selection import KEEP, LayerOptions
from fgmanifolds.torch.sharded import whole, wholly

if TYPE_CHECKING:
    from fgmanifolds.torch.spread import FeatureSpread

__all__ = ["VERSIONS", "POMLayer", "weights_of"]

#: Added to the variance of features where no smallest spread is set, as in BatchNorm.
EPSILON = 1e-5

#: Entries of a matrix that are multiplied at once, so that their factors stay in a cache.
CACHED = 1 << 16

#: The parts of a layer's version, which is asked for in every step.
VERSIONS = attrgetter("changes", "_radius._version")


@dataclass
class POMLayer:
    """A layer whose weight lies on POMs.

    Attributes
    ----------
    name : str
        Name of the layer in the model.
    module : nn.Module
        The layer; its weight is looked up at every use.
    parameter : str
        Name of the weight in the module.
    view : WeightView
        Its weight as components, with their manifolds and POMs.
    options : LayerOptions
        Among them the names of the manifolds that ``view.manifold`` counts.
    map_size : int or None
        Size H x W of the output maps, for the reading of b-hat that needs it.
    spread : FeatureSpread or None
        Running spread of the input features; None where it does not matter.
    changes : int
        Number of times that radii or sets were replaced.
    shape : torch.Size
        Shape of the weight when the layer was made.
    """

    name: str
    module: nn.Module
    parameter: str
    view: WeightView
    options: LayerOptions
    map_size: int | None = None
    spread: FeatureSpread | None = None
    changes: int = 0
    shape: torch.Size = field(init=False)
    _radius: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.shape = self.weight.shape
        self._check_dimensions()
        self._radius = torch.ones(self.view.n_components, dtype=torch.float64)
        self._flat: tuple[WeightView, Tensor, tuple[Tensor, Tensor]] | None = None

    def _check_dimensions(self) -> None:
        for batch in self.view.batches:
            for number in self.view.manifold[batch.members].unique().tolist():
                if COMPONENTS[self.manifolds[number]](*batch.shape).dim == 0:
                    raise ValueError(
                        f"layer {self.name!r} with weight {tuple(self.weight.shape)} would have "
                        f"components of shape {batch.shape} on the manifold "
                        f"{self.manifolds[number]!r}, which has dimension 0 there: such a weight "
                        f"could never move. Leave the layer out with exclude=({self.name!r},)."
                    )

    # The weight and its radii -------------------------------------------------

    @property
    def manifolds(self) -> tuple[str, ...]:
        """Names of the manifolds that ``view.manifold`` counts."""
        return tuple(self.options.manifolds)

    @property
    def weight(self) -> nn.Parameter:
        """The layer's weight parameter.

        Raises
        ------
        ValueError
            If it is no parameter any more, as after pruning or parametrization.
        """
        weight = self.module._parameters.get(self.parameter)
        if weight is None:
            raise ValueError(
                f"the weight of layer {self.name!r} is not a parameter any more (pruned or "
                "parametrized after the adapter was built?): build the adapter anew, or undo that."
            )
        return weight

    @property
    def radius(self) -> Tensor:
        """Radius of each component, float64 of shape [n]; 1 on Euclidean components."""
        return self._radius

    @radius.setter
    def radius(self, radius: Tensor) -> None:
        # The new tensor counts its writes from anew.
        self.changes += 1 + self._radius._version
        self._radius = radius

    @property
    def version(self) -> int:
        """Grows when radii or sets change."""
        return sum(VERSIONS(self))

    @property
    def gamma(self) -> float:
        """Geometric scaling, eq. (2)."""
        grid, reading = self.view.grid, self.options.fan_out
        if reading == "feature_map":
            outputs = grid.outputs * grid.groups
            return geometric_scaling(grid.fan_in, outputs * (self.map_size or 1))
        return geometric_scaling(grid.fan_in, grid.fan_out if reading == "glorot" else 0)

    @property
    def is_euclidean(self) -> Tensor:
        """Whether each component is Euclidean, shape [n]."""
        return self._of_view()[0]

    def _of_view(self) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Kept until the sets change: which components are Euclidean, and what sets the radii.

        The latter are the pairs that the components read, with one for each Euclidean component,
        of a channel behind the others.
        """
        view = self.view
        if self._flat is None or self._flat[0] is not view:
            flat = torch.zeros(view.n_components, dtype=torch.bool)
            if "euclidean" in self.manifolds:
                flat = view.manifold == self.manifolds.index("euclidean")
            self._flat = view, flat, _without(view.reads, flat, view.grid.channels)
        return self._flat[1:]

    @property
    def clamped(self) -> float | None:
        """Share of the input channels whose spread is below `min_std`; None if not measured."""
        if self.spread is None or self.options.min_std is None:
            return None
        return float((self.spread.value < self.options.min_std).double().mean())

    def target_radius(self) -> Tensor:
        """Radius of each component from a fixed value, or from the present spread of features."""
        n, options = self.view.n_components, self.options
        if options.radius == KEEP:
            return self._radius.clone()
        if options.radius is not None:
            target = torch.full((n,), float(options.radius), dtype=torch.float64)
        elif self.spread is None:
            target = torch.full((n,), self.gamma, dtype=torch.float64)
        else:
            value = self.spread.value.cpu().double()
            if options.min_std is None:
                value = (value**2 + EPSILON).sqrt()
            else:
                value = value.clamp(min=float(options.min_std))
            # Of the channel behind the others; gamma over it is 1.
            value = torch.cat([value, value.new_tensor([self.gamma])])
            return radii(self.gamma, value, self._of_view()[1], n)
        return target.masked_fill_(self.is_euclidean, 1.0)

    @torch.no_grad()
    def radius_of(self, weight: Tensor) -> Tensor:
        """Radius at which each component's manifold has points of the weight's norms.

        Raises
        ------
        ValueError
            If a curved component of the weight is 0, or not finite.
        """
        radius, full = torch.ones_like(self._radius), whole(weight.detach())
        for batch in self.view.batches:
            norm = batch.read(full).double().flatten(1).norm(dim=1).cpu()
            for name, rows in self.rows_by_manifold(batch):
                if name == "euclidean":
                    continue
                own = norm[rows] / _unit_norm(name, batch.shape)
                if not bool(((own > 0) & own.isfinite()).all()):
                    raise ValueError(
                        f"radius='keep': the weight of layer {self.name!r} has components on "
                        f"{name!r} that are 0 or not finite, and so no norm to keep."
                    )
                radius[batch.members[rows].long()] = own
        return radius

    @torch.no_grad()
    def rescale_(self, radius: Tensor) -> None:
        """Carry the weight over to other radii by homothety."""
        if torch.equal(radius, self._radius):
            return
        self.multiply_(self.weight, radius / self._radius)
        self.radius = radius

    @torch.no_grad()
    def multiply_(self, tensor: Tensor, factors: Tensor) -> None:
        """Multiply the components of a tensor of the weight's shape, in place.

        Parameters
        ----------
        tensor : Tensor
        factors : Tensor
        """
        with wholly([tensor]) as (full,):
            lines = self.view.lines
            if lines is not None and full.is_contiguous():
                group, component = (index.to(full.device) for index in lines)
                each = factors.to(full)[component]
                size = max(1, CACHED // each.shape[1])
                matrix = full.detach().view(len(group), -1)
                for rows, own in zip(matrix.split(size), group.split(size), strict=True):
                    rows.mul_(each.index_select(0, own))
                return
            for batch in self.view.batches:
                batch.multiply_(full.detach(), factors[batch.members.long()].to(full))

    # Components -----------------------------------------------------------------

    def rows_by_manifold(self, batch: ComponentBatch) -> Iterator[tuple[str, Tensor]]:
        """Give each manifold of a batch with the rows of the batch that lie on it."""
        kinds = self.view.manifold[batch.members.long()]
        for number, name in enumerate(self.manifolds):
            rows = torch.nonzero(kinds == number)[:, 0]
            if len(rows):
                yield name, rows

    def unit_parts(
        self, weight: Tensor
    ) -> Iterator[tuple[ComponentBatch, str, Tensor, Tensor, Tensor]]:
        """Give (batch, manifold, rows, components, radii) of a weight, in float64, unscaled."""
        full = whole(weight.detach())
        for batch in self.view.batches:
            components = batch.read(full).double()
            radius = self._radius[batch.members.long()].to(components)[:, None, None]
            for name, rows in self.rows_by_manifold(batch):
                own = rows.to(components.device)
                yield batch, name, rows, components[own], radius[own]

    def _normalised_(self, change: Callable[[ManifoldOps, Tensor], Tensor]) -> None:
        """Replace the unit components of the weight by what `change` makes of them."""
        with wholly([self.weight]) as (weight,):
            for batch in self.view.batches:
                components = batch.read(weight.detach()).double().clone()
                radius = self._radius[batch.members.long()].to(components)[:, None, None]
                for name, rows in self.rows_by_manifold(batch):
                    if name != "euclidean":
                        own = rows.to(components.device)
                        unit = components[own] / radius[own]
                        components[own] = radius[own] * change(OPS[name], unit)
                batch.write_(weight, components.to(weight.dtype))

    @torch.no_grad()
    def initialize_(self, generator: torch.Generator, from_weights: bool) -> None:
        """Put the weight on its manifolds: at Haar points, or at the points nearest to it.

        Parameters
        ----------
        generator : torch.Generator
        from_weights : bool
        """
        if self.options.radius == KEEP:
            self.radius = self.radius_of(self.weight)

        def draw(ops: ManifoldOps, unit: Tensor) -> Tensor:
            noise = torch.randn(unit.shape, generator=generator, dtype=torch.float64)
            return ops.normalise(noise.to(unit.device))

        self._normalised_((lambda ops, unit: ops.nearest(unit)) if from_weights else draw)

    @torch.no_grad()
    def project_(self) -> None:
        """Take the weight to the nearest points of its manifolds, at the present radii."""
        self._normalised_(lambda ops, unit: ops.nearest(unit))

    @torch.no_grad()
    def residuals(self) -> dict[str, float]:
        """Largest relative distance from each manifold of the layer."""
        worst: dict[str, float] = {}
        for _, name, _, components, radius in self.unit_parts(self.weight):
            unit = components / radius
            nearest = OPS[name].nearest(unit)
            size = torch.linalg.matrix_norm(nearest).clamp(min=torch.finfo(unit.dtype).tiny)
            distance = torch.linalg.matrix_norm(unit - nearest) / size
            worst[name] = max(worst.get(name, 0.0), float(distance.max()))
        return worst


def weights_of(layers: Collection[POMLayer]) -> list[Tensor]:
    """Present weights of many layers, as :attr:`POMLayer.weight` has each of them.

    Parameters
    ----------
    layers : collection of POMLayer

    Raises
    ------
    ValueError
        If one of them is no parameter any more.
    """
    found = [layer.module._parameters.get(layer.parameter) for layer in layers]
    if NoneType in set(map(type, found)):
        found = [layer.weight for layer in layers]
    return found  # type: ignore[return-value]


def _without(reads: tuple[Tensor, Tensor], flat: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Pairs (component, channel) in which flat components read but the channel behind all."""
    component, channel = reads
    if len(component) == len(flat):
        return component, channel.masked_fill(flat, channels)
    curved = ~flat[component.long()]
    own = torch.nonzero(flat)[:, 0].to(component)
    component = torch.cat([component[curved], own])
    channel = torch.cat([channel[curved], channel.new_full(own.shape, channels)])
    order = component.argsort(stable=True)
    return component[order], channel[order]


def _unit_norm(name: str, shape: tuple[int, int]) -> float:
    """Frobenius norm of the points of a manifold at unit radius."""
    component = COMPONENTS[name](*shape)
    return float(np.linalg.norm(component._base_point()))
