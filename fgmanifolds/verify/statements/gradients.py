"""Gradients and distances on products: Theorem 1, (6), (17) to (21)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from fgmanifolds.geometry import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.validation import check_integer, check_number
from fgmanifolds.verify import reference
from fgmanifolds.verify.chart import Chart, joined, product_charts
from fgmanifolds.verify.charted import check_product, default_product
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated, scaled
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "eq6", "eq18", "eq21", "theorem1"]

Loss = Callable[[Sequence[Array]], float]

#: What fourth-order finite differences may leave.
TOLERANCE = 1e-6


# Theorem 1 ----------------------------------------


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
    """Derivative of the loss along a geodesic, by finite differences of fourth order."""
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


def eq18(*, seed: int = 0) -> Finding:
    """Check (18): part i of the gradient is that of the loss as a function of component i alone.

    The slopes are taken along curves that move one component and know its constraint only.
    """
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 2), Oblique(3, 2), Stiefel(3, 2)], [1.0, 0.8, 1.3])
    point = product.random_point(rng)
    loss, gradient = random_quartic(product, rng)
    ours = product.euclidean_to_riemannian_gradient(point, gradient(point))
    found = Evidence()
    for i, component in enumerate(product.components):
        radius = float(component.radii[0])
        basis = reference.tangent_rows(component.kind, point[i]).reshape(-1, *component.shape)
        alone = printed_part(_slopes_alone(loss, point, i, component.kind, radius, basis), basis)
        size = float(np.linalg.norm(alone))
        name = type(component).__name__
        normal = ours[i] - reference.tangent_part(component.kind, point[i], ours[i])
        off = float(np.linalg.norm(ours[i] - alone)) / size
        found.below(CODE, f"{name}: part of the gradient off its own by", off, TOLERANCE)
        left = float(np.linalg.norm(normal)) / size
        found.below(CODE, f"{name}: normal part", left, 1e-10)
        # One geodesic in the direction of that gradient: the slope is its norm.
        h = 1e-4 * radius
        direction = [alone / size if j == i else 0 * w for j, w in enumerate(point)]
        slope = slope_along(product, loss, point, direction, h)
        found.near(PRINTED, f"{name}: slope over norm", slope / size, 1, TOLERANCE)
    return found.finding(
        "(18)", "The gradient on a product is the tuple of the components' gradients."
    )


def printed_part(slopes: Array, basis: Array) -> Array:
    """(18): one component's gradient, from the slopes in an orthonormal basis."""
    return np.asarray(np.tensordot(slopes, basis, axes=1))


def _slopes_alone(
    loss: Loss, point: Sequence[Array], i: int, kind: str, radius: float, basis: Array
) -> Array:
    h = 1e-4 * radius

    def at(move: Array) -> float:
        moved = list(point)
        moved[i] = reference.nearest(kind, point[i] + move, radius)
        return loss(moved)

    steps = np.array([[at(t * h * e) for t in (-2, -1, 1, 2)] for e in basis])
    return np.asarray((steps @ [1, -8, 8, -1]) / (12 * h))


# (6), on the torch side ----------------------------------------


def eq6(*, seed: int = 0) -> Finding:
    """Check (6) and the R of FGSGD: the slope of a network's loss in the gradient's direction."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        convolution = nn.Conv2d(4, 6, 3, bias=False, dtype=torch.float64)
        model = nn.Sequential(convolution)
        adapter = POMAdapter(model, "pio", ("sphere", "oblique", "stiefel"), seed=seed)
        adapter.initialize_()
    target = torch.randn(convolution.weight.shape, generator=generator, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (convolution.weight * target).sum() + (convolution.weight * target).pow(3).sum()

    poms = [int(n) for n in rng.choice(len(adapter.pom_names("0")), 3, replace=False)]
    manifolds = {pom: adapter.manifold("0", pom) for pom in poms}
    points = {pom: adapter.point("0", pom) for pom in poms}
    loss().backward()
    gradients = {pom: _entries(adapter, convolution.weight, pom) for pom in poms}
    slopes, roots = {}, {}
    for pom in poms:
        tangent = [
            _tangent(component, w, g)
            for component, w, g in zip(
                manifolds[pom].components, points[pom], gradients[pom], strict=True
            )
        ]
        norms = [float(np.linalg.norm(x)) for part in tangent for x in np.atleast_3d(part)]
        roots[pom] = printed_root(norms)
        slopes[pom] = _loss_slope(adapter, pom, manifolds[pom], points[pom], tangent, loss)
    optimizer = FGSGD(adapter, lr=1e-3, gradient_norm="current")
    optimizer.step()
    known = optimizer.pom_statistics()["0"][0].double().numpy()
    found = Evidence()
    off = max(abs(roots[pom] / slopes[pom] - 1) for pom in poms)
    found.below(PRINTED, "(6) off the slope of the network's loss by", off, TOLERANCE)
    off = max(abs(float(known[pom]) / slopes[pom] - 1) for pom in poms)
    found.below(CODE, "R of FGSGD off that slope by", off, TOLERANCE)
    return found.finding(
        "(6)", "The norm of a POM's gradient is the root of the sum over its components."
    )


def _entries(adapter: POMAdapter, weight: torch.Tensor, pom: int) -> list[Array]:
    """Entries of the weight's gradient that belong to a POM, in the order of its point."""
    assert weight.grad is not None
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(weight.grad)
        found = adapter.point("0", pom)
        weight.copy_(kept)
    return found


