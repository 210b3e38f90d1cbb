"""Steps on POMs along given directions: tables of layers, denominators, and running norms."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.steps import NORM_MOMENTUM, StepRule
from fgmanifolds.steps.norms import chosen_denominator
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.table import PomTable, UnitGeometry
from fgmanifolds.torch.optim.active import Active
from fgmanifolds.torch.sharded import all_whole, packs, wholly

__all__ = ["PomSteps"]

#: Tables that are kept, of different sets of layers with gradients.
TABLES = 32

#: Gives the weights of some layers that distances are measured to.
References = Callable[[Sequence[POMLayer]], list[Tensor]]


class PomSteps:
    """Moves weights on POMs, and keeps what their denominators need.

    Parameters
    ----------
    adapter : POMAdapter
    compile : bool
        Whether small kernels go through ``torch.compile``.
    native : bool
        Whether blocks of matrices go through C++.

    Attributes
    ----------
    tables : dict
        Tables by set of layers, device and type.
    last : dict of str to (Tensor, Tensor, slice)
        Norms R and denominators g at the last step, and which of them are of a layer's POMs.
    """

    def __init__(self, adapter: POMAdapter, *, compile: bool, native: bool) -> None:
        self._adapter, self._compile, self._native = adapter, compile, native
        self.tables: OrderedDict[Any, PomTable] = OrderedDict()
        self._version = -1
        self.last: dict[str, tuple[Tensor, Tensor, slice]] = {}

    def tables_of(self, layers: Sequence[POMLayer]) -> list[PomTable]:
        """Tables of some layers, one for each device, type and pack; kept by set of layers."""
        version = self._adapter.version
        if version != self._version:
            self.tables.clear()
            self._version = version
        kinds: dict[Any, list[POMLayer]] = {}
        weights = [layer.weight for layer in layers]
        for layer, weight, pack in zip(layers, weights, packs(weights), strict=True):
            kinds.setdefault((weight.device, weight.dtype, pack), []).append(layer)
        return [self._table(kind, own) for kind, own in kinds.items()]

    def _table(self, kind: Any, layers: Sequence[POMLayer]) -> PomTable:
        key = (kind, tuple(layer.name for layer in layers))
        if key not in self.tables:
            retraction = self._adapter.options["retraction"]
            self.tables[key] = PomTable(
                layers, retraction, compile=self._compile, native=self._native
            )
            if len(self.tables) > TABLES:
                self.tables.popitem(last=False)
        self.tables.move_to_end(key)
        return self.tables[key]

    def step_(
        self,
        active: Active,
        state: Mapping[Tensor, dict[str, Any]],
        directions: Mapping[int, Tensor],
        scale: float,
        references: References,
        factors: Mapping[int, Tensor],
    ) -> None:
        """Step the layers of a group.

        Parameters
        ----------
        active : Active
        state : mapping
            The optimizer's; running means of R^2 are kept there.
        directions : mapping of int to Tensor
            By the identity of the weight.
        scale : float
            From direction to gradient.
        references : callable
        factors : mapping of int to Tensor
            Of the components of some layers, which their directions go by; by the weight.
        """
        group = active.group
        for table in self.tables_of(active.layers):
            weights: list[Tensor] = [layer.weight for layer in table.layers]
            states = [state[weight] for weight in weights]
            past = past_squares(table, states)

            def denominator(
                norm: Tensor, poms: slice, geometry: UnitGeometry, past: Tensor = past
            ) -> Tensor:
                used = None
                if group["gradient_norm"] == "past":
                    own = past[poms]
                    # At the first step of a layer there is no past.
                    used = torch.where(own.isnan(), (scale * norm) ** 2, own)
                g = chosen_denominator(active.rule, norm, used, geometry, scale)
                return _as_denominator(g, norm, active.rule)

            with wholly(weights) as full:
                norm, g = table.step_(
                    full,
                    all_whole([directions[id(w)] for w in weights]),
                    group["lr"],
                    denominator,
                    lambda table=table: references(table.layers),  # type: ignore[misc]
                    [factors.get(id(w)) for w in weights] if factors else None,
                )
            self._remember(table, states, scale * norm, g)

    def on_tangent_spaces(
        self,
        active: Active,
        state: Mapping[Tensor, dict[str, Any]],
        grads: list[Tensor],
        kept: Sequence[str],
    ) -> list[Tensor]:
        """Project gradients at the present weights, and in place the state called `kept`.

        Parameters
        ----------
        active : Active
        state : mapping
        grads : list of Tensor
        kept : sequence of str
        """
        number = len(active.layers)
        own = [g.clone(memory_format=torch.preserve_format) for g in grads[:number]]
        by_layer = dict(zip((layer.name for layer in active.layers), own, strict=True))
        for table in self.tables_of(active.layers):
            weights = [layer.weight for layer in table.layers]
            full = all_whole(weights)
            with wholly([by_layer[layer.name] for layer in table.layers]) as vectors:
                table.tangents_(full, vectors)
            for key in kept:
                found = [state[w].get(key) for w in weights]
                known = [tensor for tensor in found if tensor is not None]
                if len(known) == len(found):
                    with wholly(known) as vectors:
                        table.tangents_(full, vectors)
        return [*own, *grads[number:]]

    def _remember(
        self, table: PomTable, states: Sequence[dict[str, Any]], norm: Tensor, g: Tensor
    ) -> None:
        """Keep R^2 for the next step, and what the optimizer's statistics show."""
        ends = pairwise(table.offsets)
        for layer, (first, end) in zip(table.layers, ends, strict=True):
            self.last[layer.name] = norm, g, slice(first, end)
        squares = (norm * norm).split(table.sizes)
        known = [i for i, one in enumerate(states) if "mean_square" in one]
        if known:
            for i in known:
                # The weights may have been cast to another type.
                if states[i]["mean_square"].dtype != norm.dtype:
                    states[i]["mean_square"] = states[i]["mean_square"].to(norm)
            running = [states[i]["mean_square"] for i in known]
            torch._foreach_lerp_(running, [squares[i] for i in known], 1 - NORM_MOMENTUM)
        for one, own in zip(states, squares, strict=True):
            if "mean_square" not in one:
                one["mean_square"] = own.clone()


def past_squares(table: PomTable, states: Sequence[Mapping[str, Any]]) -> Tensor:
    """Running means of R^2 of a table's POMs, from its layers' states; nan where unknown."""
    kept = [own.get("mean_square") for own in states]
    found = [
        table.like.new_full((size,), math.nan) if own is None else own
        for own, size in zip(kept, table.sizes, strict=True)
    ]
    return torch.cat([own.to(table.like) for own in found])


def _as_denominator(g: Any, norm: Tensor, rule: StepRule) -> Tensor:
    """See that a rule of one's own gives one number for each POM."""
    if not isinstance(g, Tensor) or g.shape != norm.shape:
        shape = tuple(getattr(g, "shape", ()))
        raise ValueError(
            f"{rule!r} gave g of shape {shape} for {len(norm)} POMs; a tensor with one number for "
            "each is needed."
        )
    return g
