"""POMAdapter: from a model to its collection of POMs, and back."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.collection import Collection, build_layer
from fgmanifolds.torch.distributed import WORLD, Ranks, check_agreement, unwrapped
from fgmanifolds.torch.gains import add_gains_, can_have_gains, fold_gains_
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.manifolds import RETRACTIONS
from fgmanifolds.torch.options import check_same_options, listed, plain, wanted_map_sizes
from fgmanifolds.torch.pom_access import PomAccess
from fgmanifolds.torch.selection import LayerOptions, patterns_of, select
from fgmanifolds.torch.sharded import is_sharded, reshard_
from fgmanifolds.torch.spread import remove_hooks
from fgmanifolds.validation import check_choice, check_integer, damage_refused

__all__ = ["POMAdapter"]


class POMAdapter(PomAccess):
    """Map the weights of a model onto products of weight manifolds.

    Kernels of convolutions (of any dimension, grouped, transposed) and blocks of
    linear layers and of attention projections become components; the sets of the
    chosen scheme become POMs. Everything else (biases, normalisation layers,
    embeddings, what is excluded) stays Euclidean. Call :meth:`initialize_` before
    training, and give the adapter to :class:`fgmanifolds.torch.FGSGD`.

    Parameters
    ----------
    model : nn.Module
        One wrapped in ``DistributedDataParallel`` is taken for what is inside.
    scheme : {"pio", "pi", "po", "layer", "kernel", "tensor"}
        How weights are put into sets (Appendix C.D). ``"layer"``: all weights
        of a layer in one POM; ``"kernel"``: each in a POM of its own; ``"tensor"``: the whole
        weight, flattened to outputs x (inputs times kernel), as one component.
    manifolds : sequence of {"sphere", "oblique", "stiefel", "euclidean"}
        Manifolds dealt over the sets, also such as :func:`register_component` has made known;
        one for the schemes ``"layer"``, ``"kernel"`` and ``"tensor"``.
    seed : int
        Seed of the sets and of :meth:`initialize_`.
    pom : {"set", "manifold"}
        Whether each set is a POM (Definition 1), or all sets of a layer that
        share a manifold (Appendix D.B).
    exclude : sequence of str
        Names of layers, of modules that hold layers, or patterns such as ``"head*"``, that stay
        Euclidean, with all weights that are tied to theirs.
    overrides : mapping of str to mapping
        Options of single layers by name or pattern, such as
        ``{"layer4.*": dict(manifolds=("stiefel",))}``: any of `scheme`, `manifolds`,
        `pom`, `min_std`, `fan_out` and `radius`. Later patterns win. An embedding lies on
        POMs only if a pattern names it.
    min_std : float or None
        Smallest spread lambda of features, as Proposition 1 needs 1. None
        takes the spreads as they are.
    fan_out : {"none", "glorot", "feature_map"}
        b-hat of eq. (2). ``"none"``: 0, so that the filters of all layers have one norm, and one
        learning rate fits them; better on Fashion-MNIST than the paper's radii (docs/choosing).
        ``"glorot"``: A B D, as in the scheme that (2) generalises; the paper's recipes here
        take it. ``"feature_map"``: the number of outputs H W D, as printed, which needs an
        `example`.
    radius : float, "keep" or None
        None: gamma / lambda. A number: the radius of all components. ``"keep"``: each
        component keeps the norm that its weight has when it is put on its manifold. The
        latter two stay as they are.
    parameters : sequence of str
        Names of further parameters, of modules that no reader knows, to be seen as matrices
        (all axes but the last as outputs). See also :func:`fgmanifolds.torch.register_layer`.
    retraction : {"qr", "polar", "cayley", "exp"}
        How steps go back to Stiefel manifolds, and with ``"exp"`` to all.
    example : Tensor or tuple of Tensor, optional
        Input of the model, to find the sizes of its feature maps.
    process_group : "world", ProcessGroup or None
        Processes that train this model together: all of ``torch.distributed`` if it is
        initialised, those of a group, or this one by itself. They draw their sets from the
        first one's seed, so that all must build the adapter, and average the moments of
        features in :meth:`update_scales_`.

    Attributes
    ----------
    collection : Collection
        Owner of the layers, their radii and spreads.
    skipped : dict of str to str
        Layers left Euclidean, with the reason.

    Raises
    ------
    ValueError
        If an option is unknown, a pattern matches no layer, a shape cannot have
        a manifold, or the model has no weight to put on a manifold.
    TypeError
        If `model` is no module, or `exclude` holds anything but names.

    Notes
    -----
    A model has one adapter at a time: building another one ends the measuring of the first.
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
        parameters: Sequence[str] = (),
        min_std: float | None = 1.0,
        fan_out: str = "none",
        radius: float | str | None = None,
        retraction: str = "qr",
        example: Tensor | tuple[Tensor, ...] | None = None,
        process_group: Any = WORLD,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"model is a {type(model).__name__}; a torch.nn.Module is needed, not its "
                "parameters: POMAdapter(model)."
            )
        options = LayerOptions(scheme, manifolds, pom, min_std, fan_out, radius)
        check_choice("retraction", retraction, RETRACTIONS)
        check_integer("seed", seed, low=0)
        ranks = Ranks(process_group)
        seed = ranks.shared(seed)
        self.model = model = unwrapped(model)
        self.options: dict[str, Any] = {
            **asdict(options),
            "seed": seed,
            "exclude": patterns_of("exclude", exclude),
            "overrides": {key: plain(changes) for key, changes in (overrides or {}).items()},
            "parameters": patterns_of("parameters", parameters),
            "retraction": retraction,
        }
        selection = select(
            model,
            options,
            self.options["exclude"],
            self.options["overrides"],
            self.options["parameters"],
        )
        self.skipped = selection.skipped
        sizes = wanted_map_sizes(model, selection.chosen, example)
        for module in model.modules():
            remove_hooks(module)
        self.collection = Collection(
            model,
            {
                name: build_layer(candidate, chosen, seed, sizes.get(candidate.module))
                for name, (candidate, chosen) in selection.chosen.items()
            },
            ranks,
        )

    @property
    def layers(self) -> dict[str, POMLayer]:
        """The layers on POMs, by name."""
        return self.collection.layers

    @property
    def version(self) -> int:
        """Grows when radii or sets change."""
        return self.collection.version

    def layer(self, name: str) -> POMLayer:
        """The layer called `name`; ``ValueError`` with the names there are if there is none."""
        check_choice("layer", name, self.layers)
        return self.layers[name]

    # Weights and radii ------------------------------------------------------------

    def initialize_(
        self, *, from_weights: bool = False, generator: torch.Generator | None = None
    ) -> POMAdapter:
        """Put the weights on their manifolds, at the present radii.

        Parameters
        ----------
        from_weights : bool
            False: uniform (Haar) points. True: the points nearest to the present weights.
            Euclidean components keep their weights either way.
        generator : torch.Generator, optional
            For the uniform points, on the CPU. Default: one with the adapter's seed.

        Returns
        -------
        POMAdapter
            The adapter itself.

        Warns
        -----
        UserWarning
            If the norm of a layer changes more than twofold and no normalisation layer
            follows: ``radius="keep"`` or a number may be what such a network needs.
        """
        if generator is None:
            generator = torch.Generator().manual_seed(self.options["seed"])
        changed = self.collection.initialize_(generator, from_weights=from_weights)
        if changed:
            names = listed([layer.name for layer in changed])
            warnings.warn(
                f"initialize_ changes the norm of the weights of {names} more than twofold, and "
                "no normalisation layer seems to follow them: signals may fade or grow. "
                "radius='keep' keeps each component's norm; radius=0.5, say, sets one.",
                stacklevel=2,
            )
        return self

    def add_gains_(self) -> list[str]:
        """Give each kernel a gain: its norm becomes a parameter of its own, and free.

        The weight of a layer becomes ``gain * V / |V|`` for each kernel V, which stays on its
        manifold, at its radius; the first gains are the present norms, so that the network
        stays what it is. Radii then set how far a step turns a kernel, not its norm, and the
        statements of the paper about norms (Proposition 1) hold for V alone. Call it after
        :meth:`initialize_` and before the optimizer is made, which trains the gains as it
        does all Euclidean parameters. Blocks of matrices have none.

        Returns
        -------
        list of str
            Names of the layers that have gains now: those whose components are kernels.

        Raises
        ------
        ValueError
            If no layer has kernels, one has gains already, a weight is tied to another or
            sharded, or a kernel is 0 or not finite; nothing is changed then.
        """
        fit = [name for name, one in self.layers.items() if can_have_gains(one, self.model)]
        if not fit:
            raise ValueError(
                "no layer has kernels to give gains to: components are kernels in convolutions "
                "of more than 1 x 1, and not under scheme='tensor'."
            )
        for name in fit:
            add_gains_(self.layers[name])
        return fit

    def update_scales_(self) -> None:
        """Set the radii to gamma / lambda from the running spreads, and carry the weights along.

        Meant once an epoch (Algorithm 1). Nothing changes under a fixed radius. The
        momentum of an optimizer follows at its next step. Where several processes train the
        model, all of them must call this: they average what they have seen of the features.
        """
        self.collection.update_scales_()

    def check_ranks(self) -> None:
        """Raise ``ValueError`` unless all processes hold the same options, sets, radii, weights.

        Optimizers call it before their first step. All ranks must.
        """
        layers = self.layers.values()
        check_agreement(
            self.collection.ranks,
            {
                "options": [plain(self.options)],
                "sets": [[layer.name, layer.view.state_dict()] for layer in layers],
                "radii": [layer.radius for layer in layers],
                "weights": [one.weight for one in layers if not is_sharded(one.weight)],
            },
        )

    def project_(self) -> None:
        """Take every weight to the nearest point of its manifolds, at the present radii.

        After weights were averaged, rounded or cast to another type.
        """
        reshard_(self.model)
        for layer in self.layers.values():
            layer.project_()

    def detach(self) -> None:
        """Take the hooks that measure features off the model; radii stay as they are from now on.

        The model is then as it was before, apart from its weights and their gains.
        """
        self.collection.detach()

    def export(self) -> nn.Module:
        """Copy the model, without anything of this package in it; gains go into the weights."""
        twin = copy.deepcopy(self.model)
        fold_gains_(twin)
        for module in twin.modules():
            remove_hooks(module)
        return twin

    def residuals(self) -> dict[str, float]:
        """Largest relative distance of a weight from each manifold, by manifold."""
        return self.collection.residuals()

    def residual(self) -> float:
        """Largest relative distance of a weight from its manifold."""
        return max(self.residuals().values())

    def spreads(self, layer: str) -> Tensor:
        """Running spread lambda of each input channel of a layer, float64 of shape [channels].

        1 where it is not measured. Passes since the last step are not in it yet.
        """
        found = self.layer(layer)
        if found.spread is None:
            return torch.ones(found.view.grid.channels, dtype=torch.float64)
        return found.spread.value

    # Tables ---------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """Table of the layers: shapes, POMs, components, gamma, radii, and what was skipped.

        ``clamped`` is the share of input channels whose spread is below `min_std`, so that it
        does not enter their radius; ``skipped`` says why a layer is Euclidean.
        """
        table = pd.DataFrame([*self.collection.rows(), *self._skipped_rows()]).set_index("layer")
        counted = [name for name in ("POMs", *COMPONENTS) if name in table]
        table[counted] = table[counted].fillna(0).astype(int)
        return table

    def _skipped_rows(self) -> list[dict[str, Any]]:
        return [{"layer": name, "skipped": reason} for name, reason in self.skipped.items()]

    def __repr__(self) -> str:
        number = sum(layer.view.n_poms for layer in self.layers.values())
        return (
            f"POMAdapter(scheme={self.options['scheme']!r}, "
            f"manifolds={self.options['manifolds']!r}, "
            f"layers={len(self.layers)}, poms={number}, skipped={len(self.skipped)})"
        )

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Options, sets, radii and spreads, as plain data that ``weights_only`` loading takes."""
        return {
            "options": copy.deepcopy(self.options),
            "layers": self.collection.state_dict(),
            "rescalings": self.collection.rescalings,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take sets, radii and spreads from a state of a model and of options like these.

        The seed may be another one: the sets are part of the state.

        Raises
        ------
        ValueError
            If the state is of other options or another model, or damaged; nothing is changed
            then.
        """
        self.check_state(state)
        self.collection.load_state_dict(state["layers"])
        self.collection.rescalings = state["rescalings"]
        self.options["seed"] = state["options"]["seed"]

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` unless a state can be loaded."""
        with damage_refused("checkpoint"):
            check_same_options(self.options, state)
        self.collection.check_state(state["layers"])
