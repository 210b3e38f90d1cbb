"""The C++ way of FGSGD: small float32 kernels on the CPU."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fgmanifolds.steps import NORM_MOMENTUM, StepRule
from fgmanifolds.steps.norms import chosen_denominator
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import NativeTable, can_hold, can_take
from fgmanifolds.torch.optim.gradients import largest_norm
from fgmanifolds.torch.poms import pom_norms

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.pom_steps import Active

__all__ = ["NativeGeometry", "NativeWay"]

#: Allowance for rounding where a bound of norms decides whether they are looked at.
SLACK = 1 + 1e-4


@dataclass
class NativeGeometry:
    """The :class:`~fgmanifolds.steps.PomGeometry` of all POMs of a table."""

    table: NativeTable

    @property
    def c_hat(self) -> Tensor:
        """See :class:`fgmanifolds.torch.ops.table.Bounds`."""
        return self.table.c_hat

    @property
    def kappa(self) -> Tensor:
        """See :class:`fgmanifolds.torch.ops.table.Bounds`."""
        return self.table.kappa

    @property
    def curved_norm(self) -> Tensor:
        """See :class:`fgmanifolds.torch.ops.table.Bounds`."""
        return self.table.curved_norm

    def distance(self) -> Tensor:
        """Not here: rules that need it say so, and go through torch."""
        raise ValueError(
            "a step rule asked for the distance to a reference: it must set its attribute "
            "needs_reference = True."
        )

    def point_norm(self) -> Tensor:
        """Frobenius norm of the present points."""
        norms = []
        for layer, norm in zip(
            self.table.layers, self.table.curved_norm.split(self.table.sizes), strict=True
        ):
            flat = "euclidean" in layer.manifolds
            norms.append(pom_norms(layer, layer.weight).float() if flat else norm)
        return torch.cat(norms)


class NativeWay:
    """Tables of the layers that the C++ step can take, and what it remembers between steps.

    One pass over gradients sums their squares over the POMs. With the norms of the momenta, from
    the step before, they bound the norms R of the present directions, so that most steps need
    but one more pass: only where the bound exceeds g(R_past) are the directions projected
    once without a move.

    Parameters
    ----------
    adapter : POMAdapter

    Raises
    ------
    NativeBuildError
        If the step cannot be compiled.
    """

    def __init__(self, adapter: POMAdapter) -> None:
        self._adapter = adapter
        self._key: tuple[int, int] | None = None
        self._momenta, self._noted = torch.empty(0), dict[str, tuple[int, int]]()
        self._squares: Tensor | None = None
        self._renew()

    def _renew(self) -> None:
        key = (self._adapter.version, torch.get_num_threads())
        if key == self._key:
            return
        self._key, self._noted = key, {}
        self._past, self._views = torch.empty(0), list[Tensor | None]()
        layers = [
            layer
            for layer in self._adapter.layers.values()
            if can_hold(layer) and layer.weight.dtype == torch.float32 and layer.weight.is_cpu
        ]
        self.table = NativeTable(layers) if layers else None
        self._momenta = torch.zeros(0 if self.table is None else self.table.n_poms)
        self._position = {layer.name: i for i, layer in enumerate(layers)}
        sizes = torch.tensor([layer.view.n_poms for layer in layers], dtype=torch.int64)
        self._layer_of_pom = torch.repeat_interleave(torch.arange(len(layers)), sizes)

    def split(self, active: Active, state: Any) -> list[POMLayer]:
        """The layers of a group that this way takes at this step.

        Parameters
        ----------
        active : sequence
        state : mapping
        """
        self._renew()
        return [
            layer
            for layer in active.layers
            if layer.name in self._position
            and can_take(layer, state[layer.weight].get("momentum_buffer"))
        ]

    def look(self, layers: Sequence[POMLayer]) -> None:
        """Sum the squares of the present gradients over the POMs, for all that follows."""
        assert self.table is not None
        self._squares = self.table.gradient_squares([self._position[x.name] for x in layers])

    def position(self, layer: POMLayer) -> int:
        """Number of a layer in the table."""
        return self._position[layer.name]

    def usable(self, layers: Sequence[POMLayer]) -> list[POMLayer]:
        """Layers whose gradient is finite, and not too large for a step."""
        assert self.table is not None
        assert self._squares is not None
        sums = torch.zeros(len(self.table.layers), dtype=torch.float64)
        norms = sums.index_add_(0, self._layer_of_pom, self._squares).sqrt()
        own = norms[[self._position[layer.name] for layer in layers]].tolist()
        limit = largest_norm(torch.float32)
        return [layer for layer, norm in zip(layers, own, strict=True) if norm <= limit]

    # Running means of R^2 ------------------------------------------------------------

    def past(self, state: Any) -> Tensor:
        """Running means of R^2 of all POMs; nan where there is none.

        What the optimizer's state holds of them are views of this one tensor.
        """
        assert self.table is not None
        kept = [state[layer.weight].get("mean_square") for layer in self.table.layers]
        if len(self._views) == len(kept) and all(map(operator.is_, kept, self._views)):
            return self._past
        parts = [
            torch.full((size,), math.nan) if own is None else own.float()
            for own, size in zip(kept, self.table.sizes, strict=True)
        ]
        self._past = torch.cat(parts)
        views = self._past.split(self.table.sizes)
        # None where a layer has not been stepped yet.
        known = zip(kept, views, strict=True)
        self._views = [None if own is None else view for own, view in known]
        for layer, view in zip(self.table.layers, self._views, strict=True):
            if view is not None:
                state[layer.weight]["mean_square"] = view
        return self._past

    def remember(self, layers: Sequence[POMLayer], state: Any, norm: Tensor) -> None:
        """Take the present R of some layers into the running means.

        Parameters
        ----------
        layers : sequence
        state : mapping
        norm : Tensor
        """
        assert self.table is not None
        squares = norm * norm
        new = torch.where(
            self._past.isnan(), squares, torch.lerp(self._past, squares, 1 - NORM_MOMENTUM)
        )
        if len(layers) < len(self.table.layers):
            new = torch.where(self._own(layers), new, self._past)
        self._past.copy_(new)
        views = None
        for layer in layers:
            i = self._position[layer.name]
            if self._views[i] is None:
                views = self._past.split(self.table.sizes) if views is None else views
                self._views[i] = state[layer.weight]["mean_square"] = views[i]

    # Steps ------------------------------------------------------------------------

    def step_(
        self,
        layers: Sequence[POMLayer],
        state: Any,
        group: dict[str, Any],
        rule: StepRule,
        past: Tensor,
        scale: float,
    ) -> tuple[Tensor, Tensor]:
        """Step some layers of a group.

        Parameters
        ----------
        layers : sequence of POMLayer
        state : mapping
            The optimizer's.
        group : dict
        rule : StepRule
        past : Tensor of shape [POMs of the table]
            Running means of R^2; nan where there is none.
        scale : float
            From direction to gradient.

        Returns
        -------
        norm, g : tensors of shape [POMs of the table]
            Norms of the projected directions.
        """
        assert self.table is not None
        positions = [self._position[layer.name] for layer in layers]
        states = [state[layer.weight] for layer in layers]
        fresh = ["momentum_buffer" not in one for one in states]
        buffers: list[Tensor | None] = [None] * len(layers)
        if group["momentum"] != 0:
            for one, layer in zip(states, layers, strict=True):
                if "momentum_buffer" not in one:
                    one["momentum_buffer"] = torch.empty_like(layer.weight)
            buffers = [one["momentum_buffer"] for one in states]
        if group["gradient_norm"] == "current":
            past = torch.full_like(past, math.nan)
        geometry = NativeGeometry(self.table)
        g = self._from_past(layers, buffers, fresh, group, rule, past, scale, geometry)
        if g is None:
            still = torch.zeros(self.table.n_poms)
            now, _ = self.table.run(positions, buffers, fresh, still, group, write=False)
            used = None
            if group["gradient_norm"] == "past":
                used = torch.where(past.isnan(), (scale * now) ** 2, past)
            g = chosen_denominator(rule, now, used, geometry, scale)
        norm, whole = self.table.run(positions, buffers, fresh, -group["lr"] / g, group, write=True)
        self._note_momenta(layers, buffers, whole, group)
        return norm, g

    def _from_past(
        self,
        layers: Sequence[POMLayer],
        buffers: Sequence[Tensor | None],
        fresh: Sequence[bool],
        group: dict[str, Any],
        rule: StepRule,
        past: Tensor,
        scale: float,
        geometry: NativeGeometry,
    ) -> Tensor | None:
        """Denominators that need no look at the present norms; None if some do."""
        assert self.table is not None
        if rule.of_direction:
            return None
        whole = len(layers) == len(self.table.layers)
        own = slice(None) if whole else self._own(layers)
        # Comparisons with nan, where there is no past, are false.
        if not bool((past[own] >= 0).all()):
            return None
        g: Tensor = rule((past if whole else past.nan_to_num(0.0)).sqrt(), geometry)
        if not rule.bounded:
            return g
        bound = self._bound(layers, buffers, fresh, group)
        if bound is None:
            return None
        curved = (self.table.c_hat + self.table.kappa) > 0
        fits = (bound[own] * (SLACK * scale) <= g[own]) | ~curved[own]
        return g if bool(fits.all()) else None

    def _own(self, layers: Sequence[POMLayer]) -> Tensor:
        """Mask of the POMs of some layers."""
        assert self.table is not None
        present = torch.zeros(len(self.table.layers), dtype=torch.bool)
        present[[self._position[layer.name] for layer in layers]] = True
        return present[self._layer_of_pom]

    def _bound(
        self,
        layers: Sequence[POMLayer],
        buffers: Sequence[Tensor | None],
        fresh: Sequence[bool],
        group: dict[str, Any],
    ) -> Tensor | None:
        """Upper bounds of the norms of the present directions; None if there are none."""
        if self._squares is None or group["weight_decay"] != 0 or any(fresh):
            return None
        gradient = self._squares.sqrt()
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        if momentum == 0:
            return gradient
        for layer, buffer in zip(layers, buffers, strict=True):
            assert buffer is not None
            if self._noted.get(layer.name) != (buffer.data_ptr(), buffer._version):
                return None
        return momentum * self._momenta + (1 - dampening) * gradient

    def _note_momenta(
        self,
        layers: Sequence[POMLayer],
        buffers: Sequence[Tensor | None],
        whole: Tensor,
        group: dict[str, Any],
    ) -> None:
        """Keep the norms of the momenta, which are the directions unless they are Nesterov's."""
        assert self.table is not None
        if group["momentum"] == 0 or group["nesterov"]:
            for layer in layers:
                self._noted.pop(layer.name, None)
            return
        if len(layers) == len(self.table.layers):
            self._momenta = whole
        else:
            self._momenta = torch.where(self._own(layers), whole, self._momenta)
        for layer, buffer in zip(layers, buffers, strict=True):
            assert buffer is not None
            self._noted[layer.name] = (buffer.data_ptr(), buffer._version)
