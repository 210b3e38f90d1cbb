"""Call the C++ step on the weights of some layers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fgmanifolds.torch.components import Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.ops.native.build import load
from fgmanifolds.torch.ops.table import Bounds

__all__ = ["INTERFACE", "NativeTable", "can_hold", "can_take"]

#: Kernels of up to this many entries and columns are unrolled by the compiler.
ENTRIES, COLUMNS = 64, 8

#: Layouts whose kernels are planes already, by the number of axes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

#: Number of the interface.
VERSION = 2


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

    Addresses are given to C++, so that nothing but plain tensors of just the right number of
    elements may pass; looked at before every step.

    Parameters
    ----------
    layer : POMLayer
    buffer : Tensor or None
    """
    weight = layer.weight
    if not (weight.is_contiguous() or _is_channels_last(weight)):
        return False
    rows, columns = layer.view.batches[0].shape
    numel, strides = layer.view.n_components * rows * columns, weight.stride()
    for one in (weight, weight.grad, buffer):
        if one is not None and not (_is_plain(one, numel) and one.stride() == strides):
            return False
    return True


def _is_plain(tensor: Tensor, numel: int) -> bool:
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.is_cpu
        and tensor.layout == torch.strided
        and tensor.numel() == numel
        and tensor.data_ptr() != 0
    )


def _is_channels_last(tensor: Tensor) -> bool:
    form = CHANNELS_LAST.get(tensor.dim())
    if form is None or tensor.is_contiguous():
        return False
    return tensor.is_contiguous(memory_format=form)


class NativeTable(Bounds):
    """What the C++ step needs to know of some layers; counterpart of ``PomTable``.

    Each call is for some of the layers, given by their positions.

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
        self._arrays: dict[tuple[int, ...], ctypes.Array[_Layer]] = {}
        self._single = torch.empty(self._threads, self.n_poms, dtype=torch.float64)

    def _calls(self, positions: Sequence[int]) -> list[tuple[ctypes.CDLL, list[int]]]:
        by_library: dict[int, tuple[ctypes.CDLL, list[int]]] = {}
        for i in positions:
            library = self._libraries[i]
            by_library.setdefault(id(library), (library, []))[1].append(i)
        return list(by_library.values())

    def _array(self, members: list[int]) -> ctypes.Array[_Layer]:
        """Rows of some layers, kept from call to call; addresses are set anew by each."""
        key = tuple(members)
        if key not in self._arrays:
            self._arrays.clear()
            self._arrays[key] = (_Layer * len(members))(*(self._rows[i].fixed() for i in members))
        return self._arrays[key]

    def gradient_squares(self, positions: Sequence[int]) -> Tensor:
        """Squared norms of the gradients, float64 of shape [POMs]; 0 for other layers.

        Not finite where an entry is not.
        """
        self._single.zero_()
        for library, members in self._calls(positions):
            rows = self._array(members)
            for row, i in zip(rows, members, strict=True):
                self._rows[i].point(row, None, fresh=False)
            library.fgsgd_squares(
                ctypes.addressof(rows),
                len(members),
                self._single.data_ptr(),
                self.n_poms,
                self._threads,
            )
        return self._single.sum(0)

    def run(
        self,
        positions: Sequence[int],
        buffers: Sequence[Tensor | None],
        fresh: Sequence[bool],
        factor: Tensor,
        options: Mapping[str, Any],
        *,
        write: bool,
    ) -> tuple[Tensor, Tensor]:
        """Project the directions and, if asked to write, move and retract the weights.

        Parameters
        ----------
        positions : sequence of int
            Of the layers that take part.
        buffers : sequence of Tensor or None
            Their momenta, updated in place; None without momentum.
        fresh : sequence of bool
            Whether a buffer holds nothing yet.
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
        place = {position: i for i, position in enumerate(positions)}
        for library, members in self._calls(positions):
            rows = self._array(members)
            for row, i in zip(rows, members, strict=True):
                j = place[i]
                self._rows[i].point(row, buffers[j], fresh=fresh[j])
            library.fgsgd_step(
                ctypes.addressof(rows),
                len(members),
                ctypes.addressof(settings),
                factor.data_ptr(),
                self._sums.data_ptr(),
                self.n_poms,
                self._threads,
            )
        if write:
            weights = [self.layers[i].weight for i in positions]
            momenta = [buffer for buffer in buffers if buffer is not None]
            torch.autograd.graph.increment_version([*weights, *momenta])
        projected, whole = self._sums.sum(0).sqrt().float().split(self.n_poms)
        return projected, whole


def _code(layer: POMLayer) -> tuple[int, int, bool]:
    batch = layer.view.batches[0]
    assert isinstance(batch, Kernels)
    return (*batch.shape, batch.kernel != batch.shape)


class _Row:
    """One layer's kinds, radii and POMs, as step.cpp reads them."""

    def __init__(self, layer: POMLayer, offset: int) -> None:
        self._layer = layer
        numbers = [KINDS.index(name) for name in layer.manifolds]
        kinds = torch.tensor(numbers, dtype=torch.uint8)
        self._kind = kinds[layer.view.manifold.long()].contiguous()
        self._radius = layer.radius.float().contiguous()
        self._pom = (layer.view.pom + offset).to(torch.int32).contiguous()
        self._mixed = bool((self._kind == KINDS.index("stiefel")).any())

    def fixed(self) -> _Layer:
        """What stays the same from step to step."""
        return _Layer(
            kind=self._kind.data_ptr(),
            radius=self._radius.data_ptr(),
            pom=self._pom.data_ptr(),
            kernels=len(self._pom),
            mixed=self._mixed,
        )

    def point(self, row: _Layer, buffer: Tensor | None, *, fresh: bool) -> None:
        """Set the addresses of the present tensors."""
        weight = self._layer.weight
        assert weight.grad is not None
        row.weight, row.gradient = weight.data_ptr(), weight.grad.data_ptr()
        row.buffer = None if buffer is None else buffer.data_ptr()
        row.fresh = fresh
        row.inputs = weight.shape[1] if _is_channels_last(weight) else 0
