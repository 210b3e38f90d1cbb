"""Whether tensors may be given to compiled functions, of many tensors in few calls.

They are looked at before every step, so that each look counts: lists are asked as wholes, by
functions that loop in C.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from operator import attrgetter, is_

import torch
from torch import Tensor, nn

__all__ = [
    "DTYPE",
    "FLOAT",
    "IS_CPU",
    "LAYOUT",
    "PLAIN",
    "SHAPE",
    "STRIDED",
    "VERSION",
    "Known",
    "are_plain",
    "are_whole",
]

#: Classes of tensors whose addresses may be taken.
PLAIN = frozenset((Tensor, nn.Parameter))

#: Types of tensors that most functions take.
FLOAT = frozenset((torch.float32,))

STRIDED = frozenset((torch.strided,))
IS_CPU, DTYPE, LAYOUT, SHAPE = map(attrgetter, ("is_cpu", "dtype", "layout", "shape"))
VERSION = attrgetter("_version")


def are_plain(tensors: Sequence[Tensor], dtypes: Set[torch.dtype] | None = FLOAT) -> bool:
    """Whether tensors are no subclass's, on the CPU, strided, and of some types.

    Parameters
    ----------
    tensors : sequence of Tensor
    dtypes : set of dtype or None
        None for any.
    """
    return (
        PLAIN.issuperset(map(type, tensors))
        and all(map(IS_CPU, tensors))
        and STRIDED.issuperset(map(LAYOUT, tensors))
        and (dtypes is None or dtypes >= set(map(DTYPE, tensors)))
    )


def are_whole(tensors: Sequence[Tensor], numels: Sequence[int]) -> bool:
    """Whether the addresses of tensors may be given to C++: plain, float32, without gaps.

    Parameters
    ----------
    tensors : sequence of Tensor
    numels : sequence of int
        Numbers of elements that they must have.
    """
    return (
        are_plain(tensors)
        and list(map(Tensor.numel, tensors)) == list(numels)
        and all(map(Tensor.is_contiguous, tensors))
        and all(map(Tensor.data_ptr, tensors))
    )


class Known:
    """Tensors that are asked for at every step, and were found plain at the last one.

    The same object at the same address is of the class, device, layout and type that it had; its
    shape and strides may be others.

    Parameters
    ----------
    dtypes : set of dtype
        Types that they may have.

    Attributes
    ----------
    types_found : list of dtype
        Of the tensors that were found plain last.
    """

    def __init__(self, dtypes: Set[torch.dtype] = FLOAT) -> None:
        self._allowed = dtypes
        self.types_found: list[torch.dtype] = []
        self._tensors: Sequence[Tensor] = ()
        self._addresses: list[int] = []

    def addresses_of(self, tensors: Sequence[Tensor]) -> list[int] | None:
        """Addresses of some tensors; None unless all are plain, as :func:`are_plain` says.

        Parameters
        ----------
        tensors : sequence of Tensor
        """
        same = len(tensors) == len(self._tensors) and all(map(is_, tensors, self._tensors))
        if same:
            addresses = list(map(Tensor.data_ptr, tensors))
            if addresses == self._addresses:
                return addresses
        self._tensors, self._addresses = (), []
        if not are_plain(tensors, self._allowed):
            return None
        self.types_found = list(map(DTYPE, tensors))
        self._tensors, self._addresses = tensors, list(map(Tensor.data_ptr, tensors))
        return self._addresses
