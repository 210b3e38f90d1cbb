"""Call the C++ functions for blocks of matrices: linear layers and 1 x 1 convolutions."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.torch.components import Blocks
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native.build import load_blocks
from fgmanifolds.torch.ops.native.plain import are_whole

__all__ = [
    "INTERFACE",
    "KINDS",
    "AdamRows",
    "Block",
    "BlockCopies",
    "BlockSteps",
    "Rows",
    "adam_",
    "blocks_of",
    "factor_rows",
    "has_blocks",
    "set_factors_",
]

#: Kinds of blocks by manifold, and, for oblique ones, whether they are stored wide.
KINDS = {"euclidean": (0, 0), "sphere": (1, 1), "oblique": (2, 3)}

ACROSS = 3


class _Matrix(ctypes.Structure):
    """As in blocks.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "direction")),
        *((name, ctypes.c_int64) for name in ("columns", "groups")),
        *((name, ctypes.c_void_p) for name in ("start", "row", "block")),
        *((f"across{part}", ctypes.c_void_p) for part in ("", "_block", "_start", "_column")),
        *((name, ctypes.c_void_p) for name in ("row_sums_start", "sums", "row_sums")),
    ]


#: Numbers of a step in the structures AdamRows and Factors.
NUMBERS = ("second", "root_scale", "eps", "scale")

#: Tensors of the structure AdamRows.
ADAM_TENSORS = ("gradient", "moment", "average", "out", "number")


class _AdamRows(ctypes.Structure):
    """As in blocks.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ADAM_TENSORS),
        *((name, ctypes.c_int64) for name in ("n", "entries")),
        *((name, ctypes.c_float) for name in ("first", *NUMBERS)),
    ]


class _Factors(ctypes.Structure):
    """As in blocks.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("each", "average", "pom")),
        ("n", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("entries", *NUMBERS)),
    ]


#: The structures as NumPy has them.
ADAM_ROWS, FACTORS = np.dtype(_AdamRows), np.dtype(_Factors)

#: What the library must say of itself: version, and the sizes of the structures.
INTERFACE = 8 * 1_000_000 + ctypes.sizeof(_Matrix) * 1000
INTERFACE += ctypes.sizeof(_AdamRows) + ctypes.sizeof(_Factors)


@dataclass
class Block:
    """One block: where it lies, its number among all that are stepped, and its kind."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    number: int
    kind: int


def has_blocks(layer: POMLayer) -> bool:
    """Whether a layer's components are blocks of a matrix."""
    return any(isinstance(batch, Blocks) for batch in layer.view.batches)


