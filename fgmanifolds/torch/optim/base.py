"""What all optimizers on POMs share; a subclass says only where to go."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim import Optimizer

from fgmanifolds.steps import StepRule
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.manifolds import DRIFTING
from fgmanifolds.torch.optim.active import Active, ActiveLook
from fgmanifolds.torch.optim.building import GIVEN, NativeMixin
from fgmanifolds.torch.optim.foreach import add_, added
from fgmanifolds.torch.optim.groups import check_options, make_groups
from fgmanifolds.torch.optim.guards import Guards
from fgmanifolds.torch.optim.pom_steps import PomSteps
from fgmanifolds.torch.optim.references import ReferenceMixin
from fgmanifolds.torch.optim.rule_book import RuleBook
from fgmanifolds.torch.optim.state import StateMixin
from fgmanifolds.torch.sharded import reshard_
from fgmanifolds.validation import check_bool, check_integer

__all__ = ["POMOptimizer"]


class POMOptimizer(ReferenceMixin, NativeMixin, StateMixin, Optimizer):
    r"""Base class of optimizers on the POMs of an adapter.

    A subclass gives Euclidean directions; the step rule, the move along the projected
    directions, the retraction, radii, checks and state are here.

    .. code-block:: python

        class MySGD(POMOptimizer):
            def direction(self, params, grads, group):
                return grads

    Parameters
    ----------
    adapter : POMAdapter
        Its model's trainable parameters are optimized: the weights on POMs in
        one parameter group, all others in the next.
    lr : float or tensor of one element
        Learning rate r(t) >= 0.
    params : sequence of dict
        Parameter groups with options of their own, as torch's optimizers take them:
        ``[{"params": model.head.parameters(), "lr": 0.01}]``. The model's other
        parameters form the default groups.
    maximize : bool
    weight_decay : float
        Added to the Euclidean gradient, times the weight, as in ``torch.optim.SGD``. On curved
        components it is normal to the manifold when it comes in. Momentum keeps it while the
        weight turns, so that a small tangent part of it remains there.
    rule : {"corollary2", "global", "theorem2", "paper", "relative", None} or StepRule
        Denominator g of the step, see :mod:`fgmanifolds.steps`; None is g = 1.
        ``"theorem2"`` needs a reference: see :meth:`set_reference_`.
    gradient_norm : {"past", "current"}
        The norm R of each POM's direction, at a gradient's scale, that g uses: the root of a
        running mean of R^2 over earlier steps (of the step itself at the first), with g at
        least the present R; or that of the same step, as printed, which biases the direction.
        With momentum no choice is free of bias, since the momentum holds past samples.
    momentum_space : {"ambient", "tangent"}
        Where momentum lives: in the space of matrices, projected at each step, as in
        the paper; or on the tangent spaces: gradients are projected before they enter, and
        the momentum is carried from one point to the next by projection.
    stabilize_every : int or None
        Number of steps after which weights go to the nearest points of their
        manifolds. None: 100 for the retractions "cayley" and "exp", along which
        rounding adds up, and never for the others; 0: never.
    check_every : int
        Number of steps between checks that weights are on their manifolds, the
        first of them before the first step; weights that were written to since the last
        step are checked at once. 0: never.
    skip_nonfinite : bool
        Whether a step whose gradients hold nan or inf, or are too large to be used, is left
        out, rather than refused. Either way nothing is changed by it.
    foreach : bool or None
        Whether the Euclidean part of the step uses torch's foreach functions. None: yes, but
        :class:`FGSGD` and :class:`FGAdam` step dense parameters on the CPU by torch's fused
        ones, unless lr is a tensor.
    compile : bool
        Whether small kernels go through ``torch.compile``, on any device. The first step takes
        seconds, and later ones with other radii or learning rates are not compiled anew.
    native : bool or None
        Whether weights in float32 on the CPU go through C++ functions, compiled when the optimizer
        is made (a second each, kept in the user's cache). None: if there is a C++ compiler and
        the variable FGMANIFOLDS_NATIVE is not 0. With a rule that needs a reference, or another
        retraction than "qr", small kernels go through torch.
    capturable : bool
        Whether steps may be captured in a CUDA graph. Nothing waits for the device
        then: gradients and weights are not checked.
    differentiable : bool
        Not supported: retractions write to the weights in place.
    **defaults
        Further options of the subclass's groups.

    Attributes
    ----------
    steps, skipped_steps : int
        Steps taken, and steps left out because of `skip_nonfinite`.

    Raises
    ------
    ValueError
        If an option is out of range; at a step, if a gradient cannot be used or a
        weight is off its manifold, and then nothing is changed.
    """

    #: State of a parameter that is a gradient in kind, with the power of the inverse radius
    #: with which it goes when radii change.
    gradient_state: ClassVar[Mapping[str, int]] = {}
    #: State of a parameter that lives on tangent spaces with ``momentum_space="tangent"``.
    tangent_state: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        adapter: POMAdapter,
        lr: float | Tensor = 1e-3,
        *,
        params: Sequence[dict[str, Any]] = (),
        maximize: bool = False,
        weight_decay: float = 0.0,
        rule: str | StepRule | None = "corollary2",
        gradient_norm: str = "past",
        momentum_space: str = "ambient",
        stabilize_every: int | None = None,
        check_every: int = 100,
        skip_nonfinite: bool = False,
        foreach: bool | None = None,
        compile: bool = False,
        native: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        **defaults: Any,
    ) -> None:
        given: Any = adapter
        if not isinstance(given, POMAdapter):
            name = type(self).__name__
            raise TypeError(
                f"adapter is a {type(given).__name__}; {name} takes a POMAdapter, not "
                f"parameters: {name}(POMAdapter(model), lr=...)."
            )
        if differentiable:
            raise ValueError("differentiable=True is not supported: steps write weights in place.")
        check_integer("check_every", check_every, low=0)
        for argument, value in (
            ("skip_nonfinite", skip_nonfinite),
            ("compile", compile),
            ("capturable", capturable),
        ):
            check_bool(argument, value)
        if stabilize_every is None:
            stabilize_every = 100 if adapter.options["retraction"] in DRIFTING else 0
        check_integer("stabilize_every", stabilize_every, low=0)
        self.adapter = adapter
        self.stabilize_every, self.check_every = stabilize_every, check_every
        self.skip_nonfinite, self.capturable, self.compile = skip_nonfinite, capturable, compile
        self.skipped_steps = self.steps = 0
        self._rules = RuleBook()
        self.native = self._wants_native(native)
        self._native_blocks = self.native and self._load_blocks()
        self._forget()
        options = {
            "lr": lr,
            "maximize": maximize,
            "weight_decay": weight_decay,
            "rule": self._rules.name_of(rule),
            "gradient_norm": gradient_norm,
            "momentum_space": momentum_space,
            "foreach": foreach,
            **defaults,
        }
        super().__init__(make_groups(adapter, params), options)
        self._native_way()

    def _forget(self) -> None:
        """Forget what follows from the state of the adapter and the model."""
        self._way = None
        self._poms = PomSteps(self.adapter, compile=self.compile, native=self._native_blocks)
        self._guards = Guards(self.adapter)
        self._looks: dict[int, ActiveLook] = {}
        self._radii_version = self.adapter.version
        self._radii = {name: x.radius.clone() for name, x in self.adapter.layers.items()}

    # What a subclass says -----------------------------------------------------------

    @abc.abstractmethod
    def direction(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        """Give the Euclidean direction of each parameter; the step goes against it.

        Parameters
        ----------
        params : list of tensor
            Parameters of a group that have gradients: weights on POMs and others.
        grads : list of tensor
            Their gradients, with weight decay and the sign of `maximize`. They must not be
            written to.
        group : dict
            Options of the group.

        Returns
        -------
        list of tensor
            Of the parameters' shapes. What is to be kept from step to step lies in
            ``self.state[p]``.
        """

    def gradient_scale(self, group: dict[str, Any]) -> float:
        """Factor that brings the norm of a direction to that of a gradient; 1 by default."""
        return 1.0

    def check_group(self, options: dict[str, Any]) -> None:
        """Raise ``ValueError`` unless the options of a group are in range."""
        check_options(options)

    # Groups and rules -----------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with options of its own, which are checked."""
        options = {**self.defaults, **param_group}
        options["rule"] = self._rules.name_of(options["rule"])
        self.check_group(options)
        if "rule" in param_group:
            param_group = {**param_group, "rule": options["rule"]}
        super().add_param_group(param_group)
        self._guards.forget_strangers()

    # One step ---------------------------------------------------------------------------

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
            If a gradient has nan or inf entries or is too large, unless `skip_nonfinite`; it
            names the parameters, and nothing is changed.

        Warns
        -----
        UserWarning
            Once, if a parameter of the model has a gradient and is in no group.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        reshard_(self.adapter.model)
        version = self.adapter.version
        way = self._native_way()
        if way is not None:
            way.follow(version)
        by_weight = self._guards.layers_by_weight()
        active = [self._active(group, by_weight) for group in self.param_groups]
        self._guards.check_tensors(active)
        self._guards.check_ranks()
        self._guards.warn_of_strangers(self.param_groups, active)
        if not self._may_step(active):
            return loss
        self._keep_best(active, loss)
        self._check_references(active)
        self.adapter.collection.fold_spreads_()
        self._follow_radii(version)
        self.steps += 1
        for one in active:
            self._step_group(one)
        if self.stabilize_every and self.steps % self.stabilize_every == 0:
            for layer in (layer for one in active for layer in one.layers):
                layer.project_()
        self._guards.note_written()
        return loss

    def _active(self, group: dict[str, Any], by_weight: Mapping[int, POMLayer]) -> Active:
        look = self._looks.setdefault(id(group), ActiveLook())
        return look.active(group, self._rules.of(group), by_weight)

    def _may_step(self, active: Sequence[Active]) -> bool:
        """Look at gradients and weights before anything is changed."""
        if self.capturable:
            return True
        wrong = self._unusable_gradients(active)
        if wrong and self.skip_nonfinite:
            self.skipped_steps += 1
            return False
        if wrong:
            raise ValueError(
                f"the gradient of {'; of '.join(wrong)}; nothing was updated. "
                "Set skip_nonfinite=True to leave such steps out."
            )
        due = self.check_every and self.steps % self.check_every == 0
        if due or (self.check_every and self._guards.written_to()):
            for one in active:
                for table in self._poms.tables_of(one.layers):
                    self._guards.check_on_manifolds(table)
        return True

    def _unusable_gradients(self, active: Sequence[Active]) -> list[str]:
        return self._guards.unusable_gradients(active)

    @torch.no_grad()
    def _follow_radii(self, version: int) -> None:
        """Carry state over to new radii: as gradients, it goes with one over the radius."""
        if version == self._radii_version:
            return
        for name, layer in self.adapter.layers.items():
            old, new = self._radii[name], layer.radius
            if old.shape != new.shape or torch.equal(old, new):
                continue
            for key, power in self.gradient_state.items():
                buffer = self.state[layer.weight].get(key)
                if buffer is None:
                    continue
                ratio = (old / new) ** power
                if buffer.shape == layer.weight.shape:
                    layer.multiply_(buffer, ratio)
                else:
                    buffer.mul_(ratio.to(buffer))
            self._radii[name] = new.clone()
        self._radii_version = version

    def _step_group(self, active: Active) -> None:
        params, group = active.params, active.group
        if not params:
            return
        grads = self._gradients(active, group)
        if group["momentum_space"] == "tangent":
            grads = self._poms.on_tangent_spaces(active, self.state, grads, self.tangent_state)
        directions, factors = self._scaled_directions(params, grads, group)
        if len(directions) != len(params):
            raise ValueError(
                f"direction() gave {len(directions)} directions for {len(params)} parameters."
            )
        number = len(active.layers)
        add_(active.plain, directions[number:], group["foreach"], alpha=-group["lr"])
        if active.layers:
            by_weight = dict(zip(map(id, params), directions, strict=True))
            way = self._native_way()
            taken = None if way is None else way.split(active, self.state, directions=by_weight)
            if way is not None and taken is not None:
                way.look(taken)
                active = self._step_natively(active, taken, {**group, **GIVEN})
            scale = self.gradient_scale(group)
            self._poms.step_(active, self.state, by_weight, scale, self._references, factors)

    def _scaled_directions(
        self, params: list[Tensor], grads: list[Tensor], group: dict[str, Any]
    ) -> tuple[list[Tensor], dict[int, Tensor]]:
        """Directions, and factors of the components of some, by the weight, that they go by.

        A multiple is not written out, since projections are linear.
        """
        return self.direction(params, grads, group), {}

    def _gradients(self, active: Active, group: dict[str, Any]) -> list[Tensor]:
        """Gradients with the sign of `maximize` and with weight decay."""
        grads = active.grads
        if group["maximize"]:
            grads = list(torch._foreach_neg(grads))
        if group["weight_decay"] != 0:
            grads = added(grads, active.params, group["foreach"], alpha=group["weight_decay"])
        return grads

    def pom_statistics(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer, the norms R and denominators g of its POMs at the last step.

        R is the norm of the projected direction at a gradient's scale.
        """
        last = self._poms.last.items()
        return {name: (norm[own], g[own]) for name, (norm, g, own) in last}
