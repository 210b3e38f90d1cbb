"""Metric and curvature of products: Lemma 1, Remark 1, section III.A, (8), (10) to (12)."""

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
    curvature_form,
    sectional_curvature,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.chart import component_chart
from fgmanifolds.verify.charted import (
    Charted,
    check_product,
    default_product,
    form_of,
    sectional_of,
)
from fgmanifolds.verify.claim import CORRECTED, FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, negated, scaled
from fgmanifolds.verify.finding import Finding

__all__ = [
    "ENTRIES",
    "definition2",
    "lemma1",
    "lemma1_factors",
    "remark1",
    "two_spheres",
]

#: Deviation, relative to the sizes of the vectors, that rounding may leave.
ROUNDING = 1e-9


# Lemma 1, (10) and (12) ----------------------------------------


def printed_sum(parts: Sequence[float]) -> float:
    """(10) and (12): what belongs to the product from what belongs to its factors."""
    return float(sum(parts))


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
    manifold = default_product() if manifold is None else manifold
    check_product(manifold)
    check_integer("samples", samples, low=1)
    rng = np.random.default_rng(seed)
    rows = [_lemma1_at(manifold, rng) for _ in range(samples)]
    found = Evidence()
    for name in rows[0]:
        form = CODE if "_" in name else PRINTED
        found.below(form, name, max(row[name] for row in rows), ROUNDING)
    return found.finding(
        "Lemma 1",
        "On a product the metric (10) and the curvature form (12) are sums over the factors, "
        "and some sectional curvatures vanish at every point.",
        "That a compact product admits no metric of negative curvature speaks of all metrics and "
        "cannot be measured. Sectional curvatures themselves are not additive.",
    )


def _lemma1_at(manifold: ScaledProductManifold, rng: np.random.Generator) -> dict[str, float]:
    point = manifold.random_point(rng)
    here = Charted(manifold, point)
    vectors = [manifold.random_tangent_vector(point, rng) for _ in range(4)]
    whole = [here.coordinates(x) for x in vectors]
    parts = [here.part_coordinates(x) for x in vectors]
    pairs = zip(here.parts, parts[0], parts[1], strict=True)
    metric_sum = printed_sum([float(u @ chart.metric @ v) for chart, u, v in pairs])
    form_sum = printed_sum(
        [form_of(c, *(x[i] for x in parts)) for i, c in enumerate(here.part_curvatures)]
    )
    metric = float(whole[0] @ here.metric @ whole[1])
    form = form_of(here.curvature, *whole)
    low, high = (abs(end) for end in manifold.sectional_curvature_bounds)
    scale = max(low, high, 1e-300)
    ours = float(manifold.inner_product(point, vectors[0], vectors[1]))
    our_form = float(manifold.curvature_form(point, *vectors))
    our_plane = float(manifold.sectional_curvature(point, vectors[0], vectors[1]))
    return {
        "(10): one metric against the sum": abs(metric - metric_sum),
        "(10): inner_product against one metric": abs(ours - metric),
        "(12): one curvature form against the sum": abs(form - form_sum) / scale,
        "(12): curvature_form against one form": abs(our_form - form) / scale,
        "(8): sectional_curvature against one chart": abs(
            our_plane - here.sectional(whole[0], whole[1])
        )
        / scale,
        "largest curvature of a plane across two factors": here.mixed_curvature(rng) / scale,
    }


def never_positive(factors: int) -> bool:
    """Whether Lemma 1 says that some curvatures vanish, for a number of factors: always."""
    return factors >= 1


