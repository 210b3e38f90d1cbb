"""Weights that are sharded over processes (``fully_shard``, DTensor).

Where components must be seen whole, a weight is gathered, handled as any other on all ranks
alike, and each rank writes its shard back. So blocks and POMs that span ranks need no
treatment of their own. The cost of a step: two gathers of each weight on POMs, of itself and
of its direction, and the same arithmetic on all ranks; memory for :data:`PACK` entries, twice.
Momenta stay sharded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn

if dist.is_available():
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor, Replicate, Shard

__all__ = [
    "PACK",
    "all_whole",
    "any_sharded",
    "is_sharded",
    "packs",
    "reshard_",
    "shard_norms",
    "whole",
    "wholly",
]

#: About how many entries of sharded weights are gathered at once.
PACK = 1 << 25

#: What sharded tensors are; nothing where torch was built without processes.
_SHARDED = (DTensor,) if dist.is_available() else ()


def is_sharded(tensor: Tensor) -> TypeGuard[Any]:
    """Whether a tensor is a DTensor."""
    return isinstance(tensor, _SHARDED)


def any_sharded(tensors: Sequence[Tensor]) -> bool:
    """Whether some tensors are."""
    return any(issubclass(kind, _SHARDED) for kind in set(map(type, tensors)))


def whole(tensor: Tensor) -> Tensor:
    """A tensor itself, or all of one that is sharded, which all ranks must ask for."""
    return tensor.detach().full_tensor() if is_sharded(tensor) else tensor


def all_whole(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Of some tensors, as :func:`whole`."""
    return [whole(tensor) for tensor in tensors] if any_sharded(tensors) else list(tensors)


@contextmanager
def wholly(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Give tensors whole; what is written to them is written to the shards in the end."""
    found = all_whole(tensors)
    yield found
    if not any_sharded(tensors):
        return
    for tensor, full in zip(tensors, found, strict=True):
        if is_sharded(tensor):
            mesh, places = tensor.device_mesh, tensor.placements
            every = DTensor.from_local(full, mesh, [Replicate()] * mesh.ndim, run_check=False)
            own = every.redistribute(mesh, places).to_local()
            tensor.detach().to_local().copy_(own)


def reshard_(model: nn.Module) -> None:
    """Let a model that is fully sharded have its shards for parameters, as after training.

    Its root keeps whole parameters after a forward pass without a backward one; what is written
    to them is lost.
    """
    if dist.is_available() and dist.is_initialized():
        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def packs(tensors: Sequence[Tensor]) -> list[int]:
    """Number of the pack that each weight belongs to: -1, or shards of about PACK entries."""
    if not any_sharded(tensors):
        return [-1] * len(tensors)
    found, filled, number = [], 0, 0
    for tensor in tensors:
        if not is_sharded(tensor):
            found.append(-1)
            continue
        if filled and filled + tensor.numel() > PACK:
            filled, number = 0, number + 1
        filled += tensor.numel()
        found.append(number)
    return found


def shard_norms(tensors: Sequence[Tensor]) -> list[float]:
    """Frobenius norms of sharded tensors: one reduction for all of them.

    Raises
    ------
    ValueError
        If one is a sum that was not carried out (``Partial``).
    """
    by_place: dict[Any, list[int]] = {}
    for i, tensor in enumerate(tensors):
        assert is_sharded(tensor)
        if any(place.is_partial() for place in tensor.placements):
            raise ValueError("a gradient is a partial sum over ranks; reduce it before the step.")
        by_place.setdefault((tensor.device_mesh, tensor.placements), []).append(i)
    norms = [0.0] * len(tensors)
    for (mesh, places), members in by_place.items():
        local = [tensors[i].to_local() for i in members]  # type: ignore[attr-defined]
        squares = torch.stack([x.detach().double().square().sum() for x in local])
        for dim, place in enumerate(places):
            if isinstance(place, Shard):
                dist.all_reduce(squares, group=mesh.get_group(dim))
        for i, value in zip(members, squares.sqrt().tolist(), strict=True):
            norms[i] = value
    return norms
