"""Checkpoints are looked at whole before anything is taken over from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fgmanifolds.torch.optim import POMOptimizer

__all__ = [
    "check_generator",
    "check_history",
    "check_keys",
    "check_optimizer",
    "check_scheduler",
    "check_weights",
]

PREFIX = "checkpoint is damaged: "

#: Options of a parameter group that change in training, and the most that they come to.
CHANGING, MOST = ("lr", "step"), 1e12


def check_keys(state: Any, keys: Sequence[str], what: str = "it") -> None:
    """Raise ``ValueError`` unless a mapping has just these keys.

    Parameters
    ----------
    state : object
    keys : sequence of str
    what : str
    """
    if not isinstance(state, Mapping):
        raise ValueError(f"{PREFIX}{what} is a {type(state).__name__}.")
    if set(state) != set(keys):
        differ = sorted(map(str, set(state) ^ set(keys)))
        raise ValueError(f"{PREFIX}{what} lacks, or has beside what it should, {differ}.")


def check_weights(state: Any, mine: Mapping[str, Tensor], what: str = "the model") -> None:
    """Raise ``ValueError`` unless finite tensors have the names, shapes and types of `mine`.

    Parameters
    ----------
    state : mapping of str to Tensor
    mine : mapping of str to Tensor
    what : str
        Name of it all in messages.
    """
    check_keys(state, list(mine), what)
    for name, own in mine.items():
        tensor = state[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise ValueError(f"{PREFIX}{name} of {what} is no tensor.")
        if (tensor.shape, tensor.dtype) != (own.shape, own.dtype):
            raise ValueError(
                f"{PREFIX}{name} of {what} is {tuple(tensor.shape)} of {tensor.dtype}; "
                f"{tuple(own.shape)} of {own.dtype} is needed."
            )
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{PREFIX}{name} of {what} has nan or inf entries.")


def check_history(history: Any, epochs: int) -> None:
    """Raise ``ValueError`` unless there is a row of numbers for each epoch, up to `epochs`.

    Parameters
    ----------
    history : object
    epochs : int
    """
    if not isinstance(history, list) or len(history) > epochs:
        raise ValueError(f"{PREFIX}its history is no list of at most {epochs} rows.")
    for number, row in enumerate(history, start=1):
        if not isinstance(row, dict) or not row or list(row) != list(history[0]):
            raise ValueError(f"{PREFIX}row {number} of its history has other columns.")
        for name, value in row.items():
            if not isinstance(name, str) or not isinstance(value, float | int):
                raise ValueError(f"{PREFIX}{name!r} in row {number} of its history is no number.")
        if row.get("epoch") != number:
            raise ValueError(f"{PREFIX}row {number} of its history is of epoch {row.get('epoch')}.")


def check_generator(state: Any, mine: torch.Generator) -> None:
    """Raise ``ValueError`` unless a tensor is the state of a generator like `mine`.

    Parameters
    ----------
    state : object
    mine : torch.Generator
    """
    own = mine.get_state()
    if not isinstance(state, Tensor) or (state.shape, state.dtype) != (own.shape, own.dtype):
        raise ValueError(f"{PREFIX}the state of its random order is none.")
    try:
        torch.Generator().set_state(state)
    except RuntimeError as error:
        raise ValueError(f"{PREFIX}the state of its random order is none: {error}") from None


def check_scheduler(state: Any, mine: Mapping[str, Any], epoch: int) -> None:
    """Raise ``ValueError`` unless a scheduler's state is like `mine`, at an epoch.

    Parameters
    ----------
    state : mapping
    mine : mapping
        State of a scheduler with the same options.
    epoch : int
    """
    what = "a scheduler"
    _check_options(state, mine, what)
    if not set(state) <= set(mine):  # which would become attributes of the scheduler
        raise ValueError(f"{PREFIX}{what} has unknown entries.")
    if state.get("last_epoch") != epoch:
        raise ValueError(f"{PREFIX}{what} is at another epoch than its history.")


def check_optimizer(state: Any, mine: Optimizer) -> None:
    """Raise ``ValueError`` unless an optimizer's state could be `mine`: any of torch's kind.

    Parameters
    ----------
    state : object
    mine : Optimizer
    """
    if isinstance(mine, POMOptimizer):
        mine.check_state(state)
        return
    what = "the optimizer"
    check_keys(state, ["state", "param_groups"], what)
    own = mine.state_dict()["param_groups"]
    groups = state["param_groups"]
    if not isinstance(groups, list) or len(groups) != len(own):
        raise ValueError(f"{PREFIX}{what} has other parameter groups.")
    for theirs, group in zip(groups, own, strict=True):
        _check_group(theirs, group, f"a group of {what}")
    members = [p for group in mine.param_groups for p in group["params"]]
    if not isinstance(state["state"], Mapping):
        raise ValueError(f"{PREFIX}{what} has no state.")
    for number, kept in state["state"].items():
        if type(number) is not int or not 0 <= number < len(members):
            raise ValueError(f"{PREFIX}{what} has the state of a parameter {number!r}.")
        _check_kept(kept, members[number], what)


def _check_group(state: Any, mine: Mapping[str, Any], what: str) -> None:
    """See that a group is of the same parameters, with the options that the run asks for."""
    _check_options(state, mine, what)
    for name, usual in mine.items():
        if usual is None or isinstance(usual, bool):
            continue  # of switches, versions of torch have more or fewer
        value = state.get(name)
        same = value is not None and value == usual
        changed = name in CHANGING and value is not None and 0 <= value <= MOST
        if not (same or changed):
            raise ValueError(f"{PREFIX}{name} of {what} is {value!r}.")


def _shapes_of_state(name: str, parameter: Tensor) -> list[torch.Size]:
    """Shapes that an optimizer's state may have."""
    if name == "step":
        return [torch.Size([])]
    # POGO sees kernels as a batch of matrices.
    whole = parameter.shape
    batch = [torch.Size([whole[0] * whole[1], *whole[2:]])] if len(whole) == 4 else []
    return [whole, *batch]


