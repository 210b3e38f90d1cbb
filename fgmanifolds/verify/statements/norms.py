"""Norms of weights and groups: Tables II and IV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgmanifolds import capacity
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.layers import KINDS, matrix_norms

__all__ = ["ENTRIES", "norms_of_groups", "table2_and_4"]

_HERE = "fgmanifolds.verify.statements.norms"

#: Kernels of the paper's networks, and a larger matrix.
SHAPES = ((3, 3), (7, 7), (12, 5))


def printed_norms(kind: str, columns: int) -> dict[str, float | None]:
    """Entries of Table II; None for the top singular value of the weight, which says nothing."""
    fourth, root = columns**0.25, columns**0.5
    return {
        "sphere": {"spectral": None, "frobenius": 1.0, "rows": 1.0},
        "stiefel": {"spectral": 1.0, "frobenius": root, "rows": fourth},
        "oblique": {"spectral": None, "frobenius": root, "rows": fourth},
    }[kind]


def right_rows(kind: str, a: int, b: int) -> tuple[float, float]:
    """Range of the row-sum norm over each manifold."""
    highest = {"sphere": a**0.5}.get(kind, (a * b) ** 0.5)
    return {"sphere": 1.0, "oblique": b**0.5, "stiefel": float(b)}[kind], highest


def _extremes(kind: str, a: int, b: int) -> tuple[Array, Array]:
    """Points of least and of largest row-sum norm."""
    first = np.zeros((a, b))
    first[0] = 1.0
    low = {"sphere": first / b**0.5, "oblique": first, "stiefel": np.eye(a, b)}[kind]
    if kind == "stiefel":  # columns of a real discrete Fourier basis: rows of nearly equal norm
        t = 2 * np.pi * np.outer(np.arange(a), np.arange(1, a // 2 + 1)) / a
        waves = np.stack([np.cos(t), np.sin(t)], axis=-1).reshape(a, -1)[:, : b - b % 2]
        high = np.hstack([waves, np.ones((a, b % 2))])
        return low, np.asarray(np.linalg.qr(high)[0] if a > b else np.linalg.qr(np.eye(a))[0])
    return low, reference.nearest(kind, np.ones((a, b)))


def table2_and_4(*, seed: int = 0) -> Finding:
    """Check Tables II and IV on random points, made without the package, and at the ends."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for kind in KINDS:
        for a, b in SHAPES:
            draws = [reference.nearest(kind, rng.standard_normal((a, b))) for _ in range(200)]
            norms = [matrix_norms(w) for w in (*draws, *_extremes(kind, a, b))]
            name, printed = f"{kind} {a} x {b}", printed_norms(kind, b)
            for key in ("frobenius", "spectral"):
                value = printed[key]
                if value is not None:
                    off = max(abs(norm[key] - value) for norm in norms)
                    found.below(RIGHT, f"{name}: printed {key} norm off by", off, 1e-9)
            rows = [norm["rows"] for norm in norms]
            wanted = printed["rows"]
            assert wanted is not None
            off = max(abs(row - wanted) for row in rows)
            found.below(PRINTED, f"{name}: printed row sum off by", off, 1e-9)
            low, high = right_rows(kind, a, b)
            found.near(RIGHT, f"{name}: least row sum", min(rows), low, 1e-9)
            tight = 1e-9 if kind != "stiefel" or a == b else 1e-2 * high
            found.between(RIGHT, f"{name}: largest row sum", max(rows), high - tight, high + 1e-9)
            ranges = capacity.norm_ranges(COMPONENTS[kind](a, b))
            off = max(abs(ranges["rows"][0] - low), abs(ranges["rows"][1] - high))
            found.below(CODE, f"{name}: norm_ranges off by", off, 1e-9)
            ours = capacity.concatenated_norms(np.array(draws))
            off = max(
                abs(float(getattr(ours, key)[i]) - norms[i][key])
                for key in ("frobenius", "spectral", "rows")
                for i in range(len(draws))
            )
            found.below(CODE, f"{name}: concatenated_norms off by", off, 1e-7)
    return found.finding(
        "Tables II, IV",
        "Norms of weights on the sphere, the Stiefel and the oblique manifold.",
        "Frobenius and spectral norms are right. The row sum is not a number but a range: sphere "
        "[1, A^(1/2)], oblique [B^(1/2), (AB)^(1/2)], Stiefel [B, (AB)^(1/2)].",
        corrected=True,
    )


def printed_mean(norms: Sequence[float]) -> float:
    """The caption's lower bound: the geometric mean of the components' norms."""
    return float(np.prod(norms) ** (1 / len(norms)))


