"""Logarithms without a closed form, by Levenberg-Marquardt shooting.

To find v with ``exp(w, v) = y``, least squares on coordinates of the tangent
space. The Jacobian is exact, by the complex step: the exponential map is
evaluated at ``v + i h e``, and its imaginary part over h is the derivative
along e to machine precision (Squire & Trapp 1998). The damping is
proportional to the squared residual, which makes the method quadratically
convergent (Yamashita & Fukushima 2001).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgmanifolds.geometry.arrays import Array

__all__ = ["shoot"]

STEP = 1e-30
MAX_ITERATIONS = 100
#: Numbers held at once in the largest intermediate.
CHUNK = 2**22


def shoot(
    exp: Callable[[Array, Array], Array], w: Array, y: Array, start: Array, basis: Array
) -> tuple[Array, Array]:
    """Solve ``exp(w, v) = y`` for tangent vectors v, for a stack of pairs.

    Parameters
    ----------
    exp : callable
        Exponential map of stacks of points and tangent vectors, analytic in the latter.
    w, y, start : array of shape (n, A, B)
        Where to shoot from, what to hit, and the first guess of v.
    basis : array of shape (n, d, A, B)
        Basis of each tangent space.

    Returns
    -------
    v : array of shape (n, A, B)
    miss : array of shape (n,)
        Distance of ``exp(w, v)`` from `y` in the Frobenius norm.
    """
    per_pair = basis.shape[1] * (2 * w.shape[-1]) ** 2
    size = max(1, CHUNK // per_pair)
    parts = [
        _shoot(exp, *(x[i : i + size] for x in (w, y, start, basis)))
        for i in range(0, len(w), size)
    ]
    return np.concatenate([v for v, _ in parts]), np.concatenate([miss for _, miss in parts])


def _shoot(
    exp: Callable[[Array, Array], Array], w: Array, y: Array, start: Array, basis: Array
) -> tuple[Array, Array]:
    v = start.copy()
    residual = _flat(exp(w, v) - y)
    miss = np.linalg.norm(residual, axis=-1)
    damping = np.ones(len(w))
    goal = 4 * np.finfo(float).eps * np.sqrt(w.shape[-1])
    stalled = np.zeros(len(w), dtype=bool)
    for _ in range(MAX_ITERATIONS):
        rows = np.flatnonzero((miss > goal) & ~stalled)
        if not len(rows):
            break
        jacobian = _jacobian(exp, w[rows], v[rows], basis[rows])
        step = _damped_step(jacobian, residual[rows], damping[rows] * miss[rows] ** 2)
        trial = v[rows] + np.einsum("nd,ndij->nij", step, basis[rows])
        new_residual = _flat(exp(w[rows], trial) - y[rows])
        new_miss = np.linalg.norm(new_residual, axis=-1)
        better = new_miss < miss[rows]
        # At the level of rounding no step is better, and damping no longer matters.
        stalled[rows] = ~better & ((miss[rows] < 1e3 * goal) | (damping[rows] > 1e12))
        damping[rows] *= np.where(better, 0.2, 10.0)
        rows, better = rows[better], np.flatnonzero(better)
        v[rows], residual[rows], miss[rows] = trial[better], new_residual[better], new_miss[better]
    return v, miss


def _flat(x: Array) -> Array:
    return x.reshape(*x.shape[:-2], -1)


def _jacobian(exp: Callable[[Array, Array], Array], w: Array, v: Array, basis: Array) -> Array:
    """Derivative of exp along the basis, shape (n, AB, d)."""
    shifted = v[:, None] + 1j * STEP * basis
    there = exp(np.broadcast_to(w[:, None], shifted.shape), shifted)
    return np.swapaxes(_flat(there.imag / STEP), -2, -1)


def _damped_step(jacobian: Array, residual: Array, damping: Array) -> Array:
    """Minimise ``|J s + r|^2 + damping |s|^2``, one system for each pair."""
    d = jacobian.shape[-1]
    normal = np.swapaxes(jacobian, -2, -1) @ jacobian + damping[:, None, None] * np.eye(d)
    gradient = np.swapaxes(jacobian, -2, -1) @ residual[..., None]
    return -np.linalg.solve(normal, gradient)[..., 0]
