"""Inner products, brackets and connections: Definition 3, (9) and (13) to (16)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fgmanifolds.geometry import (
    Component,
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
    second_fundamental_form,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated, scaled
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "definition3", "eq13", "eq14", "eq15", "eq16"]

#: Step of finite differences of vector fields, and what is left of them.
H, NOISE = 1e-5, 1e-7

CURVED: tuple[Component, ...] = (
    Sphere(3, 2),
    Oblique(3, 2, radius=0.8),
    Stiefel(3, 2, radius=1.3),
)

Field = Callable[[Array], Array]
Scalar = Callable[[Array], float]


class _Place:
    """A point of a component, with derivatives along curves that know its constraint only."""

    def __init__(self, component: Component, rng: np.random.Generator) -> None:
        self.component, self.kind = component, component.kind
        self.radius = float(component.radii[0])
        draw = rng.standard_normal(component.shape)
        self.point = reference.nearest(self.kind, draw, self.radius)

    def field(self, draw: Array) -> Field:
        """Tangent field that varies from place to place."""

        def value(w: Array) -> Array:
            return reference.tangent_part(self.kind, w, draw * (1 + np.vdot(draw, w)))

        return value

    def along(self, function: Callable[[Array], Array], u: Array) -> Array:
        """Derivative of a function of the point along a tangent vector."""
        ahead, back = (
            reference.nearest(self.kind, self.point + s * H * u, self.radius) for s in (1, -1)
        )
        return np.asarray((function(ahead) - function(back)) / (2 * H))

    def slope(self, function: Scalar, u: Array) -> float:
        """Derivative of a number."""
        return float(self.along(lambda w: np.asarray(function(w)), u))

    def nabla(self, field: Field, u: Array) -> Array:
        """Connection of the package: the derivative less the second fundamental form."""
        v = field(self.point)
        form = second_fundamental_form(self.component, self.point, u, v)
        return self.along(field, u) - form

    def bracket(self, x: Field, y: Field) -> Array:
        """Lie bracket [x, y]."""
        return self.along(y, x(self.point)) - self.along(x, y(self.point))


# Definition 3 ----------------------------------------


def printed_torsion(xy: Array, yx: Array, bracket: Array) -> Array:
    """Property 4: what vanishes."""
    return xy - yx - bracket


def printed_compatibility(slope: float, first: float, second: float) -> float:
    """Property 5: what vanishes."""
    return slope - first - second


def printed_leibniz(slope: float, y: Array, p: float, nabla: Array) -> Array:
    """Property 3: the derivative of p Y."""
    return slope * y + p * nabla


def printed_koszul(terms: Sequence[float]) -> float:
    """Koszul's formula: X<Y,Z>, Y<Z,X>, Z<X,Y>, <Z,[X,Y]>, <Y,[X,Z]> and <X,[Y,Z]>."""
    a, b, c, d, e, f = terms
    return 0.5 * (a + b - c + d - e - f)


def _combined(y: Field, z: Field) -> Field:
    return lambda q: 3 * y(q) - 2 * z(q)


def _multiplied(p: Scalar, y: Field) -> Field:
    return lambda q: p(q) * y(q)


def _paired(x: Field, y: Field) -> Scalar:
    return lambda q: float(np.vdot(x(q), y(q)))


def _koszul(at: _Place, x: Field, y: Field, z: Field) -> float:
    w = at.point
    return printed_koszul(
        [
            at.slope(_paired(y, z), x(w)),
            at.slope(_paired(z, x), y(w)),
            at.slope(_paired(x, y), z(w)),
            float(np.vdot(z(w), at.bracket(x, y))),
            float(np.vdot(y(w), at.bracket(x, z))),
            float(np.vdot(x(w), at.bracket(y, z))),
        ]
    )


