"""Logarithms of orthogonal matrices."""

from __future__ import annotations

import numpy as np
from scipy.linalg import schur

from fgmanifolds.geometry.arrays import Array, transposed

__all__ = ["distance", "log"]

#: A rotation angle closer to pi than this has no unique logarithm.
HALF_TURN = 8 * float(np.finfo(np.float64).eps)


def distance(q: Array) -> Array:
    """Frobenius norm of the logarithm of each orthogonal matrix; inf if its determinant is -1."""
    angles = np.angle(np.linalg.eigvals(q))
    length = np.linalg.norm(angles, axis=-1)
    return np.where(np.linalg.det(q) > 0, length, np.inf)


def log(q: Array) -> Array:
    """Skew-symmetric logarithm of orthogonal matrices, with angles below pi.

    From the real Schur form, in which an orthogonal matrix is a set of plane
    rotations.

    Raises
    ------
    ValueError
        If a determinant is -1 (no logarithm), or an angle is pi (two of them).
    """
    flat = np.reshape(q, (-1, *q.shape[-2:]))
    negative = np.count_nonzero(np.linalg.det(flat) < 0)
    if negative:
        raise ValueError(
            f"{negative} of {len(flat)} pairs lie in different pieces of the orthogonal group "
            "(determinants of opposite sign): no geodesic joins them."
        )
    return np.stack([_log(matrix) for matrix in flat]).reshape(q.shape)


def _log(q: Array) -> Array:
    blocks, basis = schur(q, output="real")
    generator = np.zeros_like(q)
    i, n = 0, len(q)
    while i < n:
        if i + 1 < n and blocks[i + 1, i] != 0:
            # The two off-diagonal entries are the sine with its two signs.
            sine = 0.5 * (blocks[i + 1, i] - blocks[i, i + 1])
            angle = np.arctan2(sine, 0.5 * (blocks[i, i] + blocks[i + 1, i + 1]))
            half_turn = abs(abs(angle) - np.pi) <= HALF_TURN
            generator[i + 1, i], generator[i, i + 1] = angle, -angle
            i += 2
        else:
            half_turn = blocks[i, i] < 0
            i += 1
        if half_turn:
            raise ValueError(
                "the points are half a turn apart in some plane: there are two shortest geodesics."
            )
    skew = basis @ generator @ basis.T
    return 0.5 * (skew - transposed(skew))
