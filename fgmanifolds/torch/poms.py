"""The POMs of a layer, one by one: as NumPy manifolds and points, and what step rules ask."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from fgmanifolds.geometry import COMPONENTS, ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.components import ComponentBatch
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.sharded import whole, wholly

__all__ = [
    "load_pom_point_",
    "pom_bounds",
    "pom_entries",
    "pom_manifold",
    "pom_names",
    "pom_norms",
    "pom_parts",
    "pom_tensor",
    "weight_sets",
]


def pom_parts(layer: POMLayer, pom: int) -> list[tuple[ComponentBatch, Tensor, str]]:
    """Components of a POM as (batch, rows of it, manifold), by shape and manifold.

    Parameters
    ----------
    layer : POMLayer
    pom : int
        Number of the POM, from 0.

    Raises
    ------
    IndexError
        If there is no such POM.
    """
    view = layer.view
    if not 0 <= pom < view.n_poms:
        raise IndexError(f"layer {layer.name!r} has POMs 0 to {view.n_poms - 1}, not {pom}.")
    parts = []
    for batch in view.batches:
        inside = view.pom[batch.members.long()] == pom
        for name, rows in layer.rows_by_manifold(batch):
            own = rows[inside[rows]]
            if len(own):
                parts.append((batch, own, name))
    return parts


def pom_manifold(layer: POMLayer, pom: int) -> ScaledProductManifold:
    """POM number `pom` at its present radii; equal components stand as copies of one.

    Parameters
    ----------
    layer : POMLayer
    pom : int
        Number of the POM, from 0.
    """
    components = []
    for batch, rows, name in pom_parts(layer, pom):
        radius = layer.radius[batch.members[rows].long()].numpy()
        own = radius if len(rows) > 1 else radius[0]
        components.append(COMPONENTS[name](*batch.shape, k=len(rows), radius=own))
    return ScaledProductManifold(components)


def pom_entries(layer: POMLayer, pom: int, tensor: Tensor) -> list[Array]:
    """Entries of a tensor of the weight's shape that belong to POM number `pom`, in float64.

    Parameters
    ----------
    layer : POMLayer
    pom : int
    tensor : Tensor
    """
    entries, full = [], whole(tensor.detach())
    for batch, rows, _ in pom_parts(layer, pom):
        values = batch.read(full).cpu()[rows].double().numpy()
        entries.append(values if len(rows) > 1 else values[0])
    return entries


@torch.no_grad()
def load_pom_point_(layer: POMLayer, pom: int, point: list[Array]) -> None:
    """Store a point of POM number `pom` in the weight.

    Parameters
    ----------
    layer : POMLayer
    pom : int
    point : list of Array
    """
    with wholly([layer.weight]) as (weight,):
        _write_(layer, weight, pom, point)


def pom_tensor(layer: POMLayer, pom: int, entries: list[Array]) -> Tensor:
    """A tensor of the weight's shape with entries on POM number `pom`, and 0 elsewhere.

    Parameters
    ----------
    layer : POMLayer
    pom : int
        Number of the POM, from 0.
    entries : list of arrays
    """
    tensor = torch.zeros_like(layer.weight, requires_grad=False)
    _write_(layer, tensor, pom, entries)
    return tensor


def _write_(layer: POMLayer, tensor: Tensor, pom: int, entries: list[Array]) -> None:
    for (batch, rows, _), values in zip(pom_parts(layer, pom), entries, strict=True):
        components = batch.read(tensor.detach()).clone()
        new = torch.as_tensor(np.array(values)).reshape(len(rows), *batch.shape)
        components[rows.to(components.device)] = new.to(components)
        batch.write_(tensor, components)


def pom_names(layer: POMLayer) -> list[str]:
    """For each POM, its channels and its components."""
    names = []
    for pom, label in enumerate(layer.view.labels):
        parts = [f"{len(r)} x {name}{b.shape}" for b, r, name in pom_parts(layer, pom)]
        names.append(f"{label}: {', '.join(parts)}")
    return names


def weight_sets(layer: POMLayer) -> list[tuple[str, list[tuple[int, int]]]]:
    """For each POM, its manifold and the (output, physical input) channels of its weights."""
    found = []
    for pom, cells in enumerate(layer.view.cells()):
        kinds = layer.view.manifold[layer.view.pom == pom].unique().tolist()
        found.append(("+".join(layer.manifolds[kind] for kind in kinds), cells))
    return found


def pom_norms(layer: POMLayer, weight: Tensor) -> Tensor:
    """Frobenius norm of each POM's concatenated weights, float64 of shape [POMs].

    Parameters
    ----------
    layer : POMLayer
    weight : Tensor
    """
    square = torch.zeros(layer.view.n_poms, dtype=torch.float64, device=weight.device)
    full = whole(weight.detach())
    for batch in layer.view.batches:
        sums = batch.read(full).double().square().sum((1, 2))
        square.index_add_(0, layer.view.pom[batch.members.long()].to(weight.device), sums)
    return square.sqrt()


def pom_bounds(layer: POMLayer) -> tuple[Tensor, Tensor, Tensor]:
    """What denominators need of each POM at its radii, each of shape [POMs], float64.

    Returns
    -------
    c_hat, kappa, curved_norm : tensors
        Tight upper bound of the sectional curvature (at least 0), minus the lower
        bound (at least 0), and Frobenius norm of the curved components.
    """
    high, negative, square = torch.zeros(3, layer.view.n_poms, dtype=torch.float64)
    for batch in layer.view.batches:
        units = torch.tensor(
            [_unit_bounds(name, batch.shape) for name in layer.manifolds], dtype=torch.float64
        )
        members = batch.members.long()
        own, pom = layer.radius[members], layer.view.pom[members].long()
        bounds = units[layer.view.manifold[members].int()]
        high.scatter_reduce_(0, pom, bounds[:, 0] / own**2, "amax")
        negative.scatter_reduce_(0, pom, bounds[:, 1] / own**2, "amax")
        square.index_add_(0, pom, bounds[:, 2] * own**2)
    return high, negative, square.sqrt()


@functools.lru_cache(maxsize=1024)
def _bounds_of(cls: type, shape: tuple[int, int]) -> tuple[float, float, float]:
    component = cls(*shape)
    low, high = component.sectional_curvature_bounds
    flat = math.isinf(component.injectivity_radius)
    square = 0.0 if flat else float(np.sum(np.square(component._base_point())))
    return max(high, 0.0), max(-low, 0.0), square


def _unit_bounds(name: str, shape: tuple[int, int]) -> tuple[float, float, float]:
    """(upper curvature, minus the lower one, squared norm of a point) at unit radius."""
    return _bounds_of(COMPONENTS[name], shape)
