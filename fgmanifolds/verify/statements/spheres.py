"""Spheres of a radius: (32), (33) and the projection of Appendix C.A."""

from __future__ import annotations

import numpy as np

from fgmanifolds.geometry import Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, FAILS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, instead, with_argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.exponentials import SPHERE_EXP
from fgmanifolds.verify.statements.manifolds import SPHERE_POINT, SPHERE_PROJECTION, size_of

__all__ = ["ENTRIES", "complexity_projection", "eq32", "eq33"]

_HERE = "fgmanifolds.verify.statements.spheres"


def printed_norm(radius: float) -> float:
    """Norm of a point by the printed definition, norm^2 = R."""
    return float(np.sqrt(radius))


def right_norm(radius: float) -> float:
    """Norm of a point of a sphere of a radius."""
    return radius


def _not_closed(w: Array, v: Array, radius: float) -> float:
    """Distance of a great circle's end from its start, after the length 2 pi R."""
    length = 2 * np.pi * radius
    return size_of(reference.geodesic("sphere", w, v, np.array([0.0, length]))[-1] - w)


def eq32(*, seed: int = 0) -> Finding:
    """Check (32): of the sphere of radius R, great circles have the length 2 pi R."""
    rng = np.random.default_rng(seed)
    radius, found = 3.0, Evidence()
    unit = reference.nearest("sphere", rng.standard_normal((3, 3)))
    v = reference.nearest("sphere", reference.tangent_part("sphere", unit, rng.random((3, 3))))
    for name, value in (("printed", printed_norm(radius)), ("right", right_norm(radius))):
        form = PRINTED if name == "printed" else RIGHT
        found.note(f"{name}: norm of a point", value)
        gap = _not_closed(value * unit, v, radius)
        found.below(form, f"{name}: gap of a great circle of length 2 pi R", gap, 1e-6)
    length = 2 * np.pi * printed_norm(radius)
    gap = size_of(
        reference.geodesic("sphere", printed_norm(radius) * unit, v, np.array([0.0, length]))[-1]
        - printed_norm(radius) * unit
    )
    found.below(RIGHT, "printed: gap after 2 pi R^(1/2)", gap, 1e-6)
    sphere = Sphere(3, 3, radius=radius)
    point = sphere.random_point(rng)
    x, y = (sphere.random_tangent_vector(point, rng) for _ in range(2))
    found.near(CODE, "norm of a point of Sphere", size_of(point), radius, 1e-12)
    curvature = sphere.sectional_curvature(point, x, y) * radius**2
    found.near(CODE, "curvature of Sphere times R^2", curvature, 1, 1e-9)
    half = float(sphere.dist(point, -point)) / (np.pi * radius)
    found.near(CODE, "distance of antipodes over pi R", half, 1, 1e-9)
    return found.finding(
        "(32)",
        "Weights are scaled to a sphere whose radius is R.",
        "norm^2 = R and 'R is the radius' exclude each other unless R = 1; the radius is R.",
        corrected=True,
    )


def printed_scaled_exp(w: Array, v: Array, radius: float) -> Array:
    """Eq. (33) as printed."""
    size = float(np.linalg.norm(v))
    return w * np.cos(size * radius) + radius * v / size * np.sin(size * radius)


def right_scaled_exp(w: Array, v: Array, radius: float) -> Array:
    """Exponential map of the sphere of a radius, by homothety."""
    size = float(np.linalg.norm(v))
    return w * np.cos(size / radius) + radius * v / size * np.sin(size / radius)


def printed_scaled_projection(w: Array, mu: Array, radius: float) -> Array:
    """The projection printed beside (33), (I R - w w^T) mu, for a column w."""
    return radius * mu - w @ (w.T @ mu)