def blocks_of(batch: Blocks) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Rows and columns of the blocks of a batch."""
    return [
        (rows.numpy().astype(np.int32), columns.numpy().astype(np.int32))
        for rows, columns, _ in batch.places()
    ]


@dataclass
class _Arrays:
    """What blocks.cpp reads of one matrix; the arrays must outlive the calls."""

    columns: int
    start: NDArray[np.int64]
    row: NDArray[np.int32]
    block: NDArray[np.int32]
    across: NDArray[np.int64]
    across_block: NDArray[np.int32]
    across_start: NDArray[np.int64]
    across_column: NDArray[np.int32]
    row_sums_start: NDArray[np.int64]
    sums: NDArray[np.float64] = field(init=False)
    row_sums: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        groups = len(self.start) - 1
        self.sums = np.empty((groups, 3, self.columns))
        each = np.diff(self.start) * np.diff(self.across)
        self.row_sums = np.empty((int(each.sum()), 3))

    def fixed(self) -> tuple[int, ...]:
        """The fields of :class:`_Matrix`; addresses of tensors are 0."""
        names = (
            *("start", "row", "block", "across", "across_block", "across_start"),
            *("across_column", "row_sums_start", "sums", "row_sums"),
        )
        addresses = (getattr(self, name).ctypes.data for name in names)
        return (0, 0, self.columns, len(self.start) - 1, *addresses)


def _arrays_of(blocks: Sequence[Block], columns: int) -> _Arrays:
    """Put blocks of one matrix into groups of equal rows."""
    groups: dict[bytes, list[Block]] = {}
    for one in blocks:
        groups.setdefault(one.rows.tobytes(), []).append(one)
    rows = [own[0].rows for own in groups.values()]
    row = np.concatenate(rows)
    block = np.full((len(groups), columns), -1, dtype=np.int32)
    across: list[list[Block]] = []
    for line, own in zip(block, groups.values(), strict=True):
        for one in own:
            line[one.columns] = one.number
        across.append([one for one in own if one.kind == ACROSS])
    lying = [one for own in across for one in own]
    each = [len(own) * len(numbers) for own, numbers in zip(across, rows, strict=True)]
    return _Arrays(
        columns,
        _starts([len(own) for own in rows]),
        row,
        block,
        _starts([len(own) for own in across]),
        np.array([one.number for one in lying], dtype=np.int32),
        _starts([len(one.columns) for one in lying]),
        np.concatenate([np.empty(0, np.int32), *(one.columns for one in lying)]),
        _starts(each)[:-1],
    )


def _starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.array([0, *lengths], dtype=np.int64).cumsum()


class BlockSteps:
    """Projection and move of blocks on spheres, oblique manifolds, and of Euclidean ones.

    Parameters
    ----------
    blocks : mapping of int to list of Block
        Of each matrix, by the number of its layer, any two with all rows in
        common or none (:attr:`WeightView.lines`); their numbers count all of them.
    shapes : mapping of int to (int, int)
        Shapes of the matrices as stored.
    radius : Tensor of shape [n]

    Raises
    ------
    NativeBuildError
        If the functions cannot be compiled.
    """

    def __init__(
        self,
        blocks: Mapping[int, Sequence[Block]],
        shapes: Mapping[int, tuple[int, int]],
        radius: Tensor,
    ) -> None:
        self._library = load_blocks()
        self._layers = list(blocks)
        self._numel = [shapes[i][0] * shapes[i][1] for i in self._layers]
        self._arrays = [_arrays_of(own, shapes[i][1]) for i, own in blocks.items()]
        self._rows = np.array([one.fixed() for one in self._arrays], dtype=_Matrix)
        self._radius = radius.float().contiguous()
        ordered = sorted((one.number, one.kind) for own in blocks.values() for one in own)
        self._kind = np.array([kind for _, kind in ordered], dtype=np.uint8)
        self._total = np.empty((len(ordered), 3))

    def take(self, tensors: Sequence[Tensor]) -> list[Tensor] | None:
        """Of weight-shaped tensors, one a layer, those of our layers; None if one cannot be."""
        own = [tensors[i] for i in self._layers]
        return own if are_whole(own, self._numel) else None

    def _point(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> None:
        self._rows["weight"] = [one.data_ptr() for one in weights]
        self._rows["direction"] = [one.data_ptr() for one in directions]

    def add_(self, tensors: Sequence[Tensor], vectors: Sequence[Tensor], factor: Tensor) -> None:
        """Add vectors, times a factor for each block; for Euclidean blocks alone.

        Parameters
        ----------
        tensors : sequence of Tensor
        vectors : sequence of Tensor
        factor : Tensor
        """
        self._point(tensors, vectors)
        self.move_(tensors, factor)

    def project(self, weights: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
        """Squared norms of the projected directions, shape [n]; their sums are kept.

        Parameters
        ----------
        weights : sequence of Tensor
        directions : sequence of Tensor
        """
        self._point(weights, directions)
        squares = torch.empty_like(self._radius)
        self._library.fgblocks_project(
            self._rows.ctypes.data,
            len(self._rows),
            self._kind.ctypes.data,
            self._radius.data_ptr(),
            self._total.ctypes.data,
            squares.data_ptr(),
            torch.get_num_threads(),
        )
        return squares

    def average_(self, means: Sequence[Tensor], vectors: Sequence[Tensor], share: float) -> Tensor:
        """Bring running means nearer to vectors; squared norms of the latter, shape [n].

        For Euclidean blocks alone.

        Parameters
        ----------
        means, vectors : sequence of Tensor
        share : float
            Of the new vectors in the means.
        """
        self._point(means, vectors)
        squares = torch.empty_like(self._radius)
        self._library.fgblocks_average(
            self._rows.ctypes.data,
            len(self._rows),
            self._kind.ctypes.data,
            self._radius.data_ptr(),
            share,
            self._total.ctypes.data,
            squares.data_ptr(),
            torch.get_num_threads(),
        )
        torch.autograd.graph.increment_version(list(means))
        return squares

    def move_(self, weights: Sequence[Tensor], step: Tensor) -> None:
        """Move by `step` times the projections of what :meth:`project` has seen, and normalise.

        Parameters
        ----------
        weights : sequence of Tensor
        step : Tensor
        """
        step = step.float().contiguous()
        far = self._library.fgblocks_move(
            self._rows.ctypes.data,
            len(self._rows),
            self._kind.ctypes.data,
            self._radius.data_ptr(),
            step.data_ptr(),
            self._total.ctypes.data,
            torch.get_num_threads(),
        )
        torch.autograd.graph.increment_version(list(weights))
        if far:
            # Their norms are differences of large sums: look once more.
            self.project(weights, weights)
            self.move_(weights, torch.zeros_like(self._radius))


class _Places(NamedTuple):
    """Rows and columns of each block of a layer, and where these arrays lie."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    rows_at: int
    columns_at: int


