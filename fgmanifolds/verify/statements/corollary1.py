"""Corollary 1, with a binomial test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymanopt
from scipy import stats

from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver, robbins_monro
from fgmanifolds.validation import check_integer
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, Fault, instead
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.problems import make_problem
from fgmanifolds.verify.sidefaults import RETRACTS_BACK
from fgmanifolds.verify.statements.theorem1 import GRADIENT_SIGN
from fgmanifolds.verify.statements.theorem2 import ALPHA

__all__ = ["ENTRIES", "corollary1", "corollary1_basins", "worse_share"]

_HERE = "fgmanifolds.verify.statements.corollary1"


def corollary1(*, seeds: int = 20, seed: int = 0) -> Finding:
    """Check Corollary 1: if local minima are global, FG-SGD finds the global minimum.

    On leading eigenvectors, where it is so, and on a convex quadratic on a circle,
    which has one minimum in the plane but two on the circle.

    Parameters
    ----------
    seeds : int
        Number of random starts.
    seed : int
        Of the data.

    Returns
    -------
    Finding
        Largest cost above the global minimum on the first problem; the lowest and the
        highest cost found on the second.
    """
    check_integer("seeds", seeds, low=2)
    gaps = _gaps(seed, seeds)
    circle = ScaledProductManifold([Sphere(2, 1)])
    costs = [
        float(_circle_costs(circle, [circle.components[0].random_point(draw)])[0])
        for draw in range(seeds)
    ]
    measured = {
        "eigenvectors: largest gap, relative": max(gaps),
        "quadratic on a circle: lowest minimum found": min(costs),
        "quadratic on a circle: highest minimum found": max(costs),
    }
    holds = max(gaps) < 0.01 and max(costs) > min(costs) + 0.1
    return Finding(
        "Corollary 1",
        "If local minima are global, FG-SGD converges to a global minimum.",
        "holds as corrected" if holds else "fails",
        measured,
        "Local minima must be global on the manifold: that they are in the linear space is not "
        "enough, as the circle shows.",
    )


def _gaps(seed: int, starts: int) -> list[float]:
    """Costs above the global minimum on leading eigenvectors, relative."""
    known = make_problem("eigenvectors", seed=seed)
    scale = abs(known.minimum(None))
    solver = FGSGDSolver(
        robbins_monro(0.5, 50, 0.75), max_iterations=600, min_gradient_norm=1e-9, verbosity=0
    )
    return [
        known.gap(solver.run(known.problem, initial_point=known.initial_point(draw)).point) / scale
        for draw in range(starts)
    ]


def _circle_costs(circles: ScaledProductManifold, start: list[Array]) -> Array:
    """The costs at which runs on circles end, one a circle; all at once, each a POM of its own."""
    matrix, pull = np.diag([1.0, 0.1]), np.array([0.0, 0.1])
    decorate = pymanopt.function.numpy(circles)

    def each(points: Any) -> Array:
        w = np.array(points)[:, :, 0]
        return np.einsum("ni,ij,nj->n", w, matrix, w) - w @ pull

    def cost(*points: Array) -> float:
        return float(np.sum(each(points)))

    def gradient(*points: Array) -> list[Array]:
        w = np.array(points)[:, :, 0]
        return list((2 * w @ matrix - pull)[:, :, None])

    problem = pymanopt.Problem(circles, decorate(cost), euclidean_gradient=decorate(gradient))
    solver = FGSGDSolver(
        robbins_monro(0.5, 50, 0.75),
        poms=[[i] for i in range(len(circles.components))],
        max_iterations=500,
        min_gradient_norm=1e-9,
        verbosity=0,
    )
    return each(solver.run(problem, initial_point=start).point)


def printed_premise(convex: bool, one_minimum: bool) -> bool:
    """Corollary 1's premise, read of the loss in the space of weights: convexity is enough."""
    return convex


def worse_share() -> float:
    """Share of the circle from which the gradient flows to the worse of the two minima.

    The slope of the quadratic at the angle t is -cos(t) (1.8 sin(t) + 0.1): between the two
    highest points, at sin(t) = -1/18, the arc below goes to the worse minimum.
    """
    return 0.5 - float(np.arcsin(1 / 18)) / np.pi


def corollary1_basins(*, seed: int = 0) -> Finding:
    """Check Corollary 1, where its premise holds on the manifold and where it does not.

    120 random starts on the circle: the number that ends in the worse minimum is binomial, with
    the share of the circle that flows there (tested at :data:`ALPHA`).
    """
    rng = np.random.default_rng([seed, 1])
    found = Evidence()
    gap = max(_gaps(seed, 8))
    found.below(CODE, "eigenvectors: largest gap over 8 starts, relative", gap, 0.01)
    circles = ScaledProductManifold([Sphere(2, 1)] * 120)
    angles = rng.uniform(0, 2 * np.pi, 120)
    start = [np.array([[np.cos(a)], [np.sin(a)]]) for a in angles]
    costs = _circle_costs(circles, start)
    found.near(RIGHT, "quadratic on a circle: lowest minimum found", costs.min(), 0.0, 1e-6)
    found.near(RIGHT, "quadratic on a circle: highest minimum found", costs.max(), 0.2, 1e-6)
    worse = int(np.sum(costs > 0.1))
    if printed_premise(convex=True, one_minimum=False):
        found.below(PRINTED, "share of starts that end above the global minimum", worse / 120, 0.0)
    share = worse_share()
    found.note("share of the circle that flows there", share)
    p_value = float(stats.binomtest(worse, 120, share).pvalue)
    found.above(RIGHT, "p value of that share", p_value, ALPHA)
    return found.finding(
        "Corollary 1",
        "If local minima are global, FG-SGD converges to a global minimum.",
        "Local minima must be global on the manifold: a quadratic that is convex in the plane has "
        "two minima on the circle. The binomial test errs with a probability of 1e-4.",
        corrected=True,
    )


ENTRIES = (
    Claim(
        "corollary1",
        "Corollary 1",
        "Where local minima are global, FG-SGD converges to a global minimum.",
        "They must be global on the manifold; that they are in the linear space is not enough.",
        "fgmanifolds.verify.corollary1",
        corollary1_basins,
        CORRECTED,
        "By Theorem 2, with the premise where its proof needs it: among the points of the "
        "manifold. $w_1^2 + 0.1 w_2^2 - 0.1 w_2$ is convex with one minimum in the plane; on the "
        "unit circle it has the slope $-\\cos t(1.8 \\sin t + 0.1)$, hence minima of 0 and 0.2 at "
        "$t = \\pm\\pi/2$, and 48% of the circle flows to the worse one.",
        (
            Fault(
                "corollary1-on-manifold",
                FORMULA,
                "the printed premise read of the manifold",
                f"{_HERE}:printed_premise",
                instead(lambda convex, one_minimum: one_minimum),
            ),
            Fault(
                "corollary1-basin",
                FORMULA,
                "a quarter of the circle flowing to the worse minimum",
                f"{_HERE}:worse_share",
                instead(lambda: 0.25),
            ),
            GRADIENT_SIGN,
            RETRACTS_BACK,
        ),
    ),
)
