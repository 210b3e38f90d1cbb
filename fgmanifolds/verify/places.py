"""Points with vector fields, and derivatives along curves that know constraints only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fgmanifolds.geometry import (
    Component,
    second_fundamental_form,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.fault import FORMULA, Fault

__all__ = []

_HERE = "fgmanifolds.verify.places"

#: Step of finite differences of vector fields, and what is left of them.
H = 1e-5

NOISE = 1e-7


Field = Callable[[Array], Array]


Scalar = Callable[[Array], float]


class Place:
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


def printed_koszul(terms: Sequence[float]) -> float:
    """Koszul's formula: X<Y,Z>, Y<Z,X>, Z<X,Y>, <Z,[X,Y]>, <Y,[X,Z]> and <X,[Y,Z]>."""
    a, b, c, d, e, f = terms
    return 0.5 * (a + b - c + d - e - f)


def paired(x: Field, y: Field) -> Scalar:
    return lambda q: float(np.vdot(x(q), y(q)))


KOSZUL = Fault(
    "koszul-sign",
    FORMULA,
    "Koszul's formula with a plus before its third term",
    f"{_HERE}:printed_koszul",
    lambda f: lambda terms: f([*terms[:2], -terms[2], *terms[3:]]),
)
