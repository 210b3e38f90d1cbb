"""The collection of POMs of a model: the one owner of layers, radii, spreads and their version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from fgmanifolds.torch.components import Blocks
from fgmanifolds.torch.distributed import Ranks, share_moments_
from fgmanifolds.torch.gains import has_gains
from fgmanifolds.torch.layer import VERSIONS, POMLayer
from fgmanifolds.torch.ops.native import available, load_moments, loads_or_warns
from fgmanifolds.torch.selection import Candidate, LayerOptions
from fgmanifolds.torch.sharded import reshard_, whole
from fgmanifolds.torch.spread import NEW_STATE, FeatureSpread, fold_spreads_
from fgmanifolds.torch.views import view_of_state, view_weight

__all__ = ["Collection", "build_layer"]

#: Layers that make the loss independent of the norm of what comes before them.
NORMALISATION = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def build_layer(
    candidate: Candidate, options: LayerOptions, seed: int, map_size: int | None
) -> POMLayer:
    """Draw the sets of a layer, and begin to measure its features.

    Each layer has a random stream of its own, so that its sets do not depend on which other
    layers there are.

    Parameters
    ----------
    candidate : Candidate
    options : LayerOptions
    seed : int
    map_size : int, optional
    """
    module, parameter = candidate.module, candidate.parameter
    weight = getattr(module, parameter)
    rng = np.random.default_rng([seed, *candidate.name.encode()])
    grid = candidate.reader.grid(module, parameter, weight)
    view = view_weight(grid, options.scheme, len(options.manifolds), options.pom, rng)
    layer = POMLayer(candidate.name, module, parameter, view, options, map_size)
    if options.radius is None and candidate.reader.measures(module, parameter):
        layer.spread = FeatureSpread(module, parameter, candidate.reader, grid.channels)
    return layer


class Collection:
    """Layers on POMs, with their radii and the spreads that these follow.

    Parameters
    ----------
    model : nn.Module
    layers : mapping of str to POMLayer
    ranks : Ranks, optional
        Processes that train the model together. Default: this one.

    Attributes
    ----------
    model : nn.Module
    layers : dict of str to POMLayer
    rescalings : int
        Number of times that :meth:`update_scales_` was called.
    """

    def __init__(
        self, model: nn.Module, layers: Mapping[str, POMLayer], ranks: Ranks | None = None
    ) -> None:
        self.model, self.layers = model, dict(layers)
        self.ranks = Ranks(None) if ranks is None else ranks
        self.rescalings = 0
        for layer in self.layers.values():
            layer.radius = layer.target_radius()
        on_cpu = [spread for spread in self.spreads if spread.sums.is_cpu]
        if (
            on_cpu
            and available()
            and loads_or_warns(load_moments, "features are measured", stacklevel=3)
        ):
            for spread in on_cpu:
                spread.native = True

    @property
    def version(self) -> int:
        """Grows whenever a radius or a set changes, however that was done."""
        return sum(map(sum, map(VERSIONS, self.layers.values())))

    @property
    def spreads(self) -> list[FeatureSpread]:
        """Spreads that are measured."""
        return [one.spread for one in self.layers.values() if one.spread is not None]

    def fold_spreads_(self) -> None:
        """Pool the forward passes since the last call into the running spreads."""
        fold_spreads_(self.spreads)

    def update_scales_(self) -> None:
        """Set the radii to gamma / lambda from the running spreads; weights go along.

        All ranks must call it.
        """
        if any(spread.removed for spread in self.spreads):
            raise ValueError(
                "this adapter measures no features any more: it was detached, or another adapter "
                "was built on its model. Its radii stay as they are."
            )
        self.fold_spreads_()
        share_moments_(self.spreads, self.ranks)
        reshard_(self.model)
        for layer in self.layers.values():
            layer.rescale_(layer.target_radius())
        self.rescalings += 1

    def initialize_(self, generator: torch.Generator, *, from_weights: bool) -> list[POMLayer]:
        """Put the weights on their manifolds.

        Parameters
        ----------
        generator : torch.Generator
        from_weights : bool

        Returns
        -------
        list of POMLayer
            Layers whose norm changed more than twofold although no normalisation layer follows.
        """
        changed = []
        reshard_(self.model)
        for layer in self.layers.values():
            before = float(whole(layer.weight.detach()).double().norm())
            layer.initialize_(generator, from_weights)
            after = float(whole(layer.weight.detach()).double().norm())
            much = before > 0 and not 0.5 <= after / before <= 2
            if much and not has_gains(layer) and not _is_normalised(layer, self.model):
                changed.append(layer)
        return changed

    def detach(self) -> None:
        """Take the hooks that measure features off the model."""
        for spread in self.spreads:
            spread.remove()

    def residuals(self) -> dict[str, float]:
        """Largest relative distance of a weight from each manifold, by manifold."""
        worst: dict[str, float] = {}
        reshard_(self.model)
        for layer in self.layers.values():
            for name, value in layer.residuals().items():
                worst[name] = max(worst.get(name, 0.0), value)
        return worst

    def rows(self) -> list[dict[str, Any]]:
        """One row of a table for each layer: shapes, POMs, components, gamma, clamped channels."""
        rows = []
        for name, layer in self.layers.items():
            counts = [int((layer.view.manifold == i).sum()) for i in range(len(layer.manifolds))]
            shapes = ", ".join(f"{a}x{b}" for a, b in (x.shape for x in layer.view.batches))
            rows.append(
                {
                    "layer": name,
                    "weight": "x".join(map(str, layer.weight.shape)),
                    "component": shapes,
                    "POMs": layer.view.n_poms,
                    **dict(zip(layer.manifolds, counts, strict=True)),
                    "gamma": layer.gamma,
                    "radius": self._radius_text(layer),
                    "clamped": layer.clamped,
                }
            )
        return rows

    def _radius_text(self, layer: POMLayer) -> str:
        low, high = float(layer.radius.min()), float(layer.radius.max())
        text = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        never = layer.spread is not None and self.rescalings == 0
        return f"{text} (update_scales_ never called)" if never else text

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Sets, radii and spreads of each layer, as plain data and tensors."""
        return {
            name: {
                "shape": tuple(layer.weight.shape),
                "map_size": layer.map_size,
                "sets": layer.view.state_dict(),
                "radius": layer.radius.clone(),
                "spread": None if layer.spread is None else layer.spread.state_dict(),
            }
            for name, layer in self.layers.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that :meth:`check_state` has passed."""
        for name, layer in self.layers.items():
            stored = state[name]
            layer.view = view_of_state(layer.view, stored["sets"])
            layer.radius = stored["radius"].clone().cpu()
            if layer.spread is not None:
                layer.spread.load_state_dict(stored["spread"])

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless a state is whole, and of these layers; nothing changes."""
        if list(state) != list(self.layers):
            differ = sorted(set(state) ^ set(self.layers))
            raise ValueError(f"checkpoint is of another model: layers {differ} are not in both.")
        for name, layer in self.layers.items():
            try:
                _check_layer_state(layer, state[name])
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(
                    f"checkpoint is damaged: the state of layer {name!r} lacks or garbles {error}."
                ) from None


def _check_layer_state(layer: POMLayer, stored: Mapping[str, Any]) -> None:
    if tuple(stored["shape"]) != tuple(layer.weight.shape):
        raise ValueError(
            f"checkpoint has a weight of shape {tuple(stored['shape'])} in layer "
            f"{layer.name!r}, the model one of shape {tuple(layer.weight.shape)}."
        )
    if stored["map_size"] != layer.map_size:
        raise ValueError(f"checkpoint has other feature maps in layer {layer.name!r}.")
    n, sets = layer.view.n_components, stored["sets"]
    poms, kinds = len(sets["labels"]), len(layer.manifolds)
    blocks = [one["members"] for one in sets["blocks"]]
    fits = (
        _fits(sets["manifold"], torch.uint8, (n,), kinds)
        and _fits(sets["pom"], torch.int32, (n,), poms)
        and len(sets["pom"].unique()) == poms
        and _fits(stored["radius"], torch.float64, (n,), None)
        and bool((stored["radius"] > 0).all())
        and (not blocks or torch.equal(torch.cat(blocks).sort()[0].cpu(), torch.arange(n)))
        and all(_block_fits(layer, one) for one in sets["blocks"])
        and _cover(layer, sets["blocks"])
        and all(isinstance(label, str) for label in sets["labels"])
        and bool(sets["blocks"]) == bool(layer.view.state_dict()["blocks"])
    )
    if not fits:
        raise ValueError(f"checkpoint has another collection of POMs in layer {layer.name!r}.")
    if (stored["spread"] is None) != (layer.spread is None):
        raise ValueError(f"checkpoint and adapter differ in measuring layer {layer.name!r}.")
    if layer.spread is not None:
        for key, value in layer.spread.state_dict().items():
            if key in NEW_STATE and key not in stored["spread"]:
                continue
            kept = stored["spread"][key]
            sound = _fits(kept, value.dtype, tuple(value.shape), None)
            # Counts, and sums of squares.
            small = -kept if key in ("square", "seen", "passes") else -kept[::2]
            if not sound or (key != "mean" and bool((small > 0).any())):
                raise ValueError(f"checkpoint has a damaged spread in layer {layer.name!r}.")


def _fits(tensor: Tensor, dtype: torch.dtype, shape: Sequence[int], below: int | None) -> bool:
    if tensor.dtype != dtype or tuple(tensor.shape) != tuple(shape):
        return False
    if not bool(tensor.double().isfinite().all()):
        return False
    return below is None or bool(((tensor >= 0) & (tensor < below)).all())


def _block_fits(layer: POMLayer, block: Mapping[str, Any]) -> bool:
    """Whether a block's indices lie in the stored matrix."""
    like = next(one for one in layer.view.batches if isinstance(one, Blocks))
    if block["rows"] is None or block["columns"] is None:
        return like.rows is None and block["rows"] is None and block["columns"] is None
    n, (a, b) = len(block["members"]), block["shape"]
    rows, columns = block["rows"], block["columns"]
    if type(a) is not int or type(b) is not int or not a >= b >= 1:
        return False
    return (
        rows.dtype == columns.dtype == torch.int64
        and len(rows) == len(columns) == n
        and {rows.shape[1], columns.shape[1]} == {a, b}
        and _fits(rows, torch.int64, rows.shape, like.stored[0])
        and _fits(columns, torch.int64, columns.shape, like.stored[1])
    )


def _cover(layer: POMLayer, blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether blocks take each entry of the stored matrix once."""
    if not blocks or blocks[0]["rows"] is None:
        return True
    like = next(one for one in layer.view.batches if isinstance(one, Blocks))
    times = torch.zeros(like.stored, dtype=torch.int32)
    one = torch.ones((), dtype=torch.int32)
    for block in blocks:
        for rows, columns in zip(block["rows"].cpu(), block["columns"].cpu(), strict=True):
            times.index_put_((rows[:, None], columns), one, accumulate=True)
    return bool((times == 1).all())


def _is_normalised(layer: POMLayer, model: nn.Module) -> bool:
    """Whether a normalisation layer seems to follow: a sibling that has the layer's outputs."""
    outputs = layer.view.grid.outputs * layer.view.grid.groups
    for parent in model.modules():
        children = list(parent.children())
        if any(child is layer.module for child in children):
            return any(
                isinstance(child, NORMALISATION) and _width(child) in (None, outputs)
                for child in children
            )
    return False


def _width(module: nn.Module) -> int | None:
    for attribute in ("num_features", "num_channels"):
        if hasattr(module, attribute):
            return int(getattr(module, attribute))
    shape = getattr(module, "normalized_shape", None)
    return int(shape[-1]) if shape else None
