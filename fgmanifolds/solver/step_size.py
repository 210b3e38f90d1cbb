"""Denominators g >= 1 of the step ``-(lr / g) grad``, eq. (3), (5) and (7).

The functions use nothing but arithmetic, comparison and ``clip``, so that they
take NumPy arrays and torch tensors alike, elementwise over POMs.
"""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["corollary2"]

ArrayT = TypeVar("ArrayT", bound=Any)


def corollary2(gradient_norm: ArrayT, curvature: ArrayT) -> ArrayT:
    r"""Denominator of Corollary 2, for POMs of any components at any radii.

    .. math::
        g = \max\{1, R^2 \max[(2 \hat\rho + R)^2, 1]\}^{1/2},
        \qquad \hat\rho = \hat c^{-1/2}.

    The corollary bounds the distance to the minimum by :math:`1 / \hat c`, which
    is not a length; :math:`\hat c^{-1/2}` is (r on a sphere of radius r) and
    agrees with eq. (7) at unit radius. POMs with :math:`\hat c = 0` have g = 1.

    Parameters
    ----------
    gradient_norm : array or tensor
        Norm R >= 0 of each POM's gradient, by Theorem 1.
    curvature : array or tensor of the same shape
        Tight upper bound :math:`\hat c \ge 0` of each POM's sectional curvature.

    Returns
    -------
    array or tensor
        g >= 1 for each POM.
    """
    curved = curvature > 0
    rho = (curvature + ~curved) ** -0.5  # 1 where flat, where it does not matter
    norm = gradient_norm * curved
    return (norm * (2 * rho + norm).clip(min=1)).clip(min=1)
