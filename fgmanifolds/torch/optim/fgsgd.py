"""FGSGD: fine-grained SGD (Algorithm 1) as a torch optimizer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim import Optimizer

from fgmanifolds.steps import GRADIENT_NORMS, NORM_MOMENTUM
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.bounds import RULES, PomBounds
from fgmanifolds.torch.ops.native import NativeBuildError, NativeTable, available, can_take
from fgmanifolds.torch.ops.table import PomTable, fine_grained_step
from fgmanifolds.validation import check_bool, check_choice, check_integer, check_number

__all__ = ["FGSGD", "GRADIENT_NORMS", "MOMENTUM_SPACES"]

#: Where momentum may live.
MOMENTUM_SPACES = ("ambient", "tangent")

#: The layers of a group that the C++ function takes, with their table.
NativePart = tuple[list[POMLayer], NativeTable | None]

#: Retractions along which rounding adds up from step to step.
DRIFTING = ("cayley", "exp")


class FGSGD(Optimizer):
    """SGD on the POMs of an adapter; plain SGD on all other parameters.

    Parameters
    ----------
    adapter : POMAdapter
        Its model's trainable parameters are optimized: the weights on POMs in
        one parameter group, all others in the next.
    lr : float or tensor
        Learning rate r(t), > 0 or 0.
    momentum : float
        theta_mu of eq. (31), in [0, 1]. (The printed sign of (31) ascends.)
    dampening : float
        theta_E of eq. (31) is 1 - dampening.
    weight_decay : float
        Added to the Euclidean gradient, as in ``torch.optim.SGD``. On curved
        components it is normal to the manifold, so that it has no effect there.
    nesterov : bool
    params : sequence of dict, optional
        Parameter groups with options of their own, as torch's optimizers take them:
        ``[{"params": model.head.parameters(), "lr": 0.01}]``. The model's other
        parameters form the default groups.
    maximize : bool
    rule : {"corollary2", "global", "theorem2", "paper", None}
        Denominator g of the step, see :mod:`fgmanifolds.steps.rules`; None is
        g = 1. ``"theorem2"`` needs a reference: see :meth:`set_reference_`.
    gradient_norm : {"past", "current"}
        The norm R of each POM's gradient that g uses: a running average over
        earlier steps (of the first step itself at the first step), or that of
        the same minibatch, as printed, which biases the direction.
    momentum_space : {"ambient", "tangent"}
        Where momentum lives: in the space of matrices, projected at each step, as in
        the paper; or on the tangent spaces, carried from one to the next by projection.
    stabilize_every : int or None
        Number of steps after which weights go to the nearest points of their
        manifolds. None: 100 for the retractions "cayley" and "exp", along which
        rounding adds up, and never for the others; 0: never.
    check_every : int
        Number of steps between checks that weights are on their manifolds, the
        first of them before the first step; weights that were written to since the last
        step are checked at once. 0: never.
    skip_nonfinite : bool
        Whether a step whose gradients hold nan or inf is left out, rather than
        refused. Either way nothing is changed by it.
    foreach : bool or None
        Whether the Euclidean part of the step uses torch's foreach functions;
        None: yes.
    native : bool or None
        Whether small float32 kernels on the CPU go through a C++ function, which is
        compiled where it is first used (a second, kept in the user's cache). None: if
        there is a C++ compiler. The other weights, and all with momentum on tangent spaces,
        ``rule="theorem2"`` or another retraction than "qr", take the way through torch.
    compile : bool
        Whether small kernels go through ``torch.compile``, on any device, in place of the
        C++ function. The first step takes seconds, and later ones with other radii or
        learning rates are not compiled anew.
    capturable : bool
        Whether steps may be captured in a CUDA graph. Nothing waits for the device
        then: gradients and weights are not checked.
    differentiable : bool
        Not supported: retractions write to the weights in place.

    Attributes
    ----------
    skipped_steps : int
        Steps left out because of `skip_nonfinite`.

    Raises
    ------
    ValueError
        If an option is out of range; at a step, if a gradient is not finite or a
        weight is off its manifold.
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
        params: Sequence[dict[str, Any]] = (),
        maximize: bool = False,
        rule: str | None = "corollary2",
        gradient_norm: str = "past",
        momentum_space: str = "ambient",
        stabilize_every: int | None = None,
        check_every: int = 100,
        skip_nonfinite: bool = False,
        foreach: bool | None = None,
        native: bool | None = None,
        compile: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not isinstance(adapter, POMAdapter):
            raise TypeError(
                f"adapter is a {type(adapter).__name__}; FGSGD takes a POMAdapter, not parameters: "
                "FGSGD(POMAdapter(model), lr=...)."
            )
        if differentiable:
            raise ValueError("differentiable=True is not supported: steps write weights in place.")
        check_integer("check_every", check_every, low=0)
        if stabilize_every is None:
            stabilize_every = 100 if adapter.options["retraction"] in DRIFTING else 0
        check_integer("stabilize_every", stabilize_every, low=0)
        self.adapter = adapter
        self.stabilize_every, self.check_every = stabilize_every, check_every
        self.skip_nonfinite, self.capturable = skip_nonfinite, capturable
        check_bool("compile", compile)
        self.compile, self.native = compile, self._checked_native(native, compile)
        self.skipped_steps = self.steps = 0
        self._best_loss = math.inf
        self._reset()
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "rule": rule,
            "gradient_norm": gradient_norm,
            "momentum_space": momentum_space,
            "foreach": foreach,
        }
        super().__init__(_groups(adapter, params), defaults)

    def _checked_native(self, native: bool | None, compile: bool) -> bool:
        if native and compile:
            raise ValueError("native=True and compile=True are two ways for the same kernels.")
        if native and not available():
            raise ValueError("native=True needs a C++ compiler: set CXX, or install c++.")
        return available() and not compile if native is None else native

    def _reset(self) -> None:
        """Forget what follows from the state of the adapter."""
        self._tables: dict[int, tuple[tuple[Any, ...], PomTable]] = {}
        self._native_tables: dict[int, tuple[tuple[Any, ...], NativeTable]] = {}
        self._last: dict[str, tuple[Tensor, Tensor]] = {}
        self._written: list[tuple[int, int]] = []
        self._radii = {name: layer.radius for name, layer in self.adapter.layers.items()}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with options of its own, which are checked."""
        options = {**self.defaults, **param_group}
        for name in ("lr", "momentum", "weight_decay"):
            check_number(name, float(options[name]), low=0)
        check_choice("rule", options["rule"], RULES)
        check_choice("gradient_norm", options["gradient_norm"], GRADIENT_NORMS)
        check_choice("momentum_space", options["momentum_space"], MOMENTUM_SPACES)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError("nesterov=True needs momentum > 0 and dampening = 0.")
        super().add_param_group(param_group)

    # State ------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with the state of the adapter, so that no radius is lost."""
        self._follow_radii()
        state: dict[str, Any] = super().state_dict()
        state["fgmanifolds"] = {
            "adapter": self.adapter.state_dict(),
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "best_loss": self._best_loss,
        }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, radii included; ``ValueError`` if it is of another collection."""
        try:
            own = state_dict["fgmanifolds"]
        except KeyError:
            raise ValueError("state_dict is not that of an FGSGD: it has no POMs.") from None
        self.adapter.check_state(own["adapter"])
        super().load_state_dict(state_dict)
        self.adapter.load_state_dict(own["adapter"])
        self.steps, self.skipped_steps = own["steps"], own["skipped_steps"]
        self._best_loss = own["best_loss"]
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy; torch's leaves out what is not its own."""
        names = (
            "adapter",
            "stabilize_every",
            "check_every",
            "skip_nonfinite",
            "capturable",
            "native",
            "compile",
        )
        own = (*names, "skipped_steps", "steps", "_best_loss")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in own}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See :meth:`__getstate__`."""
        super().__setstate__(state)
        if "adapter" in state:
            self._reset()

    @torch.no_grad()
    def set_reference_(self) -> None:
        """Take the present weights for the minimum that ``rule="theorem2"`` measures distances to.

        Without it, steps with a closure take the weights of the lowest loss so far.
        """
        for layer in self.adapter.layers.values():
            self.state[layer.weight]["reference"] = layer.weight.detach().clone()

    # One step ---------------------------------------------------------------------

    @_disable_dynamo
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
            self._keep_best(loss)
        parts = [self._native_part(i, group) for i, group in enumerate(self.param_groups)]
        if self.capturable or self._gradients_are_finite(parts):
            if self._checks_are_due():
                self._check_weights()
            self._follow_radii()
            self.steps += 1
            for number, (group, part) in enumerate(zip(self.param_groups, parts, strict=True)):
                self._step_group(number, group, *part)
            self._written = self._versions()
        return loss

    def _keep_best(self, loss: Any) -> None:
        if not any(group["rule"] == "theorem2" for group in self.param_groups):
            return
        if float(loss) < self._best_loss:
            self._best_loss = float(loss)
            self.set_reference_()

    def _gradients_are_finite(self, parts: Sequence[NativePart]) -> bool:
        params = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        if not params or self._are_finite(params, parts):
            return True
        if self.skip_nonfinite:
            self.skipped_steps += 1
            return False
        bad = [self._name_of(p) for p in params if p.grad is not None and not _is_finite(p.grad)]
        raise ValueError(
            f"the gradient of {', '.join(bad)} has nan or inf entries; nothing was updated. "
            "Set skip_nonfinite=True to leave such steps out."
        )

    def _are_finite(self, params: list[Tensor], parts: Sequence[NativePart]) -> bool:
        done: set[int] = set()
        for layers, table in parts:
            if table is not None:
                if not table.gradients_are_finite():
                    return False
                done.update(id(layer.weight) for layer in layers)
        others = [p.grad for p in params if p.grad is not None and id(p) not in done]
        if not others:
            return True
        # A sum with nan or inf in it is not finite. One that overflows is looked at again.
        sums = [grad.sum() for grad in others]
        if bool(torch.stack([one.to(sums[0]) for one in sums]).isfinite().all()):
            return True
        return all(_is_finite(grad) for grad in others)

    def _versions(self) -> list[tuple[int, int]]:
        """What changes when somebody writes to a weight on POMs, or puts another in its place."""
        weights = [layer.weight for layer in self.adapter.layers.values()]
        return [(weight.data_ptr(), weight._version) for weight in weights]

    def _checks_are_due(self) -> bool:
        if self.capturable or self.check_every == 0:
            return False
        return self.steps % self.check_every == 0 or self._written != self._versions()

    def _check_weights(self) -> None:
        for number, group in enumerate(self.param_groups):
            layers = self._layers_of(group["params"])
            if not layers:
                continue
            weights = [layer.weight for layer in layers]
            off = self._table(number, layers).violation(weights).tolist()
            for layer, value in zip(layers, off, strict=True):
                if not value <= _tolerance(layer.weight.dtype):
                    raise ValueError(
                        f"the weight of layer {layer.name!r} is off its manifolds, by {value:.1e} "
                        "relative to their radii; nothing was updated. Was it loaded or written "
                        "after adapter.initialize_()? adapter.initialize_(from_weights=True) takes "
                        "the nearest points."
                    )

    @torch.no_grad()
    def _follow_radii(self) -> None:
        """Carry momenta over to new radii: as gradients, they go with one over the radius."""
        for name, layer in self.adapter.layers.items():
            old, self._radii[name] = self._radii[name], layer.radius
            buffer = self.state[layer.weight].get("momentum_buffer")
            if buffer is None or old is layer.radius or torch.equal(old, layer.radius):
                continue
            ratio = old / layer.radius
            for batch, components in layer.components_of(buffer):
                factor = ratio[batch.members].to(components)
                batch.write_(buffer, components * factor[:, None, None])

    def _name_of(self, parameter: Tensor) -> str:
        for name, candidate in self.adapter.model.named_parameters():
            if candidate is parameter:
                return repr(name)
        return "a parameter that is not the model's"

    def _step_group(
        self,
        number: int,
        group: dict[str, Any],
        natively: list[POMLayer],
        table: NativeTable | None,
    ) -> None:
        params = [p for p in group["params"] if p.grad is not None]
        if table is not None:
            self._step_natively(number, group, natively, table)
            done = {id(layer.weight) for layer in natively}
            params = [p for p in params if id(p) not in done]
        if not params:
            return
        layers = self._layers_of(params)
        if layers and group["momentum_space"] == "tangent":
            self._carry_momenta(self._table(number, layers), layers)
        directions = dict(zip(params, self._directions(params, group), strict=True))
        on_poms = {id(layer.weight) for layer in layers}
        plain = [p for p in params if id(p) not in on_poms]
        _add(plain, [directions[p] for p in plain], group["foreach"], alpha=-group["lr"])
        if layers:
            self._step_poms(number, group, layers, directions)

    def _native_part(self, number: int, group: dict[str, Any]) -> NativePart:
        """The layers of a group that the C++ function takes, with their table."""
        plain = group["momentum_space"] == "ambient" and group["rule"] != "theorem2"
        if not (self.native and plain and self.adapter.options["retraction"] == "qr"):
            return [], None
        layers = [
            layer
            for layer in self._layers_of(p for p in group["params"] if p.grad is not None)
            if can_take(layer, self.state[layer.weight].get("momentum_buffer"))
        ]
        if not layers:
            return [], None
        key = (self.adapter.version, torch.get_num_threads(), *(layer.name for layer in layers))
        if number not in self._native_tables or self._native_tables[number][0] != key:
            try:
                self._native_tables[number] = (key, NativeTable(layers))
            except NativeBuildError as error:
                warnings.warn(f"native=True is given up: {error}", RuntimeWarning, stacklevel=4)
                self.native = False
                return [], None
        return layers, self._native_tables[number][1]

    def _step_natively(
        self, number: int, group: dict[str, Any], layers: list[POMLayer], table: NativeTable
    ) -> None:
        states = [self.state[layer.weight] for layer in layers]
        fresh = ["momentum_buffer" not in state for state in states]
        buffers: list[Tensor | None] = [None] * len(layers)
        if group["momentum"] != 0:
            for state, layer in zip(states, layers, strict=True):
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.empty_like(layer.weight)
            buffers = [state["momentum_buffer"] for state in states]
        past = None
        if group["gradient_norm"] == "past":
            past = self._past_norms(layer.weight for layer in layers)
        if past is None:
            past = table.run(buffers, fresh, torch.zeros_like(table.curvature), group, write=False)
        g = RULES[group["rule"]](table, past, _no_distance)
        norm = table.run(buffers, fresh, -group["lr"] / g, group, write=True)
        self._remember(layers, table, norm, g)
        if self.stabilize_every and self.steps % self.stabilize_every == 0:
            self._table(number, layers).nearest_([layer.weight for layer in layers])

    def _layers_of(self, params: Iterable[Tensor]) -> list[POMLayer]:
        by_weight = {id(layer.weight): layer for layer in self.adapter.layers.values()}
        found = (by_weight.get(id(p)) for p in params)
        return [layer for layer in found if layer is not None]

    def _carry_momenta(self, table: PomTable, layers: list[POMLayer]) -> None:
        """Project momenta on the tangent spaces at the present weights."""
        buffers = [self.state[layer.weight].get("momentum_buffer") for layer in layers]
        known = [buffer for buffer in buffers if buffer is not None]
        if len(known) == len(layers):
            table.project_([layer.weight for layer in layers], known)

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
        weights: list[Tensor] = [layer.weight for layer in layers]
        table = self._table(number, layers)
        rule = RULES[group["rule"]]
        past = self._past_norms(weights) if group["gradient_norm"] == "past" else None

        def denominator(norm: Tensor) -> Tensor:
            return rule(table, norm, lambda: table.distance(weights, self._references(layers)))

        norm, g = fine_grained_step(
            table, weights, [directions[w] for w in weights], group["lr"], past, denominator
        )
        if self.stabilize_every and self.steps % self.stabilize_every == 0:
            table.nearest_(weights)
        self._remember(layers, table, norm, g)

    def _remember(self, layers: list[POMLayer], table: PomBounds, norm: Tensor, g: Tensor) -> None:
        """Keep norms for the next step, and what :meth:`pom_statistics` shows."""
        norms = norm.split(table.sizes)
        parts = zip(layers, norms, g.split(table.sizes), strict=True)
        self._last.update({layer.name: (own, own_g) for layer, own, own_g in parts})
        states = [self.state[layer.weight] for layer in layers]
        known = [i for i, state in enumerate(states) if "gradient_norm" in state]
        if known:
            running = [states[i]["gradient_norm"] for i in known]
            torch._foreach_lerp_(running, [norms[i] for i in known], 1 - NORM_MOMENTUM)
        for state, own in zip(states, norms, strict=True):
            if "gradient_norm" not in state:
                state["gradient_norm"] = own.clone()

    def _references(self, layers: Sequence[POMLayer]) -> list[Tensor]:
        found = [self.state[layer.weight].get("reference") for layer in layers]
        known = [reference for reference in found if reference is not None]
        if len(known) < len(found):
            raise ValueError(
                "rule='theorem2' needs a reference point: call set_reference_() at weights near "
                "the minimum, or step with a closure, which takes the best weights so far."
            )
        return known

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
            retraction = self.adapter.options["retraction"]
            table = PomTable(layers, like.detach(), retraction, compile=self.compile)
            self._tables[number] = (key, table)
        return self._tables[number][1]

    def pom_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer, the gradient norms R and denominators g of its POMs at the last step."""
        return dict(self._last)


