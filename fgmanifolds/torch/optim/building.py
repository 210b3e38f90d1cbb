"""Compile C++ functions for an optimizer, or say that it goes another way."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fgmanifolds.torch.ops.native import NativeBuildError

__all__ = ["loads_or_warns"]


def loads_or_warns(optimizer: Any, load: Callable[[], Any]) -> bool:
    """Whether compiled functions could be loaded; with a warning if not.

    Parameters
    ----------
    optimizer : object
    load : callable
    """
    try:
        load()
    except NativeBuildError as error:
        warnings.warn(
            f"{type(optimizer).__name__} goes through torch, since the C++ step cannot be built: "
            f"{error}",
            RuntimeWarning,
            stacklevel=6,
        )
        return False
    return True
