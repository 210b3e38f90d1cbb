"""What an optimizer looks at before it changes anything."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer, weights_of
from fgmanifolds.torch.ops.native.plain import LAYOUT, SHAPE, STRIDED, VERSION
from fgmanifolds.torch.ops.table import PomTable
from fgmanifolds.torch.optim.active import are_same
from fgmanifolds.torch.optim.gradients import largest_norm, norm_bounds, unusable
from fgmanifolds.torch.sharded import any_sharded, is_sharded, whole

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.active import Active

__all__ = ["Guards"]

#: Steps between searches of the model for parameters that were put into it since.
SEARCH_EVERY = 50


class Guards:
    """Looks at the weights, gradients and state of one optimizer.

    Parameters
    ----------
    adapter : POMAdapter
    """

    def __init__(self, adapter: POMAdapter) -> None:
        self._adapter = adapter
        self._weights: list[Tensor] = []
        self._by_weight: dict[int, POMLayer] = {}
        self._written: tuple[list[int], list[int]] = [], []
        self._warned = self._gap = self._ranks_agree = False
        self._since = SEARCH_EVERY
        self._outside: list[tuple[str, nn.Parameter]] | None = None

    def layers_by_weight(self) -> dict[int, POMLayer]:
        """Layers by the identity of their present weights; ``ValueError`` if one has none."""
        layers = self._adapter.layers.values()
        weights = weights_of(layers)
        if not are_same(weights, self._weights):
            self._weights = weights
            self._by_weight = dict(zip(map(id, weights), layers, strict=True))
        return self._by_weight

    def check_ranks(self) -> None:
        """Before the first step, see that all processes start alike."""
        if not self._ranks_agree:
            self._adapter.check_ranks()
            self._ranks_agree = True

    def name_of(self, parameter: Tensor) -> str:
        """Name of a parameter in the model, quoted."""
        for name, candidate in self._adapter.model.named_parameters():
            if candidate is parameter:
                return repr(name)
        return "a parameter that is not the model's"

    # Tensors ----------------------------------------------------------------------

    def check_tensors(self, active: Sequence[Active]) -> None:
        """Raise ``ValueError`` if a weight or a gradient is of a kind that cannot be stepped."""
        for one in active:
            shapes = [layer.shape for layer in one.layers]
            present = list(map(SHAPE, one.weights))
            for layer, shape in zip(one.layers, present if present != shapes else (), strict=False):
                if shape != layer.shape:
                    raise ValueError(
                        f"the weight of layer {layer.name!r} has shape {tuple(shape)}; it "
                        f"had {tuple(layer.shape)} when the adapter was built. Nothing was "
                        "updated: build adapter and optimizer anew."
                    )
            if STRIDED.issuperset(map(LAYOUT, one.grads)):
                continue
            for p, grad in zip(one.params, one.grads, strict=True):
                if grad.layout is not torch.strided:
                    raise ValueError(
                        f"the gradient of {self.name_of(p)} is sparse, which is not supported; "
                        "nothing was updated. Make the embedding with sparse=False."
                    )

    def unusable_gradients(
        self, active: Sequence[Active], skip: set[int] | frozenset[int] = frozenset()
    ) -> list[str]:
        """Say which gradients cannot be used, and why.

        Parameters
        ----------
        active : sequence of Active
        skip : set of int
            Identities of parameters that are looked at elsewhere.
        """
        params, grads, limits = list[Tensor](), list[Tensor](), list[float]()
        for one in active:
            n, keys = len(one.layers), list(map(id, one.weights))
            left = () if skip.issuperset(keys) else [i for i in range(n) if keys[i] not in skip]
            params += [*[one.params[i] for i in left], *one.params[n:]]
            grads += [*[one.grads[i] for i in left], *one.grads[n:]]
            limits += [largest_norm(one.params[i].dtype) for i in left]
            limits += [math.inf] * (len(params) - len(limits))
        bounds = norm_bounds(grads)
        if sum(bounds) < min(limits, default=math.inf):
            return []
        found: dict[str, list[str]] = {}
        for p, grad, bound, limit in zip(params, grads, bounds, limits, strict=True):
            if bound <= limit and bound < math.inf:
                continue
            reason = unusable(grad, limit)
            if reason:
                found.setdefault(reason, []).append(self.name_of(p))
        return [f"{', '.join(names)} {reason}" for reason, names in found.items()]

    # Weights that were written to, or are not known ----------------------------------

    def _versions(self) -> tuple[list[int], list[int]]:
        """What changes when somebody writes to a weight on POMs, or puts another in its place.

        Of the weights that :meth:`layers_by_weight` saw last, as it does in every step.
        """
        local = self._weights
        if any_sharded(local):
            local = [x.to_local() if is_sharded(x) else x for x in local]
        return list(map(Tensor.data_ptr, local)), list(map(VERSION, self._weights))

    def written_to(self) -> bool:
        """Whether a weight was written to since :meth:`note_written`."""
        return self._written != self._versions()

    def note_written(self) -> None:
        """Take the present weights for those of the last step."""
        self._written = self._versions()

    def check_on_manifolds(self, table: PomTable) -> None:
        """Raise ``ValueError`` naming a layer whose weight is off its manifolds."""
        off = table.violation([whole(layer.weight) for layer in table.layers]).tolist()
        for layer, value in zip(table.layers, off, strict=True):
            if not value <= _tolerance(layer.weight.dtype):
                raise ValueError(
                    f"the weight of layer {layer.name!r} is off its manifolds, by {value:.1e} "
                    "relative to their radii; nothing was updated. Was adapter.initialize_() left "
                    "out, or the weight loaded, written or cast to another type since? "
                    "adapter.initialize_(from_weights=True) or adapter.project_() takes the "
                    "nearest points."
                )

    def forget_strangers(self) -> None:
        """Look anew for parameters that are in no group."""
        self._warned, self._outside = False, None

    def warn_of_strangers(
        self, groups: Sequence[Mapping[str, Any]], active: Sequence[Active]
    ) -> None:
        """Warn once of parameters of the model that have gradients and are in no group.

        Parameters
        ----------
        groups : sequence of dict
        active : sequence of Active
            Of these groups.
        """
        if self._warned:
            return
        pairs = zip(groups, active, strict=True)
        gap = any(len(one.params) < len(group["params"]) for group, one in pairs)
        self._since += 1
        if self._outside is None or (gap and (not self._gap or self._since >= SEARCH_EVERY)):
            known, self._since = {id(p) for group in groups for p in group["params"]}, 0
            named = self._adapter.model.named_parameters()
            self._outside = [(name, p) for name, p in named if id(p) not in known]
        self._gap = gap
        strangers = [name for name, p in self._outside if p.grad is not None]
        if strangers:
            self._warned = True
            listed = ", ".join(map(repr, strangers[:5]))
            have = "have gradients but are" if len(strangers) > 1 else "has a gradient but is"
            warnings.warn(
                f"{listed} {have} in no parameter group, and will not move: unfrozen or replaced "
                "after the optimizer was made? Add them by "
                "optimizer.add_param_group({'params': [...]}); to put an unfrozen layer on "
                "manifolds, make adapter and optimizer anew.",
                stacklevel=4,
            )


def _tolerance(dtype: torch.dtype) -> float:
    """Violation of the constraints beyond which a weight was not put there by steps."""
    return float(1e4 * torch.finfo(dtype).eps)
