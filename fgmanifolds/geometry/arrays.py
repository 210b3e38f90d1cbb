"""Types and products of stacks of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgmanifolds.validation import check_integer

__all__ = [
    "Array",
    "RandomState",
    "column_norm",
    "inner",
    "leading",
    "matrix_norm",
    "sym",
    "tangent_generator",
    "transposed",
    "unit_matrix",
]

Array = NDArray[np.floating[Any]]
RandomState = np.random.Generator | int | None


def inner(u: Array, v: Array) -> Array:
    """Frobenius inner product over the last two axes.

    Parameters
    ----------
    u, v : arrays of shape (..., A, B)
    """
    return np.einsum("...ij,...ij->...", u, v)


def matrix_norm(u: Array) -> Array:
    """Frobenius norm over the last two axes, kept as axes of length one."""
    return np.linalg.norm(u, axis=(-2, -1), keepdims=True)


def column_norm(u: Array) -> Array:
    """Euclidean norm of each column, kept as a row."""
    return np.linalg.norm(u, axis=-2, keepdims=True)


def transposed(u: Array) -> Array:
    """Transpose of each matrix."""
    return np.swapaxes(u, -2, -1)


def sym(u: Array) -> Array:
    """Symmetric part of each matrix."""
    return 0.5 * (u + transposed(u))


def tangent_generator(rng: RandomState) -> np.random.Generator:
    """Generator for tangent vectors: a seed gives another stream than it gives for points.

    Otherwise a point and a vector drawn with one seed would be parallel.
    """
    is_seed = isinstance(rng, int | np.integer)
    return np.random.default_rng([int(rng), 1] if is_seed else rng)  # type: ignore[arg-type]


def unit_matrix(shape: tuple[int, int], index: int) -> Array:
    """Matrix with a one at the flat `index` and zeros elsewhere.

    Parameters
    ----------
    shape : (int, int)
    index : int
        Row by row.
    """
    matrix = np.zeros(shape)
    matrix.flat[index] = 1.0
    return matrix


def leading(n: int | tuple[int, ...]) -> tuple[int, ...]:
    """Leading axes from a number of draws."""
    axes = n if isinstance(n, tuple) else (n,)
    for axis in axes:
        check_integer("n", axis, low=0)
    return axes
