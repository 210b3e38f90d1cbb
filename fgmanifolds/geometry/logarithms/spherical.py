"""Closed forms on unit spheres, without loss of digits near zero and near the cut locus.

`norm` tells what a sphere is: a whole matrix (`matrix_norm`) or each of its
columns (`column_norm`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgmanifolds.geometry.arrays import Array

__all__ = ["distance", "exp", "log", "parallel_transport"]

Norm = Callable[[Array], Array]
EPS = float(np.finfo(np.float64).eps)


def _dot(u: Array, v: Array, norm: Norm) -> Array:
    """Inner product that belongs to `norm`, kept as axes."""
    axes = (-2, -1) if norm(np.zeros((1, 2))).shape == (1, 1) else -2
    return np.sum(u * v, axis=axes, keepdims=True)


def exp(w: Array, v: Array, norm: Norm) -> Array:
    """Great circle from `w` with velocity `v`, at time 1.

    Parameters
    ----------
    w, v : arrays of shape (..., A, B)
        At unit radius.
    norm : callable
        Norm over the axes that the sphere is in, which are kept.
    """
    angle = norm(v)
    return w * np.cos(angle) + v * np.sinc(angle / np.pi)


def distance(a: Array, b: Array, norm: Norm, *, pieces: bool) -> Array:
    """Angle between unit vectors; with `pieces` (the sphere is two points), inf if they differ.

    Parameters
    ----------
    a, b : arrays of shape (..., A, B)
        At unit radius.
    norm : callable
        Norm over the axes that the sphere is in, which are kept.
    pieces : bool
        Whether the sphere is two points.
    """
    angle = 2.0 * np.arctan2(norm(a - b), norm(a + b))
    return np.where(angle > 0, np.inf, angle) if pieces else angle


def log(w: Array, y: Array, norm: Norm, *, pieces: bool) -> Array:
    """Shortest tangent vector from `w` to `y`; ``ValueError`` for antipodal points.

    Parameters
    ----------
    w, y : arrays of shape (..., A, B)
        At unit radius.
    norm : callable
        Norm over the axes that the sphere is in, which are kept.
    pieces : bool
        Whether the sphere is two points.
    """
    side = np.where(_dot(w, y, norm) < 0, -1.0, 1.0)
    # The difference to the nearer one of w and -w is exact, so no digit is lost in it.
    difference = y - side * w
    direction = difference - w * _dot(w, difference, norm)
    sine = norm(direction)
    if np.any((side < 0) & (sine <= 4 * EPS)):
        reason = "lie in different pieces" if pieces else "are antipodal: every direction is one"
        raise ValueError(f"there is no unique logarithm: the points {reason}.")
    angle = distance(w, y, norm, pieces=False)
    return direction * np.divide(angle, sine, out=np.zeros_like(angle), where=sine > 0)


def parallel_transport(w: Array, v: Array, x: Array, norm: Norm) -> Array:
    """`x` carried along the great circle of :func:`exp`.

    Parameters
    ----------
    w, v, x : arrays of shape (..., A, B)
        At unit radius.
    norm : callable
        Norm over the axes that the sphere is in, which are kept.
    """
    angle = norm(v)
    bend = -0.5 * np.sinc(angle / (2 * np.pi)) ** 2
    return x + _dot(v, x, norm) * (bend * v - np.sinc(angle / np.pi) * w)
