"""A run of FG-SGD: the point, its momentum and norms, and the best point so far."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from pymanopt import Problem
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.geometry import ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.solver.poms import Poms
from fgmanifolds.solver.problem import StochasticProblem
from fgmanifolds.solver.rates import DescentRate
from fgmanifolds.solver.result import Step
from fgmanifolds.solver.start import check_start, initial_point
from fgmanifolds.steps.norms import chosen_denominator, gradient_scale, running_mean_square

__all__ = ["State"]

#: Denominators above this make steps short.
LARGE = 10.0


class State:
    """Where a run is: the point, its momentum and norms, and the best point so far."""

    def __init__(self, solver: Any, problem: Problem, start: Any) -> None:
        self.solver, self.problem, self.manifold = solver, problem, problem.manifold
        self.stochastic = isinstance(problem, StochasticProblem)
        self.point = copy.deepcopy(initial_point(problem, start, solver.seed))
        if solver.rescale is not None and not isinstance(self.manifold, ScaledProductManifold):
            raise ValueError(
                f"rescale_every needs a ScaledProductManifold; the problem is on {self.manifold}."
            )
        self._new_poms()
        self._descent = DescentRate() if solver.adapts and not self.stochastic else None
        self._large: list[float] = []
        check_start(problem, self.point)
        self.best = (math.inf, self.manifold, self.point)
        self.return_best = False
        self.iteration = self.epoch = self.evaluations = 0
        self.step_length = math.inf
        self.buffer: Any = None
        self.past: Array | None = None
        self.denominator: Array = np.ones(len(self.poms.groups))
        self._latest = (math.nan, math.nan)
        self.start_time = time.time()

    def _new_poms(self) -> None:
        solver = self.solver
        self.poms = Poms(
            self.manifold,
            solver.poms,
            solver.rule,
            solver.curvature_bounds,
            fall_back=solver.falls_back,
        )
        self.rule = self.poms.rule

    def batches(self) -> Iterator[Any]:
        """Row numbers of the minibatches of this epoch; None once, without data."""
        if isinstance(self.problem, StochasticProblem):
            return self.problem.epoch(self.epoch)
        return iter((None,))

    def gradient_of_all(self, manifold: Manifold, point: Any) -> Any:
        """Riemannian gradient over all data, on a manifold whose radii may have changed.

        Parameters
        ----------
        manifold : pymanopt manifold
        point : point of the manifold
        """
        if manifold is self.problem.manifold:
            return self.problem.riemannian_gradient(point)
        return manifold.euclidean_to_riemannian_gradient(
            point, self.problem.euclidean_gradient(point)
        )

    def _evaluate(self, indices: Any) -> tuple[float, Any]:
        if isinstance(self.problem, StochasticProblem) and indices is not None:
            with self.problem.minibatch(indices):
                return self._evaluate(None)
        self.evaluations += 1
        return float(self.problem.cost(self.point)), self.gradient_of_all(self.manifold, self.point)

    def step(self, indices: Any) -> Step | None:
        """One step of Algorithm 1; None if the cost or the gradient is not finite."""
        solver, manifold, point = self.solver, self.manifold, self.point
        cost, gradient = self._evaluate(indices)
        norms = self.poms.norms(point, gradient)
        if not (math.isfinite(cost) and np.all(np.isfinite(norms))):
            return None
        if not self.stochastic:
            self._remember(cost)
        descent = self._descent
        lr = solver.schedule(self.iteration) if descent is None else descent(cost)
        direction = self._momentum(gradient)
        self.denominator = self._denominators(self.poms.norms(point, direction))
        move = self.poms.scaled(direction, -lr / self.denominator)
        # The length of the step itself: lr and g are in it.
        self.step_length = float(manifold.norm(point, move))
        self._large.append(float(self.denominator.max()))
        if descent is not None:
            descent.moved(-float(np.real(manifold.inner_product(point, gradient, move))))
        self.point = self._moved(point, move)
        if solver.momentum:
            self.buffer = manifold.transport(point, self.point, direction)
        self.iteration += 1
        gradient_norm = float(np.linalg.norm(norms))
        self._latest = (cost, gradient_norm)
        return Step(self.iteration, point, cost, gradient_norm, self.denominator, lr)

    def _moved(self, point: Any, move: Any) -> Any:
        if not self.solver.use_exp:
            return self.manifold.retraction(point, move)
        moved = self.manifold.exp(point, move)
        # Rounding that leaves the manifold grows from step to step, unlike with a retraction.
        try:
            return self.manifold.nearest_point(moved)
        except (AttributeError, NotImplementedError):  # manifolds of pymanopt do not know theirs
            return moved

    def _denominators(self, norms: Array) -> Array:
        """From the norms of the direction; at the first step there are none of the past."""
        solver = self.solver
        reference = self.best[2] if solver.reference is None else solver.reference
        scale = gradient_scale(solver.momentum, solver.dampening)
        past = self.past if solver.gradient_norm == "past" else None
        geometry = self.poms.geometry(self.point, reference)
        g = chosen_denominator(self.rule, norms, past, geometry, scale)
        self.past = running_mean_square(self.past, scale * norms)
        return np.asarray(g)

    def _momentum(self, gradient: Any) -> Any:
        """Momentum (31), with the sign that descends."""
        if self.buffer is None:
            return gradient
        return self.solver.momentum * self.buffer + (1 - self.solver.dampening) * gradient

    def _remember(self, cost: float) -> None:
        if cost < self.best[0]:
            self.best = (cost, self.manifold, self.point)

    def end_of_epoch(self) -> tuple[float, float]:
        """Cost and gradient norm to judge by; radii change here."""
        self.epoch += 1
        if self.stochastic:
            cost, gradient = self._evaluate(None)
            self._latest = (cost, float(self.manifold.norm(self.point, gradient)))
            self._remember(cost)
        every = self.solver.rescale_every
        if every is not None and self.epoch % every == 0:
            self._rescale()
        return self._latest

    def _rescale(self) -> None:
        assert self.solver.rescale is not None
        scales = self.solver.rescale(self.manifold, self.point)
        self.point = self.manifold.rescale(self.point, scales)
        # The tangent spaces at w and at r w are the same, so the momentum stays.
        self.manifold = self.manifold.with_scales(scales)
        self._new_poms()

    def notes(self) -> tuple[str, ...]:
        """What the result says besides its figures."""
        notes = [self.poms.note] if self.poms.note else []
        large = np.array(self._large)
        if len(large) and self.rule.bounded and np.mean(large > LARGE) > 0.5:
            typical = float(np.median(large))
            notes.append(
                f"g stayed above {LARGE:g} in {np.mean(large > LARGE):.0%} of the steps (median "
                f"{typical:.3g}), so that steps were short: gradients are large. Divide the cost "
                f"by about {math.sqrt(typical):.2g} (a mean over the data in place of a sum), or "
                'take rule="relative" or rule=None with a small lr.'
            )
        return tuple(notes)
