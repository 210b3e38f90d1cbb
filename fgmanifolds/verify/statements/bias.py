"""The denominator with the norm of the same sample, (5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymanopt
from scipy.optimize import brentq

from fgmanifolds import steps
from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, StochasticProblem
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.claim import FAILS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, with_argument
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "bounded_gain", "denominator_bias", "past_gain"]

_HERE = "fgmanifolds.verify.statements.bias"


def printed_gain(own: Array, past: Array) -> Array:
    """1 / g of (7) with the norm of the same sample, as (5) is printed."""
    return 1 / right_denominator(own, 1.0)


def past_gain(own: Array, past: Array) -> Array:
    """1 / g with the norm of past samples.

    Parameters
    ----------
    own : array
        Norm of the same sample.
    past : array
        Norm of past ones.
    """
    return 1 / right_denominator(past, 1.0)


def bounded_gain(own: Array, past: Array) -> Array:
    """1 / max{g, R}: past norms, and no step longer than that of a gradient of norm 1.

    Parameters
    ----------
    own : array
        Norm of the same sample.
    past : array
        Norm of past ones.
    """
    return 1 / np.maximum(right_denominator(past, 1.0), own)


def expected_drift(
    gain: Callable[[Array, Array], Array], angle: float, seed: int, samples: int = 20000
) -> float:
    """Expected step at an angle from e1 (in radians) towards e2, from the law of the samples.

    Parameters
    ----------
    gain : callable
        1 / g of a sample's own norm, and of that of past ones.
    angle : float
    seed, samples : int
        Of the running mean of past norms, which is drawn.
    """
    rare = np.random.default_rng([seed, 5]).random(samples) < 0.1
    norms = np.where(rare, 8.1 * np.cos(angle), np.sin(angle))
    means = np.empty(len(norms))
    mean = norms[0] ** 2
    for i, square in enumerate(norms**2):
        means[i] = mean
        mean = 0.9 * mean + 0.1 * square
    past = np.sqrt(means)
    gentle = np.full_like(past, np.sin(angle))
    hard = np.full_like(past, 8.1 * np.cos(angle))
    towards_second = 0.1 * hard * gain(hard, past)
    towards_first = 0.9 * gentle * gain(gentle, past)
    return float(np.mean(towards_second - towards_first))


def _resting_angle(gain: Callable[[Array, Array], Array], seed: int) -> float:
    """Angle at which the expected step vanishes, in degrees."""
    low, high = 1e-3, np.pi / 2 - 1e-3
    root = brentq(lambda angle: expected_drift(gain, angle, seed), low, high, xtol=1e-4)
    return float(np.degrees(root))


def denominator_bias(*, steps: int = 20000, seed: int = 0) -> Finding:
    """Measure where FG-SGD goes if the denominator has the norm of the same minibatch.

    On the two-sphere nine of ten samples pull gently to e1, and one of ten pulls 8.1
    times as hard to e2: the mean cost is least at ``atan(0.9)``, 41.99 degrees from
    e1. The denominator shortens the rare, large gradients. Where it comes to rest is also
    computed from the law of the samples, as the angle at which the expected step is zero.

    Parameters
    ----------
    steps : int
    seed : int

    Returns
    -------
    Finding
        Angles from e1 in degrees, with the norm of the same sample and with that of past ones.
    """
    check_integer("steps", steps, low=10)
    problem = _two_pulls(seed)
    angles = {norm: _run_angle(problem, norm, steps) for norm in ("current", "past")}
    best = float(np.degrees(np.arctan(0.9)))
    found = Evidence()
    found.note("angle of the minimum", best)
    # What a run is off from where it comes to rest: more in a shorter run.
    slack = 1.0 + 4e4 / steps
    found.near(PRINTED, "angle with the norm of the same sample", angles["current"], best, 3)
    expected = _resting_angle(printed_gain, seed)
    found.near(
        RIGHT, "the same run, off its expected rest by", angles["current"] - expected, 0, slack
    )
    found.near(RIGHT, "expected rest, g of past norms alone", _resting_angle(past_gain, 0), best, 2)
    found.note("angle with the norm of past samples", angles["past"])
    bounded = _resting_angle(bounded_gain, seed)
    found.note("expected rest, max{g of past norms, R}", bounded)
    off = angles["past"] - bounded
    found.near(CODE, "the run with past norms, off its expected rest by", off, 0, 2 * slack)
    better = abs(angles["past"] - best) / abs(angles["current"] - best)
    found.below(CODE, "bias with past norms over bias as printed", better, 1 / 3)
    found.below(CODE, "largest deviation of `denominator` from its formulas", _rules_off(), 1e-12)
    return found.finding(
        "(5), R of the same minibatch",
        "The step -(r/g) grad with g from the same minibatch descends the expected loss.",
        "Large gradients are shortened more than small ones, so that the mean of the steps is not "
        "along the mean gradient. g of past norms alone does not depend on the sample and has no "
        "bias; but one large sample then makes a step of any length. The bound max{g, R} that the "
        "package takes keeps steps short and costs some bias: most of it goes, not all.",
        problem,
        beyond_repair=True,
    )


def _two_pulls(seed: int) -> StochasticProblem:
    # Many copies: drawn without replacement, a short epoch would tell the next sample.
    pulls = np.zeros((1000, 3))
    pulls[:900, 0], pulls[900:, 1] = 1.0, 8.1
    manifold = ScaledProductManifold([Sphere(3, 1)])
    decorate = pymanopt.function.numpy(manifold)

    def cost(w: Array, pull: Array) -> float:
        return -float(np.mean(pull @ w))

    def gradient(w: Array, pull: Array) -> list[Array]:
        return [-pull.mean(0)[:, None]]

    return StochasticProblem(
        manifold, decorate(cost), pulls, 1, euclidean_gradient=decorate(gradient), seed=seed
    )


def _run_angle(problem: StochasticProblem, norm: str, count: int) -> float:
    solver = FGSGDSolver(
        steps.robbins_monro(0.5, 100, 1.0),
        gradient_norm=norm,
        max_iterations=count,
        min_gradient_norm=0.0,
        min_step_size=0.0,
        verbosity=0,
    )
    (w,) = solver.run(problem, initial_point=[np.eye(3, 1, -2)]).point
    return float(np.degrees(np.arctan2(w[1, 0], w[0, 0])))


def _rules_off() -> float:
    """Denominators of the package against the formulas in plain Python."""
    worst = 0.0
    for norm in (0.0, 0.2, 0.7, 1.0, 3.0, 40.0):
        for rho in (0.01, 0.5, 3.0):
            for c, kappa in ((1.0, 0.0), (4.0, 2.0), (0.01, 0.005)):
                first, root = (2 * rho + norm) ** 2, kappa**0.5
                hat = c**-0.5
                wanted = {
                    "theorem2": max(first, 1 + root * (rho + norm)),
                    "corollary2": max((2 * hat + norm) ** 2, 1 + root * (hat + norm)),
                    "paper": max((2 / c + norm) ** 2, 1 + c * (1 / c + norm)),
                    "global": max((2 * np.pi * rho + norm) ** 2, 1 + root * (np.pi * rho + norm)),
                }
                for rule, larger in wanted.items():
                    right = max(1.0, norm**2 * larger) ** 0.5
                    ours = float(steps.denominator(rule, norm, rho=rho, c=c, kappa=kappa, norm=rho))
                    worst = max(worst, abs(ours / right - 1))
    return worst


def right_denominator(norm: Any, radius: float) -> Any:
    """(5) at the distance c^(-1/2), which is the radius of a sphere."""
    return np.maximum(1.0, norm * np.maximum(2 * radius + norm, 1.0))


HALF_RHO = Fault(
    "corollary2-half-rho",
    PACKAGE,
    "the denominator of Corollary 2 has rho in place of 2 rho",
    "fgmanifolds.steps.formulas:theorem2",
    with_argument(1, lambda rho: 0.5 * rho),
)


ENTRIES = (
    Claim(
        "eq5",
        "(5)",
        "g = max(1, R^2 max[(2 rho + R)^2, 1 + c (rho + R)])^(1/2), R of the same gradient.",
        "R of past gradients; kappa^(1/2), kappa = -(lowest curvature), in the place of c.",
        "fgmanifolds.steps.rules",
        denominator_bias,
        FAILS,
        "A step divides the gradient of a sample by a number that grows with it, so that the mean "
        "step is $E[\\nabla L_s / \\mathfrak g(R_s)]$, not a multiple of $E[\\nabla L_s]$. It "
        "vanishes elsewhere: at the angle where $0.9 \\sin\\theta / \\mathfrak g(\\sin\\theta) = "
        "0.81 \\cos\\theta / \\mathfrak g(8.1\\cos\\theta)$. A norm of past samples is "
        "independent of the present one and comes out of the mean. With $\\max\\{\\mathfrak "
        "g(R_{past}), R_{now}\\}$ only samples beyond that bound are shortened.",
        (
            Fault(
                "eq5-printed-past",
                FORMULA,
                "the printed denominator with past norms",
                f"{_HERE}:printed_gain",
                lambda f: past_gain,
            ),
            Fault(
                "eq5-past-own",
                FORMULA,
                "the corrected denominator with the sample's own norm",
                f"{_HERE}:past_gain",
                lambda f: printed_gain,
            ),
            Fault(
                "solver-current",
                PACKAGE,
                "FGSGDSolver takes the present norm whatever it is told",
                "fgmanifolds.solver:FGSGDSolver.__init__",
                lambda f: (
                    lambda self, *args, **options: f(
                        self, *args, **{**options, "gradient_norm": "current"}
                    )
                ),
            ),
            HALF_RHO,
        ),
    ),
)
