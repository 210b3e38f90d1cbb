"""Networks as points: geodesics between two trained networks, and their distance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fgmanifolds.geometry import COMPONENTS, Component
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.components import ComponentBatch
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.validation import check_number

__all__ = ["distances", "interpolate"]

State = Mapping[str, Tensor]


@dataclass
class _Part:
    """Components of one layer on one manifold, of two networks, at unit radius."""

    batch: ComponentBatch
    rows: Tensor
    unit: Component
    points: tuple[Array, Array]
    radii: tuple[Array, Array]


def interpolate(adapter: POMAdapter, a: State, b: State, t: float) -> dict[str, Tensor]:
    """Go along the geodesic between two networks of one collection of POMs.

    Every component moves on its manifold, along the shortest geodesic from its
    place in `a` to that in `b`; where their radii differ, the radius goes along
    geometrically. All other parameters and floating point buffers (such as the running
    statistics of batch normalisation, which a pass over the data renews) go along
    straight lines; integer buffers are those of the nearer end.

    Parameters
    ----------
    adapter : POMAdapter
        Of a model of the same architecture; it says which weights are on which manifold.
    a, b : mapping of str to Tensor
        State dicts of two networks: ``model.state_dict()``.
    t : float
        0 gives `a`, 1 gives `b`; in [0, 1].

    Returns
    -------
    dict of str to Tensor
        A state dict, for ``model.load_state_dict``.

    Raises
    ------
    ValueError
        If the states are not of the adapter's model, if a weight is not on its
        manifolds, or if two kernels have no geodesic that is known to be the
        shortest: square Stiefel kernels in different connected components of O(n), as in networks
        from different initial weights, or antipodes.
    """
    check_number("t", t, low=0, high=1)
    state = _straight(adapter, a, b, t)
    for key, layer in _weights(adapter):
        new = state[key].clone()
        for part in _parts(layer, a[key], b[key]):
            moved = _geodesic(layer.name, part, t)
            components = part.batch.read(new).clone()
            components[part.rows] = torch.as_tensor(moved).to(components)
            part.batch.write_(new, components)
        state[key] = new
    return state


def distances(
    adapter: POMAdapter, a: State, b: State, *, certify: bool = False
) -> dict[str, float]:
    """Riemannian distance between two networks in each layer on POMs.

    The root of the sum of squares over the components, each at the geometric mean of
    its radii in `a` and `b`. Kernels in different connected components of O(n) are infinitely
    far apart.

    Parameters
    ----------
    adapter, a, b
        As :func:`interpolate` takes them.
    certify : bool
        Whether a pair of Stiefel kernels whose shortest geodesic is not known to be the
        shortest is an error. If not, the length of the shortest that was found is taken.

    Returns
    -------
    dict of str to float
        By layer.

    Raises
    ------
    ValueError
        As :func:`interpolate`, naming the layer; but not for different connected components.
    """
    _check_states(adapter, a, b)
    found = {}
    for key, layer in _weights(adapter):
        square = 0.0
        for part in _parts(layer, a[key], b[key]):
            try:
                each = part.unit.distances(*part.points, certify=certify)[: len(part.rows)]
            except ValueError as error:
                raise ValueError(f"layer {layer.name!r}: {error}") from None
            square += float(np.sum(each**2 * part.radii[0] * part.radii[1]))
        found[layer.name] = square**0.5
    return found


def _weights(adapter: POMAdapter) -> Iterator[tuple[str, POMLayer]]:
    """Layers with the names of their weights in the model's state dict."""
    names = {id(p): name for name, p in adapter.model.named_parameters()}
    for layer in adapter.layers.values():
        yield names[id(layer.weight)], layer


def _check_states(adapter: POMAdapter, a: State, b: State) -> None:
    model = adapter.model.state_dict()
    for which, state in (("a", a), ("b", b)):
        differ = sorted(set(model) ^ set(state))
        if differ:
            raise ValueError(f"{which} is of another model: {differ} are not in both.")
        for key, value in model.items():
            if value.shape != state[key].shape:
                raise ValueError(
                    f"{which}[{key!r}] has shape {tuple(state[key].shape)}, the model's "
                    f"{tuple(value.shape)}."
                )


def _straight(adapter: POMAdapter, a: State, b: State, t: float) -> dict[str, Tensor]:
    _check_states(adapter, a, b)
    state = {}
    for key, start in a.items():
        end = b[key].to(start.device)
        if start.is_floating_point():
            state[key] = torch.lerp(start.detach(), end.detach(), t)
        else:
            state[key] = (start if t < 0.5 else end).clone()
    return state


def _parts(layer: POMLayer, a: Tensor, b: Tensor) -> Iterator[_Part]:
    """The curved components of a layer, by shape and manifold."""
    for batch in layer.view.batches:
        kinds = layer.view.manifold[batch.members.long()]
        for number, name in enumerate(layer.manifolds):
            rows = torch.nonzero(kinds == number)[:, 0]
            if not len(rows) or name == "euclidean":
                continue
            unit = COMPONENTS[name](*batch.shape, k=max(2, len(rows)))
            ends = [batch.read(w.detach().cpu())[rows].double().numpy() for w in (a, b)]
            radii = [_radii(name, layer.name, end) for end in ends]
            points = [_padded(unit, e / r[:, None, None]) for e, r in zip(ends, radii, strict=True)]
            yield _Part(batch, rows, unit, (points[0], points[1]), (radii[0], radii[1]))


def _padded(unit: Component, points: Array) -> Array:
    """A component of one copy takes no stack; two copies of the same point it does."""
    nearest = np.repeat(points, 2, axis=0) if len(points) == 1 else points
    return unit.nearest_point(nearest)


def _radii(kind: str, layer: str, components: Array) -> Array:
    """Radius of each component, from its norm; checks that there is one."""
    columns = 1 if kind == "sphere" else components.shape[2]
    radius: Array = np.linalg.norm(components, axis=(1, 2)) / columns**0.5
    nearest = _nearest(kind, components, radius)
    off = np.linalg.norm(components - nearest, axis=(1, 2)) / np.maximum(radius, 1e-300)
    if not np.all(off < 1e-2):
        raise ValueError(
            f"the weight of layer {layer!r} is off its manifolds, by {np.nanmax(off):.1e} relative "
            "to their radii: this network was not trained on the adapter's collection of POMs."
        )
    return radius


def _nearest(kind: str, components: Array, radius: Array) -> Array:
    unit = COMPONENTS[kind](*components.shape[1:], k=max(2, len(components)))
    scaled = components / np.maximum(radius, 1e-300)[:, None, None]
    found: Array = _padded(unit, scaled)[: len(components)]
    return found * radius[:, None, None]


def _geodesic(layer: str, part: _Part, t: float) -> Array:
    (start, end), (first, last) = part.points, part.radii
    try:
        moved = part.unit.exp(start, t * part.unit.log(start, end))
    except ValueError as error:
        raise ValueError(f"layer {layer!r}: {error}") from None
    radius = first ** (1 - t) * last**t
    result: Array = radius[:, None, None] * moved[: len(part.rows)]
    return result
