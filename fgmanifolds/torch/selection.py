"""Which weights of a model lie on POMs, under which options, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.schemes import POM_MODES, SCHEMES
from fgmanifolds.validation import check_choice, check_choices, check_number

__all__ = ["FAN_OUT", "Candidate", "LayerOptions", "Selection", "select"]

#: Readings of b-hat in eq. (2).
FAN_OUT = ("glorot", "feature_map")

#: Weights of attention: one packed parameter, or one for each part.
_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True)
class LayerOptions:
    """What may differ from layer to layer; see :class:`fgmanifolds.torch.POMAdapter`."""

    scheme: str = "pio"
    manifolds: Sequence[str] = ("sphere", "oblique", "stiefel", "euclidean")
    pom: str = "set"
    min_std: float | None = 1.0
    fan_out: str = "glorot"
    radius: float | None = None

    def __post_init__(self) -> None:
        names = (self.manifolds,) if isinstance(self.manifolds, str) else tuple(self.manifolds)
        object.__setattr__(self, "manifolds", names)
        check_choice("scheme", self.scheme, SCHEMES)
        check_choices("manifolds", names, COMPONENTS)
        check_choice("pom", self.pom, POM_MODES)
        check_choice("fan_out", self.fan_out, FAN_OUT)
        for argument in ("min_std", "radius"):
            value = getattr(self, argument)
            if value is not None:
                check_number(argument, value, low=0, open_low=True)

    def with_changes(self, pattern: str, changes: Mapping[str, Any]) -> LayerOptions:
        """These options with those of an override; ``ValueError`` names the pattern."""
        known = asdict(self)
        try:
            for name in changes:
                check_choice("option", name, known)
            return replace(self, **changes)
        except ValueError as error:
            raise ValueError(f"overrides[{pattern!r}]: {error}") from None


@dataclass(frozen=True)
class Candidate:
    """A parameter that could lie on POMs: a module's, under a name of its own."""

    name: str
    module: nn.Module
    parameter: str


@dataclass
class Selection:
    """What was chosen.

    Attributes
    ----------
    chosen : dict of str to (Candidate, LayerOptions)
    skipped : dict of str to str
        Names of the others, with the reason.
    """

    chosen: dict[str, tuple[Candidate, LayerOptions]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def _candidates(model: nn.Module) -> Iterator[Candidate]:
    for name, module in model.named_modules():
        if isinstance(module, _ConvNd | nn.Linear | nn.Embedding):
            yield Candidate(name, module, "weight")
        elif isinstance(module, nn.MultiheadAttention):
            for parameter in _ATTENTION:
                if getattr(module, parameter) is not None:
                    yield Candidate(f"{name}.{parameter}".lstrip("."), module, parameter)


def _unknown(model: nn.Module, known: set[int]) -> Iterator[tuple[str, str]]:
    """Modules that hold matrices of their own which are not seen as components."""
    for name, module in model.named_modules():
        own = module.parameters(recurse=False)
        if id(module) not in known and any(not is_lazy(p) and p.dim() > 1 for p in own):
            yield name, f"the weights of {type(module).__name__} are not seen as components"


def select(
    model: nn.Module,
    options: LayerOptions,
    exclude: Sequence[str],
    overrides: Mapping[str, Mapping[str, Any]],
) -> Selection:
    """Choose the weights that lie on POMs.

    Parameters
    ----------
    model : nn.Module
    options : LayerOptions
        Of the layers that no override names.
    exclude : sequence of str
        Patterns of names.
    overrides : mapping of str to mapping
        Options by patterns of names; later ones win.

    Raises
    ------
    ValueError
        If a pattern matches nothing, a layer is lazy, an option is unknown, or no
        weight is left.
    """
    candidates = list(_candidates(model))
    names = [candidate.name for candidate in candidates]
    for argument, patterns in (("exclude", exclude), ("overrides", overrides)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                listed = ", ".join(map(repr, names))
                raise ValueError(f"{argument}={pattern!r} matches no layer; layers: {listed}.")
    found = Selection()
    found.skipped.update(_unknown(model, {id(candidate.module) for candidate in candidates}))
    owners: dict[int, str] = {}
    for candidate in candidates:
        reason = _reason_to_skip(candidate, exclude, overrides, owners)
        if reason is None:
            found.chosen[candidate.name] = (candidate, _merged(candidate, options, overrides))
            owners[id(getattr(candidate.module, candidate.parameter))] = candidate.name
        else:
            found.skipped[candidate.name] = reason
    if not found.chosen:
        raise ValueError(_nothing_left(found.skipped))
    return found


def _merged(
    candidate: Candidate, options: LayerOptions, overrides: Mapping[str, Mapping[str, Any]]
) -> LayerOptions:
    for pattern, changes in overrides.items():
        if fnmatchcase(candidate.name, pattern):
            options = options.with_changes(pattern, changes)
    return options


def _nothing_left(skipped: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{name!r}: {reason}" for name, reason in skipped.items())
    return (
        "model has no weight to put on a manifold: it needs at least one trainable convolution, "
        "Linear or MultiheadAttention layer that is not excluded"
        f"{f' ({reasons})' if reasons else ''}."
    )


def _reason_to_skip(
    candidate: Candidate,
    exclude: Sequence[str],
    overrides: Mapping[str, Mapping[str, Any]],
    owners: dict[int, str],
) -> str | None:
    name, module = candidate.name, candidate.module
    if any(fnmatchcase(name, pattern) for pattern in exclude):
        return "excluded"
    weight = module._parameters.get(candidate.parameter)
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
    named = any(fnmatchcase(name, pattern) for pattern in overrides)
    if isinstance(module, nn.Embedding) and not named:
        return "an embedding; name it in overrides to put it on POMs"
    return None
