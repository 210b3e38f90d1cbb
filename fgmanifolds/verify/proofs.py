"""Statements in the paper's definitions and proofs, (8) to (29)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from fgmanifolds.geometry import Component, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import robbins_monro
from fgmanifolds.verify.chart import component_chart
from fgmanifolds.verify.convergence import PathStep, path_steps, psi
from fgmanifolds.verify.finding import Finding

__all__ = [
    "definition2",
    "definition3",
    "eq13_16",
    "eq21",
    "eq22",
    "eq23",
    "eq25_26",
    "eq28_29",
]

#: Step of finite differences of vector fields, and what is left of them.
H, NOISE = 1e-5, 1e-7
CURVED: tuple[Component, ...] = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3))


def definition2(*, seed: int = 0) -> Finding:
    """Check Definition 2, (8): a number of the plane, not of its basis; from charts."""
    rng = np.random.default_rng(seed)
    worst = 0.0
    for component in CURVED:
        point = component.random_point(rng)
        chart = component_chart(component, point)
        curvature, metric = chart.curvature(), chart.metric

        def sectional(u: Array, v: Array, c: Array = curvature, g: Array = metric) -> float:
            form = np.einsum("ijkl,i,j,k,l", c, u, v, v, u)
            return float(form / ((u @ g @ u) * (v @ g @ v) - (u @ g @ v) ** 2))

        u, v = rng.standard_normal((2, chart.dim))
        a, b, c, d = rng.standard_normal(4)
        worst = max(worst, abs(sectional(u, v) - sectional(a * u + b * v, c * u + d * v)))
        to = component.retraction(point, 0 * point)
        vectors = [(chart.basis @ x).reshape(point.shape) for x in (u, v)]
        worst = max(worst, abs(sectional(u, v) - component.sectional_curvature(to, *vectors)))
    return Finding(
        "Definition 2, (8)",
        "The sectional curvature of a plane.",
        "holds" if worst < 1e-8 else "fails",
        {"largest change with the basis, or from the closed form": worst},
        "Positive on spheres with the sign of (8).",
    )


Field = Callable[[Array], Array]


def _derivative(field: Field, component: Component, w: Array, u: Array) -> Array:
    """Derivative of a vector field along a tangent vector, in the embedding space."""
    return (field(component.exp(w, H * u)) - field(component.exp(w, -H * u))) / (2 * H)


def _connection(field: Field, component: Component, w: Array, u: Array) -> Array:
    """Riemannian connection of an embedded manifold: the tangent part of the derivative."""
    return component.projection(w, _derivative(field, component, w, u))


def _fields(component: Component, rng: np.random.Generator, n: int) -> list[Field]:
    draws = rng.standard_normal((n, *component.shape))

    def field(draw: Array) -> Field:
        return lambda w: component.projection(w, draw * (1 + np.vdot(draw, w)))

    return [field(draw) for draw in draws]


def definition3(*, seed: int = 0) -> Finding:
    """Check Definition 3, (9): torsion and compatibility with the metric, on vector fields."""
    rng = np.random.default_rng(seed)
    torsion = compatibility = printed = 0.0
    for component in CURVED:
        w = component.random_point(rng)
        x, y, z = _fields(component, rng, 3)
        xy, yx = (_connection(b, component, w, a(w)) for a, b in ((x, y), (y, x)))
        bracket = _derivative(y, component, w, x(w)) - _derivative(x, component, w, y(w))
        torsion = max(torsion, float(np.linalg.norm(xy - yx - bracket)))
        printed = max(printed, float(np.linalg.norm(xy * yx - bracket)))
        ahead, back = (component.exp(w, s * H * z(w)) for s in (1, -1))
        slope = (np.vdot(x(ahead), y(ahead)) - np.vdot(x(back), y(back))) / (2 * H)
        right = np.vdot(_connection(x, component, w, z(w)), y(w)) + np.vdot(
            x(w), _connection(y, component, w, z(w))
        )
        compatibility = max(compatibility, abs(float(slope - right)))
    return Finding(
        "Definition 3, (9)",
        "The Riemannian connection is without torsion and compatible with the metric.",
        "holds as corrected" if max(torsion, compatibility) < 1e-5 else "fails",
        {"torsion": torsion, "incompatibility": compatibility, "property 4 as printed": printed},
        "Property 4 lacks a minus sign between its first two terms, properties 1 and 5 an argument "
        "and brackets.",
    )


def eq13_16(*, seed: int = 0) -> Finding:
    """Check (13) to (16): inner products, brackets and connections of a product are sums."""
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold(CURVED)
    point = product.random_point(rng)
    fields = [_fields(c, rng, 2) for c in CURVED]

    def whole(which: int) -> Callable[[Sequence[Array]], list[Array]]:
        return lambda ws: [pair[which](w) for pair, w in zip(fields, ws, strict=True)]

    def derivative(field: Callable[[Sequence[Array]], list[Array]], u: list[Array]) -> list[Array]:
        ahead, back = (product.exp(point, [s * H * part for part in u]) for s in (1, -1))
        parts = zip(field(ahead), field(back), strict=True)
        return [(a - b) / (2 * H) for a, b in parts]

    u, v = whole(0)(point), whole(1)(point)
    embedded = [np.concatenate([part.ravel() for part in x]) for x in (u, v)]
    inner = sum(float(np.vdot(a, b)) for a, b in zip(u, v, strict=True))
    du, dv = derivative(whole(0), v), derivative(whole(1), u)
    bracket = [a - b for a, b in zip(dv, du, strict=True)]
    connection = product.projection(point, dv)
    off_bracket = off_connection = 0.0
    for i, (component, w) in enumerate(zip(CURVED, point, strict=True)):
        x, y = fields[i]
        alone = _derivative(y, component, w, x(w)) - _derivative(x, component, w, y(w))
        off_bracket = max(off_bracket, float(np.abs(bracket[i] - alone).max()))
        own = _connection(y, component, w, x(w))
        off_connection = max(off_connection, float(np.abs(connection[i] - own).max()))
    measured = {
        "(13), (14): inner product of the concatenations": abs(
            float(embedded[0] @ embedded[1]) - inner
        ),
        "(15): bracket against those of the components": off_bracket,
        "(16): connection against those of the components": off_connection,
    }
    return Finding(
        "(13) to (16)",
        "Inner products, Lie brackets and connections of a product are sums over its components.",
        "holds" if max(measured.values()) < NOISE else "fails",
        measured,
        "The sums are of vectors in different tangent spaces, that is concatenations.",
    )


def eq21(*, seed: int = 0) -> Finding:
    """Check (21): the length of a geodesic of a product is not the sum of the components'."""
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1), Oblique(3, 2)], [1, 2, 1])
    start = product.random_point(rng)
    vector = product.random_tangent_vector(start, rng)
    ends = [product.exp(start, t * vector) for t in np.linspace(0, 1, 2001)]
    chords = [
        np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(x, y, strict=True)))
        for x, y in pairwise(ends)
    ]
    measured = {
        "length of the geodesic, measured": float(np.sum(chords)),
        "dist, the root of the sum of squares": float(product.dist(start, ends[-1])),
        "(21), the sum": float(product.geodesic_distance(start, ends[-1])),
    }
    length = measured["length of the geodesic, measured"]
    root = abs(measured["dist, the root of the sum of squares"] - length) < 1e-5
    return Finding(
        "(21)",
        "The distance on a product is the sum of the components' distances.",
        "holds as corrected" if root and measured["(21), the sum"] >= length else "fails",
        measured,
        "The distance of the metric (10) is the root of the sum of squares (dist); the sum "
        "(geodesic_distance) is at least that, at most sqrt(k) times it, and a metric of its own.",
    )