class BlockCopies:
    """Blocks of one shape as ``[n, A, B]``, read from matrices and written back.

    Parameters
    ----------
    batches : sequence of (int, Blocks)
        Number of the layer, and its blocks.
    shape : (int, int)
        Tall shape (A, B).
    """

    def __init__(self, batches: Sequence[tuple[int, Blocks]], shape: tuple[int, int]) -> None:
        self._library = load_blocks()
        self._shape = shape
        self._parts = []
        for layer, batch in batches:
            pairs = blocks_of(batch)
            rows = np.ascontiguousarray(np.stack([rows for rows, _ in pairs]))
            columns = np.ascontiguousarray(np.stack([columns for _, columns in pairs]))
            places = _Places(rows, columns, rows.ctypes.data, columns.ctypes.data)
            self._parts.append((layer, batch.stored, places))
        self._numels = [a * b for _, (a, b), _ in self._parts]
        self.length = sum(len(places.rows) for *_, places in self._parts)

    def fit(self, *columns: Sequence[Tensor]) -> bool:
        """Whether weight-shaped tensors are such as can be read and written.

        Parameters
        ----------
        *columns : sequence of Tensor
            One for each layer.
        """
        own = [tensors[i] for tensors in columns for i, *_ in self._parts]
        return are_whole(own, self._numels * len(columns))

    def read(self, tensors: Sequence[Tensor], factor: Tensor | None = None) -> Tensor:
        """Components, times a factor each if some are given.

        Parameters
        ----------
        tensors : sequence of Tensor
        factor : Tensor, optional
        """
        buffer = torch.empty(self.length, *self._shape)
        factor = torch.ones(self.length) if factor is None else factor
        self._copy(tensors, buffer, factor, back=False)
        return buffer

    def write_(self, tensors: Sequence[Tensor], components: Tensor, factor: Tensor) -> None:
        """Store components, times a factor each.

        Parameters
        ----------
        tensors : sequence of Tensor
        components : Tensor
        factor : Tensor
        """
        self._copy(tensors, components.contiguous(), factor, back=True)
        torch.autograd.graph.increment_version([tensors[i] for i, *_ in self._parts])

    def _copy(
        self, tensors: Sequence[Tensor], buffer: Tensor, factor: Tensor, *, back: bool
    ) -> None:
        first, each = 0, 4 * self._shape[0] * self._shape[1]
        factor = factor.float().contiguous()
        start, factors, threads = buffer.data_ptr(), factor.data_ptr(), torch.get_num_threads()
        for layer, (_, columns), places in self._parts:
            (number, height), width = places.rows.shape, places.columns.shape[1]
            self._library.fgblocks_copy(
                tensors[layer].data_ptr(),
                columns,
                start + first * each,
                factors + 4 * first,
                places.rows_at,
                places.columns_at,
                number,
                height,
                width,
                int(height < width),
                int(back),
                threads,
            )
            first += number


@dataclass(slots=True)
class AdamRows:
    """Tensors, sizes and options of a layer in the structure AdamRows of blocks.cpp."""

    gradient: Tensor
    moment: Tensor
    average: Tensor
    number: Tensor
    sizes: tuple[int, int]
    options: tuple[float, ...]
    out: Tensor

    def fields(self) -> tuple[float, ...]:
        """As the structure has them."""
        addresses = [getattr(self, name).data_ptr() for name in ADAM_TENSORS]
        return (*addresses, *self.sizes, *self.options)