def _tangent(component: Sphere, w: Array, g: Array) -> Array:
    stack = (component.k, *component.shape)
    pairs = zip(np.reshape(w, stack), np.reshape(g, stack), strict=True)
    return np.array([reference.tangent_part(component.kind, a, b) for a, b in pairs])


def _loss_slope(
    adapter: POMAdapter,
    pom: int,
    manifold: ScaledProductManifold,
    point: list[Array],
    tangent: list[Array],
    loss: Callable[[], torch.Tensor],
) -> float:
    """Derivative of a network's loss in the direction of a POM's gradient, of length 1."""
    size = float(np.sqrt(sum(np.sum(part**2) for part in tangent)))
    h = 1e-4 * min(float(np.min(c.radii)) for c in manifold.components)
    values = []
    for t in (-2, -1, 1, 2):
        moved = []
        for component, w, part in zip(manifold.components, point, tangent, strict=True):
            stack = np.reshape(w, part.shape) + t * h * part / size
            pairs = zip(stack, component.radii, strict=True)
            near = np.array([reference.nearest(component.kind, x, r) for x, r in pairs])
            moved.append(near.reshape(np.shape(w)))
        adapter.load_point_("0", pom, moved)
        values.append(float(loss().detach()))
    adapter.load_point_("0", pom, point)
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)


# (21) ----------------------------------------


def printed_distance(parts: Sequence[float]) -> float:
    """(21): the distance as the sum of the components' distances."""
    return float(sum(parts))


