"""The expected growth of Psi, directly: (26)."""

from __future__ import annotations

import numpy as np

from fgmanifolds import steps
from fgmanifolds.verify import onestep
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, instead
from fgmanifolds.verify.fault import with_argument as argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.onestep import Case, PathStep, kinked
from fgmanifolds.verify.statements.growth import HALF_RHO, NO_G, SLACK, bound_fault, largest_use

__all__ = ["ENTRIES", "eq26", "printed_inner"]

_HERE = "fgmanifolds.verify.statements.direct"


def bound_26(inner: float, slope: float, rate: float) -> float:
    """(26): bound of the expected change of Psi by the inner product."""
    return inner * slope + rate**2


def printed_inner(inside: float, outside: float) -> float:
    """The inner product of (26): with the g of the mean gradient in front of the expectation.

    Parameters
    ----------
    inside, outside : float
    """
    return outside


def eq26(*, seed: int = 0) -> Finding:
    """Check (26): adding (24) and (25) gives 2 r(t)^2, but the printed r(t)^2 is enough.

    The worst cases of (24) and (25) exclude each other. Sought over the cases, and over
    20,000 draws of distance, norm, rate and noise in flat space, where steps are closed forms.
    """

    def used(case: Case, step: PathStep, change: float, slope: float) -> float:
        return (change - bound_26(step.inner, slope, case.rate)) / case.rate**2 + 1

    found = Evidence()
    rate = 0.05
    change, inside, outside = onestep.rare_gradient(rate)
    as_printed = bound_26(printed_inner(inside, outside), 1.0, rate)
    name = "rare large gradients, g in front of the expectation: share used up"
    found.below(PRINTED, name, (change - as_printed) / rate**2 + 1, 1.0)
    found.between(RIGHT, "largest share of r(t)^2 used up", largest_use(used), 0.9, 1 + SLACK)
    found.between(RIGHT, "the same over random steps", _flat_search(seed), 0.9, 1 + SLACK)
    return found.finding(
        "(26)",
        "The expected growth of Psi is bounded by the inner product and r(t)^2.",
        "It does not follow from (24) and (25), which give 2 r(t)^2 together; it follows directly. "
        "Where samples have gradients of different norms, g differs between them and stays inside "
        "of the expectation, as in (24).",
        corrected=True,
    )


def _flat_search(seed: int, draws: int = 20000) -> float:
    """Largest share of r(t)^2 in (26), over random steps in flat space."""
    rng = np.random.default_rng([seed, 26])
    rho, norm = 10 ** rng.uniform(-2, 1, (2, draws))
    rate = 10 ** rng.uniform(-3, 0, draws)
    g = np.asarray(steps.denominator("theorem2", norm, rho=rho, kappa=0.0))
    a, cosine = rate * norm / g, rng.choice([-1.0, 1.0, 0.3], draws)
    signs = np.where(rng.random(draws) < 0.5, [[1.0], [-1.0]], [[1.0], [1.0]])
    before, margin = rho**2, rng.uniform(0, 0.6, draws)
    epsilon = np.maximum(before - margin, 0)
    after = before + 2 * a * rho * cosine * signs + a**2
    values, slope = kinked(before, epsilon)
    growth = kinked(after, epsilon)[0].mean(axis=0) - values
    inner = 2 * a * rho * cosine * signs.mean(axis=0)
    used = [
        (change - bound_26(i, s, r)) / r**2 + 1
        for change, i, s, r in zip(growth, inner, slope, rate, strict=True)
    ]
    return float(max(used))


ENTRIES = (
    Claim(
        "eq26",
        "(26)",
        "The expected growth of Psi by the inner product and r(t)^2.",
        "With the denominator inside of the expectation; r(t)^2 is enough.",
        "fgmanifolds.verify.one_step",
        eq26,
        CORRECTED,
        "Let the step have the length $a = (r/\\mathfrak g)R$ and the cosine c with the geodesic "
        "to the minimum, and H be half the Hessian in its direction: $\\rho^2$ changes by $2 a "
        "\\rho c + a^2 H$. With $0 \\le \\Psi' \\le 1$ and $\\Psi'' \\le 2$ the growth of Psi "
        "beyond $2 a \\rho c \\Psi'$ is at most $a^2 (H + 4\\rho^2 c^2)$: by Taylor's formula "
        "where $\\Psi'$ stays below 1, and beyond by its cap. $H \\le c^2 + (1 - c^2) h$ with "
        "$h = 1 + \\sqrt\\kappa(\\rho + R)$, so that this is at most $a^2\\max\\{1 + 4\\rho^2, "
        "h\\}$. Now $R^2(1 + 4\\rho^2) \\le \\max\\{1, R^2(2\\rho + R)^2\\}$ and $R^2 h$ are both "
        "at most $\\mathfrak g^2$: the sum is at most r^2, up to higher orders of a in curved "
        "spaces. (24) and (25) added give twice that.",
        (
            bound_fault("eq26-half", "r(t)^2 / 2 in place of r(t)^2", 0.5, _HERE),
            Fault(
                "eq26-no-inner",
                FORMULA,
                "(26) with the inner product's other sign",
                f"{_HERE}:bound_26",
                argument(0, lambda inner: -inner),
            ),
            Fault(
                "eq26-inside",
                FORMULA,
                "the printed (26) with the denominator inside of the expectation",
                f"{_HERE}:printed_inner",
                instead(lambda inside, outside: inside),
            ),
            HALF_RHO,
            NO_G,
        ),
    ),
)
