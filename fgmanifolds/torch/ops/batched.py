"""Batched maps of unit components on ``[n, A, B]`` tensors: the readable reference.

Every map handles all manifolds at once. :class:`Masks` says which row of the
batch lies on which manifold, and Euclidean rows have no mask set. The formulas
are those of :mod:`fgmanifolds.geometry.component`; the faster versions for
small matrices are in :mod:`fgmanifolds.torch.ops.planes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "KINDS",
    "RETRACTIONS",
    "Masks",
    "chord_distance",
    "nearest",
    "project",
    "qr_positive",
    "retract",
    "violation",
]


#: Names of the manifolds by number.
KINDS = ("euclidean", "sphere", "oblique", "stiefel")


class Masks(NamedTuple):
    """1.0 for the rows of a batch that lie on a manifold, else 0.0; each of shape [n]."""

    sphere: Tensor
    oblique: Tensor
    stiefel: Tensor

    @classmethod
    def of(cls, kinds: Tensor, dtype: torch.dtype) -> Masks:
        """Masks of rows whose manifolds are ``KINDS[kinds]``."""
        return cls(*((kinds == number).to(dtype) for number in range(1, len(KINDS))))


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


def violation(w: Tensor, masks: Masks) -> Tensor:
    """Largest entry of N(w^T w) less its value on the manifold, of each matrix; shape [n]."""
    gram = w.mT @ w
    diagonal = gram.diagonal(dim1=1, dim2=2)
    eye = torch.eye(w.shape[2], dtype=w.dtype, device=w.device)
    off_sphere = (diagonal.sum(1) - 1).abs() * masks.sphere
    off_oblique = (diagonal - 1).abs().amax(1) * masks.oblique
    off_stiefel = (gram - eye).abs().amax((1, 2)) * masks.stiefel
    return off_sphere + off_oblique + off_stiefel


def chord_distance(w: Tensor, y: Tensor, masks: Masks) -> Tensor:
    """Upper bounds of the distances of unit points, from chords; exact on spheres, shape [n].

    No geodesic is longer than pi / 2 times its chord, on spheres and by columns on
    oblique manifolds, and on Stiefel manifolds (Mataigne, Absil & Miolane 2024).
    """
    chord = torch.linalg.matrix_norm(w - y)
    arc = 2 * (chord / 2).clamp(max=1).asin()
    bound = 0.5 * torch.pi * chord
    curved = masks.oblique + masks.stiefel
    return masks.sphere * arc + curved * bound + (1 - masks.sphere - curved) * chord


# Retractions: the unit point w and its tangent vector v to a new point ---------------


def _cayley(w: Tensor, v: Tensor) -> Tensor:
    """Cayley transform on the Stiefel manifold (Wen & Yin 2013), by a 2B x 2B system."""
    half = v - 0.5 * w @ (w.mT @ v)
    left, right = torch.cat([half, w], 2), torch.cat([w, -half], 2)
    eye = torch.eye(left.shape[2], dtype=w.dtype, device=w.device)
    system = eye - 0.5 * right.mT @ left
    return w + left @ torch.linalg.solve(system, right.mT @ w)


def _stiefel_exp(w: Tensor, v: Tensor) -> Tensor:
    """Geodesic of the embedded metric on the Stiefel manifold (Table VIII)."""
    a, s = w.mT @ v, v.mT @ v
    eye = torch.eye(w.shape[2], dtype=w.dtype, device=w.device).expand_as(a)
    block = torch.cat([torch.cat([a, -s], 2), torch.cat([eye, a], 2)], 1)
    first = torch.linalg.matrix_exp(block)[:, :, : w.shape[2]]
    return torch.cat([w, v], 2) @ first @ torch.linalg.matrix_exp(-a)


def _great_circle(w: Tensor, v: Tensor, length: Tensor) -> Tensor:
    return w * length.cos() + v * torch.special.sinc(length / torch.pi)


def _by_qr(w: Tensor, v: Tensor, masks: Masks) -> Tensor:
    return retract(w + v, masks)


def _by_polar(w: Tensor, v: Tensor, masks: Masks) -> Tensor:
    return nearest(w + v, masks)


def _by_cayley(w: Tensor, v: Tensor, masks: Masks) -> Tensor:
    return _normalise(w + v, masks, _cayley(w, v))


def _by_exp(w: Tensor, v: Tensor, masks: Masks) -> Tensor:
    sphere = _great_circle(w, v, torch.linalg.matrix_norm(v, keepdim=True))
    oblique = _great_circle(w, v, torch.linalg.vector_norm(v, dim=1, keepdim=True))
    # Vectors of other rows are not tangent to a Stiefel manifold and may overflow there.
    stiefel = _stiefel_exp(w, v * masks.stiefel[:, None, None])
    point = torch.where(masks.sphere[:, None, None] > 0, sphere, w + v)
    point = torch.where(masks.oblique[:, None, None] > 0, oblique, point)
    return torch.where(masks.stiefel[:, None, None] > 0, stiefel, point)


#: Ways back to the manifolds by name; spheres and oblique manifolds normalise, but for "exp".
RETRACTIONS: dict[str, Callable[[Tensor, Tensor, Masks], Tensor]] = {
    "qr": _by_qr,
    "polar": _by_polar,
    "cayley": _by_cayley,
    "exp": _by_exp,
}
