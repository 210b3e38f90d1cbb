"""Step rules, gradient norms and schedules, for NumPy and torch alike."""

from fgmanifolds.steps.formulas import corollary2, global_bound, paper, relative, theorem2
from fgmanifolds.steps.norms import GRADIENT_NORMS, NORM_MOMENTUM
from fgmanifolds.steps.rules import RULES, PomGeometry, StepRule, as_rule, denominator
from fgmanifolds.steps.schedules import (
    Schedule,
    check_schedule,
    constant,
    cosine,
    robbins_monro,
    step_decay,
)

__all__ = [
    "GRADIENT_NORMS",
    "NORM_MOMENTUM",
    "RULES",
    "PomGeometry",
    "Schedule",
    "StepRule",
    "as_rule",
    "check_schedule",
    "constant",
    "corollary2",
    "cosine",
    "denominator",
    "global_bound",
    "paper",
    "relative",
    "robbins_monro",
    "step_decay",
    "theorem2",
]
