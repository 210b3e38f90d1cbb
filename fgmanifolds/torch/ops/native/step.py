"""Call the C++ step on the weights of some layers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fgmanifolds.torch.components import Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.ops.native.build import load
from fgmanifolds.torch.ops.table import Bounds

__all__ = ["INTERFACE", "NativeTable", "Taken", "can_hold", "can_take", "layout_of"]

#: Kernels of up to this many entries and columns are unrolled by the compiler.
ENTRIES, COLUMNS = 64, 8

#: Layouts whose kernels are planes already, by the number of axes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

#: Sets of layers whose rows are kept.
ARRAYS = 32

#: Number of the interface.
VERSION = 3


class _Layer(ctypes.Structure):
    """As in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "buffer", "gradient")),
        *((name, ctypes.c_void_p) for name in ("kind", "radius", "pom")),
        ("kernels", ctypes.c_int64),
        ("fresh", ctypes.c_int64),
        ("mixed", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
    ]


class _Options(ctypes.Structure):
    """As in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_float) for name in ("momentum", "dampening", "decay", "sign")),
        ("nesterov", ctypes.c_int32),
        ("write", ctypes.c_int32),
    ]


#: What the library must say of itself: version, and sizes of the structures.
INTERFACE = VERSION * 1_000_000 + ctypes.sizeof(_Layer) * 1000 + ctypes.sizeof(_Options)


def can_hold(layer: POMLayer) -> bool:
    """Whether a layer's components are what the C++ step is for: small kernels, known manifolds."""
    batch = layer.view.batches[0]
    rows, columns = batch.shape
    small = rows * columns <= ENTRIES and columns <= COLUMNS
    return isinstance(batch, Kernels) and small and set(layer.manifolds) <= set(KINDS)


def can_take(layer: POMLayer, buffer: Tensor | None = None) -> bool:
    """Whether the present tensors of such a layer are: float32, on the CPU, dense, whole.

    Parameters
    ----------
    layer : POMLayer
    buffer : Tensor, optional
    """
    weight = layer.weight
    return layout_of(layer, weight, weight.grad, buffer) is not None


def layout_of(
    layer: POMLayer, weight: Tensor, grad: Tensor | None, buffer: Tensor | None
) -> int | None:
    """How the kernels lie, or None if the C++ step cannot take these tensors.

    Addresses are given to C++, so that nothing but plain tensors of just the right number of
    elements may pass; looked at before every step.

    Parameters
    ----------
    layer : POMLayer
    weight : Tensor
    grad : Tensor, optional
    buffer : Tensor, optional

    Returns
    -------
    int or None
        Number of inputs in channels_last, where kernels are planes; 0 for kernel after kernel.
    """
    shape, strides = layer.shape, weight.stride()
    for one in (weight, grad, buffer):
        if one is not None and not _is_plain(one, shape, strides):
            return None
    if weight.is_contiguous():
        return 0
    form = CHANNELS_LAST.get(weight.dim())
    if form is None or not weight.is_contiguous(memory_format=form):
        return None
    return weight.shape[1]


def _is_plain(tensor: Tensor, shape: torch.Size, strides: tuple[int, ...]) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype is torch.float32
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and tensor.shape == shape
        and tensor.stride() == strides
        and tensor.data_ptr() != 0
    )


@dataclass
class Taken:
    """A layer that the C++ step takes, with its tensors of this step.

    Attributes
    ----------
    position : int
        Number of the layer in the table.
    layer : POMLayer
    weight, grad : Tensor
    state : dict
        The optimizer's, of the weight.
    inputs : int
        As :func:`layout_of` gives.
    buffer : Tensor or None
        Its momentum.
    fresh : bool
        Whether the momentum holds nothing yet.
    """

    position: int
    layer: POMLayer
    weight: Tensor
    grad: Tensor
    state: dict[str, Any]
    inputs: int
    buffer: Tensor | None = None
    fresh: bool = False


