"""FGAdam: Adam on the POMs of an adapter, with one second moment for each component."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, ClassVar

import torch
from torch import Tensor

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import Taken, can_hold
from fgmanifolds.torch.ops.native.blocks import AdamRows, adam_
from fgmanifolds.torch.ops.native.plain import are_whole
from fgmanifolds.torch.ops.table import computing_type
from fgmanifolds.torch.optim.active import Active, are_same
from fgmanifolds.torch.optim.adam_factors import FactorMemory, factor_at
from fgmanifolds.torch.optim.adam_moments import AdamMoments
from fgmanifolds.torch.optim.building import GIVEN
from fgmanifolds.torch.optim.fused import adam_ as fused_adam_
from fgmanifolds.torch.optim.groups import check_real
from fgmanifolds.torch.optim.native_momentum import NativeMomentum
from fgmanifolds.torch.sharded import whole, wholly

__all__ = ["FGAdam"]


class FGAdam(NativeMomentum):
    r"""Adam on POMs: the direction ``m_hat / (sqrt(v_hat) + eps)``, projected.

    On a component, v is the running mean of its gradient's mean square, one number, as in
    VectorAdam (Ling, Sharp & Jacobson 2022): the direction turns with the component. All
    other parameters have one second moment for each entry, as in Adam (Kingma & Ba 2015).

    Parameters
    ----------
    adapter : POMAdapter
    lr : float or tensor
    betas : (float, float)
        Decay of the first and of the second moment, each in [0, 1).
    eps : float
        Added to the root of the second moment, > 0.
    weight_decay : float
        Decoupled (Loshchilov & Hutter 2019): Euclidean parameters and components shrink by
        ``lr * weight_decay``; curved components do not, as they could not stay on their
        manifolds.
    **options
        As :class:`POMOptimizer` takes them. The norm R of the step rule is that of the
        projected direction, which is about the root of its number of entries.

    Raises
    ------
    ValueError
        As :class:`POMOptimizer`.
    """

    _buffer: ClassVar[str] = "exp_avg"
    _moments_kept: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    gradient_state: ClassVar[dict[str, int]] = {"exp_avg": 1, "exp_avg_sq": 2}
    tangent_state: ClassVar[tuple[str, ...]] = ("exp_avg",)
    own_type_state: ClassVar[tuple[str, ...]] = ("mean_square", "exp_avg_sq")
    _native_directions: ClassVar[bool] = True

    def __init__(
        self,
        adapter: POMAdapter,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(
            adapter, lr, weight_decay=weight_decay, betas=tuple(betas), eps=eps, **options
        )

    def check_group(self, options: dict[str, Any]) -> None:
        """See :meth:`POMOptimizer.check_group`."""
        super().check_group(options)
        if len(options["betas"]) != 2:
            raise ValueError(f"betas={options['betas']!r} must be two numbers.")
        for beta in options["betas"]:
            check_real("betas", beta, below=1)
        check_real("eps", options["eps"])
        if not options["eps"] > 0:
            raise ValueError(f"eps={options['eps']!r} must be positive.")

    def _gradients(self, active: Active, group: dict[str, Any]) -> list[Tensor]:
        return super()._gradients(active, {**group, "weight_decay": 0.0})

    def _can_step_natively(self, group: dict[str, Any]) -> bool:
        return type(self) is FGAdam and self._native_blocks and group["betas"][0] > 0

    def _with_momentum(self, active: Active) -> Taken | None:
        taken = super()._with_momentum(active)
        if taken is None or self._have_averages(taken):
            return taken
        rows = [i for i in range(len(taken)) if self._have_averages(taken.chosen([i]))]
        return taken.chosen(rows)

    def _have_averages(self, taken: Taken) -> bool:
        """Whether second moments of layers, where there are any, may be given to C++."""
        assert self._way is not None
        assert self._way.table is not None
        kept = [own.get("exp_avg_sq") for own in taken.states]
        numels = [self._way.table.kernels[i] for i in taken.positions]
        pairs = [(x, n) for x, n in zip(kept, numels, strict=True) if x is not None]
        return are_whole([x for x, _ in pairs], [n for _, n in pairs])

    def _step_group(self, active: Active) -> None:
        self._decay_(active)
        super()._step_group(active)

    def _step_with_momentum(self, active: Active, taken: Taken) -> Active:
        """Along first moments times scales, which give the directions unwritten."""
        assert self._way is not None
        assert self._way.table is not None
        group = active.group
        states = self._started(taken.weights, taken.layers, taken.states)
        if NoneType in set(map(type, taken.buffers)):
            taken = taken.with_momenta([state["exp_avg"] for state in states], fresh=False)
        steps = self._counted((id(group), True), states)
        known = {step: factor_at(group, step) for step in set(steps)}
        factors = [known[step] for step in steps]
        averages = [state["exp_avg_sq"] for state in states]
        growth, unknown = self._factors.growth(id(group), averages, factors)
        if unknown:
            self._way.forget_momenta(taken.chosen(unknown))
        numbers = [one[1:] for one in factors]  # the step has the first, its dampening
        gradient = self._way.table.set_factors(taken, averages, numbers)
        self._factors.remember(id(group), averages, factors)
        decay = group["betas"][0]
        own = {"momentum": decay, "dampening": decay, "maximize": group["maximize"], "scaled": True}
        options = {**group, **GIVEN, **own}
        bound = self._way.bound(taken, options, gradient, growth)
        return self._step_natively(active, taken, options, bound)

    def _counted(self, key: tuple[int, bool], states: Sequence[dict[str, Any]]) -> list[float]:
        """Numbers of steps, one more than before.

        What states hold of them are views of one tensor; `key`: a group, and if they are on POMs.
        """
        flat, views = self._step_counts.get(key, (None, ()))
        if flat is None or not are_same([state["step"] for state in states], views):
            flat = torch.tensor([float(state["step"]) for state in states], dtype=torch.float64)
            views = flat.unbind()
            self._step_counts[key] = flat, views
            for state, view in zip(states, views, strict=True):
                state["step"] = view
        numbers: list[float] = flat.add_(1).tolist()
        return numbers

    def _step_fused(self, active: Active) -> Active:
        if type(self) is not FGAdam:
            return active
        plain = active.plain
        states = self._started(plain, [None] * len(plain))
        taken = self._fused_look(active).taken_of(active, states)
        self._counted((id(active.group), False), taken.states)
        fused_adam_(taken, active.group)
        return active.without(taken.places)

    def _decay_(self, active: Active) -> None:
        """Shrink what is Euclidean."""
        group = active.group
        if group["weight_decay"] == 0:
            return
        share = group["lr"] * group["weight_decay"]
        for p in active.plain:
            p.mul_(1 - share)
        for layer in active.layers:
            with wholly([layer.weight]) as (full,):
                self._moments.scales_of(layer).shrink_(full, share)

    def direction(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        """Bias-corrected first moment over the root of the second.

        Parameters
        ----------
        params : list of Parameter
        grads : list of Tensor
        group : dict
        """
        vectors, factors = self._vectors(params, grads, group)
        return self._multiplied(params, vectors, factors)

    def _scaled_directions(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        if type(self).direction is not FGAdam.direction:
            return super()._scaled_directions(params, grads, group)
        vectors, factors = self._vectors(params, grads, group)
        # The C++ step of small kernels takes directions as they are.
        ready = {} if self._native_way() is None else self._kernels_of(factors)
        left = {key: own for key, own in factors.items() if key not in ready}
        return self._multiplied(params, vectors, ready), left

    def _kernels_of(self, factors: dict[int, Tensor]) -> dict[int, Tensor]:
        """Factors of small kernels."""
        by_weight = self._guards.layers_by_weight()
        return {key: own for key, own in factors.items() if can_hold(by_weight[key])}

    def _multiplied(
        self, params: Sequence[Tensor], vectors: Sequence[Tensor], factors: dict[int, Tensor]
    ) -> list[Tensor]:
        """Vectors of weights' shapes, the components of some times their factors."""
        by_weight = self._guards.layers_by_weight()
        return [
            self._moments.scales_of(by_weight[id(p)]).scaled(whole(vector), factors[id(p)])
            if id(p) in factors
            else vector
            for p, vector in zip(params, vectors, strict=True)
        ]

    def _vectors(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        """Directions, but for factors of components, by the weight, that they are to go by."""
        by_weight = self._guards.layers_by_weight()
        layers = [by_weight.get(id(p)) for p in params]
        states = self._started(params, layers)
        _count_([state["step"] for state in states])
        rows = [
            self._for_cpp(grad, state, layer, group)
            for grad, state, layer in zip(grads, states, layers, strict=True)
        ]
        adam_([one for one in rows if one is not None])
        found = {i: one.out for i, one in enumerate(rows) if one is not None}
        left = [i for i, one in enumerate(rows) if one is None]
        own = [grads[i] for i in left], [states[i] for i in left], [layers[i] for i in left]
        roots = dict(zip(left, self._moments.update_(*own, group) if left else (), strict=True))
        found |= {i: states[i]["exp_avg"] for i in left}
        plain = [i for i in left if layers[i] is None]
        if plain:
            shares = torch._foreach_div([found[i] for i in plain], [roots[i] for i in plain])
            found |= zip(plain, shares, strict=True)
        curved = [i for i in left if layers[i] is not None]
        factors = torch._foreach_reciprocal([roots[i] for i in curved]) if curved else ()
        keys = [id(params[i]) for i in curved]
        return [found[i] for i in range(len(params))], dict(zip(keys, factors, strict=True))

    def _for_cpp(
        self,
        grad: Tensor,
        state: dict[str, Any],
        layer: POMLayer | None,
        group: dict[str, Any],
    ) -> AdamRows | None:
        """What the C++ function takes of a layer of small kernels; None for others."""
        rows = None if layer is None else self._moments.scales_of(layer).rows
        if rows is None or not grad.is_cpu:
            return None
        numbers = factor_at(group, float(state["step"]))
        return rows.adam(grad, state["exp_avg"], state["exp_avg_sq"], numbers)

    def _forget(self) -> None:
        super()._forget()
        self._factors = FactorMemory()
        self._moments = AdamMoments(native=self._native_blocks)
        self._step_counts: dict[tuple[int, bool], tuple[Tensor, tuple[Tensor, ...]]] = {}

    def _started(
        self,
        params: Sequence[Tensor],
        layers: Sequence[POMLayer | None],
        states: list[dict[str, Any]] | None = None,
    ) -> list[dict[str, Any]]:
        """States of parameters and of layers' weights, with moments in them."""
        if states is None:
            states = [self.state[p] for p in params]
        for p, layer, state in zip(params, layers, states, strict=True):
            if "exp_avg" in state:
                continue
            kind = computing_type(p.dtype)
            state["step"] = torch.zeros((), dtype=torch.float64, device=p.device)
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = (
                torch.zeros_like(p, dtype=kind)
                if layer is None
                else torch.zeros(layer.view.n_components, dtype=kind, device=p.device)
            )
        return states

    def state_shapes(self, parameter: Tensor, layer: POMLayer | None) -> dict[str, tuple[int, ...]]:
        """See :meth:`POMOptimizer.state_shapes`."""
        shape = tuple(parameter.shape)
        second = shape if layer is None else (layer.view.n_components,)
        shapes = super().state_shapes(parameter, layer)
        return {**shapes, "step": (), "exp_avg": shape, "exp_avg_sq": second}


def _count_(steps: list[Tensor]) -> None:
    """Add one; on the CPU as a tensor, since torch would make it one anew for each of them."""
    if all(step.is_cpu for step in steps):
        torch._foreach_add_(steps, torch.ones((), dtype=torch.float64), alpha=1)
    else:
        torch._foreach_add_(steps, 1)
