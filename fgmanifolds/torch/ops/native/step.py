"""Call the C++ step on the weights of some layers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.batched import KINDS
from fgmanifolds.torch.ops.bounds import PomBounds
from fgmanifolds.torch.ops.native.build import load

__all__ = ["NativeTable", "can_take"]

#: Kernels of up to this many entries and columns are unrolled by the compiler.
ENTRIES, COLUMNS = 64, 8


#: Layouts whose kernels are planes already, by the number of axes.
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


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


def can_take(layer: POMLayer, buffer: Tensor | None = None) -> bool:
    """Whether the C++ step can take a layer: small kernels, float32, on the CPU, dense."""
    batches = layer.view.batches
    if len(batches) != 1 or batches[0].positions is not None:
        return False
    rows, columns = batches[0].shape
    if rows * columns > ENTRIES or columns > COLUMNS:
        return False
    weight = layer.weight
    if not (weight.is_contiguous() or _is_channels_last(weight)):
        return False
    strides, gradient = weight.stride(), weight.grad
    return (
        _is_plain(weight)
        and (gradient is None or (_is_plain(gradient) and gradient.stride() == strides))
        and (buffer is None or (_is_plain(buffer) and buffer.stride() == strides))
    )


def _is_plain(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.is_cpu and tensor.layout == torch.strided


def _is_channels_last(tensor: Tensor) -> bool:
    form = CHANNELS_LAST.get(tensor.dim())
    if form is None or tensor.is_contiguous():
        return False
    return tensor.is_contiguous(memory_format=form)


class NativeTable(PomBounds):
    """What the C++ step needs to know of some layers; counterpart of ``PomTable``.

    Raises
    ------
    NativeBuildError
        If the step cannot be compiled for the shape of a layer's kernels.
    """

    def __init__(self, layers: Sequence[POMLayer]) -> None:
        super().__init__(layers, torch.empty(0, dtype=torch.float32))
        offsets = torch.tensor([0, *self.sizes]).cumsum(0).tolist()
        self._parts = [_Part(layer, offsets[i]) for i, layer in enumerate(layers)]
        self._poms = sum(self.sizes)
        by_code: dict[tuple[int, int, bool], list[int]] = {}
        for position, layer in enumerate(layers):
            (batch,) = layer.view.batches
            code = (*batch.shape, batch.kernel != batch.shape)
            by_code.setdefault(code, []).append(position)
        self._codes = [
            (
                load(*code),
                members,
                (_Layer * len(members))(*(self._parts[i].row() for i in members)),
            )
            for code, members in by_code.items()
        ]
        self._threads = torch.get_num_threads()
        self._sums = torch.empty(self._threads, self._poms, dtype=torch.float64)

    def gradients_are_finite(self) -> bool:
        """Whether no gradient holds nan or inf."""
        for library, members, rows in self._codes:
            for row, i in zip(rows, members, strict=True):
                row.gradient = _gradient(self._parts[i].layer).data_ptr()
            if not library.fgsgd_finite(rows, len(members), self._threads):
                return False
        return True

    def run(
        self,
        buffers: Sequence[Tensor | None],
        fresh: Sequence[bool],
        factor: Tensor,
        options: Mapping[str, Any],
        *,
        write: bool,
    ) -> Tensor:
        """Project the directions and, if asked to write, move and retract the weights.

        Parameters
        ----------
        buffers : sequence of Tensor or None
            Momenta of the layers, updated in place; None without momentum.
        fresh : sequence of bool
            Whether a buffer holds nothing yet.
        factor : Tensor of shape [POMs]
            The step -r(t) / g of each POM.
        options : mapping
            Parameter group with momentum, dampening, weight decay, nesterov and maximize.
        write : bool

        Returns
        -------
        Tensor of shape [POMs]
            Norms of the projected directions.
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
        for library, members, rows in self._codes:
            for row, i in zip(rows, members, strict=True):
                layer, buffer = self._parts[i].layer, buffers[i]
                row.weight = layer.weight.data_ptr()
                row.gradient = _gradient(layer).data_ptr()
                row.buffer = None if buffer is None else buffer.data_ptr()
                row.fresh = fresh[i]
                row.inputs = layer.weight.shape[1] if _is_channels_last(layer.weight) else 0
            library.fgsgd_step(
                rows,
                ctypes.c_int32(len(members)),
                ctypes.byref(settings),
                ctypes.c_void_p(factor.data_ptr()),
                ctypes.c_void_p(self._sums.data_ptr()),
                ctypes.c_int64(self._poms),
                ctypes.c_int32(self._threads),
            )
        if write:
            weights = [part.layer.weight for part in self._parts]
            torch.autograd.graph.increment_version(
                [*weights, *(buffer for buffer in buffers if buffer is not None)]
            )
        return self._sums.sum(0).sqrt().float()


class _Part:
    """One layer's kinds, radii and POMs, as step.cpp reads them."""

    def __init__(self, layer: POMLayer, offset: int) -> None:
        self.layer = layer
        self._kind = layer.kinds
        self._radius = layer.radius.float().contiguous()
        self._pom = (layer.view.pom + offset).to(torch.int32).contiguous()

    def row(self) -> _Layer:
        return _Layer(
            kind=self._kind.data_ptr(),
            radius=self._radius.data_ptr(),
            pom=self._pom.data_ptr(),
            kernels=len(self._pom),
            mixed=bool((self._kind == KINDS.index("stiefel")).any()),
        )


def _gradient(layer: POMLayer) -> Tensor:
    gradient = layer.weight.grad
    assert gradient is not None
    return gradient
