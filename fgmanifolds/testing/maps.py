"""Checks of retractions, geodesics, logarithms, distances and transports."""

from __future__ import annotations

import numpy as np

from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Measured, Skipped, Slope, measured_order, worst

__all__ = ["CHECKS"]

STEPS = (0.08, 0.04, 0.02, 0.01)
#: Steps of a chain.
CHAIN = 200


def _order(case: Case) -> float:
    return float(min(case.manifold._each(lambda m: getattr(m, "retraction_order", 1))))


def retraction_at_zero(case: Case) -> Measured:
    """A retraction of zero is the point, and all of it stays on the manifold."""
    m = case.manifold
    here = m.retraction(case.point, m.zero_vector(case.point))
    moved = m.retraction(case.point, case.tangent(length=3.0))
    return Measured(worst(case.gap(here, case.point), float(m.residual(moved))), 1e-12)


def retraction_first_order(case: Case) -> Slope:
    """A retraction leaves the point along the tangent vector."""
    case.moving()
    m, v = case.manifold, case.tangent(length=1.0)

    def error(t: float) -> float:
        move = case.combine((t, v))
        return case.gap(m.retraction(case.point, move), case.combine((1, case.point), (t, v)))

    return Slope(measured_order(error, STEPS), 2.0)


def retraction_order(case: Case) -> Slope:
    """A retraction agrees with the exponential map to the order it claims."""
    case.moving()
    m, v, order = case.manifold, case.tangent(length=1.0), _order(case)

    def error(t: float) -> float:
        move = case.combine((t, v))
        return case.gap(m.retraction(case.point, move), m.exp(case.point, move))

    measured = measured_order(error, STEPS)
    return Slope(measured, order if np.isinf(order) else order + 1)


def inverse_retraction(case: Case) -> Measured:
    """The inverse retraction undoes the retraction."""
    m, v = case.manifold, case.tangent()
    moved = m.retraction(case.point, v)
    back = m.inverse_retraction(case.point, moved)
    tangent = case.gap(m.projection(case.point, back), back)
    return Measured(worst(case.gap(back, v), tangent), 1e-9)


def exponential(case: Case) -> Measured:
    """Geodesics start at the point, stay on the manifold, and go on along themselves."""
    m, v = case.manifold, case.tangent()
    start = case.gap(m.exp(case.point, m.zero_vector(case.point)), case.point)
    half = case.combine((0.5, v))
    middle = m.exp(case.point, half)
    velocity = m.parallel_transport(case.point, half, v)
    on = case.gap(m.exp(middle, case.combine((0.5, velocity))), end := m.exp(case.point, v))
    return Measured(worst(start, on, float(m.residual(end))), 1e-10)


def logarithm(case: Case) -> Measured:
    """The logarithm undoes the exponential map, and the other way about."""
    m, v = case.manifold, case.tangent()
    end = m.exp(case.point, v)
    back = m.log(case.point, end)
    vector, certified = m.log_certified(case.point, end)
    if not certified:
        return Measured(float("inf"), 1e-9)
    there = case.far(m.exp(case.point, back), end)
    return Measured(worst(case.gap(back, v), case.gap(vector, v), there), 1e-9)


def distances(case: Case) -> Measured:
    """Distances are lengths of geodesics, symmetric, 0 at 0, and keep the triangle inequality."""
    m, v = case.manifold, case.tangent()
    end, other = m.exp(case.point, v), case.near()
    length = float(m.norm(case.point, v))
    off = [
        abs(float(m.dist(case.point, end)) - length) / case.scale,
        abs(float(m.dist(end, case.point)) - length) / case.scale,
        abs(float(m.dist(case.point, end, certify=False)) - length) / case.scale,
        float(m.dist(end, end)) / case.scale,
        float(m.dist(case.point, other) - length - m.dist(end, other)) / case.scale,
        float(m.dist(case.point, other) - m.geodesic_distance(case.point, other)) / case.scale,
    ]
    return Measured(worst(*off), 1e-9)


