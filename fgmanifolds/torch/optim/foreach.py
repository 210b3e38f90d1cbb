"""Sums over lists of tensors, by torch's foreach functions or one by one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["add_", "added", "decay_", "lerp_"]


def add_(
    targets: Sequence[Tensor],
    values: Sequence[Tensor],
    foreach: bool | None,
    *,
    alpha: float | Tensor,
) -> None:
    """Add ``alpha * value`` to each target, in place.

    Parameters
    ----------
    targets, values : list of Tensor
    foreach : bool
    alpha : float
    """
    if not targets:
        return
    if foreach is None or foreach:
        if isinstance(alpha, Tensor):
            torch._foreach_add_(list(targets), torch._foreach_mul(list(values), alpha))
        else:
            torch._foreach_add_(list(targets), list(values), alpha=alpha)
        return
    for target, value in zip(targets, values, strict=True):
        target.add_(value * alpha)


def added(
    values: Sequence[Tensor], others: Sequence[Tensor], foreach: bool | None, *, alpha: float
) -> list[Tensor]:
    """Sums ``value + alpha * other``, as new tensors.

    Parameters
    ----------
    values, others : list of Tensor
    foreach : bool
    alpha : float
    """
    results = [value.clone(memory_format=torch.preserve_format) for value in values]
    add_(results, others, foreach, alpha=alpha)
    return results


def decay_(
    targets: Sequence[Tensor],
    values: Sequence[Tensor],
    foreach: bool | None,
    *,
    keep: float,
    share: float,
) -> None:
    """Set each target to ``keep * target + share * value``, in place.

    Parameters
    ----------
    targets, values : list of Tensor
    foreach : bool
    keep, share : float
    """
    if not targets:
        return
    if foreach is None or foreach:
        torch._foreach_mul_(list(targets), keep)
    else:
        for target in targets:
            target.mul_(keep)
    add_(targets, values, foreach, alpha=share)


def lerp_(
    targets: Sequence[Tensor], values: Sequence[Tensor], foreach: bool | None, *, weight: float
) -> None:
    """Move each target towards its value by a share of the way, in place.

    Parameters
    ----------
    targets, values : list of Tensor
    foreach : bool
    weight : float
    """
    if not targets:
        return
    same = [v.to(t.dtype) for t, v in zip(targets, values, strict=True)]
    if foreach is None or foreach:
        torch._foreach_lerp_(list(targets), same, weight)
        return
    for target, value in zip(targets, same, strict=True):
        target.lerp_(value, weight)
