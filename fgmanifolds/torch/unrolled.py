"""The maps of :mod:`fgmanifolds.torch.kernels` unrolled over the columns of small matrices.

They take and give the same ``[n, A, B]`` tensors. They are fast when the
entries of a matrix are *planes*, that is when the batch axis has stride 1
(:func:`as_planes`): each line below is then one pass over long vectors, where
batched QR and matrix products work through millions of tiny matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgmanifolds.torch.kernels import Masks

__all__ = ["as_planes", "project", "retract", "squared_norm"]


def as_planes(blocks: list[Tensor]) -> Tensor:
    """Concatenate ``[n_i, A, B]`` tensors to one ``[n, A, B]`` view of contiguous planes."""
    planes = torch.cat([block.permute(1, 2, 0) for block in blocks], dim=2)
    return planes.permute(2, 0, 1)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x * y).sum(1)


def squared_norm(x: Tensor) -> Tensor:
    """Squared Frobenius norm of each matrix, shape [n]."""
    return (x * x).sum((1, 2))


def project(w: Tensor, u: Tensor, masks: Masks) -> Tensor:
    """As :func:`fgmanifolds.torch.kernels.project`."""
    columns = range(w.shape[2])
    z = [[_dot(w[:, :, b], u[:, :, c]) for c in columns] for b in columns]
    trace = masks.sphere * sum(z[b][b] for b in columns)
    own_column = masks.oblique + masks.stiefel
    half = 0.5 * masks.stiefel
    tangent = u.clone()
    for b in columns:
        tangent[:, :, b].addcmul_(w[:, :, b], (trace + own_column * z[b][b])[:, None], value=-1)
        for c in range(b):
            both = (half * (z[b][c] + z[c][b]))[:, None]
            tangent[:, :, c].addcmul_(w[:, :, b], both, value=-1)
            tangent[:, :, b].addcmul_(w[:, :, c], both, value=-1)
    return tangent


def _gram_schmidt(x: Tensor, masks: Masks) -> Tensor:
    """One pass: normalise as a whole, or by columns, or orthonormalise, by mask."""
    tiny = torch.finfo(x.dtype).tiny
    columns = range(x.shape[2])
    whole = squared_norm(x)
    flat = 1 - masks.sphere - masks.oblique - masks.stiefel
    own_column = masks.oblique + masks.stiefel
    point = torch.empty_like(x)
    for b in columns:
        column = x[:, :, b]
        for c in range(b):
            overlap = masks.stiefel * _dot(point[:, :, c], column)
            column = torch.addcmul(column, point[:, :, c], overlap[:, None], value=-1)
        square = masks.sphere * whole + own_column * _dot(column, column) + flat
        torch.mul(column, square.clamp(min=tiny).rsqrt()[:, None], out=point[:, :, b])
    return point


def retract(x: Tensor, masks: Masks) -> Tensor:
    """As :func:`fgmanifolds.torch.kernels.retract`, by masked Gram-Schmidt, twice.

    One pass loses orthogonality in proportion to the length of the step; the
    second restores it (Giraud, Langou & Rozloznik 2005).
    """
    return _gram_schmidt(_gram_schmidt(x, masks), masks)