def definition3(*, seed: int = 0) -> Finding:
    """Check Definition 3, (9): the five properties, of the connection that the package implies.

    The derivative of a field in the space of matrices is its connection plus the second
    fundamental form (Gauss). What is left must be tangent, have the five properties, and agree
    with Koszul's formula, which needs no embedding.
    """
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}

    def keep(name: str, value: Array | float) -> None:
        worst[name] = max(worst.get(name, 0.0), float(np.abs(value).max()))

    for component in CURVED:
        at = _Place(component, rng)
        w, draws = at.point, rng.standard_normal((4, *component.shape))
        x, y, z = (at.field(draw) for draw in draws[:3])
        xw, yw, zw = x(w), y(w), z(w)

        def p(point: Array, c: Array = draws[3]) -> float:
            return 1.0 + float(np.vdot(c, point)) ** 2

        xy, yx = at.nabla(y, xw), at.nabla(x, yw)
        mixed = p(w) * xw + 2.0 * yw
        keep("1: linear in X", at.nabla(z, mixed) - p(w) * at.nabla(z, xw) - 2 * at.nabla(z, yw))
        total = at.nabla(_combined(y, z), xw)
        keep("2: linear in Y", total - 3 * xy + 2 * at.nabla(z, xw))
        product = at.nabla(_multiplied(p, y), xw)
        keep("3: product rule", product - printed_leibniz(at.slope(p, xw), yw, p(w), xy))
        keep("4: torsion", printed_torsion(xy, yx, at.bracket(x, y)))
        slope = at.slope(_paired(x, y), zw)
        first = float(np.vdot(at.nabla(x, zw), yw))
        second = float(np.vdot(xw, at.nabla(y, zw)))
        keep("5: metric", printed_compatibility(slope, first, second))
        keep("Koszul's formula", float(np.vdot(xy, zw)) - _koszul(at, x, y, z))
        keep("package: normal part", xy - reference.tangent_part(component.kind, w, xy))
    found = Evidence()
    for name, value in worst.items():
        form = CODE if name.startswith("package") else PRINTED
        found.below(form, name, value, 1e-5)
    return found.finding(
        "Definition 3, (9)",
        "The Riemannian connection: bilinear, with a product rule, without torsion and "
        "compatible with the metric.",
        "The text at hand lacks a minus sign in property 4, and an argument and brackets in 1 and "
        "5. It was converted by a machine, so that nothing is concluded from that.",
    )


# (13) to (16) ----------------------------------------


def printed_inner(parts: Sequence[float]) -> float:
    """(13) and (14): the inner product from those of the components."""
    return float(sum(parts))


def printed_fields(parts: Sequence[Array]) -> Array:
    """(15) and (16): the sum of vectors of the components, that is their concatenation."""
    return np.concatenate([part.ravel() for part in parts])


def _product() -> ScaledProductManifold:
    return ScaledProductManifold([Sphere(3, 2), Oblique(3, 2), Stiefel(3, 2)], [1.0, 0.8, 1.3])


def eq13(*, seed: int = 0) -> Finding:
    """Check (13): the inner product of concatenations, against that of one long vector."""
    rng = np.random.default_rng(seed)
    product, found = _product(), Evidence()
    point = product.random_point(rng)
    u, v = (product.projection(point, rng.standard_normal((3, 3, 2))) for _ in range(2))
    whole = float(printed_fields(u) @ printed_fields(v))
    parts = zip(product.components, point, u, v, strict=True)
    by_13 = printed_inner([float(c.inner_product(w, a, b)) for c, w, a, b in parts])
    found.below(PRINTED, "sum off the long vectors' product by", abs(by_13 - whole), 1e-12)
    ours = float(product.inner_product(point, u, v))
    found.below(CODE, "inner_product off the long vectors' product by", abs(ours - whole), 1e-12)
    length = float(np.linalg.norm(printed_fields(u)))
    off = abs(float(product.norm(point, u)) - length)
    found.below(CODE, "norm off the long vector's length by", off, 1e-12)
    return found.finding(
        "(13)",
        "The inner product of concatenated vectors is the sum of the components' inner products.",
    )


