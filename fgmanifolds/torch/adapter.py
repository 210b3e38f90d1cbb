"""POMAdapter: from a model to its collection of POMs, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pymanopt
import torch
from torch import Tensor, nn

from fgmanifolds.geometry import COMPONENTS, ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.components import grid_of, view_weight
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.batched import RETRACTIONS
from fgmanifolds.torch.problem import pom_problem
from fgmanifolds.torch.selection import Candidate, LayerOptions, select
from fgmanifolds.torch.spread import FeatureSpread, map_sizes, remove_hooks
from fgmanifolds.validation import check_choice, check_integer

__all__ = ["POMAdapter"]


class POMAdapter:
    """Map the weights of a model onto products of weight manifolds.

    Kernels of convolutions (of any dimension, grouped, transposed) and blocks of
    linear layers and of attention projections become components; the sets of the
    chosen scheme become POMs. Everything else (biases, normalisation layers,
    embeddings, what is excluded) stays Euclidean. Call :meth:`initialize_` before
    training, and give the adapter to :class:`fgmanifolds.torch.FGSGD`.

    Parameters
    ----------
    model : nn.Module
    scheme : {"pio", "pi", "po", "layer", "kernel"}
        How weights are put into sets (Appendix C.D). ``"layer"``: all weights
        of a layer in one POM; ``"kernel"``: each in a POM of its own.
    manifolds : sequence of {"sphere", "oblique", "stiefel", "euclidean"}
        Manifolds dealt over the sets; one for the schemes ``"layer"`` and ``"kernel"``.
    seed : int
        Seed of the sets and of :meth:`initialize_`.
    pom : {"set", "manifold"}
        Whether each set is a POM (Definition 1), or all sets of a layer that
        share a manifold (Appendix D.B).
    exclude : sequence of str
        Names of layers, or patterns such as ``"head*"``, that stay Euclidean.
    overrides : mapping of str to mapping
        Options of single layers by name or pattern, such as
        ``{"layer4.*": dict(manifolds=("stiefel",))}``: any of `scheme`, `manifolds`,
        `pom`, `min_std`, `fan_out` and `radius`. Later patterns win. An embedding lies on
        POMs only if a pattern names it.
    min_std : float or None
        Smallest spread lambda of features, as Proposition 1 needs 1. None
        takes the spreads as they are.
    fan_out : {"glorot", "feature_map"}
        b-hat of eq. (2): A B D as in the scheme it generalises, or the number of outputs
        H W D, as printed, which needs an `example`.
    radius : float or None
        Fixed radius of all components, in place of gamma / lambda.
    retraction : {"qr", "polar", "cayley", "exp"}
        How steps go back to Stiefel manifolds, and with ``"exp"`` to all.
    example : Tensor or tuple of Tensor, optional
        Input of the model, to find the sizes of its feature maps.

    Attributes
    ----------
    layers : dict of str to POMLayer
        The layers on POMs, by name.
    skipped : dict of str to str
        Layers left Euclidean, with the reason.
    version : int
        Grows when radii change.

    Raises
    ------
    ValueError
        If an option is unknown, a pattern matches no layer, a shape cannot have
        a manifold, or the model has no weight to put on a manifold.
    """

    def __init__(
        self,
        model: nn.Module,
        scheme: str = "pio",
        manifolds: Sequence[str] = ("sphere", "oblique", "stiefel", "euclidean"),
        seed: int = 0,
        *,
        pom: str = "set",
        exclude: Sequence[str] = (),
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        min_std: float | None = 1.0,
        fan_out: str = "glorot",
        radius: float | None = None,
        retraction: str = "qr",
        example: Tensor | tuple[Tensor, ...] | None = None,
    ) -> None:
        exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        options = LayerOptions(scheme, manifolds, pom, min_std, fan_out, radius)
        check_choice("retraction", retraction, RETRACTIONS)
        check_integer("seed", seed, low=0)
        self.model = model
        self.options: dict[str, Any] = {
            **asdict(options),
            "seed": seed,
            "exclude": exclude,
            "overrides": {key: _plain(changes) for key, changes in (overrides or {}).items()},
            "retraction": retraction,
        }
        self.version = 0
        selection = select(model, options, exclude, self.options["overrides"])
        self.skipped = selection.skipped
        sizes = _map_sizes(model, selection.chosen, example)
        self.layers = {
            name: self._build(candidate, chosen, sizes)
            for name, (candidate, chosen) in selection.chosen.items()
        }
        self._set_target_radii()

    # Which layers --------------------------------------------------------------

    def _build(
        self, candidate: Candidate, options: LayerOptions, sizes: Mapping[nn.Module, int]
    ) -> POMLayer:
        name, module, parameter = candidate.name, candidate.module, candidate.parameter
        # A stream of its own for each layer, so that one layer's sets do not
        # depend on which others are there.
        rng = np.random.default_rng([self.options["seed"], *name.encode()])
        grid = grid_of(module, getattr(module, parameter))
        view = view_weight(grid, options.scheme, len(options.manifolds), options.pom, rng)
        layer = POMLayer(name, module, parameter, view, options, sizes.get(module))
        if options.radius is None and not isinstance(module, nn.Embedding):
            layer.spread = FeatureSpread(module, parameter, view.channels)
        return layer

    def layer(self, name: str) -> POMLayer:
        """The layer called `name`; ``ValueError`` with the names there are if there is none."""
        check_choice("layer", name, self.layers)
        return self.layers[name]

    # Weights and radii ------------------------------------------------------------

    def _set_target_radii(self) -> None:
        for layer in self.layers.values():
            layer.radius = layer.target_radius()
        self.version += 1

    def initialize_(self, *, from_weights: bool = False) -> POMAdapter:
        """Put the weights on their manifolds, at the present radii.

        Parameters
        ----------
        from_weights : bool
            False: uniform (Haar) points, drawn with the adapter's seed. True:
            the points nearest to the present weights. Euclidean components
            keep their weights either way.

        Returns
        -------
        POMAdapter
            The adapter itself.
        """
        generator = torch.Generator().manual_seed(self.options["seed"])
        for layer in self.layers.values():
            layer.initialize_(generator, from_weights)
        return self

    def update_scales_(self) -> None:
        """Set the radii to gamma / lambda from the running spreads, and carry the weights along.

        Meant once an epoch (Algorithm 1). Nothing changes under a fixed radius. The
        momentum of an optimizer follows at its next step.
        """
        for layer in self.layers.values():
            layer.rescale_(layer.target_radius())
        self.version += 1

    def detach(self) -> None:
        """Take the hooks that measure features off the model; radii stay as they are from now on.

        The model is then as it was before, apart from its weights.
        """
        for layer in self.layers.values():
            if layer.spread is not None:
                layer.spread.remove()

    def export(self) -> nn.Module:
        """Copy the model, without anything of this package in it."""
        twin = copy.deepcopy(self.model)
        for module in twin.modules():
            remove_hooks(module)
        return twin

    def residuals(self) -> dict[str, float]:
        """Largest relative distance of a weight from each manifold, by manifold."""
        worst: dict[str, float] = {}
        for layer in self.layers.values():
            for name, value in layer.residuals().items():
                worst[name] = max(worst.get(name, 0.0), value)
        return worst

    def residual(self) -> float:
        """Largest relative distance of a weight from its manifold."""
        return max(self.residuals().values())

    # POMs -----------------------------------------------------------------------

    def pom_names(self, layer: str) -> list[str]:
        """Names of the POMs of a layer: channels, and number and kind of components."""
        return self.layer(layer).pom_names()

    def manifold(self, layer: str, pom: int) -> ScaledProductManifold:
        """POM number `pom` of a layer, at its present radii.

        Components of equal shape and manifold stand as the copies of one component.
        """
        return self.layer(layer).pom_manifold(pom)

    def point(self, layer: str, pom: int) -> list[Array]:
        """The present weight on POM number `pom` of a layer, as float64 arrays."""
        return self.layer(layer).pom_point(pom)

    def load_point_(self, layer: str, pom: int, point: Sequence[Array], tol: float = 1e-6) -> None:
        """Store a point of POM number `pom` in the layer's weight.

        Raises
        ------
        ValueError
            If the point is off the POM by more than `tol`; the weight is unchanged then.
        """
        self.manifold(layer, pom).check_point(point, tol=tol)
        self.layer(layer).load_pom_point_(pom, list(point))

    def problem(self, layer: str, pom: int, closure: Callable[[], Tensor]) -> pymanopt.Problem:
        """A loss as a function of one POM of the network, for the optimizers of pymanopt.

        Parameters
        ----------
        layer : str
        pom : int
        closure : callable
            Evaluates the model and returns the loss, differentiable twice for
            optimizers that use Hessians. The POM's weights are written to the model at
            every evaluation; all others stay as they are.

        Returns
        -------
        pymanopt.Problem
        """
        return pom_problem(self.layer(layer), pom, closure)

    def summary(self) -> pd.DataFrame:
        """Table of the layers: shapes, numbers of POMs and components, scaling gamma."""
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
                }
            )
        table = pd.DataFrame(rows).set_index("layer")
        counted = [name for name in COMPONENTS if name in table]
        return table.fillna(dict.fromkeys(counted, 0)).astype(dict.fromkeys(counted, int))

    def __repr__(self) -> str:
        poms = sum(layer.view.n_poms for layer in self.layers.values())
        return (
            f"POMAdapter(scheme={self.options['scheme']!r}, "
            f"manifolds={self.options['manifolds']!r}, "
            f"layers={len(self.layers)}, poms={poms}, skipped={len(self.skipped)})"
        )

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Options, sets, radii and spreads, as plain data that ``weights_only`` loading takes."""
        layers = {}
        for name, layer in self.layers.items():
            layers[name] = {
                "manifold": layer.view.manifold,
                "pom": layer.view.pom,
                "map_size": layer.map_size,
                "radius": layer.radius.clone(),
                "spread": None if layer.spread is None else layer.spread.state_dict(),
            }
        return {"options": copy.deepcopy(self.options), "layers": layers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take radii and spreads from a state of the same collection of POMs.

        Raises
        ------
        ValueError
            If the state is of other options, another model or another
            collection of POMs; nothing is changed then.
        """
        self.check_state(state)
        for name, layer in self.layers.items():
            stored = state["layers"][name]
            layer.radius = stored["radius"].clone().cpu()
            if layer.spread is not None:
                layer.spread.load_state_dict(stored["spread"], layer.weight.device)
        self.version += 1

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless a state is of this collection of POMs."""
        for option, mine in self.options.items():
            theirs = state["options"].get(option)
            if _plain(theirs) != _plain(mine):
                raise ValueError(f"checkpoint has {option}={theirs!r}, this adapter {mine!r}.")
        if list(state["layers"]) != list(self.layers):
            differ = sorted(set(state["layers"]) ^ set(self.layers))
            raise ValueError(f"checkpoint is of another model: layers {differ} are not in both.")
        for name, layer in self.layers.items():
            stored = state["layers"][name]
            if stored["map_size"] != layer.map_size:
                raise ValueError(f"checkpoint has other feature maps in layer {name!r}.")
            for part in ("manifold", "pom"):
                if not torch.equal(stored[part].cpu(), getattr(layer.view, part)):
                    raise ValueError(
                        f"checkpoint has another collection of POMs in layer {name!r} ({part})."
                    )


def _plain(value: Any) -> Any:
    """Lists as tuples, at every depth, so that what was saved compares equal to what is."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return tuple(_plain(entry) for entry in value) if isinstance(value, list | tuple) else value


def _map_sizes(
    model: nn.Module,
    chosen: Mapping[str, tuple[Candidate, LayerOptions]],
    example: Tensor | tuple[Tensor, ...] | None,
) -> dict[nn.Module, int]:
    if all(options.fan_out == "glorot" for _, options in chosen.values()):
        return {}
    if example is None:
        raise ValueError(
            "fan_out='feature_map' needs the sizes of the feature maps: give an input of the "
            "model as example=."
        )
    return map_sizes(model, example)
