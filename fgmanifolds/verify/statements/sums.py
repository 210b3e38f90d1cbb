"""Inner products, brackets and connections of products, (13) to (16)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fgmanifolds.geometry import (
    Oblique,
    ScaledProductManifold,
    Sphere,
    Stiefel,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import places, reference
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.places import KOSZUL, NOISE, Field, H, Place

__all__ = ["ENTRIES", "eq13", "eq14", "eq15", "eq16"]

_HERE = "fgmanifolds.verify.statements.sums"


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
    u, v = (product.projection(point, list(rng.standard_normal((3, 3, 2)))) for _ in range(2))
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
    u, v = (product.projection(point, list(rng.standard_normal((3, 3, 2)))) for _ in range(2))
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
        self.places = [Place(c, rng) for c in self.product.components]
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

    koszul = places.printed_koszul(
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


PRODUCT = "fgmanifolds.ScaledProductManifold"


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


ENTRIES = (
    Claim(
        "eq13",
        "(13)",
        "The inner product of concatenations is the sum of inner products.",
        "",
        f"{PRODUCT}.inner_product",
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
        f"{PRODUCT}.inner_product",
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
        f"{PRODUCT}.projection",
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
        f"{PRODUCT}.projection",
        eq16,
        HOLDS,
        "All six terms of Koszul's formula are sums over the components by (13) to (15).",
        (_FORGETS, KOSZUL, _MIXED, _METRIC),
    ),
)