def _alone(vector: Sequence[Array], i: int) -> list[Array]:
    """Component i of a vector, with zeros elsewhere."""
    return [part if j == i else 0 * part for j, part in enumerate(vector)]


def eq14(*, seed: int = 0) -> Finding:
    """Check (14): each component's vector stands for itself with zeros elsewhere."""
    rng = np.random.default_rng(seed)
    product, found = _product(), Evidence()
    point = product.random_point(rng)
    u, v = (product.projection(point, rng.standard_normal((3, 3, 2))) for _ in range(2))
    us, vs = ([_alone(x, i) for i in range(3)] for x in (u, v))
    tables = [[float(product.inner_product(point, a, b)) for b in vs] for a in us]
    table = np.array(tables)
    left = sum(float(np.vdot(a, b)) for a, b in zip(u, v, strict=True))
    off = abs(printed_inner(list(np.diag(table))) - left)
    found.below(PRINTED, "inner product of the sums off the sum by", off, 1e-12)
    crossed = float(np.abs(table - np.diag(np.diag(table))).max())
    found.below(CODE, "largest inner product across two components", crossed, 1e-12)
    off = abs(float(product.inner_product(point, u, v)) - float(table.sum()))
    found.below(CODE, "inner_product off bilinearity by", off, 1e-12)
    matrices = float(np.vdot(sum(u[1:], start=u[0]), sum(v[1:], start=v[0])))
    found.note("sums of the matrices themselves: off by", abs(matrices - left))
    return found.finding(
        "(14)",
        "The inner product of sums of component vectors is the sum of their inner products.",
        "The sums are of vectors in different tangent spaces, that is concatenations: summed as "
        "matrices they have inner products across components.",
    )


def _whole_fields(
    product: ScaledProductManifold, draws: Array, coupling: float = 0.0
) -> Callable[[Sequence[Array]], list[Array]]:
    """Field on the product, by its own projection; coupled, if parts see the other parts."""

    def value(point: Sequence[Array]) -> list[Array]:
        pulls = [1 + np.vdot(draw, w) for draw, w in zip(draws, point, strict=True)]
        mean = float(np.mean(pulls))
        vectors = [d * (p + coupling * mean) for d, p in zip(draws, pulls, strict=True)]
        return list(product.projection(list(point), vectors))

    return value


class _Whole:
    """A point of a product, with derivatives along curves of the whole."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.product = _product()
        self.places = [_Place(c, rng) for c in self.product.components]
        self.point = [at.point for at in self.places]
        self.draws = rng.standard_normal((3, 3, 3, 2))

    def ends(self, u: Sequence[Array]) -> list[list[Array]]:
        return [
            [
                reference.nearest(at.kind, w + s * H * part, at.radius)
                for at, w, part in zip(self.places, self.point, u, strict=True)
            ]
            for s in (1, -1)
        ]

    def along(
        self, field: Callable[[Sequence[Array]], list[Array]], u: Sequence[Array]
    ) -> list[Array]:
        ahead, back = self.ends(u)
        return [(a - b) / (2 * H) for a, b in zip(field(ahead), field(back), strict=True)]

    def slope(self, function: Callable[[Sequence[Array]], float], u: Sequence[Array]) -> float:
        ahead, back = self.ends(u)
        return (function(ahead) - function(back)) / (2 * H)

    def own(self, which: int) -> list[Field]:
        """The components' fields, without the package."""
        return [at.field(self.draws[which, i]) for i, at in enumerate(self.places)]


