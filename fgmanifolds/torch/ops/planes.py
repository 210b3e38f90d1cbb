"""The maps of :mod:`fgmanifolds.torch.ops.batched` unrolled over the entries of small matrices.

A batch of matrices is given as :data:`Columns`: for each column, the *planes* of its
entries, which are vectors over the batch. Each line below is then a pass over long
vectors, where batched QR and matrix products work through millions of tiny matrices.
Names that end in an underscore write to their first arguments, since fresh memory costs
more than the arithmetic. ``torch.compile`` makes one loop of all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from fgmanifolds.torch.ops.batched import Masks

__all__ = ["Columns", "columns_of", "compiled_step", "project_", "retract_", "step_"]

#: Matrices A x B: B lists of A planes of shape [n].
Columns = list[list[Tensor]]


def columns_of(planes: Tensor) -> Columns:
    """View a tensor ``[A, B, n]`` as columns."""
    return [list(column.unbind(0)) for column in planes.unbind(1)]


def _dot(x: list[Tensor], y: list[Tensor]) -> Tensor:
    total = x[0] * y[0]
    for one, other in zip(x[1:], y[1:], strict=True):
        total.addcmul_(one, other)
    return total


def _squared_norm(x: Columns) -> Tensor:
    entries = [entry for column in x for entry in column]
    return _dot(entries, entries)


def _subtract_(x: list[Tensor], y: list[Tensor], factor: Tensor) -> None:
    for one, other in zip(x, y, strict=True):
        one.addcmul_(other, factor, value=-1)


def project_(w: Columns, u: Columns, masks: Masks, radius: Tensor, names: Collection[str]) -> None:
    """As :func:`fgmanifolds.torch.ops.batched.project`, at points of any radii; overwrites `u`.

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
        whole.addcmul_(masks.sphere, _squared_norm(x))
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
    """As :func:`fgmanifolds.torch.ops.batched.retract`, by masked Gram-Schmidt; overwrites `x`.

    One pass loses orthogonality in proportion to the length of the step; a second
    restores it (Giraud, Langou & Rozloznik 2005). For steps no longer than the
    radius one is enough: the condition numbers are the root of 2 at most.
    """
    for _ in range(passes if "stiefel" in names else 1):
        _normalise_(x, masks, radius, names)


def step_(
    w: Columns,
    u: Columns,
    masks: Masks,
    radius: Tensor,
    names: Collection[str],
    move: Tensor | None,
    passes: int | None = None,
) -> Tensor:
    """Move matrices `w` by `move` times their projected directions `u`, and retract.

    Parameters
    ----------
    w, u : columns
        Both are overwritten: by the points that are reached, and by tangent vectors.
    masks, radius, names
        As :func:`project_` takes them.
    move : tensor of shape [n] or None
        None: stay.
    passes : int or None
        Of Gram-Schmidt. None: as many as the longest step needs, which is looked at.

    Returns
    -------
    Tensor of shape [n]
        Squared norms of the projected directions.
    """
    project_(w, u, masks, radius, names)
    squares = _squared_norm(u)
    if move is None:
        return squares
    for point, tangent in zip(w, u, strict=True):
        for entry, change in zip(point, tangent, strict=True):
            entry.addcmul_(change, move)
    if passes is None:
        turns = (move / radius).square_().mul_(squares)
        passes = 1 if bool(turns.max() <= 1) else 2
    retract_(w, masks, radius, names, passes=passes)
    return squares


def compiled_step(names: Collection[str]) -> Callable[..., Tensor]:
    """:func:`step_` through ``torch.compile``, with two passes.

    Returns
    -------
    callable
        From columns `w` and `u`, and kinds, radii and moves of shape [n], to the squared
        norms; `w` is overwritten. Compiled anew for other shapes.
    """

    def step(w: Columns, u: Columns, kinds: Tensor, radius: Tensor, move: Tensor) -> Tensor:
        # The compiler makes no copies; these tell it that nothing but `w` is written to.
        point, tangent = ([[entry.clone() for entry in column] for column in x] for x in (w, u))
        masks = Masks.of(kinds, radius.dtype)
        squares = step_(point, tangent, masks, radius, names, move, passes=2)
        for column, moved in zip(w, point, strict=True):
            for entry, value in zip(column, moved, strict=True):
                entry.copy_(value)
        return squares

    compiled: Callable[..., Tensor] = torch.compile(step, dynamic=False)
    return compiled
