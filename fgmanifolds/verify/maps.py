"""Statements on maps: Tables V, VII and VIII, eqs. (32) and (33), Appendix C.A."""

from __future__ import annotations

import numpy as np
import torch
from torch.func import jacrev

from fgmanifolds.geometry import Component, Oblique, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify.chart import constraint
from fgmanifolds.verify.finding import Finding

__all__ = ["complexity_projection", "eq32", "eq33", "table5", "table7", "table8"]

#: One of each curved class.
CURVED: tuple[Component, ...] = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3))


def _violation(component: Component, unit: Array) -> float:
    """How far a matrix is from the constraint of Table V."""
    return float(constraint(component.kind, torch.from_numpy(unit)).abs().max())


def _tangent_space(component: Component, unit: Array) -> Array:
    """Orthonormal basis of the null space of the constraint's derivative, rows of length AB."""
    jacobian = jacrev(lambda w: constraint(component.kind, w))(torch.from_numpy(unit))
    flat = jacobian.reshape(-1, unit.size).numpy()
    return np.linalg.svd(flat)[2][np.linalg.matrix_rank(flat) :]


def table5(*, seed: int = 0) -> Finding:
    """Check Table V: random points, geodesics and retractions satisfy the constraints."""
    rng = np.random.default_rng(seed)
    measured = {}
    for component in CURVED:
        point = component.random_point(rng)
        vector = component.random_tangent_vector(point, rng)
        places = (point, component.exp(point, vector), component.retraction(point, vector))
        measured[f"{component}: violation"] = max(_violation(component, w) for w in places)
    return Finding(
        "Table V",
        "The sphere, the oblique and the Stiefel manifold as sets of matrices.",
        "holds" if max(measured.values()) < 1e-12 else "fails",
        measured,
        "A point of the oblique manifold has columns of Euclidean norm 1.",
    )


def table7(*, seed: int = 0) -> Finding:
    """Check Table VII: the printed tangent spaces by their dimensions, and the projections."""
    rng = np.random.default_rng(seed)
    measured, wrong, right = {}, False, True
    for component in CURVED:
        w, mu = component.random_point(rng), rng.standard_normal(component.shape)
        basis = _tangent_space(component, w)
        exact = (basis.T @ (basis @ mu.ravel())).reshape(w.shape)
        printed = _printed_projection(component, w, mu)
        measured[f"{component}: dimension"] = float(len(basis))
        measured[f"{component}: dimension of the printed space"] = _printed_dimension(component, w)
        measured[f"{component}: printed projection off by"] = float(np.linalg.norm(printed - exact))
        ours = float(np.linalg.norm(component.projection(w, mu) - exact))
        measured[f"{component}: corrected projection off by"] = ours
        wrong |= len(basis) != _printed_dimension(component, w)
        right &= ours < 1e-10
    return Finding(
        "Table VII",
        "Tangent spaces and orthogonal projections.",
        "holds as corrected" if right else "fails",
        measured,
        "The printed rows are those of vectors, or wrong, for matrices: sphere <w, u> = 0, "
        "oblique ddiag(w^T u) = 0, Stiefel sym(w^T u) = 0. The printed projections of oblique and "
        "Stiefel manifolds are right."
        if wrong
        else "",
    )


def _printed_projection(component: Component, w: Array, mu: Array) -> Array:
    inner = w.T @ mu
    if isinstance(component, Sphere):
        return mu - w @ inner
    if isinstance(component, Oblique):
        return mu - w * np.diag(inner)
    return mu - w @ inner + w @ (0.5 * (inner - inner.T))


def _printed_dimension(component: Component, w: Array) -> float:
    """Dimension of {u: w^T u = 0} (sphere, oblique) or {u: ddiag(w^T u) = 0} (Stiefel)."""
    rows, columns = w.shape
    conditions = []
    for i in range(columns):
        for j in range(columns):
            if i == j or not isinstance(component, Stiefel):
                u = np.zeros((rows, columns))
                u[:, j] = w[:, i]
                conditions.append(u.ravel())
    return float(w.size - np.linalg.matrix_rank(np.array(conditions)))


