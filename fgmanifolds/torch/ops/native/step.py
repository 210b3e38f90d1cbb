"""Call the C++ step on the weights of some layers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.torch.components import Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.manifolds import KINDS
from fgmanifolds.torch.ops.native.blocks import factor_rows, set_factors_
from fgmanifolds.torch.ops.native.build import load
from fgmanifolds.torch.ops.native.places import places_of
from fgmanifolds.torch.ops.native.plain import Known
from fgmanifolds.torch.ops.table import Bounds

__all__ = ["INTERFACE", "NativeTable", "Taken", "can_hold", "can_take"]

#: Kernels of up to this many entries and columns are unrolled by the compiler.
ENTRIES, COLUMNS = 64, 8

#: Sets of layers whose rows are kept.
ARRAYS = 32

#: Number of the interface.
VERSION = 6


#: Libraries with the places of their layers among some, and the layers' rows.
_Rows = list[tuple[ctypes.CDLL, NDArray[np.int64], NDArray[np.void]]]


class _Layer(ctypes.Structure):
    """As in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "buffer", "gradient")),
        *((name, ctypes.c_void_p) for name in ("kind", "radius", "pom")),
        ("kernels", ctypes.c_int64),
        ("fresh", ctypes.c_int64),
        ("mixed", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("each", ctypes.c_void_p),
    ]


#: Fields that change from step to step.
CHANGING = ("weight", "buffer", "gradient", "inputs", "fresh")


class _Options(ctypes.Structure):
    """As in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_float) for name in ("momentum", "dampening", "decay", "sign")),
        ("nesterov", ctypes.c_int32),
        ("write", ctypes.c_int32),
        ("scaled", ctypes.c_int32),
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
    buffers = [] if buffer is None else [[buffer]]
    vectors = [] if weight.grad is None else [[weight.grad]]
    return bool(places_of([layer.shape], [[weight], *buffers], vectors, Known()).rows)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Layers that the C++ step takes, with their tensors of this step, in columns.

    Attributes
    ----------
    places, positions : sequence of int, tuple of int
        Numbers of the layers among those of the step, and in the table.
    layers : list of POMLayer
    weights : list of Tensor
    states : list of dict
        The optimizer's, of the weights.
    addresses : three lists of int
        Of weights, momenta and gradients, 0 where there is none.
    inputs : list of int
        As :class:`~fgmanifolds.torch.ops.native.places.Places` has them.
    buffers : list of Tensor or None
        Their momenta.
    fresh : list of bool
        Whether a momentum holds nothing yet.
    """

    places: Sequence[int]
    positions: tuple[int, ...]
    layers: list[POMLayer]
    weights: list[Tensor]
    states: list[dict[str, Any]]
    addresses: tuple[list[int], list[int], list[int]]
    inputs: list[int]
    buffers: list[Tensor | None]
    fresh: list[bool]

    def __len__(self) -> int:
        return len(self.positions)

    def chosen(self, rows: Sequence[int]) -> Taken:
        """Some of the layers.

        Parameters
        ----------
        rows : sequence of int
        """

        def of(column: Sequence[Any]) -> list[Any]:
            return [column[i] for i in rows]

        weights, momenta, gradients = self.addresses
        return Taken(
            of(self.places),
            tuple(of(self.positions)),
            of(self.layers),
            of(self.weights),
            of(self.states),
            (of(weights), of(momenta), of(gradients)),
            of(self.inputs),
            of(self.buffers),
            of(self.fresh),
        )

    def with_momenta(self, momenta: Sequence[Tensor], *, fresh: bool) -> Taken:
        """The same layers, with momenta for those that have none.

        Parameters
        ----------
        momenta : sequence of Tensor
            Of all of them, laid out as the weights are.
        fresh : bool
            Whether new ones hold nothing yet.
        """
        weights, _, gradients = self.addresses
        return replace(
            self,
            addresses=(weights, [one.data_ptr() for one in momenta], gradients),
            buffers=list(momenta),
            fresh=[fresh and one is None for one in self.buffers],
        )


