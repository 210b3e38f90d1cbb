"""Distances on products, (21)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fgmanifolds.geometry import Oblique, ScaledProductManifold, Sphere
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.theorem1 import OF_PRODUCT, PRODUCT

__all__ = ["ENTRIES", "eq21"]

_HERE = "fgmanifolds.verify.statements.distances"


def printed_distance(parts: Sequence[float]) -> float:
    """(21): the distance as the sum of the components' distances."""
    return float(sum(parts))


def right_distance(parts: Sequence[float]) -> float:
    """The Riemannian distance: the root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(parts))))


def eq21(*, seed: int = 0) -> Finding:
    """Check (21) against the length of a shortest curve, measured by its chords."""
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1), Oblique(3, 2)], [1, 2, 1])
    start = product.random_point(rng)
    vector = product.random_tangent_vector(start, rng)
    ends = [product.exp(start, t * vector) for t in np.linspace(0, 1, 501)]
    chords = np.array(
        [
            [float(np.linalg.norm(a - b)) for a, b in zip(x, y, strict=True)]
            for x, y in pairwise(ends)
        ]
    )
    length, parts = float(np.sum(np.linalg.norm(chords, axis=1))), chords.sum(axis=0)
    found = Evidence()
    found.note("length of the geodesic, measured", length)
    found.near(PRINTED, "(21), the sum", printed_distance(list(parts)), length, 1e-5)
    found.near(RIGHT, "root of the sum of squares", right_distance(list(parts)), length, 1e-5)
    found.near(
        CODE, "dist, the root of the sum of squares", product.dist(start, ends[-1]), length, 1e-5
    )
    ours = float(product.geodesic_distance(start, ends[-1]))
    found.near(CODE, "geodesic_distance, the sum", ours, float(parts.sum()), 1e-5)
    ratio = float(parts.sum()) / length
    found.between(RIGHT, "the sum over the length", ratio, 1.0, np.sqrt(3) + 1e-9)
    return found.finding(
        "(21)",
        "The distance on a product is the sum of the components' distances.",
        "The distance of the metric (10) is the root of the sum of squares (dist); the sum "
        "(geodesic_distance) is at least that, at most sqrt(k) times it, and a metric of its own.",
        corrected=True,
    )


ENTRIES = (
    Claim(
        "eq21",
        "(21)",
        "The distance is the sum of the components' distances.",
        "The Riemannian distance is the root of the sum of squares.",
        f"{PRODUCT}.geodesic_distance, {PRODUCT}.dist",
        eq21,
        CORRECTED,
        "The length of a curve is the integral of the norm of its velocity, and by (10) that is "
        "the root of the sum of squares. A geodesic of a product is one of each component, all at "
        "constant speeds $d_i$: its length is $(\\sum d_i^2)^{1/2}$, below $\\sum d_i$ if two of "
        "them move.",
        (
            Fault(
                "eq21-printed-right",
                FORMULA,
                "the printed sum replaced by the root of the sum of squares",
                f"{_HERE}:printed_distance",
                lambda f: right_distance,
            ),
            Fault(
                "eq21-right-sum",
                FORMULA,
                "the right distance without its root",
                f"{_HERE}:right_distance",
                lambda f: lambda parts: f(parts) ** 2 + 0.1,
            ),
            Fault(
                "geodesic-distance-thrice",
                PACKAGE,
                "geodesic_distance is three times the sum",
                f"{OF_PRODUCT}.geodesic_distance",
                scaled(3.0),
            ),
            Fault(
                "dist-is-sum",
                PACKAGE,
                "dist is the sum of the components' distances",
                f"{OF_PRODUCT}.dist",
                lambda f: lambda self, a, b, **_: self.geodesic_distance(a, b),
            ),
        ),
    ),
)
