"""Corollary 2, with statistical tests."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad

from fgmanifolds.geometry import Sphere
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.replicates import noisy_pulls
from fgmanifolds.verify.statements import theorem2
from fgmanifolds.verify.statements.bias import HALF_RHO
from fgmanifolds.verify.statements.spherestep import NO_G, eq7
from fgmanifolds.verify.statements.theorem2 import ALPHA, STEADY, progress

__all__ = ["ENTRIES", "corollary2", "corollary2_conditions", "exact_share"]

_HERE = "fgmanifolds.verify.statements.corollary2"


def corollary2(*, seeds: int = 5, samples: int = 20000, seed: int = 0) -> Finding:
    """Check Corollary 2: convergence on unit spheres with the denominator (7).

    Also measured is its assumption that the minimum is within 1 / c of the point:
    the share of random pairs of points of the sphere S^8 (3 x 3 kernels) that are.

    Parameters
    ----------
    seeds : int
        Number of runs.
    samples : int
        Number of random pairs.
    seed : int

    Returns
    -------
    Finding
    """
    check_integer("seeds", seeds, low=1)
    check_integer("samples", samples, low=1)
    runs = np.array([progress("eigenvectors", seed + i, 1500, "corollary2") for i in range(seeds)])
    shares = runs[:, 2] / runs[:, 0]
    measured = {
        "gradient at the end over that at the start, worst": float(shares[:, 0].max()),
        "distance at the end over that at the start, worst": float(shares[:, 1].max()),
        "share of random pairs on S^8 within 1 / c": _share_near(1.0, 1.0, samples, seed),
    }
    return Finding(
        "Corollary 2",
        "With the denominator (7), FG-SGD on products of unit spheres converges.",
        "holds as corrected" if shares[:, 1].max() < 0.15 else "fails",
        measured,
        "1 / c is not a length: on a sphere of radius r the distance must be c^(-1/2). The "
        "assumption that the minimum is that near is rarely met at the start, and the runs "
        "converge without it.",
    )


def _share_near(radius: float, distance: float, samples: int, seed: int) -> float:
    """Share of random pairs on an eight-sphere of a radius that are within a distance."""
    sphere = Sphere(3, 3, k=samples, radius=radius)
    rng = np.random.default_rng(seed)
    pair = (sphere.random_point(rng), sphere.random_point(rng))
    return float(np.mean(sphere.distances(*pair) <= distance))


def printed_distance(curvature: float) -> float:
    """Corollary 2's bound of the distance to the minimum."""
    return 1 / curvature


def right_distance(curvature: float) -> float:
    """A length: the radius of a sphere of that curvature."""
    return float(curvature**-0.5)


def exact_share(angle: float) -> float:
    """Share of pairs on an eight-sphere within an angle: of the integral of sin^7."""
    part, whole = (quad(lambda t: np.sin(t) ** 7, 0, end)[0] for end in (angle, np.pi))
    return float(part / whole)


def corollary2_conditions(*, seed: int = 0) -> Finding:
    """Check Corollary 2: convergence with (7), its step, and how often its assumption is met.

    A statement on spheres must not change with the unit of length: shares of random pairs
    within its distance are compared on spheres of radius 1 and 2, and with an integral.
    """
    found = Evidence()
    runs = noisy_pulls(theorem2.good_rates(), runs=60, steps=1000, seed=seed + 100)
    found.below(CODE, "runs on unit spheres: p value of no decrease", runs.p_value(), ALPHA)
    # Without noise the distance would be 0; the runs began at 2.5.
    left = float(np.sqrt(runs.late.mean())) / 2.5
    found.below(CODE, "distance at the end over that at the start", left, 0.2)
    steps = eq7(seed=seed).measured
    name = "the solver's step"
    found.between(CODE, f"{name}: change of rho^2 over r(t)", steps[name], 0.95, 1.0)
    samples = 20000
    expected = exact_share(1.0)
    found.note("share of pairs on S^8 within its distance, by an integral", expected)
    error = 4 * (expected * (1 - expected) / samples) ** 0.5  # 4 deviations: 6e-5
    ours = _share_near(1.0, right_distance(1.0), samples, seed)
    found.near(CODE, "the same of random points, radius 1", ours, expected, error)
    right = _share_near(2.0, right_distance(0.25), samples, seed)
    found.near(RIGHT, "radius 2, within c^(-1/2)", right, expected, error)
    printed = _share_near(2.0, printed_distance(0.25), samples, seed)
    found.near(PRINTED, "radius 2, within 1 / c", printed, expected, error)
    twice = exact_share(2.0)
    error = 4 * (twice * (1 - twice) / samples) ** 0.5
    found.near(RIGHT, "radius 2, within 1 / c, against that of two radians", printed, twice, error)
    return found.finding(
        "Corollary 2",
        "With the denominator (7), FG-SGD on products of unit spheres converges.",
        "1 / c is not a length: on a sphere of radius r the distance must be c^(-1/2). The "
        "assumption that the minimum is that near is rarely met at the start (one pair of twenty "
        "on S^8), and the runs converge without it. Tests err with a probability of 1e-4.",
        corrected=True,
    )


ENTRIES = (
    Claim(
        "corollary2",
        "Corollary 2",
        "Convergence on products of unit spheres with (7), where rho <= 1 / c.",
        "1 / c is not a length: c^(-1/2). The assumption is rarely met at the start.",
        "fgmanifolds.solver.corollary2",
        corollary2_conditions,
        CORRECTED,
        "Theorem 2 with a bound of the distance. Curvature is one over a squared length, so that "
        "1/c is a squared one; $\\hat c^{-1/2}$ is the radius of the sphere. Of two random points "
        "of $S^8$ the share within one radius is $\\int_0^1 \\sin^7 / \\int_0^\\pi \\sin^7$ = "
        "5.3%.",
        (
            STEADY,
            Fault(
                "corollary2-printed-right",
                FORMULA,
                "the printed distance replaced by c^(-1/2)",
                f"{_HERE}:printed_distance",
                lambda f: right_distance,
            ),
            Fault(
                "corollary2-right-half",
                FORMULA,
                "half of the right distance",
                f"{_HERE}:right_distance",
                instead(lambda c: 0.5 * c**-0.5),
            ),
            HALF_RHO,
            NO_G,
            Fault(
                "sphere-points-not-uniform",
                PACKAGE,
                "random points of Sphere have no negative entries",
                "fgmanifolds.geometry:Sphere.random_point",
                lambda f: lambda *args, **options: np.abs(f(*args, **options)),
            ),
        ),
    ),
)
