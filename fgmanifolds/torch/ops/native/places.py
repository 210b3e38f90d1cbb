"""Where the kernels of layers lie in memory, and whether C++ may be told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from fgmanifolds.torch.ops.native.plain import SHAPE, Known, are_plain

__all__ = ["CHANNELS_LAST", "Place", "places_of"]

#: Layouts whose kernels are planes already, by the number of axes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

#: Addresses of the tensors of a layer; then its number of inputs in channels_last, where kernels
#: are planes, or 0 for kernel after kernel.
Place = tuple[int, ...]

Columns = Sequence[Sequence[Tensor]]


def places_of(
    shapes: Sequence[torch.Size], lasting: Columns, passing: Columns, known: Known
) -> list[Place | None]:
    """How and where kernels lie, or None for those that the C++ step cannot take.

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
    if not shapes:
        return []
    own = known.addresses_of(list(chain.from_iterable(lasting)))
    if own is not None and are_plain(list(chain.from_iterable(passing))):
        inputs = _inputs(shapes, [*lasting, *passing])
        if inputs is not None:
            number = len(inputs)
            addresses = [own[i : i + number] for i in range(0, len(own), number)]
            addresses += [list(map(Tensor.data_ptr, column)) for column in passing]
            found = zip(*addresses, inputs, strict=True)
            if all(map(all, addresses)):
                return list(found)
            return [place if all(place[:-1]) else None for place in found]
    if len(shapes) == 1:
        return [None]
    return [
        places_of([shape], _row(lasting, i), _row(passing, i), Known())[0]
        for i, shape in enumerate(shapes)
    ]


def _row(columns: Columns, place: int) -> Columns:
    return [[column[place]] for column in columns]


def _inputs(shapes: Sequence[torch.Size], columns: Columns) -> list[int] | None:
    """For each layer, as :data:`Place` has it; None if one of the tensors cannot be taken."""
    weights, strides = columns[0], [list(map(Tensor.stride, column)) for column in columns]
    if any(list(map(SHAPE, column)) != shapes for column in columns) or any(
        own != strides[0] for own in strides[1:]
    ):
        return None
    if all(map(Tensor.is_contiguous, weights)):
        return [0] * len(weights)
    forms = [
        torch.contiguous_format if x.is_contiguous() else CHANNELS_LAST.get(x.dim())
        for x in weights
    ]
    pairs = list(zip(weights, forms, strict=True))
    if not all(form and x.is_contiguous(memory_format=form) for x, form in pairs):
        return None
    return [0 if form is torch.contiguous_format else x.shape[1] for x, form in pairs]
