"""The Riemannian connection: Definition 3 and (9)."""

from __future__ import annotations

import numpy as np

from fgmanifolds.geometry import (
    Component,
    Oblique,
    Sphere,
    Stiefel,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import places, reference
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.places import KOSZUL, Field, Place, Scalar, paired

__all__ = ["ENTRIES", "definition3"]

_HERE = "fgmanifolds.verify.statements.connections"


CURVED: tuple[Component, ...] = (
    Sphere(3, 2),
    Oblique(3, 2, radius=0.8),
    Stiefel(3, 2, radius=1.3),
)


def printed_torsion(xy: Array, yx: Array, bracket: Array) -> Array:
    """Property 4: what vanishes."""
    return xy - yx - bracket


def printed_compatibility(slope: float, first: float, second: float) -> float:
    """Property 5: what vanishes."""
    return slope - first - second


def printed_leibniz(slope: float, y: Array, p: float, nabla: Array) -> Array:
    """Property 3: the derivative of p Y."""
    return slope * y + p * nabla


def _combined(y: Field, z: Field) -> Field:
    return lambda q: 3 * y(q) - 2 * z(q)


def _multiplied(p: Scalar, y: Field) -> Field:
    return lambda q: p(q) * y(q)


def _koszul(at: Place, x: Field, y: Field, z: Field) -> float:
    w = at.point
    return places.printed_koszul(
        [
            at.slope(paired(y, z), x(w)),
            at.slope(paired(z, x), y(w)),
            at.slope(paired(x, y), z(w)),
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
        at = Place(component, rng)
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
        slope = at.slope(paired(x, y), zw)
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


_FORM = Fault(
    "second-fundamental-form",
    PACKAGE,
    "the second fundamental form has the other sign",
    "fgmanifolds.geometry:Component.second_fundamental_form",
    negated,
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
    KOSZUL,
    _FORM,
)


WHY = (
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
        WHY,
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
        WHY,
        _DEFINITION,
    ),
)
