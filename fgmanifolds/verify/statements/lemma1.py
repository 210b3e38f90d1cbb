"""Metric and curvature of products: Lemma 1, (10) and (12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgmanifolds.geometry import (
    ScaledProductManifold,
    Sphere,
)
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.charted import (
    Charted,
    check_product,
    default_product,
    form_of,
)
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, negated, scaled
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "lemma1", "lemma1_factors", "never_positive"]

_HERE = "fgmanifolds.verify.statements.lemma1"

#: Deviation, relative to the sizes of the vectors, that rounding may leave.
ROUNDING = 1e-9


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


PRODUCT = "fgmanifolds.ScaledProductManifold"

OF_PRODUCT = "fgmanifolds.geometry:ScaledProductManifold"


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
    f"{OF_PRODUCT}.inner_product",
    scaled(1.01),
)


TENSOR = Fault(
    "curvature-sign",
    PACKAGE,
    "the Riemann tensor of products has the other sign",
    f"{OF_PRODUCT}.riemann_tensor",
    negated,
)


_PRODUCT_BOUNDS = Fault(
    "product-bounds",
    PACKAGE,
    "the curvature bounds of a product leave out planes across two factors",
    f"{OF_PRODUCT}.sectional_curvature_bounds",
    lambda original: property(lambda self: self.components[0].sectional_curvature_bounds),
)


_SUMS = (_FORGETS, METRIC)


_FORMS = (_FORGETS, TENSOR)


_WHY_SUM = (
    "Coordinates of the factors side by side are coordinates of the product, and in them the "
    "metric is a block matrix whose blocks depend on their own coordinates only. So Christoffel "
    "symbols and the Riemann tensor have no entries that mix blocks, and both the metric and the "
    "curvature form of a vector $(u_1, \\dots, u_n)$ are sums."
)


ENTRIES = (
    Claim(
        "lemma1",
        "Lemma 1",
        "Metric and curvature form of a product are sums; some sectional curvatures vanish.",
        "Curvatures vanish where there are two factors at least.",
        PRODUCT,
        lemma1_factors,
        CORRECTED,
        _WHY_SUM + " A plane with one leg in each of two factors has the form 0. With one factor "
        "there is no such plane.",
        (
            *_SUMS,
            TENSOR,
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
        f"{PRODUCT}.inner_product",
        lemma1,
        HOLDS,
        _WHY_SUM,
        _SUMS,
    ),
    Claim(
        "eq12",
        "(12)",
        "The curvature form is the sum of the components' forms.",
        "",
        f"{PRODUCT}.curvature_form",
        lemma1,
        HOLDS,
        _WHY_SUM,
        _FORMS,
    ),
)