def lemma1_factors(*, seed: int = 0) -> Finding:
    """Check all of Lemma 1, and for how many factors some curvatures vanish.

    POMs of one factor are real: a depthwise layer has one kernel a POM. There the lowest
    curvature over all planes is sought in a chart.
    """
    rng = np.random.default_rng(seed)
    sums, found = lemma1(samples=3, seed=seed), Evidence()
    for name, value in sums.measured.items():
        found.below(CODE if "_" in name else RIGHT, name, value, ROUNDING)
    for factors in (1, 2):
        manifold = ScaledProductManifold([Sphere(3, 1) for _ in range(factors)])
        here = Charted(manifold, manifold.random_point(rng))
        planes = rng.standard_normal((100, 2, here.whole.dim))
        if factors == 2:  # across the two
            planes[:, 0, 2:] = planes[:, 1, :2] = 0.0
        lowest = min(abs(here.sectional(u, v)) for u, v in planes)
        name = f"{factors} two-sphere(s): lowest curvature found"
        if never_positive(factors):
            found.below(PRINTED, name, lowest, ROUNDING)
        if factors == 1:
            found.near(RIGHT, f"{name} is 1", lowest, 1, ROUNDING)
            low = manifold.sectional_curvature_bounds[0]
            found.near(CODE, "one factor: lower bound of the package", low, 1, ROUNDING)
        else:
            found.below(RIGHT, name, lowest, ROUNDING)
            low = manifold.sectional_curvature_bounds[0]
            found.near(CODE, "two factors: lower bound of the package", low, 0, ROUNDING)
    return found.finding(
        "Lemma 1",
        sums.claim,
        "Two factors of positive dimension are needed for curvatures that vanish: a POM of one "
        "sphere, as in depthwise layers, has strictly positive curvature. " + sums.note,
        corrected=True,
    )


# Remark 1.2 ----------------------------------------

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


# Section III.A ----------------------------------------


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


# Definition 2, (8) and (11) ----------------------------------------


def printed_curvature(form: float, uu: float, vv: float, uv: float) -> float:
    """(8): the form over the squared area of the parallelogram."""
    return form / (uu * vv - uv**2)


