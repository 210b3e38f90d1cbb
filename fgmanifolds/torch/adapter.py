"""POMAdapter: from a model to its collection of POMs, and back."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fgmanifolds.geometry import COMPONENTS, ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.renormalization import FeatureSpread
from fgmanifolds.torch.weight_sets import POM_MODES, SCHEMES
from fgmanifolds.torch.weights import SUPPORTED, view_weight
from fgmanifolds.validation import check_choice, check_choices, check_integer, check_number

__all__ = ["POMAdapter"]


class POMAdapter:
    """Map the weights of a model onto products of weight manifolds.

    Convolution kernels and blocks of linear layers become components; the sets
    of the chosen scheme become POMs. Everything else (biases, normalisation
    layers, what is excluded) stays Euclidean. Call :meth:`initialize_` before
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
    min_std : float or None
        Smallest spread lambda of features, as Proposition 1 needs 1. None
        takes the spreads as they are.
    radius : float or None
        Fixed radius of all components, in place of gamma / lambda.

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
        min_std: float | None = 1.0,
        radius: float | None = None,
    ) -> None:
        manifolds = (manifolds,) if isinstance(manifolds, str) else tuple(manifolds)
        exclude = (exclude,) if isinstance(exclude, str) else tuple(exclude)
        check_choice("scheme", scheme, SCHEMES)
        check_choices("manifolds", manifolds, COMPONENTS)
        check_choice("pom", pom, POM_MODES)
        check_integer("seed", seed, low=0)
        for argument, value in (("min_std", min_std), ("radius", radius)):
            if value is not None:
                check_number(argument, value, low=0, open_low=True)
        self.model = model
        self.options: dict[str, Any] = {
            "scheme": scheme,
            "manifolds": manifolds,
            "seed": seed,
            "pom": pom,
            "exclude": exclude,
            "min_std": min_std,
            "radius": radius,
        }
        self.skipped: dict[str, str] = {}
        self.version = 0
        modules = self._select(exclude)
        self.layers = {name: self._build(name, modules[name]) for name in modules}
        self._set_target_radii()

    # Which layers --------------------------------------------------------------

    def _select(self, exclude: Sequence[str]) -> dict[str, nn.Module]:
        found = {n: m for n, m in self.model.named_modules() if isinstance(m, SUPPORTED)}
        for pattern in exclude:
            if not any(fnmatchcase(name, pattern) for name in found):
                raise ValueError(
                    f"exclude={pattern!r} matches no layer; layers: {', '.join(map(repr, found))}."
                )
        chosen: dict[str, nn.Module] = {}
        owners: dict[int, str] = {}
        for name, module in found.items():
            reason = self._reason_to_skip(name, module, exclude, owners)
            if reason is None:
                chosen[name] = module
                owners[id(module.weight)] = name
            else:
                self.skipped[name] = reason
        if not chosen:
            reasons = "; ".join(f"{name!r}: {reason}" for name, reason in self.skipped.items())
            raise ValueError(
                "model has no weight to put on a manifold: it needs at least one trainable Conv2d "
                f"or Linear layer that is not excluded{f' ({reasons})' if reasons else ''}."
            )
        return chosen

    @staticmethod
    def _reason_to_skip(
        name: str, module: nn.Module, exclude: Sequence[str], owners: dict[int, str]
    ) -> str | None:
        if any(fnmatchcase(name, pattern) for pattern in exclude):
            return "excluded"
        weight = module._parameters.get("weight")
        if weight is None:
            return "its weight is not a plain parameter"
        if is_lazy(weight):
            raise ValueError(f"layer {name!r} is lazy; run the model once, then adapt it.")
        if not weight.requires_grad:
            return "frozen (requires_grad=False)"
        if weight.is_complex():
            return "complex"
        if id(weight) in owners:
            return f"its weight is tied to that of {owners[id(weight)]!r}"
        return None

    def _build(self, name: str, module: nn.Module) -> POMLayer:
        options = self.options
        # A stream of its own for each layer, so that one layer's sets do not
        # depend on which others are there.
        rng = np.random.default_rng([options["seed"], *name.encode()])
        assert isinstance(module, SUPPORTED)
        view = view_weight(
            module, options["scheme"], len(options["manifolds"]), options["pom"], rng
        )
        layer = POMLayer(name, module, view, options["manifolds"])
        if options["radius"] is None:
            layer.spread = FeatureSpread(module, view.channels)
        return layer

    def layer(self, name: str) -> POMLayer:
        """The layer called `name`; ``ValueError`` with the names there are if there is none."""
        check_choice("layer", name, self.layers)
        return self.layers[name]

    # Weights and radii ------------------------------------------------------------

    def _target_radii(self) -> dict[str, Tensor]:
        fixed, min_std = self.options["radius"], self.options["min_std"]
        return {n: layer.target_radius(fixed, min_std) for n, layer in self.layers.items()}

    def _set_target_radii(self) -> None:
        for name, radius in self._target_radii().items():
            self.layers[name].radius = radius
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

        Meant once an epoch (Algorithm 1). Nothing changes under a fixed radius.
        """
        for name, radius in self._target_radii().items():
            self.layers[name].rescale_(radius)
        self.version += 1

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

    def summary(self) -> pd.DataFrame:
        """Table of the layers: shapes, numbers of POMs and components, scaling gamma."""
        rows = []
        for name, layer in self.layers.items():
            counts = torch.bincount(layer.view.manifold, minlength=len(layer.manifolds)).tolist()
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
        return pd.DataFrame(rows).set_index("layer")

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
                "radius": layer.radius.clone(),
                "spread": None if layer.spread is None else layer.spread.value.clone(),
            }
        return {"options": dict(self.options), "layers": layers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take radii and spreads from a state of the same collection of POMs.

        Raises
        ------
        ValueError
            If the state is of other options, another model or another
            collection of POMs; nothing is changed then.
        """
        self._check_state(state)
        for name, layer in self.layers.items():
            stored = state["layers"][name]
            layer.radius = stored["radius"].clone()
            if layer.spread is not None:
                layer.spread.value = stored["spread"].clone().to(layer.weight.device)
        self.version += 1

    def _check_state(self, state: dict[str, Any]) -> None:
        for option, mine in self.options.items():
            theirs = state["options"].get(option)
            if (tuple(theirs) if isinstance(theirs, list) else theirs) != mine:
                raise ValueError(f"checkpoint has {option}={theirs!r}, this adapter {mine!r}.")
        if list(state["layers"]) != list(self.layers):
            differ = sorted(set(state["layers"]) ^ set(self.layers))
            raise ValueError(f"checkpoint is of another model: layers {differ} are not in both.")
        for name, layer in self.layers.items():
            for part in ("manifold", "pom"):
                if not torch.equal(state["layers"][name][part], getattr(layer.view, part)):
                    raise ValueError(
                        f"checkpoint has another collection of POMs in layer {name!r} ({part})."
                    )
