"""Signs of curvature: Remark 1.2 and section III.A."""

from __future__ import annotations

from collections.abc import Sequence
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
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.chart import component_chart
from fgmanifolds.verify.charted import (
    Charted,
    sectional_of,
)
from fgmanifolds.verify.claim import FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.lemma1 import PRODUCT, ROUNDING, TENSOR

__all__ = ["ENTRIES", "remark1", "two_spheres"]

_HERE = "fgmanifolds.verify.statements.remark1"

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


def printed_lowest(component: Component) -> float:
    """Remark 1.2: the sectional curvature of a POM is at least this."""
    return 0.0


def right_lowest(component: Component) -> float:
    """-1/2 (at unit radius) for Stiefel manifolds with A > B >= 2, embedded; 0 for the others."""
    rows, columns = component.shape
    tall = type(component) is Stiefel and rows > columns >= 2
    return -0.5 if tall else 0.0


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
    found, lowest = Evidence(), {}
    worst: tuple[float, Any] = (0.0, None)
    off = 0.0
    for component in components:
        value, plane = _lowest_curvature(component, rng, samples)
        lowest[component] = value
        if plane is not None and component.k == 1:
            scale = float(np.min(component.radii)) ** 2
            off = max(off, abs(component.sectional_curvature_bounds[0] - value) * scale)
        if value < min(worst[0], -ROUNDING):
            worst = (value, (component, plane))
    for component, value in sorted(lowest.items(), key=lambda item: item[1]):
        name = f"lowest curvature on {component}"
        found.above(PRINTED, name, value, printed_lowest(component) - ROUNDING)
        scale = float(np.min(component.radii)) ** 2
        attained = right_lowest(component) / scale
        found.above(RIGHT, name, value, attained - ROUNDING)
        if attained < 0:
            found.below(RIGHT, name, value, attained + ROUNDING)
    found.below(CODE, "sectional_curvature_bounds off the lowest by", off, ROUNDING)
    return found.finding(
        "Remark 1.2",
        "The sectional curvature of a product of weight manifolds is bounded below by 0.",
        "It holds for spheres, oblique manifolds, square Stiefel kernels and the canonical metric; "
        "it fails for tall Stiefel manifolds with two or more columns in the embedded metric, "
        "where the minimum is -1/2."
        if worst[1] is not None
        else "",
        worst[1],
        beyond_repair=True,
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
    return min(sectional_of(curvature, metric, u, v) for u, v in pairs), plane


def printed_inside(radius: float) -> float:
    """Curvature along planes inside a sphere of a radius: 1 at radius 1."""
    return 1.0 / radius**2


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
    point = manifold.random_point(rng)
    here, found = Charted(manifold, point), Evidence()
    e = np.eye(4)
    inside = [here.sectional(e[0], e[1]), here.sectional(e[2], e[3])]
    across = [here.sectional(e[i], e[j]) for i in (0, 1) for j in (2, 3)]
    planes = [(e[0], e[1]), (e[0], e[2]), (e[0] + e[2], e[1] + e[3])]
    ours = [
        float(manifold.sectional_curvature(point, *(_tangent(here, x) for x in plane)))
        for plane in planes
    ]
    found.note("curvature inside a sphere", inside[0])
    off = max(abs(k / printed_inside(radius) - 1) for k in inside)
    found.below(PRINTED, "deviation from 1/r^2 inside", off, ROUNDING)
    flat = max(abs(k) for k in across) * radius**2
    found.below(PRINTED, "largest curvature across", flat, ROUNDING)
    general = here.sectional(*planes[2])
    found.note("curvature of a plane in general position", general)
    found.near(RIGHT, "the same, times r^2", general * radius**2, 0.5, ROUNDING)
    charts = (inside[0], across[0], general)
    off = max(abs(a - b) for a, b in zip(ours, charts, strict=True)) * radius**2
    found.below(CODE, "sectional_curvature off the chart by", off, ROUNDING)
    return found.finding(
        "Section III.A, two-spheres",
        "Unit curvature along planes inside a sphere, zero along planes across two spheres.",
        "Planes in general position lie between: the range is [0, 1/r^2].",
    )


def _tangent(here: Charted, coordinates: Array) -> list[Array]:
    halves = np.split(here.whole.basis @ coordinates, 2)
    return [half.reshape(3, 1) for half in halves]


_STIEFEL_BOUNDS = Fault(
    "stiefel-bounds",
    PACKAGE,
    "the lower bound of the curvature of Stiefel manifolds is 0",
    "fgmanifolds.geometry:Stiefel.sectional_curvature_bounds",
    lambda original: property(lambda self: (0.0, original.fget(self)[1])),
)


ENTRIES = (
    Claim(
        "remark1",
        "Remark 1.2",
        "Sectional curvature of a product of weight manifolds is at least 0.",
        "False for Stiefel manifolds with A > B >= 2 in the embedded metric: at least -1/2.",
        f"{PRODUCT}.sectional_curvature_bounds",
        remark1,
        FAILS,
        "By the Gauss equation $\\langle R(u,v)v,u\\rangle = \\langle II(u,u), II(v,v)\\rangle - "
        "\\|II(u,v)\\|^2$ with $II(u,v) = -w\\,\\mathrm{sym}(u^T v)$ on a Stiefel manifold. Two "
        "vectors that leave the span of w in one common direction, from two columns, have "
        "$\\mathrm{sym}(u^T u)\\perp\\mathrm{sym}(v^T v)$ and $\\|II(u,v)\\|^2 = 1/2$: curvature "
        "-1/2. On spheres and oblique manifolds, and on the orthogonal group, the form is a sum "
        "of squares.",
        (
            Fault(
                "remark1-printed-right",
                FORMULA,
                "the printed bound 0 replaced by -1/2 where it is",
                f"{_HERE}:printed_lowest",
                lambda f: right_lowest,
            ),
            Fault(
                "remark1-right-quarter",
                FORMULA,
                "the right bound -1/2 replaced by -1/4",
                f"{_HERE}:right_lowest",
                scaled(0.5),
            ),
            _STIEFEL_BOUNDS,
        ),
    ),
    Claim(
        "two-spheres",
        "Section III.A",
        "Unit curvature in each two-sphere, zero along planes across two of them.",
        "",
        f"{PRODUCT}.sectional_curvature",
        two_spheres,
        HOLDS,
        "A plane across two factors has one leg in each, so that all terms of the sum (12) "
        "vanish. A plane in general position has the sum of the forms over the area of the whole "
        "plane, not the sum of curvatures: half of 1/r^2 for equal legs.",
        (
            Fault(
                "two-spheres-radius",
                FORMULA,
                "curvature 2 inside of a sphere",
                f"{_HERE}:printed_inside",
                scaled(2.0),
            ),
            TENSOR,
        ),
    ),
)