def _check_kept(kept: Any, parameter: Tensor, what: str) -> None:
    if not isinstance(kept, Mapping):
        raise ValueError(f"{PREFIX}{what} has no state of a parameter.")
    for name, value in kept.items():
        where = f"{PREFIX}{name} of {what}"
        if value is None or (name == "step" and type(value) in (int, float)):
            continue
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise ValueError(f"{where} is a {type(value).__name__}.")
        if value.shape not in _shapes_of_state(name, parameter):
            raise ValueError(f"{where} has shape {tuple(value.shape)}.")
        if not value.is_floating_point() or not bool(value.isfinite().all()):
            raise ValueError(f"{where} has entries that are no finite numbers.")


def _check_options(state: Any, mine: Mapping[str, Any], what: str) -> None:
    """See that options are like `mine`; other versions of torch may have more, or fewer."""
    if not isinstance(state, Mapping):
        raise ValueError(f"{PREFIX}{what} is a {type(state).__name__}.")
    for name, own in mine.items():
        if name in state:
            _check_like(state[name], own, f"{name} of {what}")


def _check_like(value: Any, mine: Any, what: str) -> None:
    """Raise ``ValueError`` unless plain data are of a kind, and numbers finite."""
    if isinstance(mine, float | int) and not isinstance(mine, bool):
        number = isinstance(value, float | int) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise ValueError(f"{PREFIX}{what} is {value!r}, which is no finite number.")
        return
    if mine is None or isinstance(mine, bool):  # a switch, or one that is left to torch
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{PREFIX}{what} is a {type(value).__name__}.")
        return
    if type(value) is not type(mine):
        raise ValueError(f"{PREFIX}{what} is a {type(value).__name__}.")
    if isinstance(mine, list | tuple):
        if len(value) != len(mine):
            raise ValueError(f"{PREFIX}{what} has {len(value)} entries, not {len(mine)}.")
        for one, own in zip(value, mine, strict=True):
            _check_like(one, own, what)
