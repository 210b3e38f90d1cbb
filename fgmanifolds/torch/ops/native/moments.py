"""Call the C++ function that sums the moments of features."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native.build import load_moments

__all__ = ["INTERFACE", "Lines", "add_moments"]

#: What is read, and whether it is bfloat16.
TYPES = {torch.float32: 0, torch.bfloat16: 1}


class _Features(ctypes.Structure):
    """As in moments.cpp."""

    _fields_ = [
        ("values", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("channels", "channel_stride", "places", "lines")),
        *((name, ctypes.c_int64) for name in ("image_stride", "line_stride", "width")),
        *((name, ctypes.c_int64) for name in ("taken", "seed")),
        ("sums", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("sums_stride", "half")),
    ]


#: What the library must say of itself: version, and the size of the structure.
INTERFACE = 1 * 1_000_000 + ctypes.sizeof(_Features)


class Lines:
    """How the values of each channel lie in memory: in lines of neighbours.

    Parameters
    ----------
    channel_stride : int
    places, lines : int
        Numbers of lines in all, and of one image.
    image_stride, line_stride : int
    width : int
        Values of a line.
    """

    def __init__(
        self,
        channel_stride: int,
        places: int,
        lines: int,
        image_stride: int,
        line_stride: int,
        width: int,
    ) -> None:
        self.fields = channel_stride, places, max(lines, 1), image_stride, line_stride, width
        self.places, self.width = places, width


def add_moments(x: Tensor, lines: Lines, taken: int, seed: int, sums: Tensor) -> bool:
    """Add number, sum and sum of squares of each channel; False if some are not finite.

    Parameters
    ----------
    x : tensor
        On the CPU, of a type in :data:`TYPES`.
    lines : Lines
        Where its values are.
    taken : int
        Number of lines that are looked at: all, or fewer at random places.
    seed : int
        Of the places.
    sums : float64 tensor of shape [3, channels]
        Changed in place; each row without gaps.

    Raises
    ------
    NativeBuildError
        If the function cannot be compiled.
    """
    features = _Features(
        x.data_ptr(),
        sums.shape[1],
        *lines.fields,
        taken,
        seed,
        sums.data_ptr(),
        sums.stride(0),
        TYPES[x.dtype],
    )
    address = ctypes.addressof(features)
    return not load_moments().fgmoments_add(address, torch.get_num_threads())