def parallel_transport(case: Case) -> Measured:
    """Parallel transport keeps inner products, ends in tangent spaces, and comes back."""
    case.moving()
    m, v = case.manifold, case.tangent()
    a, b = case.tangent(), case.tangent()
    end = m.exp(case.point, v)
    moved = [m.parallel_transport(case.point, v, x) for x in (a, b, v)]
    before, after = m.inner_product(case.point, a, b), m.inner_product(end, moved[0], moved[1])
    home = m.parallel_transport(end, case.combine((-1, moved[2])), moved[0])
    off = [abs(before - after) / case.scale**2, case.gap(home, a)]
    off += [float(m.tangent_residual(end, x)) for x in moved]
    return Measured(worst(*off), 1e-9)


def transport(case: Case) -> Measured:
    """Transport ends in tangent spaces, and is the identity at the point."""
    m, a = case.manifold, case.tangent()
    there = case.near()
    off = case.gap(m.transport(case.point, case.point, a), a)
    return Measured(
        worst(off, float(m.tangent_residual(there, m.transport(case.point, there, a)))), 1e-10
    )


def chains(case: Case) -> Measured:
    """Many steps along one geodesic do not leave the manifold, nor change the speed."""
    case.moving()
    m, point, v = case.manifold, case.point, case.tangent(length=0.3)
    speed = float(m.norm(point, v))
    # Where distances have no bound, back and forth: numbers grow like their exponentials.
    endless = any(m._each(lambda c: np.isinf(c.injectivity_radius)))
    for step in range(CHAIN):
        if endless and step % 6 == 5:
            v = case.combine((-1.0, v))
        v, point = m.parallel_transport(point, v, v), m.exp(point, v)
    off = [float(m.residual(point)), float(m.tangent_residual(point, v))]
    return Measured(worst(*off, abs(float(m.norm(point, v)) / speed - 1)), 1e-10)


def geodesics(case: Case) -> Measured:
    """Points at many times are those at each; a shortest geodesic joins its ends."""
    m, v = case.manifold, case.tangent()
    times = np.array([[0.0, 0.25], [0.5, 1.0]])
    points = case.flat(m.geodesic(case.point, v, times))
    off = [
        float(np.max(np.abs(points[i] - case.flat(m.exp(case.point, case.combine((t, v)))))))
        for i, t in np.ndenumerate(times)
    ]
    end = m.exp(case.point, v)
    middle, other = m.pair_mean(case.point, end), m.shortest_geodesic(case.point, end, 0.5)
    halves = float(m.dist(middle, end)) - float(m.dist(case.point, middle))
    off += [case.gap(middle, other), abs(halves) / case.scale]
    return Measured(worst(*off), 1e-8)


def means(case: Case) -> Measured:
    """The mean of two points is halfway; the median of three is one where weights say so."""
    case.moving()
    m = case.manifold
    ends = [case.point, case.near(), case.near()]
    if len({case.flat(x).tobytes() for x in ends}) < 3:
        raise Skipped("too few points")
    stack = m._pack(m._each(lambda c, *parts: np.stack(parts), *ends))
    mean = m.mean(m._pack(m._each(lambda c, x: x[:2], stack)))
    middle = m.pair_mean(ends[0], ends[1])
    median = m.median(stack, weights=[1, 8, 1])
    if not (mean.converged and median.converged):
        return Measured(float("inf"), 1e-7)
    pair = m._pack(m._each(lambda c, x: x[:2], stack))
    spread = case.unlike(m.variance(pair), (0.5 * m.dist(ends[0], ends[1])) ** 2)
    return Measured(
        worst(case.far(mean.point, middle), case.far(median.point, ends[1]), spread), 1e-7
    )


CHECKS: dict[str, Check] = {
    "retraction at zero": retraction_at_zero,
    "retraction, first order": retraction_first_order,
    "retraction, claimed order": retraction_order,
    "inverse retraction": inverse_retraction,
    "exponential map": exponential,
    "logarithm": logarithm,
    "distances": distances,
    "parallel transport": parallel_transport,
    "transport": transport,
    "chains": chains,
    "geodesics": geodesics,
    "means": means,
}
