"""Statements on products of manifolds: Lemma 1, Theorem 1, Remark 1 and section III.A.

A check never uses what it tests: metrics and curvatures come from charts that
are differentiated automatically (:mod:`fgmanifolds.verify.chart`), gradients from
finite differences of the loss along geodesics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fgmanifolds.geometry import (
    Component,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer, check_number
from fgmanifolds.verify.chart import Chart, component_chart, joined, product_charts
from fgmanifolds.verify.finding import Finding

__all__ = ["lemma1", "remark1", "theorem1", "two_spheres"]

Loss = Callable[[Sequence[Array]], float]


def _default_product() -> ScaledProductManifold:
    components = [Sphere(3, 1, k=2), Oblique(3, 2), Stiefel(3, 2)]
    return ScaledProductManifold(components, scales=[[1.0, 0.5], 2.0, 1.0])


def _check_product(manifold: ScaledProductManifold) -> None:
    kinds = getattr(manifold, "components", ())
    if not kinds or not all(isinstance(c, Component) for c in kinds):
        raise TypeError(
            f"manifold={manifold!r}: a ScaledProductManifold of this package's components "
            "is needed."
        )
    if manifold.n_factors < 2:
        raise ValueError(
            f"manifold={manifold} has one factor; the statement is about products of at least two."
        )


def _factors(manifold: ScaledProductManifold, vector: Sequence[Array]) -> list[Array]:
    """Split a tangent vector over all factors, copies one by one."""
    return [
        part
        for component, v in zip(manifold.components, vector, strict=True)
        for part in np.reshape(v, (component.k, *component.shape))
    ]


def _form(curvature: Array, *coordinates: Array) -> float:
    return float(np.einsum("ijkl,i,j,k,l", curvature, *coordinates))


def _sectional(curvature: Array, metric: Array, u: Array, v: Array) -> float:
    """Sectional curvature (8) of coordinate vectors."""
    area = (u @ metric @ u) * (v @ metric @ v) - (u @ metric @ v) ** 2
    return _form(curvature, u, v, v, u) / float(area)


class _Charted:
    """A point of a product with its chart, and the charts of the factors beside it."""

    def __init__(self, manifold: ScaledProductManifold, point: Sequence[Array]) -> None:
        self.manifold, self.point = manifold, point
        self.parts = product_charts(manifold, point)
        self.part_curvatures = [chart.curvature() for chart in self.parts]
        self.whole = joined(self.parts)
        self.curvature, self.metric = self.whole.curvature(), self.whole.metric

    def coordinates(self, vector: Sequence[Array]) -> Array:
        return self.whole.coordinates(np.concatenate([np.ravel(v) for v in vector]))

    def part_coordinates(self, vector: Sequence[Array]) -> list[Array]:
        factors = _factors(self.manifold, vector)
        return [c.coordinates(v) for c, v in zip(self.parts, factors, strict=True)]

    def sectional(self, u: Array, v: Array) -> float:
        """Sectional curvature of coordinate vectors, from the chart of the whole."""
        return _sectional(self.curvature, self.metric, u, v)


def lemma1(
    manifold: ScaledProductManifold | None = None, *, samples: int = 5, seed: int = 0
) -> Finding:
    """Check Lemma 1: metric (10), curvature form (12) and vanishing curvatures of a product.

    The product is parametrised as one manifold, and its metric and Riemann
    tensor are computed by automatic differentiation; they are compared with the
    sums of those of the factors, each in a chart of its own, and with the
    methods of `manifold`. Planes that span two factors must be flat.

    Parameters
    ----------
    manifold : ScaledProductManifold, optional
        With at least two factors. Default: two spheres, an oblique and a
        Stiefel manifold at four radii.
    samples : int
        Number of random points.
    seed : int

    Returns
    -------
    Finding
        ``measured`` has the largest deviations, relative to the sizes of the vectors.

    Raises
    ------
    TypeError, ValueError
        If `manifold` is not a product of at least two components.
    """
    manifold = _default_product() if manifold is None else manifold
    _check_product(manifold)
    check_integer("samples", samples, low=1)
    rng = np.random.default_rng(seed)
    rows = [_lemma1_at(manifold, rng) for _ in range(samples)]
    measured = {name: max(row[name] for row in rows) for name in rows[0]}
    holds = all(value < 1e-9 for value in measured.values())
    return Finding(
        "Lemma 1",
        "On a product the metric (10) and the curvature form (12) are sums over the factors, "
        "and some sectional curvatures vanish at every point.",
        "holds" if holds else "fails",
        measured,
        "That a compact product admits no metric of negative curvature speaks of all metrics and "
        "cannot be measured. Sectional curvatures themselves are not additive.",
    )


def _lemma1_at(manifold: ScaledProductManifold, rng: np.random.Generator) -> dict[str, float]:
    point = manifold.random_point(rng)
    here = _Charted(manifold, point)
    vectors = [manifold.random_tangent_vector(point, rng) for _ in range(4)]
    whole = [here.coordinates(x) for x in vectors]
    parts = [here.part_coordinates(x) for x in vectors]
    metric_sum = sum(
        float(u @ chart.metric @ v)
        for chart, u, v in zip(here.parts, parts[0], parts[1], strict=True)
    )
    form_sum = sum(
        _form(curvature, *(x[i] for x in parts)) for i, curvature in enumerate(here.part_curvatures)
    )
    form = _form(here.curvature, *whole)
    scale = _curvature_scale(manifold)
    return {
        "(10): one metric against the sum": abs(
            float(whole[0] @ here.metric @ whole[1]) - metric_sum
        ),
        "(10): inner_product against the sum": abs(
            float(manifold.inner_product(point, vectors[0], vectors[1])) - metric_sum
        ),
        "(12): one curvature form against the sum": abs(form - form_sum) / scale,
        "(12): curvature_form against the sum": abs(
            float(manifold.curvature_form(point, *vectors)) - form_sum
        )
        / scale,
        "largest curvature of a plane across two factors": _mixed_curvature(here, rng) / scale,
    }


def _curvature_scale(manifold: ScaledProductManifold) -> float:
    low, high = manifold.sectional_curvature_bounds
    return max(abs(low), abs(high), 1e-300)


def _mixed_curvature(here: _Charted, rng: np.random.Generator) -> float:
    """Largest absolute sectional curvature over planes with one leg in each of two factors."""
    ends = np.cumsum([0] + [chart.dim for chart in here.parts])
    worst = 0.0
    for i, first in enumerate(here.parts):
        for j, second in enumerate(here.parts[:i]):
            if first.dim and second.dim:
                u, v = np.zeros(here.whole.dim), np.zeros(here.whole.dim)
                u[ends[i] : ends[i + 1]] = rng.standard_normal(first.dim)
                v[ends[j] : ends[j + 1]] = rng.standard_normal(second.dim)
                worst = max(worst, abs(here.sectional(u, v)))
    return worst


def theorem1(
    manifold: ScaledProductManifold | None = None,
    loss: Loss | None = None,
    gradient: Callable[[Sequence[Array]], Sequence[Array]] | None = None,
    *,
    samples: int = 5,
    seed: int = 0,
    step: float = 1e-4,
) -> Finding:
    """Check Theorem 1, eq. (17): the norm of a gradient on a product of manifolds.

    The norm is by definition the steepest slope of the loss. It is measured by
    finite differences of the loss along geodesics of the whole product, in
    all directions of an orthonormal basis, and compared with the root of the
    sum of the squared norms of the factors' projected gradients.

    Parameters
    ----------
    manifold : ScaledProductManifold, optional
        Default: as in :func:`lemma1`.
    loss, gradient : callable, optional
        A function of a point, and its Euclidean gradient. Default: a random quartic.
    samples, seed : int
        Number of random points, and the seed.
    step : float
        Length of the finite-difference step, relative to the smallest radius.

    Returns
    -------
    Finding

    Raises
    ------
    TypeError, ValueError
        If `manifold` is not a product of at least two components, or only one of
        `loss` and `gradient` is given.
    """
    manifold = _default_product() if manifold is None else manifold
    _check_product(manifold)
    check_integer("samples", samples, low=1)
    check_number("step", step, low=0.0, open_low=True)
    if (loss is None) != (gradient is None):
        raise ValueError("Give both loss and gradient, or neither.")
    rng = np.random.default_rng(seed)
    if loss is None or gradient is None:
        loss, gradient = _random_quartic(manifold, rng)
    rows = [_theorem1_at(manifold, loss, gradient, rng, step) for _ in range(samples)]
    measured = {name: max(row[name] for row in rows) for name in rows[0]}
    return Finding(
        "Theorem 1",
        "The norm of the gradient on a product is the root of the sum of the squared norms of the "
        "factors' gradients, eq. (17).",
        "holds" if all(value < 1e-5 for value in measured.values()) else "fails",
        measured,
        "Finite differences of fourth order; a gradient squared in (17) reads as its squared norm.",
    )


def _random_quartic(
    manifold: ScaledProductManifold, rng: np.random.Generator
) -> tuple[Loss, Callable[[Sequence[Array]], list[Array]]]:
    """A loss that couples all components, and its gradient."""
    slopes = [rng.standard_normal(c.point_shape) / np.max(c.radii) for c in manifold.components]

    def value(point: Sequence[Array]) -> float:
        return float(sum(np.vdot(a, w) for a, w in zip(slopes, point, strict=True)))

    def loss(point: Sequence[Array]) -> float:
        return value(point) ** 4 / 24 + value(point)

    def gradient(point: Sequence[Array]) -> list[Array]:
        return [(value(point) ** 3 / 6 + 1) * a for a in slopes]

    return loss, gradient


def _theorem1_at(
    manifold: ScaledProductManifold,
    loss: Loss,
    gradient: Callable[[Sequence[Array]], Sequence[Array]],
    rng: np.random.Generator,
    step: float,
) -> dict[str, float]:
    point = manifold.random_point(rng)
    slopes = _slopes(
        manifold, loss, point, step * min(np.min(c.radii) for c in manifold.components)
    )
    steepest = float(np.linalg.norm(slopes))
    euclidean = gradient(point)
    riemannian = manifold.euclidean_to_riemannian_gradient(point, euclidean)
    parts = zip(manifold.components, point, riemannian, strict=True)
    factors = [float(component.norm(w, g)) for component, w, g in parts]
    by_17 = float(np.sqrt(np.sum(np.square(factors))))
    return {
        "(17): root of the sum against the steepest slope": abs(by_17 - steepest) / steepest,
        "norm of the product against the steepest slope": abs(
            float(manifold.norm(point, riemannian)) - steepest
        )
        / steepest,
    }


def _slopes(
    manifold: ScaledProductManifold, loss: Loss, point: Sequence[Array], h: float
) -> list[float]:
    """Derivatives of the loss along geodesics in the directions of an orthonormal basis."""
    slopes = []
    for direction in _basis_of_whole(manifold, point):
        values = [
            loss(manifold.exp(point, [t * h * part for part in direction])) for t in (-2, -1, 1, 2)
        ]
        slopes.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h))
    return slopes


def _basis_of_whole(manifold: ScaledProductManifold, point: Sequence[Array]) -> list[list[Array]]:
    """Orthonormal basis of the whole tangent space that mixes the factors.

    From the charts, and rotated at random, so that no direction lies in one factor.
    """
    chart: Chart = joined(product_charts(manifold, point))
    basis = chart.basis @ np.linalg.inv(np.linalg.cholesky(chart.metric)).T
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((chart.dim, chart.dim)))[0]
    shapes = [c.point_shape for c in manifold.components]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [
        [part.reshape(shape) for part, shape in zip(np.split(row, ends), shapes, strict=True)]
        for row in (basis @ turn).T
    ]


#: Components on which Remark 1.2 is checked.
REMARK1_COMPONENTS: tuple[Component, ...] = (
    Sphere(3, 3),
    Oblique(3, 3),
    Stiefel(3, 3),
    Stiefel(4, 4),
    Stiefel(4, 2, metric="canonical"),
    Stiefel(3, 2),
    Stiefel(4, 2),
)


def remark1(
    components: Sequence[Component] = REMARK1_COMPONENTS, *, samples: int = 200, seed: int = 0
) -> Finding:
    """Check Remark 1.2, that the sectional curvature of a POM is bounded below by 0.

    For each component the lowest curvature is sought over random planes, and
    over the plane that :meth:`Component.extremal_planes` offers; its curvature is
    computed in a chart, by automatic differentiation.

    Parameters
    ----------
    components : sequence of Component
        The classes of component to check; the metric of each is its own.
    samples : int
        Number of random planes on each.
    seed : int

    Returns
    -------
    Finding
        ``counterexample`` is a ``(component, plane)`` of the lowest curvature, if it is negative.
    """
    check_integer("samples", samples, low=1)
    rng = np.random.default_rng(seed)
    lowest: dict[str, float] = {}
    worst: tuple[float, Any] = (0.0, None)
    for component in components:
        value, plane = _lowest_curvature(component, rng, samples)
        lowest[f"lowest curvature on {component}"] = value
        if value < min(worst[0], -1e-9):
            worst = (value, (component, plane))
    fails = worst[1] is not None
    return Finding(
        "Remark 1.2",
        "The sectional curvature of a product of weight manifolds is bounded below by 0.",
        "fails" if fails else "holds",
        dict(sorted(lowest.items(), key=lambda item: item[1])),
        "It holds for spheres, oblique manifolds, square Stiefel kernels and the canonical metric; "
        "it fails for tall Stiefel manifolds with two or more columns in the embedded metric, "
        "where the minimum is -1/2."
        if fails
        else "",
        worst[1],
    )


def _lowest_curvature(
    component: Component, rng: np.random.Generator, samples: int
) -> tuple[float, Any]:
    planes = component.extremal_planes()
    if planes is None:
        return 0.0, None
    plane = planes[0]
    chart = component_chart(component, plane.point)
    curvature, metric = chart.curvature(), chart.metric
    pairs = [(chart.coordinates(plane.u), chart.coordinates(plane.v))]
    pairs += [tuple(rng.standard_normal((2, chart.dim))) for _ in range(samples)]
    return min(_sectional(curvature, metric, u, v) for u, v in pairs), plane


def two_spheres(radius: float = 1.0, *, seed: int = 0) -> Finding:
    """Check the example of section III.A: a product of two-spheres.

    "Unit curvature" along planes inside a sphere (1/r^2 at radius r), zero
    curvature across two distinct spheres; computed in a chart of the whole product.

    Parameters
    ----------
    radius : float
        Of both spheres.
    seed : int
    """
    manifold = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)], scales=[radius, radius])
    rng = np.random.default_rng(seed)
    here = _Charted(manifold, manifold.random_point(rng))
    e = np.eye(4)
    inside = [here.sectional(e[0], e[1]), here.sectional(e[2], e[3])]
    across = [here.sectional(e[i], e[j]) for i in (0, 1) for j in (2, 3)]
    general = here.sectional(e[0] + e[2], e[1] + e[3])
    measured = {
        "curvature inside a sphere": inside[0],
        "deviation from 1/r^2 inside": max(abs(k * radius**2 - 1) for k in inside),
        "largest curvature across": max(abs(k) for k in across),
        "curvature of a plane in general position": general,
    }
    holds = measured["deviation from 1/r^2 inside"] < 1e-9 and max(map(abs, across)) < 1e-9
    return Finding(
        "Section III.A, two-spheres",
        "Unit curvature along planes inside a sphere, zero along planes across two spheres.",
        "holds" if holds else "fails",
        measured,
        "Planes in general position lie between: the range is [0, 1/r^2].",
    )