def eq33(*, seed: int = 0) -> Finding:
    """Check (33), the exponential map at radius R, against the geodesic equation."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    worst = dict.fromkeys(("printed", "power", "right", "code", "unit"), 0.0)
    for radius in (2.0, 0.5):
        sphere = Sphere(5, 1, radius=radius)
        w = radius * reference.nearest("sphere", rng.standard_normal((5, 1)))
        v = 0.9 * sphere.random_tangent_vector(w, rng)
        exact = reference.geodesic("sphere", w, v, np.array([0.0, 1.0]))[-1]
        off = {
            "printed": printed_scaled_exp(w, v, radius) - exact,
            "power": printed_scaled_exp(w, v, radius) - right_scaled_exp(w, radius**2 * v, radius),
            "right": right_scaled_exp(w, v, radius) - exact,
            "code": sphere.exp(w, v) - exact,
            "unit": printed_scaled_exp(w / radius, v, 1.0) - Sphere(5, 1).exp(w / radius, v),
        }
        worst = {key: max(value, size_of(off[key])) for key, value in worst.items()}
    found.below(PRINTED, "printed: off the geodesic", worst["printed"], 1e-7)
    found.below(RIGHT, "printed: off Exp(R^2 v)", worst["power"], 1e-9)
    found.below(RIGHT, "printed: off the geodesic at R = 1", worst["unit"], 1e-9)
    found.below(RIGHT, "corrected: off the geodesic", worst["right"], 1e-7)
    found.below(CODE, "Sphere.exp: off the geodesic", worst["code"], 1e-7)
    mu = rng.standard_normal((5, 1))
    tangent = reference.tangent_part("sphere", w, mu)
    off_printed = size_of(printed_scaled_projection(w, mu, radius) - tangent)
    found.above(RIGHT, "printed projection (I R - w w^T) mu: off by", off_printed, 0.1)
    return found.finding(
        "(33)",
        "The exponential map of the scaled sphere.",
        "The printed map stays on the sphere of radius R but is Exp(R^2 v); right is "
        "w cos(|v| / R) + R v / |v| sin(|v| / R). Its projection (I R - w w^T) is wrong as well.",
        corrected=True,
    )


def printed_complexity_projection(w: Array, mu: Array) -> Array:
    """The projection on the sphere printed in Appendix C.A."""
    return (1 - np.linalg.norm(w) ** 2) * mu


def complexity_projection(*, seed: int = 0) -> Finding:
    """Check the projection on the sphere of Appendix C.A, (1 - norm(w)^2) mu."""
    rng = np.random.default_rng(seed)
    sphere, found = Sphere(3, 3), Evidence()
    w, mu = reference.nearest("sphere", rng.standard_normal((3, 3))), rng.random((3, 3)) + 1.0
    exact = reference.tangent_part("sphere", w, mu)
    printed = printed_complexity_projection(w, mu)
    found.below(PRINTED, "printed: off by", size_of(printed - exact), 1e-9)
    found.below(RIGHT, "norm of the printed projection", size_of(printed), 1e-9)
    right = mu - w * np.sum(w * mu)
    found.below(RIGHT, "mu - w <w, mu>: off by", size_of(right - exact), 1e-12)
    found.below(CODE, "Sphere.projection: off by", size_of(sphere.projection(w, mu) - exact), 1e-12)
    return found.finding(
        "C.A, projection on the sphere",
        "Gradients are projected by (1 - norm(w)^2) mu.",
        "It is zero for every gradient.",
        (w, mu),
        beyond_repair=True,
    )


ENTRIES = (
    Claim(
        "eq32",
        "(32)",
        "The sphere with |w|^2 = R, of radius R.",
        "|w| = R.",
        "fgmanifolds.geometry.Sphere",
        eq32,
        CORRECTED,
        "A great circle of a sphere of radius R closes after the length $2 \\pi R$. On the set "
        "$\\|w\\|^2 = R$ it closes after $2 \\pi \\sqrt R$: the radius of that set is its root.",
        (
            Fault(
                "eq32-printed-right",
                FORMULA,
                "the printed definition replaced by the right one",
                f"{_HERE}:printed_norm",
                instead(lambda radius: radius),
            ),
            Fault(
                "eq32-right-square",
                FORMULA,
                "the right norm squared",
                f"{_HERE}:right_norm",
                instead(lambda radius: radius**2),
            ),
            SPHERE_POINT,
        ),
    ),
    Claim(
        "eq33",
        "(33)",
        "Exponential map of the scaled sphere.",
        "w cos(|v| / R) + R v / |v| sin(|v| / R).",
        "fgmanifolds.geometry.Sphere.exp",
        eq33,
        CORRECTED,
        "By homothety $\\exp_w(v) = R \\exp_{w/R}(v/R)$ with the map of the unit sphere. The "
        "printed map has the angle $\\|v\\| R$ in place of $\\|v\\| / R$: R^2 times the speed.",
        (
            Fault(
                "eq33-printed-sign",
                FORMULA,
                "the printed map with a minus before its second term",
                f"{_HERE}:printed_scaled_exp",
                with_argument(1, np.negative),
            ),
            Fault(
                "eq33-printed-right",
                FORMULA,
                "the printed map replaced by the right one",
                f"{_HERE}:printed_scaled_exp",
                lambda f: right_scaled_exp,
            ),
            Fault(
                "eq33-right-sign",
                FORMULA,
                "the right map with a minus before its second term",
                f"{_HERE}:right_scaled_exp",
                with_argument(1, np.negative),
            ),
            SPHERE_EXP,
        ),
    ),
    Claim(
        "c-a-projection",
        "Appendix C.A",
        "Gradients on the sphere are projected by (1 - |w|^2) mu.",
        "mu - w <w, mu>.",
        "fgmanifolds.geometry.Sphere.projection",
        complexity_projection,
        FAILS,
        "On the unit sphere $1 - \\|w\\|^2 = 0$, so that nothing is left of any gradient.",
        (
            Fault(
                "c-a-printed-right",
                FORMULA,
                "the printed projection replaced by the right one",
                f"{_HERE}:printed_complexity_projection",
                instead(lambda w, mu: mu - w * np.sum(w * mu)),
            ),
            Fault(
                "c-a-printed-half",
                FORMULA,
                "the printed factor 1 - norm(w)^2 / 2",
                f"{_HERE}:printed_complexity_projection",
                lambda f: lambda w, mu: f(w / 2**0.5, mu),
            ),
            SPHERE_PROJECTION,
        ),
    ),
)
