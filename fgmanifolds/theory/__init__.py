"""The paper's statements as code that measures them."""

from fgmanifolds.theory.claims import (
    corollary1,
    corollary2,
    denominator_bias,
    lemma1,
    one_step,
    remark1,
    supermartingale,
    theorem1,
    theorem2,
    two_spheres,
)
from fgmanifolds.theory.finding import VERDICTS, Finding

__all__ = [
    "VERDICTS",
    "Finding",
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
