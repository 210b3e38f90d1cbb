"""The step of FG-SGD on small kernels as a C++ function, compiled where it is first used."""

from fgmanifolds.torch.ops.native.build import NativeBuildError, available, load
from fgmanifolds.torch.ops.native.step import NativeTable, can_hold, can_take

__all__ = ["NativeBuildError", "NativeTable", "available", "can_hold", "can_take", "load"]
