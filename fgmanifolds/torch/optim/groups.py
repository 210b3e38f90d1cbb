"""Parameter groups: the ones given, those that are left, and checks of their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.steps import GRADIENT_NORMS
from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.validation import check_bool, check_choice, check_number

__all__ = ["MOMENTUM_SPACES", "check_lr", "check_options", "make_groups"]

#: torch refuses to multiply tensors of float32 by more than they hold.
LARGEST = torch.finfo(torch.float32).max

#: Where momentum may live.
MOMENTUM_SPACES = ("ambient", "tangent")


def make_groups(adapter: POMAdapter, given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups given, and one each for the weights on POMs and the others that are left.

    Parameters
    ----------
    adapter : POMAdapter
    given : sequence of dict, or None

    Raises
    ------
    TypeError
        If `given` is anything but dicts with ``"params"``.
    """
    groups = [_as_group(group) for group in given]
    named = any(isinstance(one, tuple) for group in groups for one in group["params"])
    taken = {id(_parameter(one)) for group in groups for one in group["params"]}
    names = {id(p): name for name, p in adapter.model.named_parameters()}
    weights = [layer.weight for layer in adapter.layers.values()]
    known = {id(p) for p in weights} | taken
    on_poms = [p for p in weights if id(p) not in taken]
    others = [p for p in adapter.model.parameters() if p.requires_grad and id(p) not in known]

    def listed(members: Sequence[Tensor]) -> list[Any]:
        return [(names[id(p)], p) for p in members] if named else list(members)

    left = [{"params": listed(members)} for members in (on_poms, others) if members]
    return [*groups, *left]


def _parameter(entry: Any) -> Any:
    return entry[1] if isinstance(entry, tuple) else entry


def _as_group(group: Any) -> dict[str, Any]:
    if not isinstance(group, Mapping) or "params" not in group:
        raise TypeError(
            f"params holds a {type(group).__name__}; dicts are needed, each with its parameters: "
            'params=[{"params": model.head.parameters(), "lr": 0.01}].'
        )
    members = group["params"]
    return {**group, "params": [members] if isinstance(members, Tensor) else list(members)}


def check_lr(lr: Any) -> None:
    """Raise ``ValueError`` unless a learning rate is a number >= 0 or a tensor of one."""
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise ValueError(f"lr has {lr.numel()} elements; a tensor lr must have one.")
        return
    check_real("lr", lr)


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` unless the options that all optimizers share are in range."""
    check_lr(options["lr"])
    check_real("weight_decay", options["weight_decay"])
    check_choice("gradient_norm", options["gradient_norm"], GRADIENT_NORMS)
    check_choice("momentum_space", options["momentum_space"], MOMENTUM_SPACES)
    check_bool("maximize", options["maximize"])
    if options["foreach"] is not None:
        check_bool("foreach", options["foreach"])


def check_real(argument: str, value: Any, *, below: float | None = None) -> None:
    """Raise ``ValueError`` unless `value` is a number >= 0, and less than `below` if given."""
    if isinstance(value, bool | str):
        raise ValueError(f"{argument}={value!r} is not a number.")
    check_number(argument, value, low=0)
    if value > LARGEST or (isinstance(value, int) and value >= 2**63):
        raise ValueError(f"{argument}={value!r} is more than torch's numbers hold.")
    if below is not None and not float(value) < below:
        raise ValueError(f"{argument}={value!r} must be in [0, {below:g}).")
