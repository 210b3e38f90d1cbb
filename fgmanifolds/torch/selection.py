"""Which weights of a model lie on POMs, under which options, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.layers import LayerReader, PlainParameter, reader_of, weights_of
from fgmanifolds.torch.scaling import FAN_OUT
from fgmanifolds.torch.schemes import POM_MODES, check_scheme
from fgmanifolds.validation import check_choice, check_choices, check_number

__all__ = ["Candidate", "LayerOptions", "Selection", "patterns_of", "select"]

#: `radius` that keeps the norm of each component's present weight.
KEEP = "keep"


@dataclass(frozen=True)
class LayerOptions:
    """What may differ from layer to layer; see :class:`fgmanifolds.torch.POMAdapter`."""

    scheme: str = "pio"
    manifolds: Sequence[str] = ("sphere", "oblique", "stiefel", "euclidean")
    pom: str = "set"
    min_std: float | None = 1.0
    fan_out: str = "none"
    radius: float | str | None = None

    def __post_init__(self) -> None:
        names = (self.manifolds,) if isinstance(self.manifolds, str) else tuple(self.manifolds)
        object.__setattr__(self, "manifolds", names)
        check_choices("manifolds", names, COMPONENTS)
        check_scheme(self.scheme, len(names))
        check_choice("pom", self.pom, POM_MODES)
        check_choice("fan_out", self.fan_out, FAN_OUT)
        if self.min_std is not None:
            check_number("min_std", self.min_std, low=0, open_low=True)
        if isinstance(self.radius, str):
            check_choice("radius", self.radius, (KEEP,))
        elif self.radius is not None:
            check_number("radius", self.radius, low=0, open_low=True)

    def with_changes(self, pattern: str, changes: Mapping[str, Any]) -> LayerOptions:
        """These options with those of an override; ``ValueError`` names the pattern.

        Parameters
        ----------
        pattern : str
        changes : mapping
        """
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
    reader: LayerReader


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


def patterns_of(argument: str, given: Any) -> tuple[str, ...]:
    """Names or patterns as a tuple; ``TypeError`` unless they are strings.

    Parameters
    ----------
    argument : str
        Its name, for the message.
    given : str or sequence of str
    """
    patterns = (given,) if isinstance(given, str | nn.Module) else tuple(given)
    for one in patterns:
        if not isinstance(one, str):
            raise TypeError(
                f"{argument} holds a {type(one).__name__}; names of layers as in "
                "model.named_modules(), or patterns such as 'head*', are needed."
            )
    return patterns


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches a name, or one of the modules that it lies in."""
    words = name.split(".")
    prefixes = [".".join(words[: i + 1]) for i in range(len(words))] or [name]
    return any(fnmatchcase(prefix, pattern) for pattern in patterns for prefix in prefixes)


def _plain_candidates(model: nn.Module, parameters: Sequence[str]) -> Iterator[Candidate]:
    known = dict(model.named_parameters(remove_duplicate=False))
    reader = PlainParameter()
    for name in parameters:
        check_choice("parameters", name, known)
        owner, _, attribute = name.rpartition(".")
        yield Candidate(name, model.get_submodule(owner), attribute, reader)


def _candidates(model: nn.Module, parameters: Sequence[str]) -> list[Candidate]:
    plain = list(_plain_candidates(model, parameters))
    taken = {(id(one.module), one.parameter) for one in plain}
    read = [Candidate(*entry) for entry in weights_of(model)]
    return [one for one in read if (id(one.module), one.parameter) not in taken] + plain


def _unknown(model: nn.Module, candidates: Sequence[Candidate]) -> Iterator[tuple[str, str]]:
    """Modules that hold matrices of their own which are not seen as components."""
    named = {(id(one.module), one.parameter) for one in candidates}
    for name, module in model.named_modules():
        own = [
            parameter
            for parameter, p in module.named_parameters(recurse=False)
            if not is_lazy(p) and p.dim() > 1 and (id(module), parameter) not in named
        ]
        if own and reader_of(module) is None:
            kind = type(module).__name__
            reason = f"{', '.join(own)} of {kind}: name them in parameters= to put them on POMs"
            yield name or kind, reason


