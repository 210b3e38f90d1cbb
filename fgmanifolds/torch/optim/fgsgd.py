"""FGSGD: fine-grained SGD (Algorithm 1) as a torch optimizer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from fgmanifolds.steps.norms import gradient_scale
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import Taken, available
from fgmanifolds.torch.optim.base import POMOptimizer
from fgmanifolds.torch.optim.building import loads_or_warns
from fgmanifolds.torch.optim.foreach import added, decay_
from fgmanifolds.torch.optim.groups import check_real
from fgmanifolds.torch.optim.native_way import NativeWay
from fgmanifolds.torch.optim.pom_steps import Active
from fgmanifolds.validation import check_bool

__all__ = ["FGSGD"]


class FGSGD(POMOptimizer):
    """SGD on the POMs of an adapter; plain SGD on all other parameters.

    Parameters
    ----------
    adapter : POMAdapter
        Its model's trainable parameters are optimized: the weights on POMs in
        one parameter group, all others in the next.
    lr : float or tensor
        Learning rate r(t) >= 0.
    momentum : float
        theta_mu of eq. (31), in [0, 1). (The printed sign of (31) ascends.)
    dampening : float
        theta_E of eq. (31) is 1 - dampening; in [0, 1).
    weight_decay : float
        Added to the Euclidean gradient, as in ``torch.optim.SGD``. On curved components it
        is normal to the manifold when it comes in, so that without momentum, or with momentum
        on tangent spaces, it has no effect there; with momentum a little remains.
    nesterov : bool
    native : bool or None
        Whether float32 weights on the CPU go through C++ functions, which are
        compiled when the optimizer is made (a second, kept in the user's cache). None: if
        there is a C++ compiler and the variable FGMANIFOLDS_NATIVE is not 0. Small kernels go
        through a whole step in C++; other kernels, and all with momentum on
        tangent spaces, a rule that needs a reference or another retraction than "qr", take the
        way through torch, as subclasses do.
    **options
        As :class:`POMOptimizer` takes them: `params`, `maximize`, `rule`, `gradient_norm`,
        `momentum_space`, `stabilize_every`, `check_every`, `skip_nonfinite`, `foreach`,
        `compile`, `capturable`.

    Raises
    ------
    ValueError
        If an option is out of range; at a step, if a gradient cannot be used or a
        weight is off its manifold, and then nothing is changed.
    """

    gradient_state: ClassVar[dict[str, int]] = {"momentum_buffer": 1}
    tangent_state: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    _copied: ClassVar[tuple[str, ...]] = ("native",)

    def __init__(
        self,
        adapter: POMAdapter,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        native: bool | None = None,
        **options: Any,
    ) -> None:
        self.native = False
        own: dict[str, Any] = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        super().__init__(adapter, lr, weight_decay=weight_decay, native=native, **own, **options)
        self._choose_way(native)

    def check_group(self, options: dict[str, Any]) -> None:
        """See :meth:`POMOptimizer.check_group`."""
        super().check_group(options)
        check_real("momentum", options["momentum"], below=1)
        check_real("dampening", options["dampening"], below=1)
        check_bool("nesterov", options["nesterov"])
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("nesterov=True needs momentum > 0 and dampening = 0.")

    def gradient_scale(self, group: dict[str, Any]) -> float:
        """(1 - theta_mu) / theta_E: see :func:`fgmanifolds.steps.norms.gradient_scale`."""
        return gradient_scale(group["momentum"], group["dampening"])

    def direction(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        """Momentum (31); the gradients themselves without momentum.

        Parameters
        ----------
        params : list of Parameter
        grads : list of Tensor
        group : dict
        """
        momentum, foreach = group["momentum"], group["foreach"]
        if momentum == 0:
            return grads
        old, new = [], []
        for p, grad in zip(params, grads, strict=True):
            state = self.state[p]
            if "momentum_buffer" in state:
                old.append(state["momentum_buffer"])
                new.append(grad)
            else:
                state["momentum_buffer"] = grad.clone(memory_format=torch.preserve_format)
        decay_(old, new, foreach, keep=momentum, share=1 - group["dampening"])
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        return added(grads, buffers, foreach, alpha=momentum) if group["nesterov"] else buffers

    def state_shapes(self, parameter: Tensor, layer: POMLayer | None) -> dict[str, tuple[int, ...]]:
        """See :meth:`POMOptimizer.state_shapes`."""
        shapes = super().state_shapes(parameter, layer)
        return {**shapes, "momentum_buffer": tuple(parameter.shape)}

    # The C++ way: this class's own, since a subclass may go elsewhere -------------------

    def _forget(self) -> None:
        super()._forget()
        self._way: NativeWay | None = None
        self._taken: dict[int, list[Taken]] = {}

    def _choose_way(self, native: bool | None) -> None:
        """Compile the C++ step, if it is to be used."""
        if native and type(self) is not FGSGD:
            raise ValueError(
                f"native=True: the C++ step is that of FGSGD, and {type(self).__name__} may go "
                "elsewhere; leave native out."
            )
        wanted = available() if native is None else native
        self.native = wanted and type(self) is FGSGD and not self.compile
        if self.native:
            self._native_way()

    def _native_way(self) -> NativeWay | None:
        if self.native and self._way is None:
            self.native = loads_or_warns(self, self._make_way)
        return self._way if self.native else None

    def _make_way(self) -> None:
        self._way = NativeWay(self.adapter)

    def _native_layers(self, active: Active) -> list[Taken]:
        ambient = active.group["momentum_space"] == "ambient"
        plain = ambient and self.adapter.options["retraction"] == "qr"
        way = self._native_way() if plain and not active.rule.needs_reference else None
        return [] if way is None else way.split(active, self.state)

    def _may_step(self, active: Sequence[Active]) -> bool:
        self._taken = {id(one.group): self._native_layers(one) for one in active}
        taken = [one for found in self._taken.values() for one in found]
        if taken:
            assert self._way is not None
            self._way.look(taken)
        return super()._may_step(active)

    def _unusable_gradients(self, active: Sequence[Active]) -> list[str]:
        fine: set[int] = set()
        for one in active:
            taken = self._taken[id(one.group)]
            if taken:
                assert self._way is not None
                fine |= {id(one.weight) for one in self._way.usable(taken)}
        return self._guards.unusable_gradients(active, frozenset(fine))

    def _step_group(self, active: Active) -> None:
        taken = self._taken.get(id(active.group), [])
        if taken:
            self._step_natively(active, taken)
            names = {one.layer.name for one in taken}
            rest = [layer for layer in active.layers if layer.name not in names]
            active = dataclasses.replace(active, layers=rest)
        super()._step_group(active)

    def _step_natively(self, active: Active, taken: list[Taken]) -> None:
        way, group = self._way, active.group
        assert way is not None
        assert way.table is not None
        scale = self.gradient_scale(group)
        past = way.past(taken, self.state)
        norm, g = way.step_(taken, group, active.rule, past, scale)
        norm = scale * norm
        way.remember(taken, norm)
        for one in taken:
            first, end = way.table.offsets[one.position], way.table.offsets[one.position + 1]
            self._poms.last[one.layer.name] = norm, g, slice(first, end)
