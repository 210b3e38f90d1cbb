"""FGSGD: fine-grained SGD (Algorithm 1) as a torch optimizer."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from fgmanifolds.steps.norms import gradient_scale
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import Taken
from fgmanifolds.torch.optim.active import Active
from fgmanifolds.torch.optim.foreach import added, decay_
from fgmanifolds.torch.optim.fused import sgd_
from fgmanifolds.torch.optim.groups import check_real
from fgmanifolds.torch.optim.native_momentum import NativeMomentum
from fgmanifolds.validation import check_bool

__all__ = ["FGSGD"]


class FGSGD(NativeMomentum):
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
    **options
        As :class:`POMOptimizer` takes them: `params`, `maximize`, `rule`, `gradient_norm`,
        `momentum_space`, `stabilize_every`, `check_every`, `skip_nonfinite`, `foreach`,
        `compile`, `capturable`, `native`. The C++ step of small kernels has the momentum in it,
        unless that lives on tangent spaces.

    Raises
    ------
    ValueError
        If an option is out of range; at a step, if a gradient cannot be used or a
        weight is off its manifold, and then nothing is changed.
    """

    _buffer: ClassVar[str] = "momentum_buffer"
    _moments_kept: ClassVar[tuple[str, ...]] = ("momentum_buffer",)
    gradient_state: ClassVar[dict[str, int]] = {"momentum_buffer": 1}
    tangent_state: ClassVar[tuple[str, ...]] = ("momentum_buffer",)

    def __init__(
        self,
        adapter: POMAdapter,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **options: Any,
    ) -> None:
        own: dict[str, Any] = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        super().__init__(adapter, lr, weight_decay=weight_decay, **own, **options)

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
        states = [self.state[p] for p in params]
        known = [i for i, state in enumerate(states) if "momentum_buffer" in state]
        old = [states[i]["momentum_buffer"] for i in known]
        decay_(old, [grads[i] for i in known], foreach, keep=momentum, share=1 - group["dampening"])
        if len(known) < len(states):
            for state, grad in zip(states, grads, strict=True):
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = grad.clone(memory_format=torch.preserve_format)
        buffers = [state["momentum_buffer"] for state in states]
        return added(grads, buffers, foreach, alpha=momentum) if group["nesterov"] else buffers

    def state_shapes(self, parameter: Tensor, layer: POMLayer | None) -> dict[str, tuple[int, ...]]:
        """See :meth:`POMOptimizer.state_shapes`."""
        shapes = super().state_shapes(parameter, layer)
        return {**shapes, "momentum_buffer": tuple(parameter.shape)}

    def _can_step_natively(self, group: dict[str, Any]) -> bool:
        return type(self) is FGSGD

    def _step_with_momentum(self, active: Active, taken: Taken) -> Active:
        return self._step_natively(active, taken, active.group)

    def _step_fused(self, active: Active) -> Active:
        if type(self) is not FGSGD:
            return active
        states = [self.state[p] for p in active.plain]
        taken = self._fused_look(active).taken_of(active, states)
        sgd_(taken, active.group)
        return active.without(taken.places)
