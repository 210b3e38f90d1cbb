"""The step of FG-SGD on small kernels as a C++ function, compiled where it is first used."""

from fgmanifolds.torch.ops.native.build import NativeBuildError, available, load
from fgmanifolds.torch.ops.native.step import NativeTable, Taken, can_hold, can_take, layout_of

__all__ = [
    "NativeBuildError",
    "NativeTable",
    "Taken",
    "available",
    "can_hold",
    "can_take",
    "layout_of",
    "load",
]