def eq22() -> Finding:
    """Check (22): the Taylor bound of Psi, over all pairs of squared distances."""
    epsilon = 0.2
    squares = np.linspace(0, 4, 401)
    slopes = np.clip(squares - epsilon, 0.0, 1.0)
    values = psi(squares, epsilon)
    change = squares[None, :] - squares[:, None]
    excess = values[None, :] - values[:, None] - change * slopes[:, None] - change**2
    # Without the squares that are missing after (22), on distances instead of squared distances:
    lengths = np.sqrt(squares)
    unsquared = lengths[None, :] - lengths[:, None]
    printed = values[None, :] - values[:, None] - unsquared * slopes[:, None] - unsquared**2
    measured = {
        "largest excess over (22)": float(max(excess.max(), 0.0)),
        "largest excess with distances in the place of squares": float(printed.max()),
    }
    return Finding(
        "(22)",
        "Psi grows by its slope times the change, plus the change squared.",
        "holds as corrected" if measured["largest excess over (22)"] < 1e-12 else "fails",
        measured,
        "rho is to be read squared everywhere; the inequality after (22) lacks the squares.",
    )


def eq23() -> Finding:
    """Check the bound kappa <= 1 + c (rho + R) before (23), on St(3, 2).

    Half the Hessian of the squared distance, by finite differences of the distance.
    """
    stiefel = Stiefel(3, 2)
    planes = stiefel.extremal_planes()
    assert planes is not None
    minimum, u, _ = planes[0]
    rho, h = 1.0, 1e-3
    point = stiefel.exp(minimum, rho * u / float(stiefel.norm(minimum, u)))
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(150):
        v = stiefel.random_tangent_vector(point, rng)
        squares = [float(stiefel.dist(stiefel.exp(point, t * v), minimum)) ** 2 for t in (-h, 0, h)]
        worst = max(worst, 0.5 * (squares[0] - 2 * squares[1] + squares[2]) / h**2)
    measured = {
        "half the Hessian of rho^2 at rho = 1": worst,
        "printed bound with c = 0 (Remark 1.2), R = 0": 1.0,
        "1 + sqrt(kappa) rho": 1 + np.sqrt(0.5) * rho,
    }
    holds = worst <= measured["1 + sqrt(kappa) rho"]
    return Finding(
        "(23)",
        "kappa <= 1 + c (rho + R) bounds half the Hessian of the squared distance.",
        "holds as corrected" if holds and worst > 1.01 else "fails",
        measured,
        "c must be the root of minus the lowest curvature: 1 + c rho has not the units otherwise.",
    )