def _check_patterns(names: Sequence[str], patterns: Mapping[str, Iterable[str]]) -> None:
    for argument, given in patterns.items():
        for pattern in given:
            if not any(_matches(name, (pattern,)) for name in names):
                listed = ", ".join(map(repr, names))
                raise ValueError(f"{argument}={pattern!r} matches no layer; layers: {listed}.")


def select(
    model: nn.Module,
    options: LayerOptions,
    exclude: Sequence[str],
    overrides: Mapping[str, Mapping[str, Any]],
    parameters: Sequence[str] = (),
) -> Selection:
    """Choose the weights that lie on POMs.

    Parameters
    ----------
    model : nn.Module
    options : LayerOptions
        Of the layers that no override names.
    exclude : sequence of str
        Patterns of names, of layers or of modules that hold layers.
    overrides : mapping of str to mapping
        Options by patterns of names; later ones win.
    parameters : sequence of str
        Names of further parameters, of modules that no reader knows.

    Raises
    ------
    ValueError
        If a pattern matches nothing, a layer is lazy, an option is unknown, or no
        weight is left.
    """
    candidates = _candidates(model, parameters)
    names = [candidate.name for candidate in candidates]
    _check_patterns(names, {"exclude": exclude, "overrides": overrides})
    found = Selection()
    found.skipped.update(_unknown(model, candidates))
    rules = _Rules(candidates, exclude, overrides, parameters)
    for candidate in candidates:
        reason = rules.reason_to_skip(candidate)
        if reason is None:
            found.chosen[candidate.name] = (candidate, _merged(candidate, options, overrides))
        else:
            found.skipped[candidate.name] = reason
    if not found.chosen:
        raise ValueError(_nothing_left(found.skipped))
    return found


def _merged(
    candidate: Candidate, options: LayerOptions, overrides: Mapping[str, Mapping[str, Any]]
) -> LayerOptions:
    for pattern, changes in overrides.items():
        if _matches(candidate.name, (pattern,)):
            options = options.with_changes(pattern, changes)
    return options


def _nothing_left(skipped: Mapping[str, str]) -> str:
    reasons = "; ".join(f"{name!r}: {reason}" for name, reason in skipped.items())
    return (
        "model has no weight to put on a manifold: it needs at least one trainable convolution, "
        "linear, recurrent or attention layer that is not excluded"
        f"{f' ({reasons})' if reasons else ''}."
    )


class _Rules:
    """Why a candidate is left Euclidean. Weights that are tied share their fate."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        exclude: Sequence[str],
        overrides: Mapping[str, Mapping[str, Any]],
        parameters: Sequence[str],
    ) -> None:
        self._exclude, self._named = exclude, tuple(overrides)
        self._parameters = set(parameters)
        self._ties: dict[int, list[Candidate]] = {}
        for candidate in candidates:
            weight = candidate.module._parameters.get(candidate.parameter)
            if weight is not None:
                self._ties.setdefault(id(weight), []).append(candidate)

    def _is_named(self, candidate: Candidate) -> bool:
        return candidate.name in self._parameters or _matches(candidate.name, self._named)

    def reason_to_skip(self, candidate: Candidate) -> str | None:
        if _matches(candidate.name, self._exclude):
            return "excluded"
        weight = candidate.module._parameters.get(candidate.parameter)
        if weight is None:
            return "its weight is not a plain parameter (parametrized or pruned)"
        if is_lazy(weight):
            raise ValueError(
                f"layer {candidate.name!r} is lazy; run the model once, then adapt it."
            )
        if not weight.requires_grad:
            return "frozen (requires_grad=False)"
        if weight.is_complex():
            return "complex"
        return self._reason_of_ties(candidate, self._ties[id(weight)])

    def _reason_of_ties(self, candidate: Candidate, ties: Sequence[Candidate]) -> str | None:
        for other in ties:
            if _matches(other.name, self._exclude):
                return f"its weight is tied to that of {other.name!r}, which is excluded"
        by_name = [one for one in ties if one.reader.only_by_name]
        if by_name and not any(map(self._is_named, ties)):
            if candidate in by_name:
                return "an embedding; name it in overrides to put it on POMs"
            return f"its weight is tied to that of the embedding {by_name[0].name!r}"
        if ties[0] is not candidate:
            return f"its weight is tied to that of {ties[0].name!r}"
        return None
