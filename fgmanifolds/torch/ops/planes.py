"""The maps of :mod:`fgmanifolds.torch.ops.manifolds` unrolled over the entries of small matrices.

A batch of matrices is given as :data:`Columns`: for each column, the *planes* of its
entries, which are vectors over the batch. Each line below is then a pass over long
vectors, where batched QR and matrix products work through millions of tiny matrices.
Names that end in an underscore write to their first arguments, since fresh memory costs
more than the arithmetic. ``torch.compile`` makes one loop of all of it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fgmanifolds.torch.ops.manifolds import KINDS

__all__ = [
    "Columns",
    "Compiled",
    "Masks",
    "columns_of",
    "move_",
    "passes_for",
    "project_",
    "retract_",
    "squared_norm",
    "turns",
]

#: Matrices A x B: B lists of A planes of shape [n].
Columns = list[list[Tensor]]


class Masks(NamedTuple):
    """1.0 for the matrices that lie on a manifold, else 0.0; each of shape [n]."""

    sphere: Tensor
    oblique: Tensor
    stiefel: Tensor

    @classmethod
    def of(cls, kinds: Tensor, dtype: torch.dtype) -> Masks:
        """Masks of matrices whose manifolds are ``KINDS[kinds]``.

        Parameters
        ----------
        kinds : Tensor
        dtype : torch.dtype
        """
        return cls(*((kinds == number).to(dtype) for number in range(1, len(KINDS))))


def columns_of(planes: Tensor) -> Columns:
    """View a tensor ``[A, B, n]`` as columns."""
    return [list(column.unbind(0)) for column in planes.unbind(1)]


def _dot(x: list[Tensor], y: list[Tensor]) -> Tensor:
    total = x[0] * y[0]
    for one, other in zip(x[1:], y[1:], strict=True):
        total.addcmul_(one, other)
    return total


def squared_norm(x: Columns) -> Tensor:
    """Squared Frobenius norms, shape [n]."""
    entries = [entry for column in x for entry in column]
    return _dot(entries, entries)


def _subtract_(x: list[Tensor], y: list[Tensor], factor: Tensor) -> None:
    for one, other in zip(x, y, strict=True):
        one.addcmul_(other, factor, value=-1)


def project_(w: Columns, u: Columns, masks: Masks, radius: Tensor, names: Collection[str]) -> None:
    """Subtract the normal parts from ambient vectors `u`, at points of any radii, in place.

    Parameters
    ----------
    w, u : columns
        Points and ambient vectors.
    masks : Masks
    radius : tensor of shape [n]
        1 on Euclidean rows.
    names : collection of str
        Manifolds that may occur.
    """
    n = range(len(w))
    share = (radius * radius).reciprocal_()
    normal = [_dot(w[b], u[b]) for b in n]
    trace = sum(normal[1:], normal[0]) * (share * masks.sphere)
    mixed = []
    if "stiefel" in names:
        half = (0.5 * share).mul_(masks.stiefel)
        pairs = [(b, c) for b in n for c in range(b)]
        mixed = [(b, c, _dot(w[b], u[c]).add_(_dot(w[c], u[b])).mul_(half)) for b, c in pairs]
    own_column = share.mul_(masks.oblique + masks.stiefel)
    for b in n:
        _subtract_(u[b], w[b], normal[b].mul_(own_column).add_(trace))
    for b, c, both in mixed:
        _subtract_(u[b], w[c], both)
        _subtract_(u[c], w[b], both)


def _normalise_(x: Columns, masks: Masks, radius: Tensor, names: Collection[str]) -> None:
    """One pass: normalise as a whole, or by columns, or orthonormalise, by mask."""
    tiny = torch.finfo(radius.dtype).tiny
    share = masks.stiefel / (radius * radius)
    own_column = masks.oblique + masks.stiefel
    whole = 1 - masks.sphere - own_column
    if "sphere" in names:
        whole.addcmul_(masks.sphere, squared_norm(x))
    for b, column in enumerate(x):
        for before in x[:b] if "stiefel" in names else []:
            _subtract_(column, before, _dot(before, column).mul_(share))
        square = torch.addcmul(whole, own_column, _dot(column, column))
        factor = square.clamp_(min=tiny).rsqrt_().mul_(radius)
        for entry in column:
            entry.mul_(factor)


def retract_(
    x: Columns, masks: Masks, radius: Tensor, names: Collection[str], *, passes: int = 2
) -> None:
    """Normalise in place: as a whole, by columns, or by masked Gram-Schmidt.

    One pass loses orthogonality in proportion to the length of the step; a second
    restores it (Giraud, Langou & Rozloznik 2005). For steps no longer than the
    radius one is enough: the condition numbers are the root of 2 at most.

    Parameters
    ----------
    x : Tensor of shape [A, B, n]
    masks : Masks
    radius : Tensor of shape [n]
    names : sequence of str
    passes : int
    """
    for _ in range(passes if "stiefel" in names else 1):
        _normalise_(x, masks, radius, names)


#: Radii that a step is at most long: further on the point does not change, to the precision of
#: float32, and the columns of a Stiefel matrix become dependent.
LONGEST = 1e6


def passes_for(longest: float) -> int:
    """Passes of Gram-Schmidt that the longest of some steps needs, from its length in radii.

    Each pass loses orthogonality in proportion to the condition number, which is about the
    length, so that a third one mends what is beyond the reach of two.
    """
    return 1 if longest <= 1 else (2 if longest <= 1e3 else 3)


def turns(move: Tensor, radius: Tensor, squares: Tensor) -> Tensor:
    """Lengths of the steps in radii.

    Parameters
    ----------
    move, radius, squares : Tensor of shape [n]
    """
    return squares.sqrt().mul_(move.abs()).div_(radius)


def move_(
    w: Columns,
    u: Columns,
    masks: Masks,
    radius: Tensor,
    names: Collection[str],
    move: Tensor,
    *,
    passes: int,
) -> None:
    """Move matrices `w` by `move` times their tangent vectors `u`, and retract, in place.

    Parameters
    ----------
    w, u : columns
    masks, radius, names
        As :func:`project_` takes them.
    move : tensor of shape [n]
    passes : int
        Of Gram-Schmidt, see :func:`passes_for`.
    """
    for point, tangent in zip(w, u, strict=True):
        for entry, change in zip(point, tangent, strict=True):
            entry.addcmul_(change, move)
    retract_(w, masks, radius, names, passes=passes)


class Compiled:
    """:func:`project_` and :func:`move_` through ``torch.compile``, for one shape of planes."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self.project = _compiled_alone(self._project())
        self._moves: dict[int, Callable[..., Any]] = {}

    def _project(self) -> Callable[..., Tensor]:
        names = self._names

        def project(w: Columns, u: Columns, kinds: Tensor, radius: Tensor) -> Tensor:
            # The compiler makes no copies; they tell it that nothing else is written to.
            tangent = [[entry.clone() for entry in column] for column in u]
            project_(w, tangent, Masks.of(kinds, radius.dtype), radius, names)
            _store_(u, tangent)
            return squared_norm(tangent)

        return project

    def move(self, passes: int) -> Callable[..., None]:
        """:func:`move_` with a number of passes; takes kinds in place of masks."""
        if passes not in self._moves:
            names = self._names

            def move(w: Columns, u: Columns, kinds: Tensor, radius: Tensor, step: Tensor) -> None:
                point = [[entry.clone() for entry in column] for column in w]
                masks = Masks.of(kinds, radius.dtype)
                move_(point, u, masks, radius, names, step, passes=passes)
                _store_(w, point)

            self._moves[passes] = _compiled_alone(move)
        return self._moves[passes]


def _store_(target: Columns, values: Columns) -> None:
    for column, moved in zip(target, values, strict=True):
        for entry, value in zip(column, moved, strict=True):
            entry.copy_(value)


def _compiled_alone(function: Any) -> Callable[..., Any]:
    """Compile with a code object of its own: torch gives up after eight versions of one."""
    own = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        None,
        function.__closure__,
    )
    result: Callable[..., Any] = torch.compile(own, dynamic=False)
    return result
