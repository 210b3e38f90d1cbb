"""Taylor bounds of the proof of Theorem 2, (22) and (23)."""

from __future__ import annotations

import numpy as np

from fgmanifolds.geometry import Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import onestep
from fgmanifolds.verify.claim import CORRECTED, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled
from fgmanifolds.verify.fault import with_argument as argument
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.onestep import Case, kinked

__all__ = ["ENTRIES", "eq22", "eq23", "taylor"]

_HERE = "fgmanifolds.verify.statements.taylor"


def taylor(change: Array, slope: Array) -> Array:
    """(22): bound of the change of Psi by that of its argument.

    Parameters
    ----------
    change, slope : array
    """
    return change * slope + change**2


def eq22() -> Finding:
    """Check (22) over all pairs of squared distances, for the steepest Psi that is allowed."""
    squares = np.linspace(0, 2, 401)
    values, slopes = kinked(squares, 0.2)
    growth = values[None, :] - values[:, None]
    change = squares[None, :] - squares[:, None]
    right = growth - taylor(change, slopes[:, None])
    roots = np.sqrt(squares)
    printed = growth - taylor(roots[None, :] - roots[:, None], slopes[:, None])
    away = np.abs(change) > 0
    second = (growth - change * slopes[:, None])[away] / change[away] ** 2
    found = Evidence()
    found.below(PRINTED, "excess with distances in the place of squares", printed.max(), 1e-9)
    found.below(RIGHT, "excess with squared distances", max(float(right.max()), 0.0), 1e-9)
    found.between(RIGHT, "second-order term needed, over its square", second.max(), 0.95, 1 + 1e-9)
    # The package's own function: 0, then bent between 0 and 2, then of slope 1.
    fine = np.linspace(0, 3, 3001)
    slope = np.gradient(onestep.psi(fine, 0.2), fine)
    bend = np.gradient(slope, fine)
    off = max(float(np.abs(slope[fine < 0.19]).max()), float(np.abs(slope[fine > 1.21] - 1).max()))
    found.below(CODE, "psi: slope off 0 and 1 at the ends", off, 1e-6)
    inside = bend[(fine > 0.21) & (fine < 1.19)]
    found.between(CODE, "psi: least second derivative between", float(inside.min()), 1e-3, 2)
    found.between(CODE, "psi: largest second derivative between", float(inside.max()), 1e-3, 2)
    return found.finding(
        "(22)",
        "Psi grows by its slope times the change, plus the change squared.",
        "rho is to be read squared everywhere; the inequality after (22) lacks the squares. With "
        "Psi'' = 2 the second term is attained.",
        corrected=True,
    )


def printed_hessian(curvature: float, rho: float, norm: float) -> float:
    """The bound before (23) of half the Hessian of the squared distance."""
    return 1 + curvature * (rho + norm)


def right_hessian(kappa: float, rho: float) -> float:
    """S coth(s) with s = kappa^(1/2) rho; at most 1 + s."""
    s = kappa**0.5 * rho
    return float(s / np.tanh(s)) if s > 0 else 1.0


def _hessian(stiefel: Stiefel, rho: float) -> float:
    """Largest eigenvalue of half the Hessian of the squared distance, by finite differences."""
    case = Case("", stiefel, rho, 1.0, radial=False)
    minimum, point, direction = case.place()
    h = 1e-3 * float(stiefel.radii[0])
    squares = [
        float(stiefel.dist(stiefel.exp(point, t * direction), minimum)) ** 2 for t in (-h, 0, h)
    ]
    return 0.5 * (squares[0] - 2 * squares[1] + squares[2]) / h**2


def eq23() -> Finding:
    """Check the bound kappa <= 1 + c (rho + R) before (23), on St(3, 2) at two radii.

    In its direction of strongest bending half the Hessian is nearly that of the space of
    constant curvature -1/2: the right bound is sharp, and that is demanded.
    """
    found = Evidence()
    for radius in (1.0, 10.0):
        stiefel = Stiefel(3, 2, radius=radius)
        low, high = stiefel.sectional_curvature_bounds
        bent = _hessian(stiefel, radius)
        found.note(f"radius {radius:g}: half the Hessian of rho^2 at rho = r", bent)
        least = printed_hessian(high, radius, 0.0)
        name = f"radius {radius:g}: the same over"
        found.below(PRINTED, f"{name} 1 + c (rho + R), R = 0", bent / least, 1.0)
        right = right_hessian(max(-low, 0.0), radius)
        found.between(RIGHT, f"{name} kappa^(1/2) rho coth", bent / right, 0.98, 1.0)
        simple = 1 + max(-low, 0.0) ** 0.5 * radius
        found.below(CODE, f"{name} 1 + kappa^(1/2) rho", bent / simple, 1.0)
    found.above(RIGHT, "over the printed bound with c = 0 (Remark 1.2)", bent, 1.01)
    return found.finding(
        "(23)",
        "kappa <= 1 + c (rho + R) bounds half the Hessian of the squared distance.",
        "c must be the root of minus the lowest curvature: 1 + c rho has not the units otherwise, "
        "and at radius 10 it is below what is measured.",
        corrected=True,
    )


_BOUNDS = Fault(
    "stiefel-half-curvature",
    PACKAGE,
    "the lower bound of the curvature of Stiefel manifolds is half of what it is",
    "fgmanifolds.geometry:Stiefel.sectional_curvature_bounds",
    lambda original: property(lambda self: (0.5 * original.fget(self)[0], original.fget(self)[1])),
)


ENTRIES = (
    Claim(
        "eq22",
        "(22)",
        "Taylor bound of Psi.",
        "Of squared distances everywhere.",
        "fgmanifolds.verify.psi",
        eq22,
        CORRECTED,
        "Taylor's formula with $\\Psi'' \\le 2$: the remainder is at most the squared change of "
        "the argument. The argument is $\\rho^2$.",
        (
            Fault(
                "eq22-half",
                FORMULA,
                "half of the second-order term",
                f"{_HERE}:taylor",
                instead(lambda change, slope: change * slope + 0.5 * change**2),
            ),
            Fault(
                "psi-slope",
                PACKAGE,
                "psi is twice as steep",
                "fgmanifolds.verify.onestep:psi",
                scaled(2.0),
            ),
        ),
    ),
    Claim(
        "eq23",
        "(23)",
        "Half the Hessian of rho^2 is at most 1 + c (rho + R).",
        "At most kappa^(1/2) rho coth(kappa^(1/2) rho) <= 1 + kappa^(1/2) rho.",
        "fgmanifolds.steps.rules",
        eq23,
        CORRECTED,
        "Along a geodesic of length $\\rho$ half the Hessian of the squared distance is $\\rho J' "
        "J^{-1}$ for Jacobi fields J that vanish at the minimum. By comparison with the space of "
        "constant curvature $-\\kappa$ it is at most $\\sqrt\\kappa\\rho\\coth(\\sqrt\\kappa\\rho) "
        "\\le 1 + \\sqrt\\kappa\\rho$ (Bonnabel 2013). A product $c\\rho$ of a curvature and a "
        "length is no number.",
        (
            Fault(
                "eq23-right-quarter",
                FORMULA,
                "the right bound with kappa / 4",
                f"{_HERE}:right_hessian",
                argument(0, lambda kappa: kappa / 4),
            ),
            Fault(
                "eq23-printed-right",
                FORMULA,
                "the printed bound replaced by 1 + kappa^(1/2) rho at kappa = c",
                f"{_HERE}:printed_hessian",
                instead(lambda c, rho, norm: 1 + c**0.5 * (rho + norm)),
            ),
            _BOUNDS,
        ),
    ),
)
