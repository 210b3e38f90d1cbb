"""FG-SGD on NumPy: step sizes, schedules, and a solver for any pymanopt problem."""

from fgmanifolds.solver.fgsgd import FGSGDResult, FGSGDSolver, Step
from fgmanifolds.solver.problem import StochasticProblem
from fgmanifolds.steps.formulas import corollary2, global_bound, paper, theorem2
from fgmanifolds.steps.schedules import (
    Schedule,
    check_schedule,
    constant,
    cosine,
    robbins_monro,
    step_decay,
)

__all__ = [
    "FGSGDResult",
    "FGSGDSolver",
    "Schedule",
    "Step",
    "StochasticProblem",
    "check_schedule",
    "constant",
    "corollary2",
    "cosine",
    "global_bound",
    "paper",
    "robbins_monro",
    "step_decay",
    "theorem2",
]
