"""Whether gradients can be used: finite, and not so large that a step would lose its way."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native.plain import IS_CPU
from fgmanifolds.torch.ops.table import computing_type
from fgmanifolds.torch.sharded import any_sharded, is_sharded, shard_norms, whole

__all__ = ["largest_norm", "norm_bounds", "unusable"]

#: Vectors of up to this many entries are looked at all together.
SHORT = 4096

DEVICE, DEVICE_DTYPE = attrgetter("device"), attrgetter("device", "dtype")


@functools.cache
def largest_norm(dtype: torch.dtype) -> float:
    """Largest norm of a gradient whose squares, and those of a momentum, do not overflow."""
    return float(torch.finfo(computing_type(dtype)).max ** 0.5 / 100)


def norm_bounds(grads: Sequence[Tensor]) -> list[float]:
    """Upper bounds of Frobenius norms: norms, and of short vectors that of all together.

    Not finite where an entry is not, or where squares overflow.

    Parameters
    ----------
    grads : sequence of Tensor
    """
    values = [0.0] * len(grads)
    shards = []
    if any_sharded(grads):
        shards = [i for i, grad in enumerate(grads) if is_sharded(grad)]
    for i, value in zip(shards, shard_norms([grads[i] for i in shards]), strict=True):
        values[i] = value
    by_device: dict[torch.device, tuple[list[list[int]], list[Sequence[Tensor]]]] = {}
    for members, tensors in _batches(grads, set(shards)):
        norms = torch._foreach_norm(tensors, 2, dtype=computing_type(tensors[0].dtype))
        places, found = by_device.setdefault(tensors[0].device, ([], []))
        places += members
        found.append(norms)
    for places, found in by_device.values():
        for numbers, value in zip(places, _numbers(found), strict=True):
            for i in numbers:
                values[i] = value
    return values


def _numbers(norms: Sequence[Sequence[Tensor]]) -> list[float]:
    """Of tensors on one device, each list of one type; it is waited for once."""
    if norms[0][0].is_cpu:
        return list(map(float, chain.from_iterable(norms)))
    numbers: list[float] = torch.cat([torch.stack(list(own)).double() for own in norms]).tolist()
    return numbers


def _batches(
    grads: Sequence[Tensor], left_out: Set[int]
) -> Iterator[tuple[list[list[int]], list[Tensor]]]:
    """Tensors of one device and type, with the numbers of the gradients that each of them holds."""
    sizes = zip(map(Tensor.dim, grads), map(Tensor.numel, grads), strict=True)
    is_short = [axes == 1 and numel <= SHORT for axes, numel in sizes]
    places = [i for i in range(len(grads)) if i not in left_out] if left_out else range(len(grads))
    short = [i for i in places if is_short[i]]
    on_cpu = all(map(IS_CPU, [grads[i] for i in short]))
    for members in [short] if short and on_cpu else _by(DEVICE, grads, short):
        yield [members], [torch.cat([grads[i] for i in members])]  # of the largest type
    for members in _by(DEVICE_DTYPE, grads, [i for i in places if not is_short[i]]):
        yield [[i] for i in members], [grads[i] for i in members]


def _by(
    kind: Callable[[Tensor], Any], tensors: Sequence[Tensor], places: list[int]
) -> list[list[int]]:
    """Places of tensors that are of a kind together."""
    kinds = [kind(tensors[i]) for i in places]
    if kinds == kinds[:1] * len(kinds):
        return [places] if places else []
    found: dict[Any, list[int]] = {}
    for i, own in zip(places, kinds, strict=True):
        found.setdefault(own, []).append(i)
    return list(found.values())


def unusable(grad: Tensor, limit: float) -> str:
    """Say what is wrong with a gradient; empty if nothing is.

    Parameters
    ----------
    grad : Tensor
    limit : float
        Largest norm that the step can take.
    """
    grad = whole(grad)
    if not bool(grad.isfinite().all()):
        return "has nan or inf entries"
    # Squares of a large one may overflow in its own type.
    exact = float(grad.double().norm())
    if exact <= limit:
        return ""
    return f"has norm {exact:.3g}, more than the {limit:.3g} that a step can take"
