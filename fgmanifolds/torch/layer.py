"""One layer of a model on its POMs: weight, sets and radii."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from fgmanifolds.geometry import COMPONENTS, ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import kernels
from fgmanifolds.torch.kernels import Masks
from fgmanifolds.torch.renormalization import FeatureSpread, geometric_scaling, radii
from fgmanifolds.torch.weights import ComponentBatch, WeightView

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
        The layer; its parameter ``weight`` is looked up at every use.
    view : WeightView
        Its weight as components, with their manifolds and POMs.
    manifolds : tuple of str
        The names that ``view.manifold`` counts.
    spread : FeatureSpread or None
        Running spread of the input features; None for a fixed radius.
    radius : float64 tensor of shape [n]
        Present radius of each component; 1 on Euclidean components.
    """

    name: str
    module: nn.Module
    view: WeightView
    manifolds: tuple[str, ...]
    spread: FeatureSpread | None = None
    radius: Tensor = field(init=False)

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
    def weight(self) -> nn.Parameter:
        """The layer's weight parameter."""
        weight = self.module.weight
        assert isinstance(weight, nn.Parameter)
        return weight

    @property
    def gamma(self) -> float:
        """Geometric scaling, eq. (2)."""
        return geometric_scaling(self.view.fan_in, self.view.fan_out)

    @property
    def is_euclidean(self) -> Tensor:
        """Whether each component is Euclidean, shape [n]."""
        if "euclidean" not in self.manifolds:
            return torch.zeros(self.view.n_components, dtype=torch.bool)
        return self.view.manifold == self.manifolds.index("euclidean")

    def target_radius(self, fixed: float | None, min_std: float | None) -> Tensor:
        """Radius of each component from a fixed value, or from the present spread of features."""
        n = self.view.n_components
        if fixed is not None:
            target = torch.full((n,), float(fixed), dtype=torch.float64)
        else:
            assert self.spread is not None
            value = self.spread.value.cpu().double()
            clamped = (
                (value**2 + EPSILON).sqrt() if min_std is None else value.clamp(min=float(min_std))
            )
            target = radii(self.gamma, clamped, self.view.reads, n)
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
        weight = self.weight.detach()
        for batch in self.view.batches:
            yield batch, batch.read(weight)

    def masks(self, batch: ComponentBatch, like: Tensor) -> Masks:
        """Masks of the manifolds of a batch, on the device and in the type of `like`."""
        kinds = self.view.manifold[batch.members].to(like.device)
        return Masks.of(kinds, self.manifolds, like.dtype)

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
        point = []
        for batch, rows, _ in self.pom_parts(pom):
            values = batch.read(self.weight.detach()).cpu()[rows].double().numpy()
            point.append(values if len(rows) > 1 else values[0])
        return point

    @torch.no_grad()
    def load_pom_point_(self, pom: int, point: list[Array]) -> None:
        """Store a point of POM number `pom` in the weight."""
        for (batch, rows, _), values in zip(self.pom_parts(pom), point, strict=True):
            components = batch.read(self.weight.detach()).clone()
            new = torch.as_tensor(np.array(values)).reshape(len(rows), *batch.shape)
            components[rows.to(components.device)] = new.to(components)
            batch.write_(self.weight, components)

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

    def pom_curvature(self) -> Tensor:
        """Tight upper bound of each POM's sectional curvature at its radii, shape [POMs]."""
        bound = torch.zeros(self.view.n_poms, dtype=torch.float64)
        for batch in self.view.batches:
            unit = torch.tensor([_upper_curvature(name, batch.shape) for name in self.manifolds])
            kinds = self.view.manifold[batch.members]
            curvature = unit.double()[kinds] / self.radius[batch.members] ** 2
            bound.scatter_reduce_(0, self.view.pom[batch.members], curvature, "amax")
        return bound


def _upper_curvature(name: str, shape: tuple[int, int]) -> float:
    return COMPONENTS[name](*shape).sectional_curvature_bounds[1]
