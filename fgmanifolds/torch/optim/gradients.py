"""Whether gradients can be used: finite, and not so large that a step would lose its way."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence, Set

import torch
from torch import Tensor

from fgmanifolds.torch.ops.table import computing_type
from fgmanifolds.torch.sharded import is_sharded, shard_norms, whole

__all__ = ["largest_norm", "norms_of", "unusable"]


@functools.cache
def largest_norm(dtype: torch.dtype) -> float:
    """Largest norm of a gradient whose squares, and those of a momentum, do not overflow."""
    return float(torch.finfo(computing_type(dtype)).max ** 0.5 / 100)


def norms_of(grads: Sequence[Tensor]) -> list[float]:
    """Frobenius norms; not finite where an entry is not, or where squares overflow."""
    values = [0.0] * len(grads)
    shards = [i for i, grad in enumerate(grads) if is_sharded(grad)]
    for i, value in zip(shards, shard_norms([grads[i] for i in shards]), strict=True):
        values[i] = value
    # Of each device all at once, so that it is waited for once.
    by_device: dict[torch.device, tuple[list[int], list[Tensor]]] = {}
    for (device, dtype), members in _by_kind(grads, set(shards)).items():
        own = torch._foreach_norm([grads[i] for i in members], 2, dtype=computing_type(dtype))
        places, norms = by_device.setdefault(device, ([], []))
        places += members
        norms.append(torch.stack(list(own)).double())
    for places, norms in by_device.values():
        for i, value in zip(places, torch.cat(norms).tolist(), strict=True):
            values[i] = value
    return values


def _by_kind(
    grads: Sequence[Tensor], left_out: Set[int]
) -> dict[tuple[torch.device, torch.dtype], list[int]]:
    """Numbers of the tensors of each device and type."""
    every = {i: (x.device, x.dtype) for i, x in enumerate(grads) if i not in left_out}
    kinds = dict.fromkeys(every.values())
    if len(kinds) == 1:
        return {kind: list(every) for kind in kinds}
    return {kind: [i for i, own in every.items() if own == kind] for kind in kinds}


def unusable(grad: Tensor, norm: float, limit: float) -> str:
    """Say what is wrong with a gradient; empty if nothing is.

    Parameters
    ----------
    grad : Tensor
    norm : float
        From :func:`norms_of`.
    limit : float
        Largest norm that the step can take.
    """
    if norm <= limit and norm < math.inf:
        return ""
    grad = whole(grad)
    if not bool(grad.isfinite().all()):
        return "has nan or inf entries"
    # Squares of a large one may overflow in its own type.
    exact = float(grad.double().norm())
    if exact <= limit:
        return ""
    return f"has norm {exact:.3g}, more than the {limit:.3g} that a step can take"
