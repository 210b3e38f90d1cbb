"""Steps of Euclidean parameters by torch's fused functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native.plain import DTYPE, Known, are_plain

if TYPE_CHECKING:
    from fgmanifolds.torch.optim.active import Active

__all__ = ["FusedLook", "adam_", "sgd_"]

#: The fused functions look neither at classes nor at shapes and strides.
TYPES = frozenset((torch.float32, torch.float64))

#: Options of a group that are those of ``torch.optim.SGD``.
SGD_OPTIONS = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")

_Columns = tuple[list[Tensor], list[Tensor], list[dict[str, Any]]]


class Taken(NamedTuple):
    """Euclidean parameters of a group that a fused function takes.

    Attributes
    ----------
    places : sequence of int
        In the group's `params`.
    params, grads : list of Tensor
    states : list of dict
    """

    places: Sequence[int]
    params: list[Tensor]
    grads: list[Tensor]
    states: list[dict[str, Any]]


class FusedLook:
    """Finds the parameters of one group that the fused functions take.

    They must be on the CPU, dense, and of one type and size with their gradients and state; the
    group must leave the choice to us, and its rate be a number.

    Parameters
    ----------
    kept : sequence of str
        Names of tensors in the state that the function reads, where they are there.
    """

    def __init__(self, kept: Sequence[str]) -> None:
        self._kept = kept
        self._known = Known(TYPES)

    def taken_of(self, active: Active, states: list[dict[str, Any]]) -> Taken:
        """Those of a step.

        Parameters
        ----------
        active : Active
        states : list of dict
            Of the group's Euclidean parameters.
        """
        group, first = active.group, len(active.layers)
        params, grads = active.params[first:], active.grads[first:]
        if not params or group["foreach"] is not None or isinstance(group["lr"], Tensor):
            return Taken((), [], [], [])
        if self._can_fuse(params, grads, states, self._known):
            return Taken(range(first, len(active.params)), params, grads, states)
        alone = [
            self._can_fuse([p], [grad], [own], Known(TYPES))
            for p, grad, own in zip(params, grads, states, strict=True)
        ]
        places = compress(range(first, len(active.params)), alone)
        return Taken(list(places), *_rows((params, grads, states), alone))

    def _can_fuse(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        states: Sequence[Mapping[str, Any]],
        known: Known,
    ) -> bool:
        """Whether the function takes all of some parameters, whose states hold the same."""
        lasting = [params]
        for name in self._kept:
            kept = [state[name] for state in states if name in state]
            if kept:
                lasting.append(kept)
        ours = list(chain.from_iterable(lasting))
        if known.addresses_of(ours) is None or not are_plain(grads, None):
            return False
        tensors, number = [*ours, *grads], len(lasting) + 1
        dtypes, numels = [*known.types_found, *map(DTYPE, grads)], list(map(Tensor.numel, tensors))
        # Of columns of other lengths these lists are of another length than the tensors'.
        return (
            dtypes == dtypes[: len(params)] * number
            and numels == numels[: len(params)] * number
            and all(map(Tensor.is_contiguous, tensors))
        )


def sgd_(taken: Taken, group: Mapping[str, Any]) -> None:
    """Step of ``torch.optim.SGD``, in place.

    Parameters
    ----------
    taken : Taken
        Momenta that are not in a state yet are put there.
    group : dict
    """
    options = {name: group[name] for name in SGD_OPTIONS}
    has_momentum = group["momentum"] != 0
    fresh = [has_momentum and "momentum_buffer" not in state for state in taken.states]
    for is_first, (params, grads, states) in _parts(taken, fresh):
        if is_first:
            for grad, state in zip(grads, states, strict=True):
                state["momentum_buffer"] = torch.empty_like(grad)
        # What torch.optim.SGD comes to. The function takes the first momenta of all or none.
        buffers = [state["momentum_buffer"] for state in states] if has_momentum else []
        torch._fused_sgd_(params, grads, buffers, is_first_step=is_first, **options)


def adam_(taken: Taken, group: Mapping[str, Any]) -> None:
    """Step of ``torch.optim.Adam`` without weight decay, in place.

    Parameters
    ----------
    taken : Taken
        Moments and numbers of steps by torch's names; the numbers count this step.
    group : dict
    """
    beta1, beta2 = group["betas"]
    for _, (params, grads, states) in _parts(taken, [False] * len(taken.states)):
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


def _parts(taken: Taken, kinds: Sequence[bool]) -> Iterator[tuple[bool, _Columns]]:
    """Parameters, gradients and states of one type and kind together, which is given first."""
    columns = (taken.params, taken.grads, taken.states)
    if len(set(map(DTYPE, taken.params))) == len(set(kinds)) == 1:
        yield kinds[0], columns
        return
    keys = list(zip(map(DTYPE, taken.params), kinds, strict=True))
    for key in dict.fromkeys(keys):
        yield key[1], _rows(columns, [own == key for own in keys])


def _rows(columns: _Columns, chosen: Sequence[bool]) -> _Columns:
    params, grads, states = columns
    return (
        list(compress(params, chosen)),
        list(compress(grads, chosen)),
        list(compress(states, chosen)),
    )
