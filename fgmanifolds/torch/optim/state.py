"""State dicts of optimizers on POMs: checked before anything is taken over."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.optim.rule_book import RuleBook
from fgmanifolds.validation import check_bool, check_integer, damage_refused

if TYPE_CHECKING:
    from fgmanifolds.torch.adapter import POMAdapter

__all__ = ["StateMixin"]

#: Attributes that a copy of an optimizer needs beside what torch keeps.
_OWN = (
    *("adapter", "stabilize_every", "check_every", "skip_nonfinite", "capturable", "compile"),
    *("native", "_native_blocks"),
)

#: State that is a sum of squares, or a number of steps.
NOT_NEGATIVE = ("mean_square", "exp_avg_sq", "step")

_COUNTS = ("skipped_steps", "steps", "_best_loss", "_rules")


class StateMixin(Optimizer):
    """State dicts, pickle and deepcopy; a part of :class:`POMOptimizer`."""

    adapter: POMAdapter
    stabilize_every: int
    skip_nonfinite: bool
    steps: int
    skipped_steps: int
    _best_loss: float
    _rules: RuleBook

    #: State that keeps its own type, whatever that of the parameter is.
    own_type_state: ClassVar[tuple[str, ...]] = ("mean_square",)

    def check_group(self, options: dict[str, Any]) -> None:
        """See :class:`POMOptimizer`."""
        raise NotImplementedError

    def _forget(self) -> None:
        raise NotImplementedError

    def _follow_radii(self, version: int) -> None:
        raise NotImplementedError

    def state_shapes(self, parameter: Tensor, layer: POMLayer | None) -> dict[str, tuple[int, ...]]:
        """Shapes of the state of a parameter, by name, as they must be in a checkpoint.

        Parameters
        ----------
        parameter : Tensor
        layer : POMLayer or None
            If the parameter lies on POMs.
        """
        if layer is None:
            return {}
        return {"mean_square": (-1,), "reference": tuple(parameter.shape)}

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with the state of the adapter, so that no radius and no set is lost."""
        self._follow_radii(self.adapter.version)
        state: dict[str, Any] = super().state_dict()
        state["fgmanifolds"] = {
            "adapter": self.adapter.state_dict(),
            "steps": self.steps,
            "skipped_steps": self.skipped_steps,
            "best_loss": self._best_loss,
            "stabilize_every": self.stabilize_every,
            "skip_nonfinite": self.skip_nonfinite,
        }
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, sets and radii included.

        Options that the state lacks, being of an older version, are those of this optimizer's
        defaults. Hooks that are registered to run before loading see the state first.

        Raises
        ------
        ValueError
            If the state is of another collection, or damaged; nothing is changed then.
        """
        state = state_dict.copy()
        hooks = self._optimizer_load_state_dict_pre_hooks
        for hook in hooks.values():
            migrated = hook(self, state)
            state = state if migrated is None else migrated
        own = self.check_state(state)
        state["param_groups"] = self._filled(state)
        self._optimizer_load_state_dict_pre_hooks = OrderedDict()
        try:
            super().load_state_dict(state)
        finally:
            self._optimizer_load_state_dict_pre_hooks = hooks
        self._keep_types(state)
        self.adapter.load_state_dict(own["adapter"])
        self.steps, self.skipped_steps = own["steps"], own["skipped_steps"]
        self._best_loss = own["best_loss"]
        self.stabilize_every = own.get("stabilize_every", self.stabilize_every)
        self.skip_nonfinite = own.get("skip_nonfinite", self.skip_nonfinite)
        self._forget()

    def _older(self) -> dict[str, Any]:
        """Options for groups of states that were written before there were such options."""
        return {key: value for key, value in self.defaults.items() if key != "lr"}

    def _filled(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        return [{**self._older(), **group} for group in state["param_groups"]]

    def check_state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Raise ``ValueError`` unless a state can be loaded; nothing changes.

        Returns
        -------
        dict
            The part of it that is not torch's.
        """
        with damage_refused("state_dict"):
            return self._checked({**state, "param_groups": self._filled(state)})

    def _checked(self, state: dict[str, Any]) -> dict[str, Any]:
        own = state.get("fgmanifolds")
        if not isinstance(own, dict):
            raise ValueError(
                f"state_dict is not that of {type(self).__name__}: it has no POMs "
                "(the key 'fgmanifolds' is missing)."
            )
        for key in ("adapter", "steps", "skipped_steps", "best_loss"):
            if key not in own:
                raise ValueError(f"state_dict is damaged: 'fgmanifolds' lacks {key!r}.")
        check_integer("steps", own["steps"], low=0)
        check_integer("skipped_steps", own["skipped_steps"], low=0)
        check_integer("stabilize_every", own.get("stabilize_every", 0), low=0)
        check_bool("skip_nonfinite", own.get("skip_nonfinite", False))
        self._check_numbers(state)
        if not isinstance(own["best_loss"], float) or math.isnan(own["best_loss"]):
            raise ValueError(f"state_dict is damaged: best_loss={own['best_loss']!r}.")
        self.adapter.check_state(own["adapter"])
        for group in state["param_groups"]:
            if "lr" not in group:
                raise ValueError("state_dict is damaged: a parameter group lacks 'lr'.")
            self._rules.name_of(group["rule"])
            self.check_group(group)
        self._check_tensors(state, own["adapter"])
        return own

    def _check_numbers(self, state: dict[str, Any]) -> None:
        """See that the state is of as many parameters, each by its number."""
        saved = [group["params"] for group in state["param_groups"]]
        if [len(one) for one in saved] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("state_dict is of other parameters: its groups are not these.")
        numbers = [number for one in saved for number in one]
        whole = all(type(number) is int for number in [*numbers, *state["state"]])
        if not all(isinstance(kept, dict) for kept in state["state"].values()):
            raise ValueError("state_dict is damaged: it has no state of a parameter.")
        if not whole or len(set(numbers)) < len(numbers) or not set(state["state"]) <= set(numbers):
            raise ValueError("state_dict is damaged: numbers of parameters are not whole.")

    def _pairs(self, state: dict[str, Any]) -> list[tuple[Tensor, dict[str, Any]]]:
        """Each parameter with what the state holds of it."""
        pairs = []
        for group, saved in zip(self.param_groups, state["param_groups"], strict=False):
            for p, number in zip(group["params"], saved["params"], strict=False):
                if number in state["state"]:
                    pairs.append((p, state["state"][number]))
        return pairs

    def _check_tensors(self, state: dict[str, Any], adapter: dict[str, Any]) -> None:
        layers = {id(layer.weight): layer for layer in self.adapter.layers.values()}
        for p, saved in self._pairs(state):
            layer = layers.get(id(p))
            shapes = self.state_shapes(p, layer)
            if layer is not None:
                poms = len(adapter["layers"][layer.name]["sets"]["labels"])
                shapes["mean_square"] = (poms,)
            where = "a parameter" if layer is None else f"layer {layer.name!r}"
            for key, shape in shapes.items():
                if key not in saved:
                    continue
                value = saved[key]
                if not isinstance(value, Tensor) or not value.is_floating_point():
                    raise ValueError(f"state_dict is damaged: {key} of {where} is no float tensor.")
                if tuple(value.shape) != tuple(shape):
                    raise ValueError(
                        f"state_dict is damaged: {key} of {where} has shape {tuple(value.shape)}; "
                        f"{tuple(shape)} is needed."
                    )
                if not bool(value.isfinite().all()):
                    raise ValueError(f"state_dict is damaged: {key} of {where} is not finite.")
                if key in NOT_NEGATIVE and not bool((value >= 0).all()):
                    raise ValueError(f"state_dict is damaged: {key} of {where} is not >= 0.")

    def _keep_types(self, state: dict[str, Any]) -> None:
        """Undo torch's casting of state to the parameter's type where it has its own."""
        for p, saved in self._pairs(state):
            for key in self.own_type_state:
                if isinstance(saved.get(key), Tensor):
                    self.state[p][key] = saved[key].detach().clone().to(p.device)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy; torch's leaves out what is not its own."""
        own = {name: getattr(self, name) for name in (*_OWN, *_COUNTS)}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See :meth:`__getstate__`."""
        super().__setstate__(state)
        if "adapter" in state:
            self._forget()
