"""FG-SGD as a pymanopt optimizer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from pymanopt import Problem
from pymanopt.manifolds.manifold import Manifold
from pymanopt.optimizers.optimizer import Optimizer, OptimizerResult
from pymanopt.tools.printer import ColumnPrinter, VoidPrinter

from fgmanifolds.geometry import ScaledProductManifold
from fgmanifolds.geometry.arrays import Array, RandomState
from fgmanifolds.solver.poms import Poms
from fgmanifolds.solver.problem import StochasticProblem
from fgmanifolds.steps.norms import (
    GRADIENT_NORMS,
    chosen_denominator,
    gradient_scale,
    running_mean_square,
)
from fgmanifolds.steps.rules import StepRule, as_rule
from fgmanifolds.steps.schedules import Schedule, check_schedule, robbins_monro
from fgmanifolds.validation import check_choice, check_integer, check_number

__all__ = ["FGSGDResult", "FGSGDSolver", "Step"]


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


@dataclass
class FGSGDResult(OptimizerResult):
    """Result of pymanopt's kind, with the manifold at its last radii."""

    manifold: Manifold | None = None
    epochs: int | None = None


class FGSGDSolver(Optimizer):
    r"""Fine-grained stochastic gradient descent (Algorithm 1) for any pymanopt problem.

    A step moves the point along ``-(r(t) / g) mu``, where mu is the momentum (31)
    of Riemannian gradients, r(t) a schedule that satisfies eq. (4), and g >= 1 the
    denominator of eq. (5), one for each POM.

    Parameters
    ----------
    lr : float, schedule or callable
        See :mod:`fgmanifolds.steps.schedules`. Default: ``robbins_monro()``. What breaks
        eq. (4), such as a constant, is refused unless `check_schedule` is false.
    rule : {"corollary2", "global", "theorem2", "paper", "relative", None} or StepRule
        Denominator of the step, see :mod:`fgmanifolds.steps.formulas`; None for none.
    gradient_norm : {"past", "current"}
        Norm R in the denominator, that of the momentum at a gradient's scale: the root of a
        running mean of R^2 over earlier steps, with max{g, R} of the present step as a bound;
        or that of the same step, as printed, which biases the direction of stochastic steps.
        With momentum neither is free of bias, since the momentum holds past samples.
    momentum, dampening : float
        ``mu = momentum * mu + (1 - dampening) * grad``, in [0, 1). mu is moved by the
        manifold's vector transport.
    poms : sequence of sequences of int, optional
        Components of a product that make up each POM. Default: all are one.
    reference : array or sequence of arrays, optional
        For ``rule="theorem2"``: where the distance is measured to. Default: the
        best point so far.
    curvature_bounds : (float, float), optional
        For manifolds that do not tell the range of their sectional curvature.
    use_exp : bool
        Move by the exponential map instead of the retraction.
    rescale_every : int, optional
        After so many steps (epochs, if the problem is stochastic) the radii of a
        ``ScaledProductManifold`` become ``rescale(manifold, point)``, and the
        point is carried over by homothety (lines 2 and 7 of Algorithm 1).
    rescale : callable, optional
        Gives the new scales.
    callback : callable, optional
        Called with a :class:`Step` after each step; the run stops when it returns True.
    seed : int
        Of the initial point, if none is given.
    check_schedule : bool
    **options
        ``max_time``, ``max_iterations`` (steps), ``min_gradient_norm`` (of all data, looked
        at after each epoch, if the problem is stochastic), ``min_step_size`` (length of a step),
        ``max_cost_evaluations``, ``verbosity`` and ``log_verbosity``, as pymanopt has them.

    Raises
    ------
    ValueError
        If an argument is not what is said above.

    Examples
    --------
    >>> import numpy as np, pymanopt
    >>> from fgmanifolds import FGSGDSolver, Sphere
    >>> sphere, matrix = Sphere(3, 1), np.diag([1.0, 2.0, 3.0])
    >>> @pymanopt.function.numpy(sphere)
    ... def cost(x):
    ...     return -float(np.vdot(x, matrix @ x))
    >>> @pymanopt.function.numpy(sphere)
    ... def gradient(x):
    ...     return -2 * matrix @ x
    >>> problem = pymanopt.Problem(sphere, cost, euclidean_gradient=gradient)
    >>> result = FGSGDSolver(verbosity=0).run(problem)
    >>> round(result.cost, 6)
    -3.0
    """

    def __init__(
        self,
        lr: float | Schedule | Callable[[int], float] | None = None,
        *,
        rule: str | StepRule | None = "corollary2",
        gradient_norm: str = "past",
        momentum: float = 0.0,
        dampening: float = 0.0,
        poms: Sequence[Sequence[int]] | None = None,
        reference: Any = None,
        curvature_bounds: tuple[float, float] | None = None,
        use_exp: bool = False,
        rescale_every: int | None = None,
        rescale: Callable[[ScaledProductManifold, Any], Sequence[Any]] | None = None,
        callback: Callable[[Step], bool | None] | None = None,
        seed: RandomState = 0,
        check_schedule: bool = True,
        **options: Any,
    ) -> None:
        options.setdefault("max_cost_evaluations", math.inf)
        super().__init__(**options)
        check_choice("gradient_norm", gradient_norm, GRADIENT_NORMS)
        check_number("momentum", momentum, low=0.0, high=math.nextafter(1.0, 0.0))
        check_number("dampening", dampening, low=0.0, high=math.nextafter(1.0, 0.0))
        if (rescale_every is None) != (rescale is None):
            raise ValueError("Give both rescale_every and rescale, or neither.")
        if rescale_every is not None:
            check_integer("rescale_every", rescale_every, low=1)
        self.schedule = _schedule(lr, check_schedule)
        self.rule, self.gradient_norm = as_rule(rule), gradient_norm
        self.momentum, self.dampening = momentum, dampening
        self.poms, self.reference = poms, reference
        self.curvature_bounds, self.use_exp = curvature_bounds, use_exp
        self.rescale_every, self.rescale = rescale_every, rescale
        self.callback, self.seed = callback, seed

    def __repr__(self) -> str:
        return f"FGSGDSolver({self.schedule}, rule={self.rule.name!r}, momentum={self.momentum:g})"

    def run(self, problem: Problem, *, initial_point: Any = None, **_: Any) -> FGSGDResult:
        """Minimise a cost.

        Parameters
        ----------
        problem : pymanopt Problem
            Deterministic, or a :class:`StochasticProblem`.
        initial_point : array or sequence of arrays, optional
            Default: a random one.

        Returns
        -------
        FGSGDResult
            The last point; the best one if the run was interrupted, or the
            cost became infinite. Its cost is that of all data.

        Raises
        ------
        ValueError
            Before the first step, if cost, gradient or initial point are not what they should be.
        """
        state = _State(self, problem, initial_point)
        self._initialize_log(
            optimizer_parameters={
                "lr": repr(self.schedule),
                "rule": self.rule.name,
                "gradient_norm": self.gradient_norm,
                "momentum": self.momentum,
            }
        )
        if self._verbosity >= 1:
            print("Optimizing...")
        table = self._printer(problem)
        table.print_header()
        reason = None
        try:
            while reason is None:
                reason = self._epoch(state, table)
        except KeyboardInterrupt:
            reason = f"Terminated - interrupted by the user after {state.iteration} iterations."
            state.return_best = True
        if self._verbosity >= 1:
            print(reason, end="\n\n")
        return self._result(state, reason)

    def _epoch(self, state: _State, table: VoidPrinter) -> str | None:
        """Steps over one pass of the data (one step, without data); the reason to stop."""
        reason: str | None = None
        for indices in state.batches():
            step = state.step(indices)
            if step is None:
                state.return_best = True
                return (
                    "Terminated - cost or gradient is not finite after "
                    f"{state.iteration} iterations."
                )
            self._add_log_entry(
                iteration=step.iteration,
                point=copy.deepcopy(step.point),
                cost=step.cost,
                gradient_norm=step.gradient_norm,
                denominator=step.denominator,
                lr=step.lr,
            )
            stopped = self.callback(step) if self.callback is not None else False
            reason = (
                f"Terminated - stopped by the callback after {state.iteration} iterations."
                if stopped
                else self._stop(state, step)
            )
            if reason:
                break
        cost, gradient_norm = state.end_of_epoch()
        table.print_row([state.iteration, cost, gradient_norm, float(state.denominator.max())])
        if reason is None:
            reason = self._check_stopping_criterion(
                start_time=state.start_time,
                iteration=state.iteration,
                gradient_norm=gradient_norm,
            )
        return reason

    def _stop(self, state: _State, step: Step) -> str | None:
        return self._check_stopping_criterion(
            start_time=state.start_time,
            iteration=state.iteration,
            # A minibatch's gradient says nothing about a minimum: see end_of_epoch.
            gradient_norm=math.inf if state.stochastic else step.gradient_norm,
            step_size=state.step_length,
            cost_evaluations=state.evaluations,
        )

    def _printer(self, problem: Problem) -> VoidPrinter:
        if self._verbosity < 2:
            return VoidPrinter()
        width = int(math.log10(max(self._max_iterations, 1))) + 1
        return ColumnPrinter(
            columns=[
                ("Iteration", f"{width}d"),
                ("Cost", "+.16e"),
                ("Gradient norm", ".8e"),
                ("Denominator", ".4e"),
            ]
        )

    def _result(self, state: _State, reason: str) -> FGSGDResult:
        manifold, point = state.best[1:] if state.return_best else (state.manifold, state.point)
        return self._return_result(
            start_time=state.start_time,
            point=point,
            cost=float(state.problem.cost(point)),
            iterations=state.iteration,
            stopping_criterion=reason,
            cost_evaluations=state.evaluations,
            step_size=state.step_length,
            gradient_norm=float(manifold.norm(point, state.gradient_of_all(manifold, point))),
            manifold=manifold,
            epochs=state.epoch if state.stochastic else None,
        )

    def _return_result(self, *, start_time: float, **fields: Any) -> FGSGDResult:
        return FGSGDResult(time=time.time() - start_time, log=self._log, **fields)