def definition2(*, seed: int = 0) -> Finding:
    """Check Definition 2, (8), and (11): the form, and a number that is the plane's alone.

    Curvature forms come from charts. That (8) does not depend on the basis of the plane is
    what makes it a definition; its sign is that spheres have positive curvature.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    basis = closed = form_off = 0.0
    components = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3), Sphere(3, 2, radius=0.5))
    for component in components:
        point = component.random_point(rng)
        chart = component_chart(component, point)
        curvature, metric = chart.curvature(), chart.metric

        def sectional(u: Array, v: Array, c: Array = curvature, g: Array = metric) -> float:
            form = form_of(c, u, v, v, u)
            return printed_curvature(form, float(u @ g @ u), float(v @ g @ v), float(u @ g @ v))

        u, v, x, y = rng.standard_normal((4, chart.dim))
        a, b, c, d = rng.standard_normal(4)
        scale = max(map(abs, component.sectional_curvature_bounds))
        basis = max(basis, abs(sectional(u, v) - sectional(a * u + b * v, c * u + d * v)) / scale)
        vectors = [(chart.basis @ z).reshape(point.shape) for z in (u, v, x, y)]
        ours = float(sectional_curvature(component, point, *vectors[:2]))
        closed = max(closed, abs(sectional(u, v) - ours) / scale)
        sizes = float(np.prod([np.linalg.norm(z) for z in vectors]))
        ours = float(curvature_form(component, point, *vectors))
        form_off = max(form_off, abs(form_of(curvature, u, v, x, y) - ours) / sizes / scale)
        if component.kind == "sphere":
            value = sectional(u, v) * float(component.radii[0]) ** 2
            found.near(PRINTED, f"(8) on {component}, times r^2", value, 1, ROUNDING)
    found.below(PRINTED, "(8): largest change with the basis", basis, 1e-8)
    found.below(CODE, "(8): sectional_curvature off the charts by", closed, 1e-8)
    found.below(CODE, "(11): curvature_form off the charts by", form_off, 1e-8)
    return found.finding(
        "Definition 2, (8), (11)",
        "The sectional curvature of a plane, from the curvature form <C(X, Y) Y, X>.",
        "Positive on spheres with the sign of (8).",
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.curvature"
_PRODUCT = "fgmanifolds.ScaledProductManifold"
_OF_PRODUCT = "fgmanifolds.geometry:ScaledProductManifold"

_FORGETS = Fault(
    "sum-forgets-a-factor",
    FORMULA,
    "the sums (10) and (12) leave out the last factor",
    f"{_HERE}:printed_sum",
    lambda f: lambda parts: f(parts[:-1]),
)
METRIC = Fault(
    "inner-product",
    PACKAGE,
    "ScaledProductManifold.inner_product is 1% too large",
    f"{_OF_PRODUCT}.inner_product",
    scaled(1.01),
)
_TENSOR = Fault(
    "curvature-sign",
    PACKAGE,
    "the Riemann tensor of products has the other sign",
    f"{_OF_PRODUCT}.riemann_tensor",
    negated,
)
_COMPONENT_TENSOR = Fault(
    "component-curvature",
    PACKAGE,
    "the Riemann tensor of components is twice as large",
    "fgmanifolds.geometry:Component.riemann_tensor",
    scaled(2.0),
)
_STIEFEL_BOUNDS = Fault(
    "stiefel-bounds",
    PACKAGE,
    "the lower bound of the curvature of Stiefel manifolds is 0",
    "fgmanifolds.geometry:Stiefel.sectional_curvature_bounds",
    lambda original: property(lambda self: (0.0, original.fget(self)[1])),
)
_PRODUCT_BOUNDS = Fault(
    "product-bounds",
    PACKAGE,
    "the curvature bounds of a product leave out planes across two factors",
    f"{_OF_PRODUCT}.sectional_curvature_bounds",
    lambda original: property(lambda self: self.components[0].sectional_curvature_bounds),
)
_AREA = Fault(
    "eq8-area",
    FORMULA,
    "(8) without the square of <X, Y> in its denominator",
    f"{_HERE}:printed_curvature",
    lambda f: lambda form, uu, vv, uv: form / (uu * vv),
)
_CURVATURE_SIGN = Fault(
    "eq8-sign",
    FORMULA,
    "(8) with the other sign of the form",
    f"{_HERE}:printed_curvature",
    negated,
)

_SUMS = (_FORGETS, METRIC)
_FORMS = (_FORGETS, _TENSOR)
_SECTIONAL = (_AREA, _CURVATURE_SIGN, _COMPONENT_TENSOR)

_WHY_SUM = (
    "Coordinates of the factors side by side are coordinates of the product, and in them the "
    "metric is a block matrix whose blocks depend on their own coordinates only. So Christoffel "
    "symbols and the Riemann tensor have no entries that mix blocks, and both the metric and the "
    "curvature form of a vector $(u_1, \\dots, u_n)$ are sums."
)

ENTRIES = (
    Claim(
        "remark1",
        "Remark 1.2",
        "Sectional curvature of a product of weight manifolds is at least 0.",
        "False for Stiefel manifolds with A > B >= 2 in the embedded metric: at least -1/2.",
        f"{_PRODUCT}.sectional_curvature_bounds",
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
        f"{_PRODUCT}.sectional_curvature",
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
            _TENSOR,
        ),
    ),
    Claim(
        "definition2",
        "Definition 2",
        "The sectional curvature of a plane.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        definition2,
        HOLDS,
        "A change of basis multiplies the form and the squared area by the same squared "
        "determinant.",
        _SECTIONAL,
    ),
    Claim(
        "eq8",
        "(8)",
        "<C(X, Y) Y, X> over the squared area of X and Y.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        definition2,
        HOLDS,
        "See Definition 2.",
        _SECTIONAL,
    ),
    Claim(
        "lemma1",
        "Lemma 1",
        "Metric and curvature form of a product are sums; some sectional curvatures vanish.",
        "Curvatures vanish where there are two factors at least.",
        _PRODUCT,
        lemma1_factors,
        CORRECTED,
        _WHY_SUM + " A plane with one leg in each of two factors has the form 0. With one factor "
        "there is no such plane.",
        (
            *_SUMS,
            _TENSOR,
            _PRODUCT_BOUNDS,
            Fault(
                "lemma1-factors",
                FORMULA,
                "the printed statement restricted to two factors or more",
                f"{_HERE}:never_positive",
                instead(lambda factors: factors >= 2),
            ),
        ),
    ),
    Claim(
        "eq10",
        "(10)",
        "The metric is the sum of the components' metrics.",
        "",
        f"{_PRODUCT}.inner_product",
        lemma1,
        HOLDS,
        _WHY_SUM,
        _SUMS,
    ),
    Claim(
        "eq11",
        "(11)",
        "The curvature form of a component, <C(U, V) X, Y>.",
        "",
        "fgmanifolds.geometry.curvature_form",
        definition2,
        HOLDS,
        "A tensor: its value at a point depends on the fields' values there only, which is why it "
        "can be computed from coordinates.",
        (_CURVATURE_SIGN, _COMPONENT_TENSOR),
    ),
    Claim(
        "eq12",
        "(12)",
        "The curvature form is the sum of the components' forms.",
        "",
        f"{_PRODUCT}.curvature_form",
        lemma1,
        HOLDS,
        _WHY_SUM,
        _FORMS,
    ),
)