def table8(*, seed: int = 0) -> Finding:
    """Check Table VIII: exponential maps are geodesics, retractions agree with them to first order.

    Finite differences: the acceleration of ``exp(t v)`` has no tangent part, and its
    speed is constant; ``(R(t v) - exp(t v)) / t`` goes to zero.
    """
    rng = np.random.default_rng(seed)
    measured = {}
    h = 1e-3
    for component in CURVED:
        w = component.random_point(rng)
        v = component.random_tangent_vector(w, rng)
        before, here, after = (component.exp(w, t * v) for t in (0.6 - h, 0.6, 0.6 + h))
        basis = _tangent_space(component, here)
        acceleration = basis @ ((after - 2 * here + before) / h**2).ravel()
        speed = np.linalg.norm(after - before) / (2 * h)
        measured[f"{component}: tangent acceleration"] = float(np.linalg.norm(acceleration))
        measured[f"{component}: change of speed"] = float(abs(speed - 1.0))
        gap = component.retraction(w, 1e-4 * v) - component.exp(w, 1e-4 * v)
        measured[f"{component}: retraction off by, over t"] = float(np.linalg.norm(gap)) / 1e-4
    return Finding(
        "Table VIII",
        "Exponential maps and retractions.",
        "holds as corrected" if max(measured.values()) < 1e-3 else "fails",
        measured,
        "The printed maps are 0 / 0 for the zero vector, and the Q factor needs a positive "
        "diagonal of R; the Stiefel map is the geodesic of the embedded metric.",
    )


def eq32(*, seed: int = 0) -> Finding:
    """Check (32), the sphere of radius R: its printed definition has the squared norm R."""
    radius = 3.0
    sphere = Sphere(3, 3, radius=radius)
    point = sphere.random_point(seed)
    u, v = (sphere.random_tangent_vector(point, rng) for rng in (seed, seed + 1))
    measured = {
        "R": radius,
        "norm of a point": float(np.linalg.norm(point)),
        "norm by the printed definition": float(np.sqrt(radius)),
        "curvature times R^2": sphere.sectional_curvature(point, u, v) * radius**2,
    }
    holds = abs(measured["norm of a point"] - radius) < 1e-12
    return Finding(
        "(32)",
        "Weights are scaled to a sphere whose radius is R.",
        "holds as corrected" if holds else "fails",
        measured,
        "norm^2 = R and 'R is the radius' exclude each other; the radius is R.",
    )


def eq33(*, seed: int = 0) -> Finding:
    """Check (33): on a sphere of radius R the printed exponential map has the wrong speed."""
    radius = 2.0
    sphere = Sphere(3, 3, radius=radius)
    w = sphere.random_point(seed)
    v = sphere.random_tangent_vector(w, seed)

    def printed(t: float) -> Array:
        norm = float(np.linalg.norm(t * v))
        return w * np.cos(norm * radius) + radius * t * v / norm * np.sin(norm * radius)

    h = 1e-6
    measured = {
        "printed: distance from the sphere": abs(float(np.linalg.norm(printed(0.7))) - radius),
        "printed: speed over norm(v)": float(np.linalg.norm(printed(h) - w)) / h,
        "R^2": radius**2,
        "corrected: speed over norm(v)": float(np.linalg.norm(sphere.exp(w, h * v) - w)) / h,
    }
    holds = abs(measured["corrected: speed over norm(v)"] - 1) < 1e-5
    return Finding(
        "(33)",
        "The exponential map of the scaled sphere.",
        "holds as corrected" if holds else "fails",
        measured,
        "The printed map stays on the sphere of radius R but is Exp(R^2 v); right is "
        "w cos(|v| / R) + R v / |v| sin(|v| / R). Its projection (I R - w w^T) is wrong as well.",
    )


def complexity_projection(*, seed: int = 0) -> Finding:
    """Check the projection on the sphere of Appendix C.A, (1 - norm(w)^2) mu."""
    sphere = Sphere(3, 3)
    w = sphere.random_point(seed)
    mu = np.random.default_rng(seed).standard_normal((3, 3)) + 1.0
    printed = (1 - np.linalg.norm(w) ** 2) * mu
    measured = {
        "norm of the printed projection": float(np.linalg.norm(printed)),
        "norm of the projection": float(np.linalg.norm(sphere.projection(w, mu))),
    }
    return Finding(
        "C.A, projection on the sphere",
        "Gradients are projected by (1 - norm(w)^2) mu.",
        "fails" if measured["norm of the printed projection"] < 1e-12 else "holds",
        measured,
        "It is zero for every gradient.",
        (w, mu),
    )