def norms_of_groups(*, seed: int = 0) -> Finding:
    """Check that the norms of a group are at least the geometric means of its components'.

    For the spectral norm with equality where ranges are orthogonal: two Stiefel blocks on
    different rows.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    lowest = dict.fromkeys(("frobenius", "spectral", "rows"), np.inf)
    off = 0.0
    for kind in KINDS:
        for a, b in SHAPES:
            for size in (1, 2, 5, 40):
                radii = rng.uniform(0.5, 2, size)
                parts = np.array(
                    [reference.nearest(kind, rng.standard_normal((a, b)), r) for r in radii]
                )
                off = max(off, _keep_lowest(lowest, parts))
    blocks = np.zeros((2, 6, 3))
    blocks[0, :3], blocks[1, 3:] = 2 * np.eye(3), 2 * np.eye(3)
    off = max(off, _keep_lowest(lowest, blocks))
    for key, value in lowest.items():
        found.between(PRINTED, f"{key}: least norm over geometric mean", value, 1 - 1e-9, 1 + 1e-9)
    found.below(CODE, "concatenated_norms off by", off, 1e-7)
    return found.finding(
        "Table II, caption",
        "Norms of a group are at least the geometric means of the norms of its components.",
        "An upper bound is what Proposition 1 needs: the root of the sum of squares.",
    )


def _keep_lowest(lowest: dict[str, float], parts: Array) -> float:
    """Take note of the quotients; how far the package is from the norms of the matrix."""
    whole, single = matrix_norms(np.hstack(list(parts))), [matrix_norms(part) for part in parts]
    ours = capacity.concatenated_norms(parts, np.zeros(len(parts), dtype=int))
    for key in lowest:
        mean = printed_mean([norm[key] for norm in single])
        lowest[key] = min(lowest[key], whole[key] / mean)
    return max(abs(float(getattr(ours, key)[0]) / whole[key] - 1) for key in lowest)


_GROUP_NORMS = Fault(
    "norms-sum",
    PACKAGE,
    "concatenated_norms has 1.1 times the row sums",
    "fgmanifolds.capacity:concatenated_norms",
    lambda f: lambda *args, **options: _with_rows(f(*args, **options), 1.1),
)


_RANGES = Fault(
    "norm-ranges",
    PACKAGE,
    "norm_ranges has the printed row sums",
    "fgmanifolds.capacity:norm_ranges",
    lambda f: (
        lambda component: {
            **f(component),
            "rows": (component.shape[1] ** 0.25, component.shape[1] ** 0.25),
        }
    ),
)


def _with_rows(norms: capacity.Norms, factor: float) -> capacity.Norms:
    return capacity.Norms(norms.frobenius, norms.spectral, factor * norms.rows)


_TABLE2 = (
    Fault(
        "table2-frobenius",
        FORMULA,
        "the printed Frobenius norm B in place of its root",
        f"{_HERE}:printed_norms",
        lambda f: lambda kind, b: {**f(kind, b), "frobenius": 1.0 if kind == "sphere" else b},
    ),
    Fault(
        "table2-right-low",
        FORMULA,
        "the row sums of Stiefel from B^(1/2) on",
        f"{_HERE}:right_rows",
        lambda f: (
            lambda kind, a, b: (b**0.5 if kind == "stiefel" else f(kind, a, b)[0], f(kind, a, b)[1])
        ),
    ),
    _GROUP_NORMS,
    _RANGES,
)


_WHY_ROWS = (
    "The row-sum norm is $\\sum_i \\|w_{i\\cdot}\\|$ with squares that sum to the squared "
    "Frobenius norm: at most $\\sqrt A$ times that, for equal rows, and at least that, for one "
    "row. On a Stiefel manifold no row is longer than 1, so that it is at least B."
)


def _table2(name: str, where: str, printed: str, right: str) -> Claim:
    code = "fgmanifolds.capacity.norm_ranges"
    return Claim(name, where, printed, right, code, table2_and_4, CORRECTED, _WHY_ROWS, _TABLE2)


ENTRIES = (
    _table2(
        "table2",
        "Table II",
        "Row-sum norms 1, B^(1/4), B^(1/4) of sphere, Stiefel and oblique manifold.",
        "Ranges: [1, A^(1/2)], [B, (AB)^(1/2)], [B^(1/2), (AB)^(1/2)].",
    ),
    Claim(
        "table2-caption",
        "Table II, caption",
        "Norms of a group are at least the geometric means of its components' norms.",
        "",
        "fgmanifolds.capacity.concatenated_norms",
        norms_of_groups,
        HOLDS,
        "A matrix has at least the norm of each of its blocks, hence at least the largest of "
        "them, and no mean exceeds that. Equality for one component, or for blocks of equal norm "
        "whose ranges are orthogonal in the spectral norm.",
        (
            Fault(
                "caption-no-root",
                FORMULA,
                "the product of the norms without its root",
                f"{_HERE}:printed_mean",
                instead(lambda norms: float(np.prod(norms))),
            ),
            Fault(
                "caption-low",
                FORMULA,
                "1% less than the geometric mean",
                f"{_HERE}:printed_mean",
                scaled(0.99),
            ),
            _GROUP_NORMS,
        ),
    ),
    _table2("table4", "Table IV", "As Table II.", "As Table II."),
)
