"""Checks of gradients and Hessians, by the order at which Taylor's remainder vanishes."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Slope, measured_order, worst

__all__ = ["CHECKS"]

STEPS = (0.08, 0.04, 0.02, 0.01)
#: Directions whose largest remainder is taken: that of one may vanish by chance.
DIRECTIONS = 4


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
    m, f = case.manifold, Quartic(case)
    gradient = m.euclidean_to_riemannian_gradient(case.point, f.gradient(case.point))
    m.check_tangent(case.point, gradient, tol=1e-9)
    vectors = [case.tangent(length=1.0) for _ in range(DIRECTIONS)]
    value, slopes = f(case.point), [m.inner_product(case.point, gradient, v) for v in vectors]

    def error(t: float) -> float:
        moved = [f(m.retraction(case.point, case.combine((t, v)))) for v in vectors]
        return worst(*(abs(y - value - t * s) for y, s in zip(moved, slopes, strict=True)))

    return Slope(measured_order(error, STEPS), 2.0)


def hessians(case: Case) -> Slope:
    """``f(exp(t v)) - f(x) - t <grad f, v> - t^2 / 2 <Hess f v, v>`` is of third order."""
    case.moving()
    m, x, f = case.manifold, case.point, Quartic(case)
    euclidean, value = f.gradient(x), f(x)
    gradient = m.euclidean_to_riemannian_gradient(x, euclidean)
    vectors = [case.tangent(length=1.0) for _ in range(DIRECTIONS)]
    terms = []
    for v in vectors:
        hessian = m.euclidean_to_riemannian_hessian(x, euclidean, f.hessian(x, v), v)
        m.check_tangent(x, hessian, tol=1e-9)
        terms.append((m.inner_product(x, gradient, v), m.inner_product(x, hessian, v)))

    def error(t: float) -> float:
        moved = [f(m.exp(x, case.combine((t, v)))) for v in vectors]
        rest = zip(moved, terms, strict=True)
        return worst(*(abs(y - value - t * s - 0.5 * t**2 * h) for y, (s, h) in rest))

    return Slope(measured_order(error, STEPS), 3.0)


CHECKS: dict[str, Check] = {"gradients": gradients, "Hessians": hessians}
