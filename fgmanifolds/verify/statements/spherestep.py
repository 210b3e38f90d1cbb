"""The denominator on spheres, (7)."""

from __future__ import annotations

import numpy as np
import pymanopt

from fgmanifolds import steps
from fgmanifolds.geometry import Sphere
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver import FGSGDSolver
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, with_argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.bias import HALF_RHO, right_denominator
from fgmanifolds.verify.statements.rates import chord_distance, sphere_step

__all__ = ["ENTRIES", "eq7"]

_HERE = "fgmanifolds.verify.statements.spherestep"


def printed_denominator(norm: float, radius: float) -> float:
    """(7), the same at every radius."""
    return max(1.0, norm * (2 + norm))


#: Radius and gradient norm; the minimum is at the distance that Corollary 2 assumes, the radius.
STEPS = ((1.0, 0.45), (1.0, 3.0), (10.0, 0.2), (10.0, 2.0), (0.1, 1.5))


def eq7(*, seed: int = 0) -> Finding:
    """Check (7): the squared distance to the minimum changes by r(t) at most in one step.

    That is what (25) needs of the denominator. It is nearly attained on a large sphere, where
    the printed (7), which the paper claims for scaled spheres too, allows several times as much.
    """
    rng = np.random.default_rng(seed)
    found, rate = Evidence(), 1e-3
    worst = {"printed": 0.0, "right": 0.0, "solver": 0.0, "unit": 0.0}
    formula = 0.0
    for radius, norm in STEPS:
        sphere, minimum, point, gradient = sphere_step(radius, radius, norm, rng=rng)

        def change(moved: Array, y: Array = minimum, r: float = radius) -> float:
            return abs(chord_distance(moved, y, r) ** 2 - r**2) / rate

        def step(g: float, m: Sphere = sphere, w: Array = point, u: Array = gradient) -> Array:
            return m.exp(w, -rate / g * u)

        printed = change(step(printed_denominator(norm, radius)))
        worst["printed"] = max(worst["printed"], printed)
        if radius == 1:
            worst["unit"] = max(worst["unit"], printed)
        worst["right"] = max(worst["right"], change(step(float(right_denominator(norm, radius)))))
        worst["solver"] = max(worst["solver"], change(_solver_step(sphere, point, gradient, rate)))
        ours = float(steps.denominator("corollary2", norm, c=1 / radius**2, kappa=0.0))
        formula = max(formula, abs(ours / float(right_denominator(norm, radius)) - 1))
    found.below(PRINTED, "(7): change of rho^2 over r(t), worst radius", worst["printed"], 1.0)
    found.between(RIGHT, "(7) at radius 1", worst["unit"], 0.8, 1.0)
    found.between(RIGHT, "with c^(-1/2) in place of 1", worst["right"], 0.95, 1.0)
    found.between(CODE, "the solver's step", worst["solver"], 0.95, 1.0)
    found.below(CODE, "rule 'corollary2' off the right formula by", formula, 1e-12)
    return found.finding(
        "(7)",
        "On spheres g = max(1, R^2 (2 + R)^2)^(1/2).",
        "Right at radius 1. The paper claims it for scaled spheres as well; there the distance "
        "that Corollary 2 assumes is c^(-1/2), the radius.",
        corrected=True,
    )


def _solver_step(sphere: Sphere, point: Array, gradient: Array, rate: float) -> Array:
    """The point after one step of the solver, with the exponential map."""
    decorate = pymanopt.function.numpy(sphere)

    def cost(w: Array) -> float:
        return float(np.vdot(gradient, w))

    def slope(w: Array) -> Array:
        return gradient

    problem = pymanopt.Problem(sphere, decorate(cost), euclidean_gradient=decorate(slope))
    solver = FGSGDSolver(
        steps.constant(rate, check=False),
        gradient_norm="current",
        check_schedule=False,
        use_exp=True,
        max_iterations=1,
        min_step_size=0.0,
        verbosity=0,
    )
    return np.asarray(solver.run(problem, initial_point=point).point)


NO_G = Fault(
    "corollary2-one",
    PACKAGE,
    "the denominator of Corollary 2 is 1",
    "fgmanifolds.steps.rules:Corollary2.__call__",
    instead(lambda self, norm, geometry: 0 * norm + 1),
)


ENTRIES = (
    Claim(
        "eq7",
        "(7)",
        "On unit spheres, and scaled ones, g = max(1, R^2 (2 + R)^2)^(1/2).",
        "At radius r: rho-hat = c^(-1/2) = r in the place of 1.",
        "fgmanifolds.solver.corollary2",
        eq7,
        CORRECTED,
        "A step of length a changes $\\rho^2$ by at most $a(2\\rho + a)$. With $a = (r/\\mathfrak "
        "g) R$ and $\\mathfrak g \\ge R(2\\rho + R)$ that is at most r. At the distance that "
        "Corollary 2 assumes, $\\rho = \\hat c^{-1/2}$, this is (7) at radius 1, and on a sphere "
        "of radius r it has 2r in the place of 2.",
        (
            Fault(
                "eq7-printed-right",
                FORMULA,
                "the printed (7) with the radius",
                f"{_HERE}:printed_denominator",
                instead(lambda norm, radius: max(1.0, norm * (2 * radius + norm))),
            ),
            Fault(
                "eq7-right-half",
                FORMULA,
                "the right denominator with rho in place of 2 rho",
                f"{_HERE}:right_denominator",
                with_argument(1, lambda radius: 0.5 * radius),
            ),
            HALF_RHO,
            NO_G,
        ),
    ),
)
