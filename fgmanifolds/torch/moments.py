"""Moments of the features of one forward pass, added to sums."""

from __future__ import annotations

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native import Lines, add_moments
from fgmanifolds.torch.ops.native.moments import TYPES
from fgmanifolds.torch.ops.native.places import CHANNELS_LAST

__all__ = ["ENOUGH", "add_moments_", "add_moments_op"]

#: Values of a channel in one pass up to which all are taken; of more, random places.
ENOUGH = 4096


@torch.no_grad()
def add_moments_(
    x: Tensor,
    sums: Tensor,
    passes: Tensor,
    axis: int,
    start: int,
    width: int,
    native: bool = False,
) -> None:
    """Add number, sum and sum of squares of each channel's finite values to `sums`.

    Parameters
    ----------
    x : tensor
        Features, channels along `axis`.
    sums : float64 tensor of shape [3, channels]
        Changed in place, in columns from `start` on.
    passes : int64 tensor
        Grows by 1; where a channel has more than :data:`ENOUGH` values, random places are
        drawn from it.
    axis, start, width : int
    native : bool
        Whether features on the CPU are summed in C++.
    """
    # In the backward pass, features are those of a forward pass that was seen already.
    if x.numel() == 0 or torch._C._current_graph_task_id() != -1:
        return
    passes.add_(1)
    part = sums[:, start : start + width]
    if native and _add_natively(x, part, passes, axis):
        return
    values = _values(x, axis, passes).float()
    total, squares = values.sum((0, 2)), (values * values).sum((0, 2))
    # Only on the CPU does a look at the sums not make anybody wait.
    if x.device.type == "cpu" and bool((total + squares).isfinite().all()):
        number = torch.full_like(total, values.numel() // width)
        part += torch.stack([number, total, squares])
        return
    values = values.double()
    finite = values.isfinite()
    kept = torch.where(finite, values, 0.0)
    parts = finite.sum((0, 2)).double(), kept.sum((0, 2)), (kept * kept).sum((0, 2))
    part += torch.stack(parts)


def _add_natively(x: Tensor, part: Tensor, passes: Tensor, axis: int) -> bool:
    """The same in C++, of the same places; False where it does not apply or not all is finite."""
    lines = _lines_of(x, axis) if _has_address(x) and x.dtype in TYPES else None
    if lines is None:
        return False
    few = lines.places * lines.width <= ENOUGH
    taken = lines.places if few else ENOUGH // lines.width
    return add_moments(x, lines, taken, int(passes) * ENOUGH, part)


def _has_address(x: Tensor) -> bool:
    """Whether a tensor is a plain one on the CPU, such that C++ may read it."""
    return type(x) is Tensor and x.is_cpu and x.layout is torch.strided


def _lines_of(x: Tensor, axis: int) -> Lines | None:
    """As :func:`_values` goes through a tensor that lies in memory without gaps; else None."""
    channels = x.shape[axis]
    places = x.numel() // channels
    if axis == x.dim() - 1:
        return Lines(1, places, 1, channels, 0, 1) if x.is_contiguous() else None
    batch = x if axis > 0 else x[None]
    each = places // len(batch)
    if batch.is_contiguous():
        if places <= ENOUGH:
            return Lines(each, len(batch), 1, channels * each, 0, each)
        width = batch.shape[-1]
        if batch.dim() == 3 or width > ENOUGH // 8:
            width = 1
        lines = each // width
        return Lines(each, len(batch) * lines, lines, channels * each, width, width)
    form = CHANNELS_LAST.get(batch.dim())
    if form is None or not batch.is_contiguous(memory_format=form):
        return None
    return Lines(1, places, 1, channels, 0, 1)


@torch.library.custom_op("fgmanifolds::add_moments_", mutates_args=("sums", "passes"))
def add_moments_op(
    x: Tensor, sums: Tensor, passes: Tensor, axis: int, start: int, width: int, native: bool
) -> None:
    """:func:`add_moments_` as ``torch.compile`` sees it: one operator."""
    add_moments_(x, sums, passes, axis, start, width, native)


@add_moments_op.register_fake
def _(
    x: Tensor, sums: Tensor, passes: Tensor, axis: int, start: int, width: int, native: bool
) -> None:
    return None


def _values(x: Tensor, axis: int, passes: Tensor) -> Tensor:
    """Values of each channel as ``[places, channels, neighbours]``, at most about ENOUGH."""
    if axis == x.dim() - 1:
        return _some_rows(x.reshape(-1, x.shape[-1]), passes)
    batch = x if axis > 0 else x[None]
    each = batch[:, 0].numel()
    if each <= ENOUGH:
        return batch.flatten(2)
    if batch.stride(1) == 1 and batch.shape[1] > 1:  # channels_last
        return _some_rows(batch.movedim(1, -1).flatten(0, -2), passes)
    width = batch.shape[-1]
    if batch.dim() == 3 or width > ENOUGH // 8:
        maps = batch.flatten(2)
        places = _places(each, ENOUGH, passes)
        return maps[places // maps.shape[2], :, places % maps.shape[2]][:, :, None]
    # Whole lines: they lie together in memory.
    lines = batch.flatten(2, -2)
    places = _places(each // width, ENOUGH // width, passes)
    return lines[places // lines.shape[2], :, places % lines.shape[2]]


def _some_rows(rows: Tensor, passes: Tensor) -> Tensor:
    if len(rows) > ENOUGH:
        rows = rows[_places(len(rows), ENOUGH, passes)]
    return rows[:, :, None]


def _places(total: int, number: int, passes: Tensor) -> Tensor:
    """Random places below `total`: a hash of the number of the pass, so that no state is needed.

    The finaliser of SplitMix64 (Steele, Lea & Flood 2014), whose products wrap around.
    """
    z = torch.arange(number, device=passes.device) + passes * ENOUGH
    z = (z + 1) * -7046029254386353131
    z = (z ^ (z >> 30 & 0x3FFFFFFFF)) * -4658895280553007687
    z = (z ^ (z >> 27 & 0x1FFFFFFFFF)) * -7723592293110705685
    return (z ^ (z >> 31 & 0x1FFFFFFFF)) % total
