"""Learning rates, (4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgmanifolds import steps
from fgmanifolds.geometry import Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "eq4", "sphere_step"]

_HERE = "fgmanifolds.verify.statements.rates"


def sphere_step(
    radius: float, rho: float, norm: float, *, rng: np.random.Generator
) -> tuple[Sphere, Array, Array, Array]:
    """A sphere, a minimum, a point at a distance from it, and a gradient towards the minimum.

    Parameters
    ----------
    radius, rho, norm : float
        Of the sphere; distance to the minimum; norm of the gradient, whose step goes away
        from the minimum.
    rng : Generator

    Returns
    -------
    sphere, minimum, point, gradient
    """
    sphere = Sphere(4, 1, radius=radius)
    minimum = reference.nearest("sphere", rng.standard_normal((4, 1)), radius)
    away = reference.tangent_part("sphere", minimum, rng.standard_normal((4, 1)))
    away = away / np.linalg.norm(away)
    angle = rho / radius
    point = minimum * np.cos(angle) + radius * away * np.sin(angle)
    outward = -minimum / radius * np.sin(angle) + away * np.cos(angle)
    return sphere, minimum, point, -norm * outward


def chord_distance(x: Array, y: Array, radius: float) -> float:
    """Distance on a sphere by the chord."""
    return 2 * radius * float(np.arcsin(min(1.0, float(np.linalg.norm(x - y)) / (2 * radius))))


def printed_conditions(power: float) -> bool:
    """Whether rates that decay like t^-power satisfy (4)."""
    return 0.5 < power <= 1.0


def right_limit() -> float:
    """Largest rate for which the proof works."""
    return 1.0


def eq4(*, seed: int = 0) -> Finding:
    """Check (4): sums against integrals, what is accepted, and that rates above 1 break the proof.

    The second-order term of (25) must be at most r(t)^2. At the minimum, with a gradient of norm
    1, it is r(t)^4.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    a, b, power, n = 0.5, 10.0, 0.75, 2**18
    schedule = steps.robbins_monro(a, b, power)
    values = np.array([schedule(t) for t in range(n)])
    integral = a * b / (1 - power) * ((1 + n / b) ** (1 - power) - 1)
    over = float(values.sum()) - integral
    found.between(CODE, "sum of r(t) over its integral, which is infinite", over, 0.0, a)
    limit = a**2 + a**2 * b / (2 * power - 1)
    tail = a**2 * b / (2 * power - 1) * (1 + n / b) ** (1 - 2 * power)
    squares = float((values**2).sum()) + tail
    found.between(CODE, "sum of r(t)^2, tail included", squares, limit - a**2, limit)
    powers = (0.2, 0.45, 0.55, 0.75, 1.0, 1.2, 2.0)
    wrong = sum(printed_conditions(p) is not _accepted(_decay(0.5, p)) for p in powers)
    wrong += _accepted(lambda t: 0.1)
    found.near(CODE, "decays from t^-0.2 to t^-2 judged wrongly", wrong, 0, 0)
    terms = {}
    for rate in (0.5, 1.0, 1.5):
        sphere, minimum, _, gradient = sphere_step(1.0, 0.0, 1.0, rng=rng)
        moved = sphere.exp(minimum, -rate * gradient)
        terms[rate] = chord_distance(moved, minimum, 1.0) ** 4 / rate**2
    found.below(PRINTED, "r(0) = 1.5: second-order term over r^2", terms[1.5], 1.0 + 1e-9)
    found.near(RIGHT, "r(0) = 1: the same", terms[1.0], right_limit() ** 2, 1e-9)
    found.near(RIGHT, "r(0) = 0.5: the same", terms[0.5], 0.25, 1e-9)
    refused = not _accepted(_decay(2.5, 0.75))
    found.near(CODE, "rates above 1 refused", refused, 1, 0)
    return found.finding(
        "(4)",
        "Learning rates with an infinite sum and a finite sum of squares.",
        "The proof of Theorem 2 also needs r(t) <= 1. Constant rates, steps and cosines break (4).",
        corrected=True,
    )


def _decay(first: float, power: float) -> Callable[[int], float]:
    """Rates that decay with a power."""
    return lambda t: float(first * (1.0 + t) ** -power)


def _accepted(rate: Callable[[int], float]) -> bool:
    try:
        steps.check_schedule(rate if rate(0) != rate(1) else rate(0))
    except ValueError:
        return False
    return True


ENTRIES = (
    Claim(
        "eq4",
        "(4)",
        "sum r(t) = inf, sum r(t)^2 < inf.",
        "The proof needs r(t) <= 1 as well.",
        "fgmanifolds.steps.schedules",
        eq4,
        CORRECTED,
        "The second-order term of the Taylor bound is $(\\rho_{t+1}^2 - \\rho_t^2)^2$, and with "
        "$\\mathfrak g \\ge R(2\\rho + R)$ and $\\mathfrak g \\ge 1$ the change of $\\rho^2$ is "
        "at most $(r/\\mathfrak g)R(2\\rho + (r/\\mathfrak g) R)$. For r up to 1 that is at most "
        "r; at $\\rho = 0$, R = 1 it is r^2, which exceeds r as soon as r exceeds 1.",
        (
            Fault(
                "eq4-slower",
                FORMULA,
                "(4) satisfied from t^-0.25 on",
                f"{_HERE}:printed_conditions",
                instead(lambda power: 0.25 < power <= 1.0),
            ),
            Fault(
                "eq4-limit",
                FORMULA,
                "rates up to 2 allowed",
                f"{_HERE}:right_limit",
                instead(lambda: 2.0),
            ),
            Fault(
                "schedules-all",
                PACKAGE,
                "check_schedule accepts everything",
                "fgmanifolds.steps:check_schedule",
                instead(lambda lr, check=True: lr),
            ),
            Fault(
                "robbins-monro-slower",
                PACKAGE,
                "robbins_monro decays with half of its power",
                "fgmanifolds.steps:robbins_monro",
                lambda f: lambda a, b, power: lambda t: a / (1 + t / b) ** (power / 2),
            ),
        ),
    ),
)
