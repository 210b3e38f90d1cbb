"""Logarithms on tall Stiefel manifolds: shooting from several starts.

Shooting starts at the projected difference of the points. Beyond the injectivity radius there
may be several geodesics; the one found from there is nearly always the shortest of those found
from random starts. Pairs that are missed are shot at again from other starts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import expm

from fgmanifolds.geometry.arrays import Array, sym, transposed
from fgmanifolds.geometry.logarithms.shooting import shoot
from fgmanifolds.geometry.stiefel_frames import stiefel_basis

__all__ = ["stiefel_exp", "stiefel_log", "uncertified"]

Exp = Callable[[Array, Array], Array]

#: How far a geodesic may miss its goal, at unit radius.
MISS = 1e-11
#: Starts after the first one, at most.
RESTARTS = 20
#: Metrics from the embedded to the canonical one, on the way of a geodesic.
METRICS = 9
#: Deviation of ``w^T w`` from the identity up to which a matrix is taken for a point.
OFF = 1e-6


def stiefel_exp(point: Array, tangent: Array, c: float) -> Array:
    """Geodesics of the metrics of one family: embedded for c = 0, canonical for c = -1.

    Parameters
    ----------
    point, tangent : array of shape (..., A, B)
    c : float
        In [-1, 0]; see :mod:`fgmanifolds.geometry.stiefel`.
    """
    columns = point.shape[-1]
    point, tangent = np.broadcast_arrays(point, tangent)
    a = transposed(point) @ tangent
    s = transposed(tangent) @ tangent
    eye = np.broadcast_to(np.eye(columns), a.shape)
    # Omega on the span of w and v.
    upper = np.concatenate([(1 + c) * a, c * a @ a - s], axis=-1)
    block = np.concatenate([upper, np.concatenate([eye, a], axis=-1)], axis=-2)
    moved = np.concatenate([point, tangent], axis=-1) @ expm(block)[..., :columns]
    return moved @ expm(-(1 + c) * a) if c != -1 else moved


def stiefel_log(w: Array, y: Array, c: float) -> Array:
    """Shortest tangent vector found from each point of `w` to that of `y`, at unit radius.

    Parameters
    ----------
    w, y : array of shape (..., A, B), A > B >= 2
    c : float
        Which metric, see :func:`stiefel_exp`.

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
    v, miss = _shot(w, y, c)
    lost = np.flatnonzero(~(miss <= MISS))
    if len(lost):
        raise ValueError(
            f"no geodesic was found for {len(lost)} of {len(miss)} pairs of points "
            f"({_listed(lost)}; worst miss {miss.max():.3g})."
        )
    return (v if span is None else span @ v).reshape(shape)


def _shot(w: Array, y: Array, c: float) -> tuple[Array, Array]:
    """Shoot at all pairs from the projected difference; at those missed from other starts.

    Geodesics of the embedded metric (c = 0) are found from there. Towards c = -1 they
    change into each other: pairs that are missed follow them from metric to metric. Turned
    starts are the last resort.
    """
    basis = stiefel_basis(w)
    start = y - w - w @ sym(transposed(w) @ (y - w))
    best, miss = shoot(_exp(c), w, y, start, basis)
    for attempt in range(RESTARTS if c == 0 else RESTARTS + 1):
        rows = np.flatnonzero(~(miss <= MISS))
        if not len(rows):
            break
        pairs = w[rows], y[rows], start[rows], basis[rows]
        if attempt == 0 and c != 0:
            v, new_miss = _followed(*pairs, c)
        else:
            turned = np.random.default_rng(attempt).standard_normal(basis[rows].shape[:2])
            turned = np.einsum("nd,ndij->nij", turned / np.sqrt(basis.shape[1]), basis[rows])
            v, new_miss = shoot(_exp(c), *pairs[:2], start[rows] + turned, basis[rows])
        found = new_miss <= MISS
        best[rows[found]], miss[rows[found]] = v[found], new_miss[found]
    return best, miss


def _followed(w: Array, y: Array, start: Array, basis: Array, c: float) -> tuple[Array, Array]:
    """Geodesics of the metric c, from those of the embedded metric step by step."""
    v: Array = start
    miss: Array = np.zeros(len(w))
    for share in np.linspace(0.0, 1.0, METRICS):
        v, miss = shoot(_exp(c * share), w, y, v, basis)
    return v, miss


def _exp(c: float) -> Exp:
    return functools.partial(stiefel_exp, c=c)


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
    """Error of pairs whose geodesic is not known to be the shortest.

    Parameters
    ----------
    length : array
        Lengths at unit radius.
    certified : array of bool
    reach : float
        Injectivity radius.
    """
    far = np.flatnonzero(~certified)
    return ValueError(
        f"{len(far)} of {certified.size} geodesics ({_listed(far)}) are longer than the "
        f"injectivity radius ({length.max():.4g} > {reach:.4g} at unit radius), so that a shorter "
        "one may exist: the distance is not certified. certify=False gives the shortest found."
    )


def _listed(rows: Any) -> str:
    shown = ", ".join(str(row) for row in rows[:5])
    return f"pairs {shown}{', ...' if len(rows) > 5 else ''}"
