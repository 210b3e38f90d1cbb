r"""Denominators g >= 1 of the step ``-(r(t) / g) grad``, eqs. (3), (5), (7) and (30).

All have the form of eq. (5), ``g = max{1, R^2 max[(2 rho + R)^2, second]}^(1/2)``,
and differ in the distance rho to the minimum and in the second term, a bound of
the operator norm of half the Hessian of the squared distance. The functions
use nothing but arithmetic, comparison, ``clip`` and powers, so that they take
NumPy arrays and torch tensors alike, elementwise over POMs.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

__all__ = ["corollary2", "global_bound", "local_distance", "paper", "relative", "theorem2"]

ArrayT = TypeVar("ArrayT", bound=Any)


def _denominator(norm: ArrayT, rho: ArrayT, second_root: Any) -> ArrayT:
    """``max{1, R^2 max[(2 rho + R)^2, second]}^(1/2)``, without squares that overflow."""
    first: Any = 2 * rho + norm
    larger: ArrayT = (norm * first.clip(min=second_root)).clip(min=1)
    return larger


def corollary2(gradient_norm: ArrayT, curvature: ArrayT, negative_curvature: Any = 0.0) -> ArrayT:
    r"""Denominator of Corollary 2, for POMs of any components at any radii.

    .. math::
        g = \max\{1, R^2 \max[(2 \hat\rho + R)^2, 1 + \sqrt\kappa (\hat\rho + R)]\}^{1/2},
        \qquad \hat\rho = \hat c^{-1/2}.

    The corollary bounds the distance to the minimum by :math:`1 / \hat c`, which
    is not a length; :math:`\hat c^{-1/2}` is (r on a sphere of radius r) and
    agrees with eq. (7) at unit radius. It is a local assumption: two random
    points are rarely that near. Where :math:`\hat c = 0 < \kappa`,
    :math:`\hat\rho = \kappa^{-1/2}`; flat POMs have g = 1.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient, by Theorem 1.
    curvature : array or tensor of the same shape
        Tight upper bound :math:`\hat c \ge 0` of each POM's sectional curvature.
    negative_curvature : array or tensor of the same shape, or 0
        :math:`\kappa \ge 0`, minus the tight lower bound, as in :func:`theorem2`.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    kappa = 0 * curvature + negative_curvature
    distance = local_distance(curvature, kappa)
    return at_local_distance(gradient_norm, distance, kappa, distance > 0)


def at_local_distance(
    gradient_norm: ArrayT, distance: ArrayT, negative_curvature: Any, curved: ArrayT
) -> ArrayT:
    r""":func:`corollary2` from what is known of each POM beforehand.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient.
    distance : array or tensor
        :math:`\hat\rho` of :func:`local_distance`.
    negative_curvature : array or tensor
        :math:`\kappa \ge 0`, as in :func:`theorem2`.
    curved : array or tensor
        1 on POMs with curvature, 0 on flat ones, which have g = 1.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    return theorem2(gradient_norm * curved, distance, negative_curvature)


def local_distance(curvature: ArrayT, negative_curvature: ArrayT) -> ArrayT:
    r"""Distance :math:`\hat\rho` within which :func:`corollary2` takes the minimum to be.

    Parameters
    ----------
    curvature, negative_curvature : arrays or tensors
        As there.

    Returns
    -------
    array or tensor
        0 on flat POMs.
    """
    scale = curvature + negative_curvature * ~(curvature > 0)
    curved = scale > 0
    return curved * (scale + ~curved) ** -0.5


def theorem2(gradient_norm: ArrayT, distance: ArrayT, negative_curvature: ArrayT) -> ArrayT:
    r"""Denominator of Theorem 2, eq. (5), with a bound that is one.

    .. math::
        g = \max\{1, R^2 \max[(2 \rho + R)^2, 1 + \sqrt\kappa (\rho + R)]\}^{1/2}.

    Half the Hessian of the squared distance is bounded by
    :math:`\sqrt\kappa \rho \coth(\sqrt\kappa \rho) \le 1 + \sqrt\kappa \rho`,
    where :math:`-\kappa` is the lower end of the sectional curvature (Bonnabel
    2013). The printed :math:`1 + c (\rho + R)` has not the units of that and the
    wrong end of the range.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient.
    distance : array or tensor
        Distance rho >= 0 to the minimum, or an upper bound of it.
    negative_curvature : array or tensor
        :math:`\kappa \ge 0`, minus the lower bound of the sectional curvature, or 0.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    second = 1 + negative_curvature**0.5 * (distance + gradient_norm)
    return _denominator(gradient_norm, distance, second**0.5)


def global_bound(gradient_norm: ArrayT, point_norm: ArrayT, negative_curvature: ArrayT) -> ArrayT:
    r"""Denominator of Theorem 2 with a distance that bounds all distances.

    On a product of spheres, oblique and Stiefel manifolds no two points are
    further apart than :math:`\bar\rho = \pi \|w\|_F`, so that
    :func:`theorem2` with it needs no assumption on where the minimum is.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient.
    point_norm : array or tensor
        Frobenius norm of the curved components of each POM's weight. It is the
        same at every point of a POM. 0 for flat POMs, which have g = 1.
    negative_curvature : array or tensor
        As in :func:`theorem2`.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    norm = gradient_norm * (point_norm > 0)
    return theorem2(norm, math.pi * point_norm, negative_curvature)


def paper(gradient_norm: ArrayT, distance: ArrayT, curvature: ArrayT) -> ArrayT:
    r"""Denominator as printed in eq. (5), for comparison.

    .. math::
        g = \max\{1, R^2 \max[(2 \rho + R)^2, 1 + c (\rho + R)]\}^{1/2}.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient.
    distance : array or tensor
        Distance rho to a local minimum; Corollary 2 puts 1 / c for it.
    curvature : array or tensor
        Sectional curvature c of each POM.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    second = (1 + curvature * (distance + gradient_norm)).clip(min=0)
    return _denominator(gradient_norm, distance, second**0.5)


def relative(direction_norm: ArrayT, point_norm: ArrayT) -> ArrayT:
    r"""Denominator that makes the step lr times as long as the point: ``norm(mu) / norm(w)``.

    Not a bound of the paper's kind but a normalised step: g may be below 1. Nothing moves
    where the direction or the point is 0.

    Parameters
    ----------
    direction_norm : array or tensor
        Norm of each POM's whole projected direction, momentum included.
    point_norm : array or tensor of the same shape
        Frobenius norm of each POM's present point.

    Returns
    -------
    array or tensor
        g > 0 for each POM; infinite where the point is 0.
    """
    still = ~(direction_norm > 0)
    with np.errstate(divide="ignore"):
        return (direction_norm + still) / point_norm
