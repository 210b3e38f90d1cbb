"""Where the kernels of layers lie in memory, and whether C++ may be told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native.plain import SHAPE, Known, are_plain

__all__ = ["CHANNELS_LAST", "Places", "places_of"]

#: Layouts whose kernels are planes already, by the number of axes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

Columns = Sequence[Sequence[Tensor]]


class Places(NamedTuple):
    """Where the kernels of layers lie, in columns.

    Attributes
    ----------
    rows : sequence of int
        Which of the layers that were asked for the C++ step can take; the columns are of these.
    addresses : list of list of int
        For each column of tensors.
    inputs : list of int
        Numbers of inputs in channels_last, where kernels are planes, or 0 for kernel after kernel.
    """

    rows: Sequence[int]
    addresses: list[list[int]]
    inputs: list[int]


def places_of(
    shapes: Sequence[torch.Size], lasting: Columns, passing: Columns, known: Known
) -> Places:
    """How and where kernels lie.

    Addresses are given to C++, so that nothing but plain tensors of just the right number of
    elements may pass; looked at before every step.

    Parameters
    ----------
    shapes : sequence of torch.Size
        That the weights must have.
    lasting : sequence of columns
        The layers' weights; then tensors that must lie as the weights do: momenta.
    passing : sequence of columns
        Further ones, which are others at each step: gradients.
    known : Known
        What was seen of the lasting ones.
    """
    found = _all_places(shapes, lasting, passing, known)
    if found is not None:
        return found
    number = len(lasting) + len(passing)
    rows, addresses, inputs = list[int](), [list[int]() for _ in range(number)], list[int]()
    for i, shape in enumerate(shapes):
        one = _all_places([shape], _row(lasting, i), _row(passing, i), Known())
        if one is not None:
            rows.append(i)
            inputs += one.inputs
            for column, own in zip(addresses, one.addresses, strict=True):
                column += own
    return Places(rows, addresses, inputs)


def _row(columns: Columns, place: int) -> Columns:
    return [[column[place]] for column in columns]


def _all_places(
    shapes: Sequence[torch.Size], lasting: Columns, passing: Columns, known: Known
) -> Places | None:
    """None if one of the layers cannot be taken."""
    own = known.addresses_of(list(chain.from_iterable(lasting)))
    if own is None or not are_plain(list(chain.from_iterable(passing))):
        return None
    inputs = _inputs(shapes, [*lasting, *passing])
    if inputs is None:
        return None
    number = len(inputs)
    addresses = [own[i * number : (i + 1) * number] for i in range(len(lasting))]
    addresses += [list(map(Tensor.data_ptr, column)) for column in passing]
    return Places(range(number), addresses, inputs) if all(map(all, addresses)) else None


def _inputs(shapes: Sequence[torch.Size], columns: Columns) -> list[int] | None:
    """For each layer, as :class:`Places` has it; None if one of the tensors cannot be taken."""
    weights, rest = columns[0], columns[1:]
    if list(map(SHAPE, weights)) != shapes:
        return None
    if all(map(Tensor.is_contiguous, chain.from_iterable(columns))):
        numels = list(map(Tensor.numel, weights))
        alike = all(list(map(Tensor.numel, column)) == numels for column in rest)
        return [0] * len(weights) if alike else None
    strides = list(map(Tensor.stride, weights))
    if any(
        list(map(SHAPE, column)) != shapes or list(map(Tensor.stride, column)) != strides
        for column in rest
    ):
        return None
    forms = [
        torch.contiguous_format if x.is_contiguous() else CHANNELS_LAST.get(x.dim())
        for x in weights
    ]
    pairs = list(zip(weights, forms, strict=True))
    if not all(form and x.is_contiguous(memory_format=form) for x, form in pairs):
        return None
    return [0 if form is torch.contiguous_format else x.shape[1] for x, form in pairs]