def _schedule(lr: Any, check: bool) -> Schedule:
    return robbins_monro() if lr is None else check_schedule(lr, check=check)


class _State:
    """Where a run is: the point, its momentum and norms, and the best point so far."""

    def __init__(self, solver: FGSGDSolver, problem: Problem, initial_point: Any) -> None:
        self.solver, self.problem, self.manifold = solver, problem, problem.manifold
        self.stochastic = isinstance(problem, StochasticProblem)
        self.point = copy.deepcopy(_initial_point(problem, initial_point, solver.seed))
        if solver.rescale is not None and not isinstance(self.manifold, ScaledProductManifold):
            raise ValueError(
                f"rescale_every needs a ScaledProductManifold; the problem is on {self.manifold}."
            )
        self._new_poms()
        _check_start(problem, self.point)
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
        self.poms = Poms(self.manifold, solver.poms, solver.rule, solver.curvature_bounds)

    def batches(self) -> Iterator[Any]:
        """Row numbers of the minibatches of this epoch; None once, without data."""
        if isinstance(self.problem, StochasticProblem):
            return self.problem.epoch(self.epoch)
        return iter((None,))

    def gradient_of_all(self, manifold: Manifold, point: Any) -> Any:
        """Riemannian gradient over all data, on a manifold whose radii may have changed."""
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
        lr = solver.schedule(self.iteration)
        direction = self._momentum(gradient)
        self.denominator = self._denominators(self.poms.norms(point, direction))
        move = self.poms.scaled(direction, -lr / self.denominator)
        self.step_length = float(manifold.norm(point, move))
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
        g = chosen_denominator(solver.rule, norms, past, geometry, scale)
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


def _initial_point(problem: Problem, given: Any, seed: RandomState) -> Any:
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


def _check_start(problem: Problem, point: Any) -> None:
    """Raise ``ValueError`` unless cost and gradient at the start are usable."""
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
