"""Steps of Euclidean parameters by torch's fused functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from fgmanifolds.torch.ops.native.plain import DTYPE, SHAPE, are_plain

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.pom_steps import Active

__all__ = ["adam_", "sgd_", "taken_of"]

#: The fused functions look neither at classes nor at shapes and strides.
TYPES = frozenset((torch.float32, torch.float64))

#: A parameter, its gradient, and its state.
Taken = tuple[Tensor, Tensor, dict[str, Any]]


def taken_of(
    active: Active, state_of: Callable[[Tensor], dict[str, Any]], kept: Sequence[str]
) -> dict[int, Taken]:
    """Euclidean parameters of a group that the fused functions take, by their place in it.

    They must be on the CPU, dense, and of one type and shape with their gradients and state; the
    group must leave the choice to us, and its rate be a number.

    Parameters
    ----------
    active : Active
    state_of : callable
        Gives the state of a parameter.
    kept : sequence of str
        Names of tensors in the state that the function reads, where they are there.
    """
    group = active.group
    if group["foreach"] is not None or isinstance(group["lr"], Tensor):
        return {}
    first = len(active.layers)
    params, grads = active.params[first:], active.grads[first:]
    states = list(map(state_of, params))
    rows = list(zip(params, grads, states, strict=True))
    places: Sequence[int] = range(len(rows))
    if not _can_fuse(params, grads, states, kept):
        places = [i for i, (p, g, own) in enumerate(rows) if _can_fuse([p], [g], [own], kept)]
    return {first + i: rows[i] for i in places}


def _can_fuse(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Mapping[str, Any]],
    kept: Sequence[str],
) -> bool:
    """Whether the function takes all of some parameters, whose states hold the same."""
    columns = [list(params), list(grads)]
    for name in kept:
        known = [state[name] for state in states if name in state]
        if known:
            columns.append(known)
    tensors = list(chain.from_iterable(columns))
    dtypes, shapes = list(map(DTYPE, tensors)), list(map(SHAPE, tensors))
    number = len(columns)
    # Of columns of other lengths these lists are of another length than the tensors'.
    return (
        dtypes == dtypes[: len(params)] * number
        and shapes == shapes[: len(params)] * number
        and TYPES.issuperset(dtypes)
        and are_plain(tensors, None)
        and all(map(Tensor.is_contiguous, tensors))
    )


def sgd_(taken: Sequence[Taken], **options: Any) -> None:
    """Step of ``torch.optim.SGD``, in place.

    Parameters
    ----------
    taken : sequence of (parameter, gradient, state)
        Momenta that are not in a state yet are put there.
    **options
        As torch's SGD takes them: lr, momentum, dampening, weight_decay, nesterov, maximize.
    """
    # torch takes the first momenta of all or none.
    known = [one for one in taken if "momentum_buffer" in one[2]]
    fresh = [one for one in taken if "momentum_buffer" not in one[2]]
    for own in (known, fresh):
        if not own:
            continue
        params, grads, states = _lists(own)
        buffers = [state.get("momentum_buffer") for state in states]
        sgd(params, grads, buffers, fused=True, **options)
        if own is fresh and options["momentum"] != 0:
            for state, buffer in zip(states, buffers, strict=True):
                state["momentum_buffer"] = buffer


def adam_(taken: Sequence[Taken], group: Mapping[str, Any]) -> None:
    """Step of ``torch.optim.Adam`` without weight decay, in place.

    Parameters
    ----------
    taken : sequence of (parameter, gradient, state)
        Moments and numbers of steps by torch's names; the numbers count this step.
    group : dict
    """
    beta1, beta2 = group["betas"]
    for dtype in {p.dtype for p, *_ in taken}:
        params, grads, states = _lists([one for one in taken if one[0].dtype == dtype])
        # What torch.optim.Adam comes to; its function counts the steps one by one.
        torch._fused_adam_(
            params,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=0.0,
            eps=group["eps"],
            maximize=group["maximize"],
        )


def _lists(taken: Sequence[Taken]) -> tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]:
    return [p for p, _, _ in taken], [grad for _, grad, _ in taken], [own for *_, own in taken]
