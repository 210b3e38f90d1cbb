"""Where a run starts, and whether it can."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pymanopt import Problem

from fgmanifolds.geometry.arrays import RandomState

__all__ = ["check_start", "initial_point"]


def initial_point(problem: Problem, given: Any, seed: RandomState) -> Any:
    """Give the point that was given, once it is seen to be one, or a random one.

    Parameters
    ----------
    problem : Problem
    given : point or None
    seed : Generator or int
    """
    manifold = problem.manifold
    if given is None:
        try:
            return manifold.random_point(rng=seed)
        except TypeError:  # pymanopt's own manifolds take no seed
            return manifold.random_point()
    if hasattr(manifold, "check_point"):
        try:
            manifold.check_point(given, tol=1e-6)
        except ValueError as error:
            raise ValueError(f"initial_point: {error}") from None
    return given


def check_start(problem: Problem, point: Any) -> None:
    """Raise ``ValueError`` unless cost and gradient at the start are usable.

    Parameters
    ----------
    problem : Problem
    point : point of the manifold
    """
    cost = problem.cost(point)
    if np.ndim(cost) != 0 or isinstance(cost, list | tuple):
        raise ValueError(f"the cost has shape {np.shape(cost)}; it must be a single number.")
    if not math.isfinite(float(cost)):
        raise ValueError(f"the cost at the initial point is {float(cost)}.")
    manifold, gradient = problem.manifold, problem.riemannian_gradient(point)
    norm = float(manifold.norm(point, gradient))
    if not math.isfinite(norm):
        raise ValueError("the gradient at the initial point is not finite.")
    try:
        tangent = manifold.to_tangent_space(point, gradient)
    except NotImplementedError:
        return
    off = float(manifold.norm(point, gradient - tangent))
    if off > 1e-6 * norm:
        raise ValueError(
            "the Riemannian gradient at the initial point is not tangent: its normal part is "
            f"{off / norm:.3g} of its norm."
        )
