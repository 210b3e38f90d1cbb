"""Batched maps of unit components on ``[n, A, B]`` tensors: the readable reference.

Every map handles all manifolds at once. :class:`Masks` says which row of the
batch lies on which manifold, and Euclidean rows have no mask set. The formulas
are those of :mod:`fgmanifolds.geometry.components`; the faster versions for
small matrices are in :mod:`fgmanifolds.torch.unrolled`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Masks", "nearest", "project", "qr_positive", "retract"]


class Masks(NamedTuple):
    """1.0 for the rows of a batch that lie on a manifold, else 0.0; each of shape [n]."""

    sphere: Tensor
    oblique: Tensor
    stiefel: Tensor

    @classmethod
    def of(cls, kinds: Tensor, names: tuple[str, ...], dtype: torch.dtype) -> Masks:
        """Masks of rows whose manifolds are ``names[kinds]``."""

        def mask(name: str) -> Tensor:
            if name not in names:
                return torch.zeros_like(kinds, dtype=dtype)
            return (kinds == names.index(name)).to(dtype)

        return cls(mask("sphere"), mask("oblique"), mask("stiefel"))


def _normal_part(z: Tensor, masks: Masks) -> Tensor:
    """N(z) of ``[n, B, B]``: trace times I, diagonal, symmetric part, or 0."""
    diagonal = z.diagonal(dim1=1, dim2=2)
    trace = diagonal.sum(1, keepdim=True)
    entries = masks.sphere[:, None] * trace + masks.oblique[:, None] * diagonal
    symmetric = 0.5 * (z + z.mT)
    return torch.diag_embed(entries) + masks.stiefel[:, None, None] * symmetric


def project(w: Tensor, u: Tensor, masks: Masks) -> Tensor:
    """Project `u` on the tangent spaces at the unit points `w`: ``u - w N(w^T u)``."""
    return u - w @ _normal_part(w.mT @ u, masks)


def qr_positive(x: Tensor) -> Tensor:
    """Q factor of ``x = QR`` with the diagonal of R positive."""
    q, r = torch.linalg.qr(x)
    signs = torch.where(r.diagonal(dim1=1, dim2=2) < 0, -1.0, 1.0).to(x.dtype)
    return q * signs[:, None, :]


def _normalise(x: Tensor, masks: Masks, orthonormal: Tensor) -> Tensor:
    """Pick the normalised, column-normalised, `orthonormal` or unchanged matrix by mask."""

    def pick(mask: Tensor, value: Tensor, other: Tensor) -> Tensor:
        return torch.where(mask[:, None, None] > 0, value, other)

    tiny = torch.finfo(x.dtype).tiny
    on_sphere = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=tiny)
    on_oblique = x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp(min=tiny)
    curved = pick(masks.sphere, on_sphere, pick(masks.oblique, on_oblique, orthonormal))
    return pick(masks.sphere + masks.oblique + masks.stiefel, curved, x)


def retract(x: Tensor, masks: Masks) -> Tensor:
    """Map ``x = w + v`` back: normalise, normalise the columns, or take Q of QR (Table VIII)."""
    return _normalise(x, masks, qr_positive(x))


def nearest(x: Tensor, masks: Masks) -> Tensor:
    """Nearest unit points to any matrices `x`, in the Frobenius norm (polar factor on Stiefel)."""
    u, _, vh = torch.linalg.svd(x, full_matrices=False)
    return _normalise(x, masks, u @ vh)
