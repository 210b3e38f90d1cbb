"""FG-SGD as a pymanopt optimizer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from pymanopt import Problem
from pymanopt.optimizers.optimizer import Optimizer
from pymanopt.tools.printer import ColumnPrinter, VoidPrinter

from fgmanifolds.geometry import ScaledProductManifold
from fgmanifolds.geometry.arrays import RandomState
from fgmanifolds.solver.result import FGSGDResult, Step
from fgmanifolds.solver.state import State
from fgmanifolds.steps.norms import GRADIENT_NORMS
from fgmanifolds.steps.rules import StepRule, as_rule
from fgmanifolds.steps.schedules import Schedule, check_schedule, robbins_monro
from fgmanifolds.validation import check_choice, check_integer, check_number

__all__ = ["FGSGDResult", "FGSGDSolver", "Step"]


class FGSGDSolver(Optimizer):
    r"""Fine-grained stochastic gradient descent (Algorithm 1) for any pymanopt problem.

    A step moves the point along ``-(r(t) / g) mu``, where mu is the momentum (31)
    of Riemannian gradients, r(t) a schedule that satisfies eq. (4), and g >= 1 the
    denominator of eq. (5), one for each POM.

    Parameters
    ----------
    lr : float, schedule or callable
        See :mod:`fgmanifolds.steps.schedules`. What breaks eq. (4), such as a constant, is
        refused unless `check_schedule` is false. Default: ``robbins_monro()`` for stochastic
        problems; else a rate up to 1 that is halved where the cost falls by much less than
        its gradient predicts, and grows where it does not, since without noise there is
        nothing that must die out (:class:`fgmanifolds.solver.rates.DescentRate`).
    rule : {"auto", "corollary2", "global", "theorem2", "paper", "relative", None} or StepRule
        Denominator of the step, see :mod:`fgmanifolds.steps.formulas`; None for none.
        ``"auto"``: ``"corollary2"`` where the curvature of the manifold is known (see
        :func:`fgmanifolds.geometry.known_bounds.known_curvature_bounds`), else None, with a
        note in the result.
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
        rule: str | StepRule | None = "auto",
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
        self.schedule, self.adapts = _schedule(lr, check_schedule), lr is None
        self.falls_back = rule == "auto"
        self.rule = as_rule("corollary2" if self.falls_back else rule)
        self.gradient_norm = gradient_norm
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
        state = State(self, problem, initial_point)
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
        result = self._result(state, reason)
        if self._verbosity >= 1:
            print(reason, end="\n\n")
        return result

    def _epoch(self, state: State, table: VoidPrinter) -> str | None:
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

    def _stop(self, state: State, step: Step) -> str | None:
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

    def _result(self, state: State, reason: str) -> FGSGDResult:
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
            notes=state.notes(),
        )

    def _return_result(self, *, start_time: float, **fields: Any) -> FGSGDResult:
        return FGSGDResult(time=time.time() - start_time, log=self._log, **fields)


def _schedule(lr: Any, check: bool) -> Schedule:
    return robbins_monro() if lr is None else check_schedule(lr, check=check)
