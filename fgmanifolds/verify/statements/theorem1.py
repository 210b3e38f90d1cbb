"""Norms of gradients on products: Theorem 1, (17), (19) and (20)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fgmanifolds.geometry import ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer, check_number
from fgmanifolds.verify.chart import Chart, joined, product_charts
from fgmanifolds.verify.charted import check_product, default_product
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated, scaled
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "random_quartic", "slope_along", "theorem1"]

_HERE = "fgmanifolds.verify.statements.theorem1"


Loss = Callable[[Sequence[Array]], float]


#: What fourth-order finite differences may leave.
TOLERANCE = 1e-6


def printed_root(norms: Sequence[float]) -> float:
    """(6), (17), (19) and (20): the norm on the product, from those on its components."""
    return float(np.sqrt(np.sum(np.square(norms))))


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
    sum of the squared norms of the factors' projected gradients. Slopes have signs: the
    gradient itself must have the slopes for its coefficients, not only their norm.

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
    manifold = default_product() if manifold is None else manifold
    check_product(manifold)
    check_integer("samples", samples, low=1)
    check_number("step", step, low=0.0, open_low=True)
    if (loss is None) != (gradient is None):
        raise ValueError("Give both loss and gradient, or neither.")
    rng = np.random.default_rng(seed)
    if loss is None or gradient is None:
        loss, gradient = random_quartic(manifold, rng)
    rows = [_theorem1_at(manifold, loss, gradient, rng, step) for _ in range(samples)]
    found = Evidence()
    for name in rows[0]:
        form = PRINTED if name.startswith("(") else CODE
        found.below(form, name, max(row[name] for row in rows), TOLERANCE)
    return found.finding(
        "Theorem 1",
        "The norm of the gradient on a product is the root of the sum of the squared norms of the "
        "factors' gradients, eq. (17).",
        "Finite differences of fourth order; a gradient squared in (17) reads as its squared norm.",
    )


def random_quartic(
    manifold: ScaledProductManifold, rng: np.random.Generator
) -> tuple[Loss, Callable[[Sequence[Array]], list[Array]]]:
    """A loss that couples all components, and its gradient.

    Parameters
    ----------
    manifold : ScaledProductManifold
    rng : Generator
    """
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
    h = step * min(np.min(c.radii) for c in manifold.components)
    basis = _basis_of_whole(manifold, point)
    slopes = np.array([slope_along(manifold, loss, point, e, h) for e in basis])
    steepest = float(np.linalg.norm(slopes))
    riemannian = manifold.euclidean_to_riemannian_gradient(point, gradient(point))
    parts = zip(manifold.components, point, riemannian, strict=True)
    factors = [float(component.norm(w, g)) for component, w, g in parts]
    coefficients = [float(manifold.inner_product(point, riemannian, e)) for e in basis]
    norm = float(manifold.norm(point, riemannian))
    return {
        "(17): root of the sum against the steepest slope": abs(printed_root(factors) - steepest)
        / steepest,
        "norm of the product against the steepest slope": abs(norm - steepest) / steepest,
        "gradient against the slopes, sign and all": float(
            np.linalg.norm(np.array(coefficients) - slopes)
        )
        / steepest,
    }


def slope_along(
    manifold: ScaledProductManifold,
    loss: Loss,
    point: Sequence[Array],
    direction: Sequence[Array],
    h: float,
) -> float:
    """Derivative of the loss along a geodesic, by finite differences of fourth order.

    Parameters
    ----------
    manifold : ScaledProductManifold
    loss : callable
    point, direction : sequence of arrays
    h : float
        Step of the differences.
    """
    values = [
        loss(manifold.exp(point, [t * h * part for part in direction])) for t in (-2, -1, 1, 2)
    ]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)


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


PRODUCT = "fgmanifolds.ScaledProductManifold"

OF_PRODUCT = "fgmanifolds.geometry:ScaledProductManifold"


NO_ROOT = Fault(
    "theorem1-sum",
    FORMULA,
    "(17) as the sum of the norms",
    f"{_HERE}:printed_root",
    lambda f: lambda norms: float(sum(norms)),
)


GRADIENT_SIGN = Fault(
    "gradient-sign",
    PACKAGE,
    "Riemannian gradients on products have the other sign",
    f"{OF_PRODUCT}.euclidean_to_riemannian_gradient",
    negated,
)


_NORM = Fault(
    "product-norm",
    PACKAGE,
    "ScaledProductManifold.norm is 1% too large",
    f"{OF_PRODUCT}.norm",
    scaled(1.01),
)


WHY = (
    "The gradient is the vector whose inner product with every direction is the slope in it, and "
    "its norm the steepest slope. By (10) the inner product is a sum over the components, so the "
    "component-wise gradients side by side have that property, and the squared norm is the sum "
    "of theirs."
)


_FAULTS = (NO_ROOT, GRADIENT_SIGN, _NORM)


def _entry(name: str, where: str, printed: str, code: str) -> Claim:
    return Claim(name, where, printed, "", code, theorem1, HOLDS, WHY, _FAULTS)


ENTRIES = (
    _entry(
        "theorem1",
        "Theorem 1",
        "The norm of the gradient is the root of the sum over the components.",
        f"{PRODUCT}.norm",
    ),
    _entry("eq17", "(17)", "As (6).", f"{PRODUCT}.norm"),
    _entry(
        "eq19",
        "(19)",
        "The squared norm of the gradient is the sum over the components.",
        f"{PRODUCT}.norm",
    ),
    _entry("eq20", "(20)", "As (6).", f"{PRODUCT}.norm"),
)