def _groups(adapter: POMAdapter, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups given, and one each for the weights on POMs and the others that are left."""
    groups = []
    for group in given:
        members = group["params"]
        members = [members] if isinstance(members, Tensor) else list(members)
        groups.append({**group, "params": members})
    taken = {id(p) for group in groups for p in group["params"]}
    weights = [layer.weight for layer in adapter.layers.values()]
    known = {id(p) for p in weights} | taken
    on_poms = [p for p in weights if id(p) not in taken]
    others = [p for p in adapter.model.parameters() if p.requires_grad and id(p) not in known]
    return [*groups, *({"params": members} for members in (on_poms, others) if members)]


def _no_distance() -> Tensor:
    raise AssertionError("a rule that needs distances goes through torch")


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _tolerance(dtype: torch.dtype) -> float:
    """Violation of the constraints beyond which a weight was not put there by steps."""
    return float(1e4 * torch.finfo(dtype).eps)


def _add(
    targets: list[Tensor], values: list[Tensor], foreach: bool | None, *, alpha: float | Tensor
) -> None:
    if not targets:
        return
    if foreach is None or foreach:
        if isinstance(alpha, Tensor):
            torch._foreach_add_(targets, torch._foreach_mul(values, alpha))
        else:
            torch._foreach_add_(targets, values, alpha=alpha)
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
