"""Checks of curvature: its symmetries, its size by distances, its bounds and its traces."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Measured, Skipped, Slope, above, measured_order, worst

__all__ = ["CHECKS"]

#: Dimension up to which traces are summed.
LARGE = 60
PLANES = 20


def symmetries(case: Case) -> Measured:
    """Antisymmetric in two pairs, symmetric under their exchange, the first Bianchi identity."""
    case.moving()
    m, x = case.manifold, case.point
    a, b, c, d = (case.tangent(length=1.0) for _ in range(4))

    def form(*vectors: object) -> float:
        return float(m.curvature_form(x, *vectors)) / case.scale**2

    cyclic = [m.riemann_tensor(x, *v) for v in ((a, b, c), (b, c, a), (c, a, b))]
    off = [
        form(a, b, c, d) + form(b, a, c, d),
        form(a, b, c, d) + form(a, b, d, c),
        form(a, b, c, d) - form(c, d, a, b),
        np.max(np.abs(case.flat(case.combine(*((1.0, v) for v in cyclic))))),
        case.gap(m.projection(x, cyclic[0]), cyclic[0]),
    ]
    return Measured(worst(*(abs(float(value)) for value in off)), 1e-10)


def spreading(case: Case) -> Slope:
    """Geodesics spread as the curvature says, measured by distances alone.

    ``d(exp(t u), exp(t v))^2 / t^2 = |u - v|^2 - t^2 <R(u, v) v, u> / 3``, up to t^4 once
    it is averaged over t and -t.
    """
    case.moving()
    m, x = case.manifold, case.point
    pairs = [(case.tangent(length=1.0), case.tangent(length=1.0)) for _ in range(3)]
    apart = [float(m.norm(x, case.combine((1, u), (-1, v)))) ** 2 for u, v in pairs]
    bend = [float(m.curvature_form(x, u, v, v, u)) for u, v in pairs]

    def square(t: float, u: Any, v: Any) -> float:
        return float(m.dist(m.exp(x, case.combine((t, u))), m.exp(x, case.combine((t, v))))) ** 2

    def error(t: float) -> float:
        means = [0.5 * (square(t, *pair) + square(-t, *pair)) / t**2 for pair in pairs]
        rest = zip(means, apart, bend, strict=True)
        off = worst(*(abs(mean - a + t**2 * b / 3) for mean, a, b in rest)) / case.scale**2
        return above(off, case.noise / t**2)

    return Slope(measured_order(error, (0.4, 0.2, 0.1)), 4.0)


def bounds(case: Case) -> Measured:
    """Random planes are within the bounds, and the extremal planes attain them."""
    m = case.manifold
    low, high = m.sectional_curvature_bounds
    if m.dim < 2:
        return Measured(abs(low) + abs(high), 0.0)
    size = max(abs(low), abs(high)) or 1.0
    values = []
    for _ in range(PLANES):
        point = m.random_point(case.rng)
        values.append(m.sectional_curvature(point, case.tangent(point), case.tangent(point)))
    outside = max(low - min(values), max(values) - high) / size
    planes = m.extremal_planes()
    attained = [
        abs(m.sectional_curvature(*plane) - bound) / size
        for plane, bound in zip(planes, (low, high), strict=True)
    ]
    return Measured(worst(outside, *attained), 1e-9)


def traces(case: Case) -> Measured:
    """Ricci and scalar curvature are traces over a basis."""
    case.moving()
    m, x = case.manifold, case.point
    if m.dim > LARGE:
        raise Skipped(f"dimension {m.dim}")
    u, v = case.tangent(), case.tangent()
    basis = [m.vector(x, row) for row in np.eye(m.dim)]
    ricci = sum(float(m.curvature_form(x, e, u, v, e)) for e in basis)
    scalar = sum(float(m.curvature_form(x, e, f, f, e)) for e in basis for f in basis)
    # Ricci curvatures do not depend on the radius; scalar curvatures do.
    off = abs(float(m.ricci_curvature(x, u, v)) - ricci) / (1 + abs(ricci))
    small = min(m._each(lambda c: float(np.min(c.radii)))) ** 2
    other = small * abs(float(m.scalar_curvature(x)) - scalar) / (1 + small * abs(scalar))
    return Measured(worst(off, other), 1e-9)


def degenerate_planes(case: Case) -> Measured:
    """Parallel and zero vectors span no plane: nan, with a warning."""
    case.moving()
    m, u = case.manifold, case.tangent()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = m.sectional_curvature(case.point, u, case.combine((2.0, u)))
    told = any(issubclass(w.category, RuntimeWarning) for w in caught)
    return Measured(0.0 if np.isnan(value) and told else 1.0, 0.0)


def non_tangent_vectors(case: Case) -> Measured:
    """Vectors that are not tangent are refused, by their name."""
    case.moving()
    m, u = case.manifold, case.tangent()
    normal = case.combine((1.0, a := case.matrix()), (-1.0, m.projection(case.point, a)))
    if float(np.linalg.norm(case.flat(normal))) < 1e-8:
        raise Skipped("every vector is tangent")
    try:
        m.sectional_curvature(case.point, u, normal)
    except ValueError as error:
        return Measured(0.0 if "v is not tangent" in str(error) else 1.0, 0.0)
    return Measured(1.0, 0.0)


CHECKS: dict[str, Check] = {
    "curvature symmetries": symmetries,
    "spreading of geodesics": spreading,
    "curvature bounds": bounds,
    "curvature traces": traces,
    "degenerate planes": degenerate_planes,
    "vectors that are not tangent": non_tangent_vectors,
}
