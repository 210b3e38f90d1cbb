"""Statements of the paper, each checked by a function that gives a :class:`Finding`."""

from fgmanifolds.theory.convergence import (
    corollary1,
    corollary2,
    denominator_bias,
    one_step,
    supermartingale,
    theorem2,
)
from fgmanifolds.theory.products import lemma1, remark1, theorem1, two_spheres

__all__ = [
    "corollary1",
    "corollary2",
    "denominator_bias",
    "lemma1",
    "one_step",
    "remark1",
    "supermartingale",
    "theorem1",
    "theorem2",
    "two_spheres",
]