class NativeTable(Bounds):
    """What the C++ step needs to know of some layers; counterpart of ``PomTable``.

    Each call is for some of the layers.

    Raises
    ------
    NativeBuildError
        If the step cannot be compiled for the shape of a layer's kernels.
    """

    def __init__(self, layers: Sequence[POMLayer]) -> None:
        super().__init__(layers, torch.empty(0, dtype=torch.float32))
        self._rows = [_Row(layer, self.offsets[i]) for i, layer in enumerate(layers)]
        self._libraries = [load(*_code(layer)) for layer in layers]
        self._threads = torch.get_num_threads()
        self._sums = torch.empty(self._threads, 2 * self.n_poms, dtype=torch.float64)
        self._single = torch.empty(self._threads, self.n_poms, dtype=torch.float64)
        self._arrays: dict[tuple[int, ...], NDArray[np.void]] = {}

    def _calls(self, taken: Sequence[Taken]) -> list[tuple[ctypes.CDLL, NDArray[np.void]]]:
        """Libraries, each with the rows of its layers, pointed at the present tensors."""
        by_library: dict[int, tuple[ctypes.CDLL, list[Taken]]] = {}
        for one in taken:
            library = self._libraries[one.position]
            by_library.setdefault(id(library), (library, []))[1].append(one)
        return [(library, self._pointed(members)) for library, members in by_library.values()]

    def _pointed(self, members: Sequence[Taken]) -> NDArray[np.void]:
        key = tuple(one.position for one in members)
        if key not in self._arrays:
            if len(self._arrays) >= ARRAYS:
                self._arrays.clear()
            self._arrays[key] = np.array([self._rows[i].fixed() for i in key], dtype=_Layer)
        rows = self._arrays[key]
        rows["weight"] = [one.weight.data_ptr() for one in members]
        rows["gradient"] = [one.grad.data_ptr() for one in members]
        rows["buffer"] = [0 if one.buffer is None else one.buffer.data_ptr() for one in members]
        rows["fresh"] = [one.fresh for one in members]
        rows["inputs"] = [one.inputs for one in members]
        return rows

    def gradient_squares(self, taken: Sequence[Taken]) -> Tensor:
        """Squared norms of the gradients, float64 of shape [POMs]; 0 for other layers.

        Not finite where an entry is not.
        """
        self._single.zero_()
        for library, rows in self._calls(taken):
            library.fgsgd_squares(
                rows.ctypes.data, len(rows), self._single.data_ptr(), self.n_poms, self._threads
            )
        return self._single.sum(0)

    def run(
        self, taken: Sequence[Taken], factor: Tensor, options: Mapping[str, Any], *, write: bool
    ) -> tuple[Tensor, Tensor]:
        """Project the directions and, if asked to write, move and retract the weights.

        Parameters
        ----------
        taken : sequence of Taken
            The layers that take part; their momenta are updated in place.
        factor : Tensor of shape [POMs]
            The step -r(t) / g of each POM.
        options : mapping
            Parameter group with momentum, dampening, weight decay, nesterov and maximize.
        write : bool

        Returns
        -------
        projected, whole : tensors of shape [POMs]
            Norms of the projected directions, and of the directions.
        """
        settings = _Options(
            float(options["momentum"]),
            float(options["dampening"]),
            float(options["weight_decay"]),
            -1.0 if options["maximize"] else 1.0,
            int(bool(options["nesterov"])),
            int(write),
        )
        factor = factor.to(torch.float32).contiguous()
        self._sums.zero_()
        for library, rows in self._calls(taken):
            library.fgsgd_step(
                rows.ctypes.data,
                len(rows),
                ctypes.addressof(settings),
                factor.data_ptr(),
                self._sums.data_ptr(),
                self.n_poms,
                self._threads,
            )
        if write:
            written = [one.weight for one in taken]
            written += [one.buffer for one in taken if one.buffer is not None]
            torch.autograd.graph.increment_version(written)
        projected, whole = self._sums.sum(0).sqrt().float().split(self.n_poms)
        return projected, whole


def _code(layer: POMLayer) -> tuple[int, int, bool]:
    batch = layer.view.batches[0]
    assert isinstance(batch, Kernels)
    return (*batch.shape, batch.kernel != batch.shape)


class _Row:
    """One layer's kinds, radii and POMs, as step.cpp reads them."""

    def __init__(self, layer: POMLayer, offset: int) -> None:
        numbers = [KINDS.index(name) for name in layer.manifolds]
        kinds = torch.tensor(numbers, dtype=torch.uint8)
        self._kind = kinds[layer.view.manifold.long()].contiguous()
        self._radius = layer.radius.float().contiguous()
        self._pom = (layer.view.pom + offset).to(torch.int32).contiguous()
        self._mixed = bool((self._kind == KINDS.index("stiefel")).any())

    def fixed(self) -> tuple[int, ...]:
        """The fields of :class:`_Layer`; what changes from step to step is 0."""
        addresses = (part.data_ptr() for part in (self._kind, self._radius, self._pom))
        return (0, 0, 0, *addresses, len(self._pom), 0, int(self._mixed), 0)
