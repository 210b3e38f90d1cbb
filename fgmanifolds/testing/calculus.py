"""Checks of gradients and Hessians, by the order at which Taylor's remainder vanishes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Slope, measured_order, worst

__all__ = ["CHECKS"]

STEPS = (0.08, 0.04, 0.02, 0.01)
#: Functions and directions whose largest remainder is taken: that of one may vanish by chance.
DRAWS = 5


class Quartic:
    """``f(x) = <a, x> + <b, x>^2 + <c, x>^4`` of the entries over the radii."""

    def __init__(self, case: Case) -> None:
        self.case = case
        size = len(case.flat(case.point))
        self.a, self.b, self.c = case.rng.standard_normal((3, size)) / np.sqrt(size)

    def __call__(self, point: Any) -> float:
        x = self.case.flat(point)
        return float(self.a @ x + (self.b @ x) ** 2 + (self.c @ x) ** 4)

    def gradient(self, point: Any) -> Any:
        """Euclidean gradient."""
        x = self.case.flat(point)
        return self._shaped(self.a + 2 * (self.b @ x) * self.b + 4 * (self.c @ x) ** 3 * self.c)

    def hessian(self, point: Any, vector: Any) -> Any:
        """Euclidean Hessian times a vector."""
        x, v = self.case.flat(point), self.case.flat(vector)
        return self._shaped(
            2 * (self.b @ v) * self.b + 12 * (self.c @ x) ** 2 * (self.c @ v) * self.c
        )

    def _shaped(self, flat: Array) -> Any:
        """Covector of the entries over the radii, as one of the entries."""
        case, start = self.case, 0

        def part(component: Any, w: Array) -> Array:
            nonlocal start
            start += w.size
            return flat[start - w.size : start].reshape(w.shape) / component._r

        return case.each(part, case.point)


def gradients(case: Case) -> Slope:
    """``f(R(t v)) - f(x) - t <grad f, v>`` is of second order."""
    case.moving()
    m, x, remainders = case.manifold, case.point, []
    for f, v in _draws(case):
        gradient = m.euclidean_to_riemannian_gradient(x, f.gradient(x))
        m.check_tangent(x, gradient, tol=1e-9)
        remainders.append((f, v, f(x), m.inner_product(x, gradient, v)))

    def error(t: float) -> float:
        return worst(
            *(
                abs(f(m.retraction(x, case.combine((t, v)))) - value - t * slope)
                for f, v, value, slope in remainders
            )
        )

    return Slope(measured_order(error, STEPS), 2.0)


def hessians(case: Case) -> Slope:
    """``f(exp(t v)) - f(x) - t <grad f, v> - t^2 / 2 <Hess f v, v>`` is of third order."""
    case.moving()
    m, x, remainders = case.manifold, case.point, []
    for f, v in _draws(case):
        euclidean = f.gradient(x)
        gradient = m.euclidean_to_riemannian_gradient(x, euclidean)
        hessian = m.euclidean_to_riemannian_hessian(x, euclidean, f.hessian(x, v), v)
        m.check_tangent(x, hessian, tol=1e-9)
        terms = (m.inner_product(x, gradient, v), 0.5 * m.inner_product(x, hessian, v))
        remainders.append((f, v, f(x), terms))

    def error(t: float) -> float:
        return worst(
            *(
                abs(f(m.exp(x, case.combine((t, v)))) - value - t * slope - t**2 * bend)
                for f, v, value, (slope, bend) in remainders
            )
        )

    return Slope(measured_order(error, STEPS), 3.0)


def _draws(case: Case) -> list[tuple[Quartic, Any]]:
    return [(Quartic(case), case.tangent(length=1.0)) for _ in range(DRAWS)]


CHECKS: dict[str, Check] = {"gradients": gradients, "Hessians": hessians}
