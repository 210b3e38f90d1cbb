"""Logarithms on tall Stiefel manifolds: shooting from several starts.

Shooting starts at the projected difference of the points. Beyond the injectivity radius there
may be several geodesics; the one found from there is nearly always the shortest of those found
from random starts. Pairs that are missed are shot at again from other starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array, sym, transposed
from fgmanifolds.geometry.logarithms.shooting import shoot
from fgmanifolds.geometry.stiefel_frames import stiefel_basis

__all__ = ["stiefel_log", "uncertified"]

Exp = Callable[[Array, Array], Array]

#: How far a geodesic may miss its goal, at unit radius.
MISS = 1e-11
#: Starts after the first one, at most.
RESTARTS = 20
#: Deviation of ``w^T w`` from the identity up to which a matrix is taken for a point.
OFF = 1e-6


def stiefel_log(exp: Exp, w: Array, y: Array) -> Array:
    """Shortest tangent vector found from each point of `w` to that of `y`, at unit radius.

    Parameters
    ----------
    exp : callable
        Exponential map of a metric.
    w, y : array of shape (..., A, B), A > B >= 2

    Raises
    ------
    ValueError
        If a matrix is not on the manifold, or no geodesic is found for a pair.
    """
    shape = w.shape
    rows, columns = shape[-2:]
    w, y = (x.reshape(-1, rows, columns) for x in (w, y))
    if not len(w):
        return np.zeros(shape)
    _check_points(w, y)
    span = None
    if rows > 2 * columns:
        # The geodesic stays in the span of both points: a totally geodesic St(2B, B).
        span = np.linalg.qr(np.concatenate([w, y], axis=-1))[0]
        w, y = transposed(span) @ w, transposed(span) @ y
    v, miss = _shot(exp, w, y)
    lost = np.flatnonzero(~(miss <= MISS))
    if len(lost):
        raise ValueError(
            f"no geodesic was found for {len(lost)} of {len(miss)} pairs of points "
            f"({_listed(lost)}; worst miss {miss.max():.3g})."
        )
    return (v if span is None else span @ v).reshape(shape)


def _shot(exp: Exp, w: Array, y: Array) -> tuple[Array, Array]:
    """Shoot at all pairs from the projected difference; at those missed from turned starts."""
    basis = stiefel_basis(w)
    start = y - w - w @ sym(transposed(w) @ (y - w))
    best, miss = shoot(exp, w, y, start, basis)
    rng = np.random.default_rng(0)
    for _ in range(RESTARTS):
        rows = np.flatnonzero(~(miss <= MISS))
        if not len(rows):
            break
        turned = rng.standard_normal(basis[rows].shape[:2]) / np.sqrt(basis.shape[1])
        first = start[rows] + np.einsum("nd,ndij->nij", turned, basis[rows])
        v, new_miss = shoot(exp, w[rows], y[rows], first, basis[rows])
        found = new_miss <= MISS
        best[rows[found]], miss[rows[found]] = v[found], new_miss[found]
    return best, miss


def _check_points(w: Array, y: Array) -> None:
    """Raise ``ValueError`` before any shooting where there is nothing to hit."""
    for name, x in (("point_a", w), ("point_b", y)):
        deviation = np.linalg.norm(transposed(x) @ x - np.eye(x.shape[-1]), axis=(-2, -1))
        off = np.flatnonzero(~(deviation <= OFF))
        if len(off):
            raise ValueError(
                f"{name} is not on the manifold in {len(off)} of {len(x)} pairs ({_listed(off)}; "
                f"deviation of w^T w from I {deviation.max():.3g}, at most {OFF:g} is allowed)."
            )


def uncertified(length: Array, certified: Any, reach: float) -> ValueError:
    """Error of pairs whose geodesic is not known to be the shortest."""
    far = np.flatnonzero(~certified)
    return ValueError(
        f"{len(far)} of {certified.size} geodesics ({_listed(far)}) are longer than the "
        f"injectivity radius ({length.max():.4g} > {reach:.4g} at unit radius), so that a shorter "
        "one may exist: the distance is not certified. certify=False gives the shortest found."
    )


def _listed(rows: Any) -> str:
    shown = ", ".join(str(row) for row in rows[:5])
    return f"pairs {shown}{', ...' if len(rows) > 5 else ''}"