def eq15(*, seed: int = 0) -> Finding:
    """Check (15): the bracket of fields on the whole, against those on the components."""
    whole, found = _Whole(seed), Evidence()

    def bracket(coupling: float) -> Array:
        x, y = (_whole_fields(whole.product, whole.draws[i], coupling) for i in (0, 1))
        dy, dx = whole.along(y, x(whole.point)), whole.along(x, y(whole.point))
        return np.concatenate([(a - b).ravel() for a, b in zip(dy, dx, strict=True)])

    pairs = zip(whole.places, whole.own(0), whole.own(1), strict=True)
    parts = printed_fields([at.bracket(x, y) for at, x, y in pairs])
    off = float(np.abs(bracket(0.0) - parts).max())
    found.below(PRINTED, "bracket of the whole off the components' by", off, NOISE)
    off = float(np.abs(bracket(1.0) - parts).max())
    found.above(RIGHT, "the same for fields that see other components", off, 1e-2)
    return found.finding(
        "(15)",
        "The Lie bracket of sums of component fields is the sum of their brackets.",
        "For fields of which each depends on its own component only, as the proof has them.",
    )


def eq16(*, seed: int = 0) -> Finding:
    """Check (16): the connection of the whole by Koszul's formula, against the components'."""
    whole, found = _Whole(seed), Evidence()
    product, point = whole.product, whole.point
    x, y, z = (_whole_fields(product, whole.draws[i]) for i in range(3))
    xw, yw, zw = x(point), y(point), z(point)

    def inner(a: Sequence[Array], b: Sequence[Array], at: Sequence[Array]) -> float:
        return float(product.inner_product(list(at), list(a), list(b)))

    def bracket(
        a: Callable[[Sequence[Array]], list[Array]], b: Callable[[Sequence[Array]], list[Array]]
    ) -> list[Array]:
        db, da = whole.along(b, a(point)), whole.along(a, b(point))
        return [p - q for p, q in zip(db, da, strict=True)]

    koszul = printed_koszul(
        [
            whole.slope(lambda p: inner(y(p), z(p), p), xw),
            whole.slope(lambda p: inner(z(p), x(p), p), yw),
            whole.slope(lambda p: inner(x(p), y(p), p), zw),
            inner(zw, bracket(x, y), point),
            inner(yw, bracket(x, z), point),
            inner(xw, bracket(y, z), point),
        ]
    )
    own = [
        reference.tangent_part(at.kind, at.point, at.along(b, a(at.point)))
        for at, a, b in zip(whole.places, whole.own(0), whole.own(1), strict=True)
    ]
    by_16 = printed_fields(own)
    third = np.concatenate([part.ravel() for part in zw])
    off = abs(float(by_16 @ third) - koszul)
    found.below(PRINTED, "sum off Koszul's formula on the whole by", off, 10 * NOISE)
    ours = product.projection(point, whole.along(y, xw))
    off = float(np.abs(np.concatenate([part.ravel() for part in ours]) - by_16).max())
    found.below(CODE, "projected derivative on the product off the sum by", off, NOISE)
    return found.finding(
        "(16)",
        "The connection of a product is the sum of the components' connections.",
        "Koszul's formula gives the connection of the whole from its metric and brackets alone.",
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.connections"
_PRODUCT = "fgmanifolds.ScaledProductManifold"

_FORM = Fault(
    "second-fundamental-form",
    PACKAGE,
    "the second fundamental form has the other sign",
    "fgmanifolds.geometry:Component.second_fundamental_form",
    negated,
)
_METRIC = Fault(
    "inner-product-first",
    PACKAGE,
    "ScaledProductManifold.inner_product counts the first component twice",
    "fgmanifolds.geometry:ScaledProductManifold.inner_product",
    lambda f: lambda self, p, u, v: f(self, p, u, v) + float(np.vdot(u[0], v[0])),
)
_CROSS = Fault(
    "inner-product-across",
    PACKAGE,
    "ScaledProductManifold.inner_product has a term across the first two components",
    "fgmanifolds.geometry:ScaledProductManifold.inner_product",
    lambda f: lambda self, p, u, v: f(self, p, u, v) + 0.1 * float(np.vdot(u[0], v[1])),
)
_MIXED = Fault(
    "projection-mixed",
    PACKAGE,
    "ScaledProductManifold.projection projects the first two components at each other's points",
    "fgmanifolds.geometry:ScaledProductManifold.projection",
    lambda f: lambda self, p, u: f(self, [p[1], p[0], *p[2:]], u),
)
_KOSZUL = Fault(
    "koszul-sign",
    FORMULA,
    "Koszul's formula with a plus before its third term",
    f"{_HERE}:printed_koszul",
    lambda f: lambda terms: f([*terms[:2], -terms[2], *terms[3:]]),
)
_FORGETS = Fault(
    "fields-forget",
    FORMULA,
    "(15) and (16) with zeros for the last component",
    f"{_HERE}:printed_fields",
    lambda f: lambda parts: f([*parts[:-1], 0 * parts[-1]]),
)
_TWICE = Fault(
    "inner-twice", FORMULA, "(13) and (14) with twice the sum", f"{_HERE}:printed_inner", scaled(2)
)
_DEFINITION = (
    Fault(
        "torsion-plus",
        FORMULA,
        "property 4 with a plus in the place of its first minus",
        f"{_HERE}:printed_torsion",
        lambda f: lambda xy, yx, bracket: f(xy, -yx, bracket),
    ),
    Fault(
        "compatibility-minus",
        FORMULA,
        "property 5 with a minus",
        f"{_HERE}:printed_compatibility",
        lambda f: lambda slope, first, second: f(slope, first, -second),
    ),
    Fault(
        "leibniz-without",
        FORMULA,
        "property 3 without the derivative of p",
        f"{_HERE}:printed_leibniz",
        lambda f: lambda slope, y, p, nabla: f(0.0, y, p, nabla),
    ),
    _KOSZUL,
    _FORM,
)
_WHY = (
    "The derivative $D_X Y$ in the space of matrices splits into a tangent and a normal part, "
    "$D_X Y = \\nabla_X Y + II(X, Y)$. The tangent part is linear in X over functions, obeys the "
    "product rule, and inherits symmetry and compatibility from D. Koszul's formula follows from "
    "properties 4 and 5 alone, so that there is no other such connection."
)

ENTRIES = (
    Claim(
        "definition3",
        "Definition 3",
        "The Riemannian connection and its five properties.",
        "",
        "fgmanifolds.geometry.second_fundamental_form",
        definition3,
        HOLDS,
        _WHY,
        _DEFINITION,
    ),
    Claim(
        "eq9",
        "(9)",
        "The Riemannian connection as a map of vector fields.",
        "",
        "fgmanifolds.geometry.second_fundamental_form",
        definition3,
        HOLDS,
        _WHY,
        _DEFINITION,
    ),
    Claim(
        "eq13",
        "(13)",
        "The inner product of concatenations is the sum of inner products.",
        "",
        f"{_PRODUCT}.inner_product",
        eq13,
        HOLDS,
        "The space of matrices that a product lies in is the product of the components' spaces; "
        "the inner product there is a sum over all entries.",
        (_TWICE, _METRIC, _CROSS),
    ),
    Claim(
        "eq14",
        "(14)",
        "The inner product of sums is the sum of inner products.",
        "",
        f"{_PRODUCT}.inner_product",
        eq14,
        HOLDS,
        "Vectors along different components are orthogonal, so that of the double sum "
        "$\\sum_{i,j}\\langle u_i, v_j\\rangle$ the diagonal is left.",
        (_TWICE, _CROSS),
    ),
    Claim(
        "eq15",
        "(15)",
        "The Lie bracket of sums is the sum of Lie brackets.",
        "",
        f"{_PRODUCT}.projection",
        eq15,
        HOLDS,
        "$[u_i, v_j] = D_{u_i} v_j - D_{v_j} u_i = 0$ for i different from j, since $v_j$ does not "
        "change along component i. For fields that do, it is false.",
        (_FORGETS, _MIXED),
    ),
    Claim(
        "eq16",
        "(16)",
        "The connection of a product is the sum of the components' connections.",
        "",
        f"{_PRODUCT}.projection",
        eq16,
        HOLDS,
        "All six terms of Koszul's formula are sums over the components by (13) to (15).",
        (_FORGETS, _KOSZUL, _MIXED, _METRIC),
    ),
)
