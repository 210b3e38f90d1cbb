"""Exponential maps and retractions: Table VIII."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, with_argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.manifolds import (
    CURVED,
    GEOMETRY,
    RADIUS,
    STIEFEL_RETRACTION,
    size_of,
)

__all__ = ["ENTRIES", "table8"]

_HERE = "fgmanifolds.verify.statements.exponentials"


def printed_exp(kind: str, w: Array, v: Array) -> Array:
    """Exponential maps as printed in Table VIII."""
    if kind != "stiefel":
        size = np.linalg.norm(v) if kind == "sphere" else np.linalg.norm(v, axis=0)
        with np.errstate(invalid="ignore"):
            return w * np.cos(size) + v * (np.sin(size) / size)
    a, columns = w.T @ v, w.shape[1]
    block = np.block([[a, -v.T @ v], [np.eye(columns), a]])
    return np.hstack([w, v]) @ expm(block)[:, :columns] @ expm(-a)


def printed_retraction(kind: str, w: Array, v: Array) -> Array:
    """Retractions as printed in Table VIII: the Q factor of any QR decomposition."""
    if kind == "stiefel":
        return np.asarray(np.linalg.qr(w + v)[0])
    return reference.nearest(kind, w + v)


def table8(*, seed: int = 0) -> Finding:
    """Check Table VIII: exponential maps against the geodesic equation, and retractions."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for component in CURVED:
        kind, name = component.kind, type(component).__name__
        w = component.random_point(rng)
        v = 1.2 * component.random_tangent_vector(w, rng)
        exact = reference.geodesic(kind, w, v, np.array([0.5, 1.0]))[-1]
        off = size_of(printed_exp(kind, w, v) - exact)
        found.below(RIGHT, f"{name}: printed exp off the geodesic", off, 1e-7)
        still = printed_exp(kind, w, 0 * v) - w
        defined = float(np.all(np.isfinite(still)))
        if kind == "stiefel":
            found.near(RIGHT, f"{name}: printed exp is defined at 0", defined, 1, 0)
            places = [component.random_point(rng) for _ in range(8)]  # it depends on signs
            turned = max(size_of(printed_retraction(kind, x, 0 * v) - x) for x in places)
            found.below(PRINTED, f"{name}: printed retraction of 0 off by", turned, 1e-12)
            found.above(RIGHT, f"{name}: that of numpy's Q", turned, 0.1)
        else:
            found.near(PRINTED, f"{name}: printed exp is defined at 0", defined, 1, 0)
        large = component.with_radius(RADIUS)
        off = size_of(component.exp(w, v) - exact)
        off = max(off, size_of(large.exp(RADIUS * w, RADIUS * v) - RADIUS * exact))
        found.below(CODE, f"{name}: our exp off the geodesic", off, 1e-7)
        normalised = reference.nearest(kind, w + v)
        off = size_of(component.retraction(w, v) - normalised)
        off = max(off, size_of(large.retraction(RADIUS * w, RADIUS * v) - RADIUS * normalised))
        found.below(CODE, f"{name}: our retraction off by", off, 1e-12)
        gap = size_of(reference.nearest(kind, w + 1e-3 * v) - component.exp(w, 1e-3 * v))
        found.below(RIGHT, f"{name}: retraction off the geodesic, over t^2", gap / 1e-6, 1.5)
        found.below(CODE, f"{name}: exp(0) off by", size_of(component.exp(w, 0 * v) - w), 1e-12)
    return found.finding(
        "Table VIII",
        "Exponential maps and retractions.",
        "The printed maps of sphere and oblique manifold are 0 / 0 for the zero vector, and the Q "
        "factor needs a positive diagonal of R, or the retraction of 0 is another point; the "
        "Stiefel map is the geodesic of the embedded metric.",
        corrected=True,
    )


SPHERE_EXP = Fault(
    "sphere-exp-backwards",
    PACKAGE,
    "Sphere.exp runs backwards",
    f"{GEOMETRY}:Sphere.exp",
    with_argument(2, np.negative),
)


ENTRIES = (
    Claim(
        "table8",
        "Table VIII",
        "Exponential maps and retractions.",
        "With a positive diagonal of R in the QR decomposition.",
        "fgmanifolds.geometry.Component.exp",
        table8,
        CORRECTED,
        "Geodesics of an embedded manifold have no tangent acceleration. The constraint "
        "$q(w, w) = c$ differentiated twice gives $q(w, \\ddot w) = -q(\\dot w, \\dot w)$, an "
        "ordinary differential equation that the maps must solve. A retraction must give w for "
        "v = 0 and agree with the geodesic to first order.",
        (
            Fault(
                "table8-stiefel-sign",
                FORMULA,
                "the printed Stiefel map with the other sign of v",
                f"{_HERE}:printed_exp",
                lambda f: lambda kind, w, v: f(kind, w, -v if kind == "stiefel" else v),
            ),
            Fault(
                "table8-positive-diagonal",
                FORMULA,
                "the printed QR decomposition with a positive diagonal",
                f"{_HERE}:printed_retraction",
                lambda f: lambda kind, w, v: reference.nearest(kind, w + v),
            ),
            SPHERE_EXP,
            STIEFEL_RETRACTION,
        ),
    ),
)
