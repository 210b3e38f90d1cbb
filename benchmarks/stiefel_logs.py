"""Logarithms of random pairs on large Stiefel manifolds, beside the shortest of 20 restarts.

``python benchmarks/stiefel_logs.py``: how many pairs are answered, how near the end point is, how
often the length is the shortest of those that shooting finds from 20 random starts, and how
many are certified.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from fgmanifolds import Stiefel
from fgmanifolds.geometry.arrays import Array, transposed
from fgmanifolds.geometry.logarithms.shooting import shoot
from fgmanifolds.geometry.stiefel_frames import stiefel_basis

RESTARTS = 20
CASES = ((10, 5, 100), (16, 8, 20), (27, 9, 10))


def shortest_of_restarts(manifold: Stiefel, x: Array, y: Array, seed: int = 0) -> Array:
    """Length of the shortest geodesic from starts of random directions and lengths up to 2 pi."""
    rng = np.random.default_rng(seed)
    if x.shape[-2] > 2 * x.shape[-1]:
        span = np.linalg.qr(np.concatenate([x, y], axis=-1))[0]
        x, y = transposed(span) @ x, transposed(span) @ y
    basis, best = stiefel_basis(x), np.full(len(x), np.inf)
    for _ in range(RESTARTS):
        coordinates = rng.standard_normal(basis.shape[:2])
        size = rng.uniform(0, 2 * np.pi, (len(x), 1))
        coordinates *= size / np.linalg.norm(coordinates, axis=1, keepdims=True)
        start = np.einsum("nd,ndij->nij", coordinates, basis)
        v, miss = shoot(manifold._exp, x, y, start, basis)
        best = np.minimum(best, np.where(miss <= 1e-11, manifold._length(x, v), np.inf))
    return best


def row(rows: int, columns: int, n: int, metric: str) -> str:
    """One row of the table."""
    manifold = Stiefel(rows, columns, metric=metric)
    x, y = manifold.random_point(0, n=n), manifold.random_point(1, n=n)
    start = time.perf_counter()
    v, certified = manifold.log_certified(x, y)
    seconds = (time.perf_counter() - start) / n
    end = float(np.max(np.abs(manifold.exp(x, v) - y)))
    length, best = manifold.norm(x, v), shortest_of_restarts(manifold, x, y)
    share = np.mean(length <= best * (1 + 1e-8))
    longer = float(np.max(length / best))
    return (
        f"| {metric} | {rows} x {columns} | {n} of {n} | {end:.0e} | {share:.0%} "
        f"| {longer:.3f} | {np.mean(certified):.0%} | {1e3 * seconds:.0f} |"
    )


if __name__ == "__main__":
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print("| metric | shape | answered | end point | shortest of 20 | worst | certified | ms |")
    print("|---|---|---|---|---|---|---|---|")
    for metric in ("embedded", "canonical"):
        for rows, columns, n in CASES:
            print(row(rows, columns, max(int(share * n), 1), metric), flush=True)
