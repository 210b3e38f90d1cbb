"""What a run tells: each step to its callback, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from pymanopt.manifolds.manifold import Manifold
from pymanopt.optimizers.optimizer import OptimizerResult

from fgmanifolds.geometry.arrays import Array

__all__ = ["FGSGDResult", "Step"]


class Step(NamedTuple):
    """What a callback is told after each step.

    Attributes
    ----------
    iteration : int
        Number of steps taken, from 1.
    point
        Where the step started.
    cost : float
        Cost there, of the minibatch if there is one.
    gradient_norm : float
        Norm of the Riemannian gradient there.
    denominator : array
        g of each POM.
    lr : float
        r(t).
    """

    iteration: int
    point: Any
    cost: float
    gradient_norm: float
    denominator: Array
    lr: float


@dataclass(repr=False)
class FGSGDResult(OptimizerResult):
    """Result of pymanopt's kind, with the manifold at its last radii.

    Attributes
    ----------
    manifold : pymanopt Manifold
    epochs : int or None
        Of a stochastic problem.
    notes : tuple of str
        What is worth knowing of the run: a rule that was left out, steps that stayed short.
    """

    manifold: Manifold | None = None
    epochs: int | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        parts = [self.stopping_criterion, f"cost {self.cost:.10g}"]
        if self.gradient_norm is not None:
            parts.append(f"gradient norm {self.gradient_norm:.3g}")
        parts.append(f"{self.iterations} iterations on {self.manifold}")
        return "\n".join([f"FGSGDResult({'; '.join(parts)})", *(f"  {n}" for n in self.notes)])
