"""The C++ way: small float32 kernels on the CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import NoneType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fgmanifolds.steps import NORM_MOMENTUM, StepRule
from fgmanifolds.steps.norms import chosen_denominator, larger_where_curved
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.ops.native import NativeTable, Taken, can_hold
from fgmanifolds.torch.optim.active import are_same
from fgmanifolds.torch.optim.gradients import largest_norm
from fgmanifolds.torch.optim.momentum_notes import MomentumNotes
from fgmanifolds.torch.optim.native_look import NativeLook
from fgmanifolds.torch.poms import pom_norms

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.active import Active

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

    @property
    def rho_hat(self) -> Tensor:
        """See :class:`fgmanifolds.torch.ops.table.Bounds`."""
        return self.table.rho_hat

    @property
    def curved(self) -> Tensor:
        """See :class:`fgmanifolds.torch.ops.table.Bounds`."""
        return self.table.curved

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

    It goes along directions that are given, or has momentum itself, FGSGD's or FGAdam's. One pass
    over gradients sums their squares over the POMs. With the norms of the momenta, from the step
    before, they bound the norms R of the present directions, so that most layers need but one
    more pass: only where the bound exceeds g(R_past) are the directions of a layer projected once
    without a move.

    Parameters
    ----------
    adapter : POMAdapter
    scaled : bool
        Whether momenta go by a factor for each kernel.

    Raises
    ------
    NativeBuildError
        If the step cannot be compiled.
    """

    def __init__(self, adapter: POMAdapter, *, scaled: bool = False) -> None:
        self._adapter, self._scaled = adapter, scaled
        self._key: tuple[int, int] | None = None
        self._squares: Tensor | None = None
        self.follow(adapter.version)

    def follow(self, version: int) -> None:
        """Forget what was of other radii and sets; to be called before each step.

        Parameters
        ----------
        version : int
            The adapter's present one.
        """
        key = (version, torch.get_num_threads())
        if key == self._key:
            return
        self._key, self._notes = key, MomentumNotes()
        self._squares = None
        self._looks: dict[int, NativeLook] = {}
        self._past, self._views = torch.empty(0), list[Tensor | None]()
        self._complete = False
        layers = [
            layer
            for layer in self._adapter.layers.values()
            if can_hold(layer) and layer.weight.dtype == torch.float32 and layer.weight.is_cpu
        ]
        self.table = NativeTable(layers, scaled=self._scaled) if layers else None
        ends = () if self.table is None else pairwise(self.table.offsets)
        self._own = [
            (layer.name, slice(first, end))
            for layer, (first, end) in zip(layers, ends, strict=True)
        ]
        self._momenta = torch.zeros(0 if self.table is None else self.table.n_poms)
        self._position = {layer.name: i for i, layer in enumerate(layers)}
        sizes = torch.tensor([layer.view.n_poms for layer in layers], dtype=torch.int64)
        self._layer_of_pom = torch.repeat_interleave(torch.arange(len(layers)), sizes)

    def split(
        self,
        active: Active,
        state: Any,
        *,
        directions: Mapping[int, Tensor] | None = None,
        buffer: str = "",
    ) -> Taken | None:
        """The layers of a group that this way takes at this step; None if there are none.

        Parameters
        ----------
        active : Active
        state : object
        directions : mapping of int to Tensor, optional
            By the identity of the weight. Default: the gradients.
        buffer : str
            The momentum's name in the state; none by default.
        """
        other = active.rule.needs_reference or self._adapter.options["retraction"] != "qr"
        if other or not active.layers:
            return None
        look = self._looks.setdefault(id(active.group), NativeLook(self._position))
        return look.taken_of(active, state, directions, buffer)

    def look(self, taken: Taken) -> None:
        """Sum the squares of some layers' gradients, or directions, over their POMs.

        What is known of other layers stays: another group may have been looked at before.

        Parameters
        ----------
        taken : Taken
        """
        assert self.table is not None
        squares = self.table.gradient_squares(taken)
        if self._squares is not None and len(taken) < len(self.table.layers):
            squares = torch.where(self._poms_of(taken), squares, self._squares)
        self._squares = squares

    def usable(self, taken: Taken) -> Taken:
        """Layers whose gradient is finite, and not too large for a step."""
        assert self.table is not None
        assert self._squares is not None
        limit = largest_norm(torch.float32)
        if float(self._squares.sum()) <= limit**2:  # of layers looked at before, too
            return taken
        sums = torch.zeros(len(self.table.layers), dtype=torch.float64)
        norms = sums.index_add_(0, self._layer_of_pom, self._squares).sqrt().tolist()
        return taken.chosen([i for i, p in enumerate(taken.positions) if norms[p] <= limit])

    # Running means of R^2 ------------------------------------------------------------

    def past(self, taken: Taken, state: Any) -> Tensor:
        """Running means of R^2 of all POMs; nan where there is none.

        What the optimizer's state holds of them are views of this one tensor.

        Parameters
        ----------
        taken : Taken
        state : object
        """
        assert self.table is not None
        present = [own.get("mean_square") for own in taken.states]
        if self._views and are_same(present, [self._views[i] for i in taken.positions]):
            return self._past
        kept = [state[layer.weight].get("mean_square") for layer in self.table.layers]
        parts = [
            torch.full((size,), math.nan) if own is None else own.float()
            for own, size in zip(kept, self.table.sizes, strict=True)
        ]
        self._past = torch.cat(parts)
        self._complete = not bool(self._past.isnan().any())
        # None where a layer has not been stepped yet.
        known = zip(kept, self._past.split(self.table.sizes), strict=True)
        self._views = [None if own is None else view for own, view in known]
        for layer, view in zip(self.table.layers, self._views, strict=True):
            if view is not None:
                state[layer.weight]["mean_square"] = view
        return self._past

    def remember(self, taken: Taken, norm: Tensor) -> None:
        """Take the present R of some layers into the running means.

        Parameters
        ----------
        taken : Taken
        norm : Tensor
        """
        assert self.table is not None
        squares, all_known = norm * norm, self._complete
        if len(taken) < len(self.table.layers):
            squares = torch.where(self._poms_of(taken), squares, self._past)
        if not self._complete:
            self._past.copy_(torch.where(self._past.isnan(), squares, self._past))
            self._complete = not bool(self._past.isnan().any())
        self._past.lerp_(squares, 1 - NORM_MOMENTUM)
        if all_known:
            return
        parts = self._past.split(self.table.sizes)
        for position, own in zip(taken.positions, taken.states, strict=True):
            if self._views[position] is None:
                self._views[position] = own["mean_square"] = parts[position]

    # Steps ------------------------------------------------------------------------

    def step_(
        self,
        taken: Taken,
        group: dict[str, Any],
        rule: StepRule,
        state: Any,
        scale: float,
        last: dict[str, tuple[Tensor, Tensor, slice]],
        bound: Tensor | None = None,
    ) -> None:
        """Step some layers of a group, and remember their norms.

        Parameters
        ----------
        taken : Taken
        group : dict
        rule : StepRule
        state : object
        scale : float
            From direction to gradient.
        last : dict
            As :attr:`PomSteps.last`; takes the norms and denominators.
        bound : Tensor of shape [POMs of the table], optional
            Upper bounds of the directions' norms. Default: from gradients and momenta.
        """
        assert self.table is not None
        if group["momentum"] != 0 and NoneType in set(map(type, taken.buffers)):
            for weight, own in zip(taken.weights, taken.states, strict=True):
                if own.get("momentum_buffer") is None:
                    own["momentum_buffer"] = torch.empty_like(weight)
            momenta = [own["momentum_buffer"] for own in taken.states]
            taken = taken.with_momenta(momenta, fresh=True)
        if bound is None:
            bound = self.bound(taken, group)
        norm, g = self._move_(taken, group, rule, self.past(taken, state), scale, bound)
        norm = scale * norm
        self.remember(taken, norm)
        for name, own_poms in [self._own[i] for i in taken.positions]:
            last[name] = norm, g, own_poms

    def _move_(
        self,
        taken: Taken,
        group: dict[str, Any],
        rule: StepRule,
        past: Tensor,
        scale: float,
        bound: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Move; norms of the projected directions and denominators, shape [POMs of the table]."""
        assert self.table is not None
        g = self._denominators(taken, group, rule, past, scale, bound)
        norm, whole = self.table.run(taken, -group["lr"] / g, group, write=True)
        self._note_momenta(taken, whole, group)
        return norm, g

    def _denominators(
        self,
        taken: Taken,
        group: dict[str, Any],
        rule: StepRule,
        past: Tensor,
        scale: float,
        bound: Tensor | None,
    ) -> Tensor:
        """As ``chosen_denominator``; directions are projected only where their norms matter."""
        assert self.table is not None
        geometry = NativeGeometry(self.table)
        settled = self._settled(group, rule, past, scale, bound, geometry)
        unsettled = taken
        if settled is not None:
            g, done = settled
            if done is None or bool(done.all()):
                return g
            unsettled = self._layers_with(taken, ~done)
            if not unsettled:
                return g
        still = torch.zeros(self.table.n_poms)
        now, _ = self.table.run(unsettled, still, group, write=False)  # 0 for other layers
        if settled is not None and self._complete:
            larger: Tensor = larger_where_curved(settled[0], scale * now, geometry)
            return larger
        used = None
        if group["gradient_norm"] == "past":
            used = torch.where(past.isnan(), (scale * now) ** 2, past)
        chosen: Tensor = chosen_denominator(rule, now, used, geometry, scale)
        if settled is None:
            return chosen
        return torch.where(self._poms_of(unsettled), chosen, settled[0])

    def _settled(
        self,
        group: dict[str, Any],
        rule: StepRule,
        past: Tensor,
        scale: float,
        bound: Tensor | None,
        geometry: NativeGeometry,
    ) -> tuple[Tensor, Tensor | None] | None:
        """Denominators g(R_past), and of which POMs they are max{g, R} whatever R is: None for all.

        None if all depends on the present directions.
        """
        if rule.of_direction or group["gradient_norm"] == "current":
            return None
        # Where there is no past it is nan, and all comparisons are false.
        g: Tensor = rule((past if self._complete else past.nan_to_num(0.0)).sqrt(), geometry)
        if not rule.bounded:
            return g, past >= 0
        if bound is None:
            return None
        # On flat POMs g is 1, and their R does not count.
        most = bound * geometry.curved * (SLACK * scale)
        if self._complete and float((g - most).amin()) >= 0:  # nan is not
            return g, None
        settled = (most <= g) | (geometry.curved == 0)
        return g, settled if self._complete else settled & (past >= 0)

    def _layers_with(self, taken: Taken, mask: Tensor) -> Taken:
        """Layers of which a POM is marked."""
        assert self.table is not None
        found = torch.zeros(len(self.table.layers), dtype=torch.bool)
        marked = found.index_fill_(0, self._layer_of_pom[mask], True).tolist()
        return taken.chosen([i for i, p in enumerate(taken.positions) if marked[p]])

    def _poms_of(self, taken: Taken) -> Tensor:
        """Mask of the POMs of some layers."""
        assert self.table is not None
        present = torch.zeros(len(self.table.layers), dtype=torch.bool)
        present[list(taken.positions)] = True
        return present[self._layer_of_pom]

    def bound(
        self,
        taken: Taken,
        group: dict[str, Any],
        gradient: Tensor | None = None,
        growth: float = 1.0,
    ) -> Tensor | None:
        """Upper bounds of the norms of the present directions; None if none is known.

        Parameters
        ----------
        taken : Taken
        group : dict
        gradient : Tensor of shape [POMs of the table], optional
            Norms of what the gradients add to the directions, but for the dampening. Default:
            those of the gradients.
        growth : float
            By which factors of momenta may have grown since the last step.
        """
        if self._squares is None or group["nesterov"] or group["weight_decay"] != 0:
            return None
        if gradient is None:
            gradient = self._squares.float().sqrt_()
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        if momentum == 0:
            return gradient
        own = gradient if dampening == 0 else (1 - dampening) * gradient
        bound = own.add(self._momenta, alpha=momentum * growth)
        unknown = self._notes.unlike(taken)
        if not unknown:
            return bound
        if len(unknown) == len(taken):
            return None
        return bound.masked_fill_(self._poms_of(taken.chosen(unknown)), math.inf)

    def forget_momenta(self, taken: Taken) -> None:
        """Of some layers, since their factors are others'."""
        self._notes.forget(taken)

    def _note_momenta(self, taken: Taken, whole: Tensor, group: dict[str, Any]) -> None:
        """Keep the norms of the momenta, which are the directions unless they are Nesterov's."""
        assert self.table is not None
        if group["momentum"] == 0 or group["nesterov"]:
            self.forget_momenta(taken)
            return
        if len(taken) < len(self.table.layers):
            whole = torch.where(self._poms_of(taken), whole, self._momenta)
        self._momenta = whole
        self._notes.note(taken)
