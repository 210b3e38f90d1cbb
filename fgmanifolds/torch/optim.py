"""FGSGD: fine-grained SGD (Algorithm 1) as a torch optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fgmanifolds.solver.step_size import GRADIENT_NORMS, NORM_MOMENTUM
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.fine_grained import RULES, PomTable, fine_grained_step
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.validation import check_choice, check_number

__all__ = ["FGSGD", "GRADIENT_NORMS"]

#: Norms that the denominator of the step may use.


class FGSGD(Optimizer):
    """SGD on the POMs of an adapter; plain SGD on all other parameters.

    Parameters
    ----------
    adapter : POMAdapter
        Its model's trainable parameters are optimized: the weights on POMs in
        the first parameter group, all others in the second.
    lr : float or tensor
        Learning rate r(t), > 0 or 0.
    momentum : float
        theta_mu of eq. (31), in [0, 1]. Momentum lives in the ambient space and
        is projected at each step. (The printed sign of (31) ascends.)
    dampening : float
        theta_E of eq. (31) is 1 - dampening.
    weight_decay : float
        Added to the Euclidean gradient, as in ``torch.optim.SGD``. On curved
        components it is normal to the manifold, so that it has no effect there.
    nesterov : bool
    maximize : bool
    rule : {"corollary2", None}
        Denominator g of the step; None is g = 1.
    gradient_norm : {"past", "current"}
        The norm R of each POM's gradient that g uses: a running average over
        earlier steps (of the first step itself at the first step), or that of
        the same minibatch, as printed, which biases the direction.
    skip_nonfinite : bool
        Whether a step whose gradients hold nan or inf is left out, rather than
        refused. Either way nothing is changed by it.
    foreach : bool or None
        Whether the Euclidean part of the step uses torch's foreach functions;
        None: yes.
    differentiable : bool
        Not supported: retractions write to the weights in place.

    Attributes
    ----------
    skipped_steps : int
        Steps left out because of `skip_nonfinite`.

    Raises
    ------
    ValueError
        If an option is out of range, or a gradient is not finite at a step.
    """

    def __init__(
        self,
        adapter: POMAdapter,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        rule: str | None = "corollary2",
        gradient_norm: str = "past",
        skip_nonfinite: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
    ) -> None:
        if not isinstance(adapter, POMAdapter):
            raise TypeError(
                f"adapter is a {type(adapter).__name__}; FGSGD takes a POMAdapter, not parameters: "
                "FGSGD(POMAdapter(model), lr=...)."
            )
        if differentiable:
            raise ValueError("differentiable=True is not supported: steps write weights in place.")
        self.adapter = adapter
        self.skip_nonfinite = skip_nonfinite
        self.skipped_steps = 0
        self._tables: dict[int, tuple[tuple[Any, ...], PomTable]] = {}
        self._last: dict[str, tuple[Tensor, Tensor]] = {}
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "rule": rule,
            "gradient_norm": gradient_norm,
            "foreach": foreach,
        }
        super().__init__(self._default_groups(adapter), defaults)

    @staticmethod
    def _default_groups(adapter: POMAdapter) -> list[dict[str, Any]]:
        on_poms = [layer.weight for layer in adapter.layers.values()]
        known = {id(p) for p in on_poms}
        others = [p for p in adapter.model.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": on_poms}]
        return [*groups, {"params": others}] if others else groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with options of its own, which are checked."""
        options = {**self.defaults, **param_group}
        for name in ("lr", "momentum", "weight_decay"):
            check_number(name, float(options[name]), low=0)
        check_choice("rule", options["rule"], RULES)
        check_choice("gradient_norm", options["gradient_norm"], GRADIENT_NORMS)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("nesterov=True needs momentum > 0 and dampening = 0.")
        super().add_param_group(param_group)

    # One step ---------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Parameters
        ----------
        closure : callable, optional
            Reevaluates the model and returns the loss.

        Raises
        ------
        ValueError
            If a gradient has nan or inf entries, unless `skip_nonfinite`; it
            names the parameters, and nothing is changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._gradients_are_finite():
            for number, group in enumerate(self.param_groups):
                self._step_group(number, group)
        return loss

    def _gradients_are_finite(self) -> bool:
        params = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        if not params:
            return True
        norms = torch._foreach_norm([p.grad for p in params], torch.inf)
        if all(norm.isfinite() for norm in norms):
            return True
        if self.skip_nonfinite:
            self.skipped_steps += 1
            return False
        bad = [self._name_of(p) for p, n in zip(params, norms, strict=True) if not n.isfinite()]
        raise ValueError(
            f"the gradient of {', '.join(bad)} has nan or inf entries; nothing was updated. "
            "Set skip_nonfinite=True to leave such steps out."
        )

    def _name_of(self, parameter: Tensor) -> str:
        for name, candidate in self.adapter.model.named_parameters():
            if candidate is parameter:
                return repr(name)
        return "a parameter that is not the model's"

    def _step_group(self, number: int, group: dict[str, Any]) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if not params:
            return
        directions = dict(zip(params, self._directions(params, group), strict=True))
        by_weight = {id(layer.weight): layer for layer in self.adapter.layers.values()}
        layers = [by_weight[id(p)] for p in params if id(p) in by_weight]
        plain = [p for p in params if id(p) not in by_weight]
        _add(plain, [directions[p] for p in plain], group["foreach"], alpha=-group["lr"])
        if layers:
            self._step_poms(number, group, layers, directions)

    def _directions(self, params: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        """Euclidean gradients with weight decay and momentum (31), without touching ``.grad``."""
        foreach = group["foreach"]
        grads = [p.grad for p in params if p.grad is not None]
        if group["maximize"]:
            grads = [-grad for grad in grads]
        if group["weight_decay"] != 0:
            grads = _added(grads, params, foreach, alpha=group["weight_decay"])
        if group["momentum"] == 0:
            return grads
        buffers = self._update_buffers(params, grads, group)
        if group["nesterov"]:
            return _added(grads, buffers, foreach, alpha=group["momentum"])
        return buffers

    def _update_buffers(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        old, old_grads = [], []
        for p, grad in zip(params, grads, strict=True):
            state = self.state[p]
            if "momentum_buffer" in state:
                old.append(state["momentum_buffer"])
                old_grads.append(grad)
            else:
                state["momentum_buffer"] = grad.clone(memory_format=torch.preserve_format)
        if old:
            _scale(old, group["momentum"], group["foreach"])
            _add(old, old_grads, group["foreach"], alpha=1 - group["dampening"])
        return [self.state[p]["momentum_buffer"] for p in params]

    # POMs ---------------------------------------------------------------------------

    def _step_poms(
        self,
        number: int,
        group: dict[str, Any],
        layers: list[POMLayer],
        directions: dict[Tensor, Tensor],
    ) -> None:
        weights: list[nn.Parameter] = [layer.weight for layer in layers]
        table = self._table(number, layers)
        rule = RULES[group["rule"]]
        past = self._past_norms(weights) if group["gradient_norm"] == "past" else None

        def denominator(norm: Tensor, curvature: Tensor) -> Tensor:
            return rule(norm if past is None else past, curvature)

        norm, g = fine_grained_step(
            table, weights, [directions[w] for w in weights], group["lr"], denominator
        )
        parts = zip(layers, norm.split(table.sizes), g.split(table.sizes), strict=True)
        for layer, layer_norm, layer_g in parts:
            self._last[layer.name] = (layer_norm, layer_g)
            _remember_norm(self.state[layer.weight], layer_norm)

    def _past_norms(self, weights: Iterable[Tensor]) -> Tensor | None:
        """Running norms of all POMs; None at the first step of any of them."""
        states = [self.state[w].get("gradient_norm") for w in weights]
        known = [state for state in states if state is not None]
        return torch.cat(known) if len(known) == len(states) else None

    def _table(self, number: int, layers: list[POMLayer]) -> PomTable:
        """The POM table of a group, built anew when radii, layers or devices change."""
        like = layers[0].weight
        key = (self.adapter.version, like.device, like.dtype, *(layer.name for layer in layers))
        if number not in self._tables or self._tables[number][0] != key:
            self._tables[number] = (key, PomTable(layers, like.detach()))
        return self._tables[number][1]

    def pom_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer, the gradient norms R and denominators g of its POMs at the last step."""
        return dict(self._last)


def _remember_norm(state: dict[str, Any], norm: Tensor) -> None:
    if "gradient_norm" in state:
        state["gradient_norm"].lerp_(norm, 1 - NORM_MOMENTUM)
    else:
        state["gradient_norm"] = norm.clone()


def _add(
    targets: list[Tensor], values: list[Tensor], foreach: bool | None, *, alpha: float | Tensor
) -> None:
    if not targets:
        return
    if foreach is None or foreach:
        torch._foreach_add_(targets, torch._foreach_mul(values, alpha))
        return
    for target, value in zip(targets, values, strict=True):
        target.add_(value * alpha)


def _added(
    values: list[Tensor], others: list[Tensor], foreach: bool | None, *, alpha: float
) -> list[Tensor]:
    results = [value.clone(memory_format=torch.preserve_format) for value in values]
    _add(results, others, foreach, alpha=alpha)
    return results


def _scale(targets: list[Tensor], factor: float, foreach: bool | None) -> None:
    if foreach is None or foreach:
        torch._foreach_mul_(targets, factor)
        return
    for target in targets:
        target.mul_(factor)
