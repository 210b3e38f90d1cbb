"""Checks of points, tangent spaces and how they lie in the embedding space."""

from __future__ import annotations

import numpy as np

from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Measured, Skipped, Slope, above, measured_order, worst

__all__ = ["CHECKS"]

#: Entries of a point up to which ranks are taken.
LARGE = 300
STEPS = (0.08, 0.04, 0.02, 0.01)


def random_points(case: Case) -> Measured:
    """Random points are on the manifold, and of a point's shape."""
    case.manifold.check_point(case.point, tol=1e-12)
    return Measured(float(case.manifold.residual(case.point)), 1e-12)


def nearest_points(case: Case) -> Measured:
    """The nearest point is on the manifold, its own nearest point, and a critical one."""
    m = case.manifold
    matrix = case.combine((1.0, case.point), (0.1, case.matrix()))
    nearest = m.nearest_point(matrix)
    again = case.gap(m.nearest_point(nearest), nearest)
    difference = case.flat(case.combine((1.0, matrix), (-1.0, nearest)))
    # The tangent space, whatever the metric, is the image of the projection.
    normal = max(abs(float(difference @ case.flat(case.tangent(nearest, 1.0)))) for _ in range(3))
    return Measured(worst(float(m.residual(nearest)), again, normal), 1e-10)


def projections(case: Case) -> Measured:
    """The projection is idempotent, and self-adjoint in the metric."""
    m, a, b = case.manifold, case.matrix(), case.matrix()
    pa, pb = m.projection(case.point, a), m.projection(case.point, b)
    once = case.gap(m.projection(case.point, pa), pa)
    left, right = m.inner_product(case.point, pa, b), m.inner_product(case.point, a, pb)
    size = abs(m.inner_product(case.point, a, a)) + abs(m.inner_product(case.point, b, b))
    return Measured(worst(once, abs(left - right) / size), 1e-10)


def dimension(case: Case) -> Measured:
    """The rank of the projection is the dimension."""
    m = case.manifold
    basis = m._unit_matrices()
    size = len(case.flat(case.point))
    if size > LARGE:
        raise Skipped(f"{size} entries")
    images = case.flat(m.projection(case.point, basis))
    scaled = images / np.linalg.norm(case.flat(basis), axis=-1, keepdims=True)
    return Measured(abs(float(np.linalg.matrix_rank(scaled, tol=1e-8)) - m.dim), 0.0)


def tangents(case: Case) -> Measured:
    """Tangent vectors drawn at random, and zero, are tangent; what is normal is not."""
    m = case.manifold
    m.check_tangent(case.point, m.zero_vector(case.point))
    vector = m.random_tangent_vector(case.point, case.rng)
    if m.dim and abs(float(m.norm(case.point, vector)) - 1) > 1e-12:
        return Measured(abs(float(m.norm(case.point, vector)) - 1), 1e-12)
    normal = case.combine((1.0, a := case.matrix()), (-1.0, m.projection(case.point, a)))
    if np.linalg.norm(case.flat(normal)) > 1e-8 and m.is_tangent(case.point, normal):
        return Measured(float("inf"), 1e-12)
    return Measured(float(m.tangent_residual(case.point, vector)), 1e-12)


def curves_are_tangent(case: Case) -> Slope:
    """What a curve on the manifold has of normal velocity vanishes."""
    case.moving()
    m, v = case.manifold, case.tangent(length=1.0)

    def error(t: float) -> float:
        ahead = m.retraction(case.point, case.combine((t, v)))
        behind = m.retraction(case.point, case.combine((-t, v)))
        velocity = case.combine((0.5 / t, ahead), (-0.5 / t, behind))
        return above(case.gap(m.projection(case.point, velocity), velocity), case.noise / t)

    return Slope(measured_order(error, STEPS), 2.0)


def second_fundamental_forms(case: Case) -> Measured:
    """II is symmetric and normal, and dual to the Weingarten map."""
    case.moving()
    m, w = case.manifold, case.point
    u, v = case.tangent(), case.tangent()
    form = m.second_fundamental_form(w, u, v)
    symmetric = case.gap(form, m.second_fundamental_form(w, v, u))
    tangent = float(np.max(np.abs(case.flat(m.projection(w, form)))))
    normal = case.combine((1.0, a := case.matrix()), (-1.0, m.projection(w, a)))
    left = m.inner_product(w, m.weingarten(w, u, normal), v)
    right = m.inner_product(w, form, normal)
    return Measured(worst(symmetric, tangent, abs(left - right) / case.scale**2), 1e-11)


def geodesic_acceleration(case: Case) -> Slope:
    """The second derivative of a geodesic is II of its velocity."""
    case.moving()
    m, v = case.manifold, case.tangent(length=1.0)
    form = m.second_fundamental_form(case.point, v, v)

    def error(t: float) -> float:
        ahead = m.exp(case.point, case.combine((t, v)))
        behind = m.exp(case.point, case.combine((-t, v)))
        second = case.combine((t**-2, ahead), (-2 * t**-2, case.point), (t**-2, behind))
        return above(case.gap(second, form), case.noise / t**2)

    return Slope(measured_order(error, (0.16, 0.08, 0.04)), 2.0)


CHECKS: dict[str, Check] = {
    "random points": random_points,
    "nearest points": nearest_points,
    "projections": projections,
    "dimension": dimension,
    "tangent vectors": tangents,
    "curves are tangent": curves_are_tangent,
    "second fundamental form": second_fundamental_forms,
    "geodesic acceleration": geodesic_acceleration,
}
