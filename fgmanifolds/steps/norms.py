"""Gradient norms R, and which of them the denominator of a step takes."""

from __future__ import annotations

from typing import Any

from fgmanifolds.steps.rules import PomGeometry, StepRule

__all__ = [
    "GRADIENT_NORMS",
    "NORM_MOMENTUM",
    "chosen_denominator",
    "gradient_scale",
    "larger_where_curved",
    "running_mean_square",
]

#: Which gradient norm R the denominator takes: a running average, or the present one.
GRADIENT_NORMS = ("past", "current")

#: Weight of the earlier steps in the running mean of R^2 of ``gradient_norm="past"``.
NORM_MOMENTUM = 0.9


def gradient_scale(momentum: float, dampening: float) -> float:
    """Factor that brings the norm of a momentum (31) to that of the gradients it is made of.

    ``(1 - theta_mu) / theta_E``: for equal gradients the momentum grows to the inverse of it
    times as long.

    Parameters
    ----------
    momentum, dampening : float
        theta_mu and 1 - theta_E, in [0, 1).
    """
    return (1 - momentum) / (1 - dampening)


def running_mean_square(past: Any, norm: Any) -> Any:
    """Running mean of R^2 (0.9 of the past, 0.1 of the present); of the first step, R^2 itself.

    Parameters
    ----------
    past : array, Tensor or None
        None at the first step.
    norm : array or Tensor
        R of each POM.
    """
    if past is None:
        return norm * norm
    return NORM_MOMENTUM * past + (1 - NORM_MOMENTUM) * (norm * norm)


def chosen_denominator(
    rule: StepRule, norm: Any, past: Any, geometry: PomGeometry, scale: float
) -> Any:
    """Denominator g of each POM.

    Parameters
    ----------
    rule : StepRule
    norm : array or tensor
        Norm of each POM's whole projected direction.
    past : array, tensor or None
        Running mean of R^2 over earlier steps; None: the present norms are taken, as printed.
    geometry : PomGeometry
    scale : float
        From direction to gradient, see :func:`gradient_scale`.

    Returns
    -------
    array or tensor
        With past norms, max{g(R_past), R_now} for rules of the paper's kind: a mean of norms
        alone lets one large minibatch make a step of any length, and max{R_past, R_now} inside
        of g biases the direction, since that divides a gradient by its own norm.
    """
    if rule.of_direction:
        return rule(norm, geometry)
    now = scale * norm
    if past is None:
        return rule(now, geometry)
    g = rule(past**0.5, geometry)
    return larger_where_curved(g, now, geometry) if rule.bounded else g


def larger_where_curved(g: Any, norm: Any, geometry: PomGeometry) -> Any:
    """max{g, R}; g alone on flat POMs, which take the optimizer's own steps.

    Parameters
    ----------
    g : array or Tensor
        One for each POM.
    norm : array or Tensor
        R of each POM.
    geometry : PomGeometry
    """
    return (norm * geometry.curved).clip(min=g)
