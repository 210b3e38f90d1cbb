"""Manifolds from their constraints alone: a road that uses nothing of the package's geometry.

Each unit manifold of Table V is the set where a quadratic form q(w, w) has a constant value. So
its tangent space at w is the null space of ``q(w, .)``, its geodesics solve
``q(w, w'') = -q(v, v)`` with an acceleration in the span of the rows of ``q(w, .)``, and at radius
r only the constant changes.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from fgmanifolds.geometry.arrays import Array

__all__ = ["form", "geodesic", "nearest", "normal_rows", "tangent_part", "tangent_rows"]


def form(kind: str, u: Array, v: Array) -> Array:
    """Quadratic form whose value at (w, w) is fixed on the manifold of a kind, as a vector.

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    u, v : arrays of shape (A, B)
    """
    if kind == "sphere":
        return np.array([np.sum(u * v)])
    if kind == "oblique":
        return np.sum(u * v, axis=0)
    if kind == "stiefel":
        gram = 0.5 * (u.T @ v + v.T @ u)
        return gram[np.triu_indices(gram.shape[0])]
    return np.zeros(0)


def normal_rows(kind: str, w: Array) -> Array:
    """Rows that span the normal space at `w`, flattened, shape (constraints, A B).

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    w : array of shape (A, B)
    """
    frame = np.eye(w.size).reshape(w.size, *w.shape)
    return np.array([form(kind, w, e) for e in frame]).T.reshape(-1, w.size)


def tangent_rows(kind: str, w: Array) -> Array:
    """Orthonormal basis of the tangent space at `w`, flattened, shape (dimension, A B).

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    w : array of shape (A, B)
    """
    rows = normal_rows(kind, w)
    if not len(rows):
        return np.eye(w.size)
    return np.linalg.svd(rows)[2][np.linalg.matrix_rank(rows) :]


def tangent_part(kind: str, w: Array, u: Array) -> Array:
    """Orthogonal projection of `u` on the tangent space at `w`.

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    w, u : arrays of shape (A, B)
    """
    basis = tangent_rows(kind, w)
    return (basis.T @ (basis @ u.ravel())).reshape(u.shape)


def nearest(kind: str, y: Array, radius: float = 1.0) -> Array:
    """The retraction of Table VIII of what was moved: norms divided out, or Q by Cholesky.

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    y : array of shape (A, B)
    radius : float
    """
    if kind == "sphere":
        return radius * y / np.sqrt(np.sum(y**2))
    if kind == "oblique":
        return radius * y / np.sqrt(np.sum(y**2, axis=0))
    if kind == "stiefel":
        for _ in range(3):  # each pass squares what is left of a condition number
            y = np.linalg.solve(np.linalg.cholesky(y.T @ y), y.T).T
        return radius * y
    return y


def geodesic(kind: str, w: Array, v: Array, times: Array) -> Array:
    """Points of the geodesic from `w` with velocity `v`, by its differential equation.

    Parameters
    ----------
    kind : {"sphere", "oblique", "stiefel"}
    w, v : arrays of shape (A, B)
    times : array
    """

    def rate(_: float, state: Array) -> Array:
        point, velocity = (half.reshape(w.shape) for half in np.split(state, 2))
        rows = normal_rows(kind, point)
        pull = np.linalg.lstsq(rows @ rows.T, form(kind, velocity, velocity), rcond=None)[0]
        return np.concatenate([velocity.ravel(), -rows.T @ pull])

    solution = solve_ivp(
        rate,
        (0.0, float(times[-1])),
        np.concatenate([w.ravel(), v.ravel()]),
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-12,
    )
    return solution.y[: w.size].T.reshape(-1, *w.shape)