def right_distance(parts: Sequence[float]) -> float:
    """The Riemannian distance: the root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(parts))))


def eq21(*, seed: int = 0) -> Finding:
    """Check (21) against the length of a shortest curve, measured by its chords."""
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1), Oblique(3, 2)], [1, 2, 1])
    start = product.random_point(rng)
    vector = product.random_tangent_vector(start, rng)
    ends = [product.exp(start, t * vector) for t in np.linspace(0, 1, 501)]
    chords = np.array(
        [
            [float(np.linalg.norm(a - b)) for a, b in zip(x, y, strict=True)]
            for x, y in pairwise(ends)
        ]
    )
    length, parts = float(np.sum(np.linalg.norm(chords, axis=1))), chords.sum(axis=0)
    found = Evidence()
    found.note("length of the geodesic, measured", length)
    found.near(PRINTED, "(21), the sum", printed_distance(list(parts)), length, 1e-5)
    found.near(RIGHT, "root of the sum of squares", right_distance(list(parts)), length, 1e-5)
    found.near(
        CODE, "dist, the root of the sum of squares", product.dist(start, ends[-1]), length, 1e-5
    )
    ours = float(product.geodesic_distance(start, ends[-1]))
    found.near(CODE, "geodesic_distance, the sum", ours, float(parts.sum()), 1e-5)
    ratio = float(parts.sum()) / length
    found.between(RIGHT, "the sum over the length", ratio, 1.0, np.sqrt(3) + 1e-9)
    return found.finding(
        "(21)",
        "The distance on a product is the sum of the components' distances.",
        "The distance of the metric (10) is the root of the sum of squares (dist); the sum "
        "(geodesic_distance) is at least that, at most sqrt(k) times it, and a metric of its own.",
        corrected=True,
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.gradients"
_PRODUCT = "fgmanifolds.ScaledProductManifold"
_OF_PRODUCT = "fgmanifolds.geometry:ScaledProductManifold"

_NO_ROOT = Fault(
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
    f"{_OF_PRODUCT}.euclidean_to_riemannian_gradient",
    negated,
)
_GRADIENT_NORMAL = Fault(
    "gradient-not-projected",
    PACKAGE,
    "Riemannian gradients on products keep their normal part",
    f"{_OF_PRODUCT}.euclidean_to_riemannian_gradient",
    lambda f: lambda self, point, g: f(self, point, g) + [0.1 * w for w in point],
)
_NORM = Fault(
    "product-norm",
    PACKAGE,
    "ScaledProductManifold.norm is 1% too large",
    f"{_OF_PRODUCT}.norm",
    scaled(1.01),
)
_R = Fault(
    "fgsgd-norm",
    PACKAGE,
    "FGSGD reports 1.1 times the norm of each POM",
    "fgmanifolds.torch:FGSGD.pom_statistics",
    lambda f: lambda self: {name: (1.1 * r, g) for name, (r, g) in f(self).items()},
)

_WHY = (
    "The gradient is the vector whose inner product with every direction is the slope in it, and "
    "its norm the steepest slope. By (10) the inner product is a sum over the components, so the "
    "component-wise gradients side by side have that property, and the squared norm is the sum "
    "of theirs."
)
_FAULTS = (_NO_ROOT, GRADIENT_SIGN, _NORM)


def _entry(name: str, where: str, printed: str, code: str) -> Claim:
    return Claim(name, where, printed, "", code, theorem1, HOLDS, _WHY, _FAULTS)


ENTRIES = (
    Claim(
        "eq6",
        "(6)",
        "The norm of the gradient is the root of the sum over the components.",
        "",
        "fgmanifolds.torch.FGSGD.pom_statistics",
        eq6,
        HOLDS,
        _WHY,
        (_NO_ROOT, _R),
    ),
    _entry(
        "theorem1",
        "Theorem 1",
        "The norm of the gradient is the root of the sum over the components.",
        f"{_PRODUCT}.norm",
    ),
    _entry("eq17", "(17)", "As (6).", f"{_PRODUCT}.norm"),
    Claim(
        "eq18",
        "(18)",
        "The gradient on a product is the tuple of the components' gradients.",
        "",
        f"{_PRODUCT}.euclidean_to_riemannian_gradient",
        eq18,
        HOLDS,
        _WHY,
        (
            Fault(
                "eq18-half",
                FORMULA,
                "a component's gradient with half of its slopes",
                f"{_HERE}:printed_part",
                scaled(0.5),
            ),
            GRADIENT_SIGN,
            _GRADIENT_NORMAL,
        ),
    ),
    _entry(
        "eq19",
        "(19)",
        "The squared norm of the gradient is the sum over the components.",
        f"{_PRODUCT}.norm",
    ),
    _entry("eq20", "(20)", "As (6).", f"{_PRODUCT}.norm"),
    Claim(
        "eq21",
        "(21)",
        "The distance is the sum of the components' distances.",
        "The Riemannian distance is the root of the sum of squares.",
        f"{_PRODUCT}.geodesic_distance, {_PRODUCT}.dist",
        eq21,
        CORRECTED,
        "The length of a curve is the integral of the norm of its velocity, and by (10) that is "
        "the root of the sum of squares. A geodesic of a product is one of each component, all at "
        "constant speeds $d_i$: its length is $(\\sum d_i^2)^{1/2}$, below $\\sum d_i$ if two of "
        "them move.",
        (
            Fault(
                "eq21-printed-right",
                FORMULA,
                "the printed sum replaced by the root of the sum of squares",
                f"{_HERE}:printed_distance",
                lambda f: right_distance,
            ),
            Fault(
                "eq21-right-sum",
                FORMULA,
                "the right distance without its root",
                f"{_HERE}:right_distance",
                lambda f: lambda parts: f(parts) ** 2 + 0.1,
            ),
            Fault(
                "geodesic-distance-thrice",
                PACKAGE,
                "geodesic_distance is three times the sum",
                f"{_OF_PRODUCT}.geodesic_distance",
                scaled(3.0),
            ),
            Fault(
                "dist-is-sum",
                PACKAGE,
                "dist is the sum of the components' distances",
                f"{_OF_PRODUCT}.dist",
                lambda f: lambda self, a, b: self.geodesic_distance(a, b),
            ),
        ),
    ),
)