def _conditional(step: PathStep) -> tuple[float, float, float]:
    """(expected change of Psi, of rho^2, slope of Psi) at a point of the path."""
    slope = float(np.clip(step.before - 0.01, 0.0, 1.0))
    change = float(psi(step.after, 0.01).mean()) - float(psi(np.array(step.before), 0.01))
    return change, float(step.after.mean() - step.before), slope


def eq25_26(*, points: int = 40, seed: int = 0) -> Finding:
    """Check (25) and (26) along the path of a run, with exact expectations."""
    schedule = robbins_monro(0.5, 50, 0.75)
    over_25, over_26, printed = [], [], []
    for i, step in enumerate(path_steps(points=points, seed=seed)):
        lr2 = schedule(5 * i) ** 2
        psi_change, square_change, slope = _conditional(step)
        over_25.append((psi_change - square_change * slope - lr2) / lr2)
        over_26.append((psi_change - step.inner * slope - 2 * lr2) / lr2)
        printed.append((psi_change - step.inner * slope - lr2) / lr2)
    measured = {
        "(25): worst excess over r(t)^2": float(max(0.0, *over_25)),
        "(26) with 2 r(t)^2: worst excess": float(max(0.0, *over_26)),
        "(26) as printed: worst excess": float(max(0.0, *printed)),
    }
    holds = measured["(25): worst excess over r(t)^2"] < 1e-9
    return Finding(
        "(25), (26)",
        "The expected growth of Psi is bounded by that of rho^2, and by the inner product.",
        "holds as corrected" if holds and max(over_26) < 1e-9 else "fails",
        measured,
        "(26) follows from (24) and (25) with 2 r(t)^2. With the printed r(t)^2 it does not "
        "follow, even where nothing is seen to break it.",
    )


def eq28_29(*, points: int = 80, seed: int = 0) -> Finding:
    """Check (28) and (29): the sums along a path are finite, and how large."""
    schedule = robbins_monro(0.5, 50, 0.75)
    positive, travelled, squares = [], [], []
    for i, step in enumerate(path_steps(points=points, seed=seed)):
        psi_change, _, slope = _conditional(step)
        positive.append(max(psi_change, 0.0))
        travelled.append(-0.5 * step.inner * slope)
        squares.append(schedule(5 * i) ** 2)
    half = len(travelled) // 2
    measured = {
        "(28): sum of the positive parts": float(np.sum(positive)),
        "sum of 2 r(t)^2": 2 * float(np.sum(squares)),
        "(29): sum over the first half of the points": float(np.sum(travelled[:half])),
        "(29): sum over the second half": float(np.sum(travelled[half:])),
    }
    holds = measured["(28): sum of the positive parts"] <= measured["sum of 2 r(t)^2"]
    settles = abs(measured["(29): sum over the second half"]) < 0.1 * abs(
        measured["(29): sum over the first half of the points"]
    )
    return Finding(
        "(28), (29)",
        "The sums of the expected growth and of the inner products are finite.",
        "holds as corrected" if holds and settles else "fails",
        measured,
        "The right-hand side of (28) is 2 sum r(t)^2. That an infinite sum is finite is seen only "
        "as far as the path goes.",
    )
