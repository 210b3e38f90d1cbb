"""One layer of a model on its POMs: weight, sets and radii."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fgmanifolds.geometry import COMPONENTS, ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.components import ComponentBatch, WeightView
from fgmanifolds.torch.ops import batched as kernels
from fgmanifolds.torch.ops.batched import Masks
from fgmanifolds.torch.selection import LayerOptions
from fgmanifolds.torch.spread import FeatureSpread, geometric_scaling, radii

__all__ = ["POMLayer"]

#: Added to the variance of features where no smallest spread is set, as in BatchNorm.
EPSILON = 1e-5


@dataclass
class POMLayer:
    """A layer whose weight lies on POMs.

    Attributes
    ----------
    name : str
        Name of the module in the model.
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
    radius : float64 tensor of shape [n]
        Present radius of each component; 1 on Euclidean components.
    """

    name: str
    module: nn.Module
    parameter: str
    view: WeightView
    options: LayerOptions
    map_size: int | None = None
    spread: FeatureSpread | None = None
    radius: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_dimensions()
        self.radius = torch.ones(self.view.n_components, dtype=torch.float64)

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
        """The layer's weight parameter."""
        weight = self.module._parameters[self.parameter]
        assert weight is not None
        return weight

    @property
    def gamma(self) -> float:
        """Geometric scaling, eq. (2)."""
        fan_out = self.view.fan_out
        if self.options.fan_out == "feature_map":
            fan_out = self.view.outputs * (self.map_size or 1)
        return geometric_scaling(self.view.fan_in, fan_out)

    @property
    def is_euclidean(self) -> Tensor:
        """Whether each component is Euclidean, shape [n]."""
        if "euclidean" not in self.manifolds:
            return torch.zeros(self.view.n_components, dtype=torch.bool)
        return self.view.manifold == self.manifolds.index("euclidean")

    def target_radius(self) -> Tensor:
        """Radius of each component from a fixed value, or from the present spread of features."""
        n, options = self.view.n_components, self.options
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
            target = radii(self.gamma, value, self.view.reads, n)
        return torch.where(self.is_euclidean, torch.ones_like(target), target)

    @torch.no_grad()
    def rescale_(self, radius: Tensor) -> None:
        """Carry the weight over to other radii by homothety."""
        ratio = radius / self.radius
        for batch, components in self.components():
            factor = ratio[batch.members].to(components)
            batch.write_(self.weight, components * factor[:, None, None])
        self.radius = radius

    # Components -----------------------------------------------------------------

    def components(self) -> Iterator[tuple[ComponentBatch, Tensor]]:
        """Give each batch with its components ``[n, A, B]``, detached."""
        return self.components_of(self.weight.detach())

    def components_of(self, weight: Tensor) -> Iterator[tuple[ComponentBatch, Tensor]]:
        """Give each batch with the components of a tensor of the weight's shape."""
        for batch in self.view.batches:
            yield batch, batch.read(weight)

    @property
    def kinds(self) -> Tensor:
        """Number of each component's manifold among ``kernels.KINDS``, shape [n]."""
        numbers = [kernels.KINDS.index(name) for name in self.manifolds]
        return torch.tensor(numbers, dtype=torch.uint8)[self.view.manifold.int()]

    def masks(self, batch: ComponentBatch, like: Tensor) -> Masks:
        """Masks of the manifolds of a batch, on the device and in the type of `like`."""
        return Masks.of(self.kinds[batch.members].to(like.device), like.dtype)

    def scale(self, batch: ComponentBatch, like: Tensor) -> Tensor:
        """Radii of a batch in a form that broadcasts against its components."""
        return self.radius[batch.members].to(like)[:, None, None]

    @torch.no_grad()
    def initialize_(self, generator: torch.Generator, from_weights: bool) -> None:
        """Put the weight on its manifolds: at Haar points, or at the points nearest to it."""
        for batch, components in self.components():
            present = components.double()
            radius, masks = self.scale(batch, present), self.masks(batch, present)
            if from_weights:
                unit = kernels.nearest(present / radius, masks)
            else:
                draw = torch.randn(present.shape, generator=generator, dtype=torch.float64)
                # Q of a Gaussian matrix with positive diagonal of R is Haar (Mezzadri 2007).
                unit = kernels.retract(draw.to(present.device), masks)
            keep = self.is_euclidean[batch.members].to(present.device)[:, None, None]
            batch.write_(
                self.weight, torch.where(keep, present, radius * unit).to(self.weight.dtype)
            )

    @torch.no_grad()
    def residuals(self) -> dict[str, float]:
        """Largest relative distance from each manifold of the layer."""
        worst: dict[str, float] = {}
        for batch, components in self.components():
            unit = components.double()
            unit = unit / self.scale(batch, unit)
            nearest = kernels.nearest(unit, self.masks(batch, unit))
            size = torch.linalg.matrix_norm(nearest).clamp(min=torch.finfo(unit.dtype).tiny)
            distance = (torch.linalg.matrix_norm(unit - nearest) / size).cpu()
            kinds = self.view.manifold[batch.members]
            for number in kinds.unique().tolist():
                name = self.manifolds[number]
                worst[name] = max(worst.get(name, 0.0), float(distance[kinds == number].max()))
        return worst

    # POMs -----------------------------------------------------------------------

    def pom_parts(self, pom: int) -> list[tuple[ComponentBatch, Tensor, str]]:
        """Components of a POM as (batch, rows of it, manifold), by shape and manifold.

        Raises
        ------
        IndexError
            If there is no such POM.
        """
        if not 0 <= pom < self.view.n_poms:
            raise IndexError(
                f"layer {self.name!r} has POMs 0 to {self.view.n_poms - 1}, not {pom}."
            )
        parts = []
        for batch in self.view.batches:
            inside = self.view.pom[batch.members] == pom
            for number, name in enumerate(self.manifolds):
                rows = torch.nonzero(inside & (self.view.manifold[batch.members] == number))[:, 0]
                if len(rows):
                    parts.append((batch, rows, name))
        return parts

    def pom_manifold(self, pom: int) -> ScaledProductManifold:
        """POM number `pom` at its present radii; equal components stand as copies of one."""
        components = []
        for batch, rows, name in self.pom_parts(pom):
            radius = self.radius[batch.members[rows]].numpy()
            cls = COMPONENTS[name]
            components.append(
                cls(*batch.shape, k=len(rows), radius=radius if len(rows) > 1 else radius[0])
            )
        return ScaledProductManifold(components)

    def pom_point(self, pom: int) -> list[Array]:
        """The weight's point on POM number `pom`, as float64 arrays."""
        return self.pom_entries(pom, self.weight.detach())

    def pom_entries(self, pom: int, tensor: Tensor) -> list[Array]:
        """Entries of a tensor of the weight's shape that belong to POM number `pom`."""
        entries = []
        for batch, rows, _ in self.pom_parts(pom):
            values = batch.read(tensor.detach()).cpu()[rows].double().numpy()
            entries.append(values if len(rows) > 1 else values[0])
        return entries

    @torch.no_grad()
    def load_pom_point_(self, pom: int, point: list[Array]) -> None:
        """Store a point of POM number `pom` in the weight."""
        self._write_pom_(self.weight, pom, point)

    def pom_tensor(self, pom: int, entries: list[Array]) -> Tensor:
        """A tensor of the weight's shape with entries on POM number `pom`, and 0 elsewhere."""
        tensor = torch.zeros_like(self.weight, requires_grad=False)
        self._write_pom_(tensor, pom, entries)
        return tensor

    def _write_pom_(self, tensor: Tensor, pom: int, entries: list[Array]) -> None:
        for (batch, rows, _), values in zip(self.pom_parts(pom), entries, strict=True):
            components = batch.read(tensor.detach()).clone()
            new = torch.as_tensor(np.array(values)).reshape(len(rows), *batch.shape)
            components[rows.to(components.device)] = new.to(components)
            batch.write_(tensor, components)

    def pom_names(self) -> list[str]:
        """For each POM, its channels and its components."""
        names = []
        for pom, label in enumerate(self.view.labels):
            parts = [
                f"{len(rows)} x {name}{batch.shape}" for batch, rows, name in self.pom_parts(pom)
            ]
            names.append(f"{label}: {', '.join(parts)}")
        return names

    def pom_norms(self) -> Tensor:
        """Frobenius norm of each POM's concatenated weights, shape [POMs]."""
        square = torch.zeros(self.view.n_poms, dtype=torch.float64)
        for batch, components in self.components():
            sums = components.double().square().sum((1, 2)).cpu()
            square.index_add_(0, self.view.pom[batch.members], sums)
        return square.sqrt()

    def pom_bounds(self) -> tuple[Tensor, Tensor, Tensor]:
        """What denominators need of each POM at its radii, each of shape [POMs].

        Returns
        -------
        high, negative, norm : tensors
            Tight upper bound of the sectional curvature (at least 0), minus the lower
            bound (at least 0), and Frobenius norm of the curved components.
        """
        high, negative, square = torch.zeros(3, self.view.n_poms, dtype=torch.float64)
        for batch in self.view.batches:
            units = torch.tensor(
                [_unit_bounds(name, batch.shape) for name in self.manifolds], dtype=torch.float64
            )
            own, pom = self.radius[batch.members], self.view.pom[batch.members].long()
            bounds = units[self.view.manifold[batch.members].int()]
            high.scatter_reduce_(0, pom, bounds[:, 0] / own**2, "amax")
            negative.scatter_reduce_(0, pom, bounds[:, 1] / own**2, "amax")
            square.index_add_(0, pom, bounds[:, 2] * own**2)
        return high, negative, square.sqrt()


def _unit_bounds(name: str, shape: tuple[int, int]) -> tuple[float, float, float]:
    """(upper curvature, minus the lower one, squared norm of a point) at unit radius."""
    component = COMPONENTS[name](*shape)
    low, high = component.sectional_curvature_bounds
    curved = math.isfinite(component.injectivity_radius)
    columns = 1.0 if name == "sphere" else float(shape[1])
    return max(high, 0.0), max(-low, 0.0), columns if curved else 0.0