class NativeTable(Bounds):
    """What the C++ step needs to know of some layers; counterpart of ``PomTable``.

    Each call is for some of the layers.

    Parameters
    ----------
    layers : sequence of POMLayer
    scaled : bool
        Whether momenta go by a factor for each kernel.

    Attributes
    ----------
    kernels : list of int
        Numbers of kernels of the layers.

    Raises
    ------
    NativeBuildError
        If the step cannot be compiled for the shape of a layer's kernels.
    """

    def __init__(self, layers: Sequence[POMLayer], *, scaled: bool = False) -> None:
        super().__init__(layers, torch.empty(0, dtype=torch.float32))
        self._scaled = scaled
        self._rows = [
            _Row(layer, offset, scaled=scaled)
            for layer, offset in zip(layers, self.offsets, strict=False)
        ]
        self._libraries = [load(*_code(layer)) for layer in layers]
        self.kernels = [layer.view.n_components for layer in layers]
        self._threads = torch.get_num_threads()
        self._sums = torch.empty(self._threads, 2 * self.n_poms, dtype=torch.float64)
        self._single = torch.empty(self._threads, self.n_poms, dtype=torch.float64)
        self._ones = torch.ones(self._threads, dtype=torch.float64)
        self._total = torch.empty(2 * self.n_poms, dtype=torch.float64)
        #: Rows by positions, each with the columns that they were pointed at last.
        self._arrays: dict[tuple[int, ...], tuple[_Rows, dict[str, Sequence[int]]]] = {}
        self._pointed: Taken | None = None
        self._pointed_calls: list[tuple[ctypes.CDLL, NDArray[np.void]]] = []
        self._factor_rows: dict[tuple[int, ...], NDArray[np.void]] = {}

    def _calls(self, taken: Taken) -> list[tuple[ctypes.CDLL, NDArray[np.void]]]:
        """Libraries, each with the rows of its layers, pointed at the present tensors."""
        if taken is self._pointed:
            return self._pointed_calls
        key = taken.positions
        if key not in self._arrays:
            if len(self._arrays) >= ARRAYS:
                self._arrays.clear()
            self._arrays[key] = self._rows_of(key), {}
        found, held = self._arrays[key]
        present: tuple[Sequence[int], ...] = (*taken.addresses, taken.inputs, taken.fresh)
        for name, own in zip(CHANGING, present, strict=True):
            if own != held.get(name):
                column, held[name] = np.array(own), own
                for _, places, rows in found:
                    rows[name] = column[places]
        self._pointed = taken
        self._pointed_calls = [(library, rows) for library, _, rows in found]
        return self._pointed_calls

    def _rows_of(self, positions: Sequence[int]) -> _Rows:
        """For each library, the places of its layers among some, and their rows."""
        by_library: dict[int, tuple[ctypes.CDLL, list[int]]] = {}
        for place, position in enumerate(positions):
            library = self._libraries[position]
            by_library.setdefault(id(library), (library, []))[1].append(place)
        return [
            (
                library,
                np.array(places),
                np.array([self._rows[positions[i]].fixed() for i in places], dtype=_Layer),
            )
            for library, places in by_library.values()
        ]

    def gradient_squares(self, taken: Taken) -> Tensor:
        """Squared norms of the gradients, float64 of shape [POMs]; 0 for other layers.

        Not finite where an entry is not. Those of each kernel are kept, if momenta have factors.
        """
        sums = self._single.zero_()
        each = int(self._scaled)
        for library, rows in self._calls(taken):
            library.fgsgd_squares(
                rows.ctypes.data, len(rows), each, sums.data_ptr(), self.n_poms, self._threads
            )
        return self._ones @ sums

    def set_factors(
        self,
        taken: Taken,
        averages: Sequence[Tensor],
        options: Sequence[tuple[float, ...]],
    ) -> Tensor:
        """Bring second moments up to date, and take the factors of the momenta from them.

        :meth:`gradient_squares` must have seen the present gradients.

        Parameters
        ----------
        taken : Taken
        averages : sequence of Tensor
            Second moments of each of them, of shape [n].
        options : sequence of tuple
            Numbers of a step, as :func:`~fgmanifolds.torch.ops.native.blocks.set_factors_` takes
            them.

        Returns
        -------
        tensor of shape [POMs]
            Norms of the gradients times the factors; 0 for other layers.
        """
        sums = self._single.zero_()
        key = taken.positions
        if key not in self._factor_rows:
            if len(self._factor_rows) >= ARRAYS:
                self._factor_rows.clear()
            self._factor_rows[key] = factor_rows([self._rows[i].of_factors() for i in key])
        set_factors_(self._factor_rows[key], averages, options, sums)
        return (self._ones @ sums).float().sqrt_()

    def run(
        self, taken: Taken, factor: Tensor, options: Mapping[str, Any], *, write: bool
    ) -> tuple[Tensor, Tensor]:
        """Project the directions and, if asked to write, move and retract the weights.

        Parameters
        ----------
        taken : Taken
            The layers that take part; their momenta are updated in place.
        factor : Tensor of shape [POMs]
            The step -r(t) / g of each POM.
        options : mapping
            Parameter group with momentum, dampening, weight decay, nesterov and maximize;
            scaled, if momenta go by the factors that :meth:`set_factors` has set.
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
            int(bool(options.get("scaled", False))),
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
            written = list(taken.weights)
            if options["momentum"] != 0:
                written += [one for one in taken.buffers if one is not None]
            torch.autograd.graph.increment_version(written)
        total = torch.mv(self._sums.T, self._ones, out=self._total)
        projected, whole = total.float().sqrt_().split(self.n_poms)
        return projected, whole


def _code(layer: POMLayer) -> tuple[int, int, bool]:
    batch = layer.view.batches[0]
    assert isinstance(batch, Kernels)
    return (*batch.shape, batch.kernel != batch.shape)


class _Row:
    """One layer's kinds, radii and POMs, as step.cpp reads them."""

    def __init__(self, layer: POMLayer, offset: int, *, scaled: bool) -> None:
        numbers = [KINDS.index(name) for name in layer.manifolds]
        kinds = torch.tensor(numbers, dtype=torch.uint8)
        self._kind = kinds[layer.view.manifold.long()].contiguous()
        self._radius = layer.radius.float().contiguous()
        self._pom = (layer.view.pom + offset).to(torch.int32).contiguous()
        self._mixed = bool((self._kind == KINDS.index("stiefel")).any())
        rows, columns = layer.view.batches[0].shape
        self._entries = rows * columns
        self._each = torch.zeros(len(self._pom) if scaled else 0)

    def fixed(self) -> tuple[int, ...]:
        """The fields of :class:`_Layer`; what changes from step to step is 0."""
        addresses = (part.data_ptr() for part in (self._kind, self._radius, self._pom))
        return (0, 0, 0, *addresses, len(self._pom), 0, int(self._mixed), 0, self._each.data_ptr())

    def of_factors(self) -> tuple[int, int, int, int]:
        """As :func:`~fgmanifolds.torch.ops.native.blocks.factor_rows` takes it."""
        return self._each.data_ptr(), self._pom.data_ptr(), len(self._pom), self._entries
