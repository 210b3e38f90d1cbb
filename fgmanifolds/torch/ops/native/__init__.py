"""The step of FG-SGD on small kernels as a C++ function, compiled where it is first used."""

from fgmanifolds.torch.ops.native.blocks import has_blocks
from fgmanifolds.torch.ops.native.build import (
    NativeBuildError,
    available,
    load,
    load_blocks,
    load_moments,
    loads_or_warns,
)
from fgmanifolds.torch.ops.native.moments import Lines, add_moments
from fgmanifolds.torch.ops.native.places import places_of
from fgmanifolds.torch.ops.native.plain import Known
from fgmanifolds.torch.ops.native.step import NativeTable, Taken, can_hold, can_take

__all__ = [
    "Known",
    "Lines",
    "NativeBuildError",
    "NativeTable",
    "Taken",
    "add_moments",
    "available",
    "can_hold",
    "can_take",
    "has_blocks",
    "load",
    "load_blocks",
    "load_moments",
    "loads_or_warns",
    "places_of",
]