def adam_(layers: Sequence[AdamRows]) -> None:
    """Bring the moments of some layers up to date, and give their directions, in one call.

    Parameters
    ----------
    layers : sequence of AdamRows
    """
    if not layers:
        return
    rows = np.array([one.fields() for one in layers], dtype=ADAM_ROWS)
    load_blocks().fgrows_adam(rows.ctypes.data, len(rows), torch.get_num_threads())
    written = [x for one in layers for x in (one.moment, one.average)]
    torch.autograd.graph.increment_version(written)


def factor_rows(fixed: Sequence[tuple[int, ...]]) -> NDArray[np.void]:
    """The structures Factors of blocks.cpp of some layers.

    Parameters
    ----------
    fixed : sequence of (int, int, int, int)
        Of each layer: address of the squared norms of the components' gradients, float32, which
        become the factors; address of the numbers of the components' POMs, int32; the number of
        components, and of entries of each.
    """
    rows = np.zeros(len(fixed), dtype=FACTORS)
    for name, column in zip(("each", "pom", "n", "entries"), zip(*fixed, strict=True), strict=True):
        rows[name] = column
    return rows


def set_factors_(
    rows: NDArray[np.void],
    averages: Sequence[Tensor],
    numbers: Sequence[tuple[float, ...]],
    sums: Tensor,
) -> None:
    """Bring second moments up to date, and set the factors that give directions, in one call.

    Parameters
    ----------
    rows : array
        From :func:`factor_rows`.
    averages : sequence of float32 tensor of shape [n]
        Second moments of each layer.
    numbers : sequence of tuple
        The fields :data:`NUMBERS` of each layer.
    sums : float64 tensor of shape [threads, POMs]
        Zeros; takes the squared norms of the gradients times the factors.
    """
    rows["average"] = list(map(Tensor.data_ptr, averages))
    for name, column in zip(NUMBERS, zip(*numbers, strict=True), strict=True):
        rows[name] = column
    load_blocks().fgrows_factors(
        rows.ctypes.data, len(rows), sums.data_ptr(), sums.shape[1], len(sums)
    )
    torch.autograd.graph.increment_version(averages)


class Rows:
    """Small kernels that lie one after the other: moments, and multiples.

    Parameters
    ----------
    numbers : int tensor of shape [n]
        Numbers of the components, kernel after kernel.
    entries : int
        Of each kernel.
    """

    def __init__(self, numbers: Tensor, entries: int) -> None:
        self._library = load_blocks()
        self._numbers = numbers.to(torch.int32).contiguous()
        self._entries = entries
        self._numel = len(numbers) * entries

    def take(self, tensor: Tensor) -> bool:
        """Whether a weight-shaped tensor is such as can be read."""
        return are_whole((tensor,), (self._numel,))

    def adam(
        self, grad: Tensor, moment: Tensor, average: Tensor, options: Sequence[float]
    ) -> AdamRows | None:
        """What :func:`adam_` needs of a layer; None if its tensors are not such as can be read.

        Parameters
        ----------
        grad, moment : Tensor
        average : Tensor of shape [n]
            Second moments.
        options : sequence of float
            Those of the structure AdamRows of blocks.cpp.
        """
        n, numel = len(self._numbers), self._numel
        if not are_whole((grad, moment, average), (numel, numel, n)):
            return None
        sizes, out = (n, self._entries), torch.empty_like(grad)
        return AdamRows(grad, moment, average, self._numbers, sizes, tuple(options), out)

    def scaled(self, tensor: Tensor, factor: Tensor) -> Tensor:
        """The tensor with each component times its factor.

        Parameters
        ----------
        tensor : Tensor
        factor : Tensor of shape [n]
        """
        factor = factor.float().contiguous()
        out = torch.empty_like(tensor)
        self._library.fgrows_scale(
            tensor.data_ptr(),
            len(self._numbers),
            self._entries,
            self._numbers.data_ptr(),
            factor.data_ptr(),
            out.data_ptr(),
            torch.get_num_threads(),
        )
        return out
