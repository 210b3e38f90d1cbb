"""Frames and planes of Stiefel manifolds, shared by both metrics."""

from __future__ import annotations

import math

import numpy as np

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.component import UnitPlanes

__all__ = ["leave_span", "rotation_planes", "stiefel_basis", "turn"]


def stiefel_basis(point: Array) -> Array:
    """Basis of tangent spaces, orthonormal in the embedded metric, ``(..., d, A, B)``.

    First the turns within the columns, then what leaves their span.
    """
    rows, columns = point.shape[-2:]
    i, j = np.triu_indices(columns, 1)
    turns = np.zeros((len(i), columns, columns))
    turns[np.arange(len(i)), i, j] = -math.sqrt(0.5)
    turns[np.arange(len(i)), j, i] = math.sqrt(0.5)
    within = point[..., None, :, :] @ turns
    complement = np.linalg.qr(point, mode="complete")[0][..., columns:]
    size = (rows - columns) * columns
    unit = np.eye(size).reshape(size, rows - columns, columns)
    return np.concatenate([within, complement[..., None, :, :] @ unit], axis=-3)


# Planes of extremal curvature at the base point, the first columns of the identity.


def leave_span(shape: tuple[int, int], row: int, column: int) -> Array:
    """Tangent vector that turns `column` towards the `row`-th direction outside the span.

    Parameters
    ----------
    shape : (int, int)
        A and B.
    row, column : int
    """
    matrix = np.zeros(shape)
    matrix[shape[1] + row, column] = 1.0
    return matrix


def turn(shape: tuple[int, int], i: int, j: int) -> Array:
    """First columns of the generator of the rotation from direction i to direction j.

    Parameters
    ----------
    shape : (int, int)
        A and B.
    i, j : int
    """
    matrix = np.zeros((shape[0], shape[0]))
    matrix[j, i], matrix[i, j] = 1.0, -1.0
    return matrix[:, : shape[1]]


def rotation_planes(rows: int, columns: int) -> UnitPlanes:
    """Commuting rotations, and two of the three quaternion units of a four-space.

    Parameters
    ----------
    rows, columns : int
    """
    shape = (rows, columns)
    if rows == 3:
        pair = (turn(shape, 0, 1), turn(shape, 0, 2))
        return pair, pair
    flat = (turn(shape, 0, 1), turn(shape, 2, 3))
    first = turn(shape, 0, 1) + turn(shape, 2, 3)
    second = turn(shape, 0, 2) - turn(shape, 1, 3)
    return flat, (first, second)
