"""The paper's statements, each measured: ``verify`` runs them all."""

from fgmanifolds.verify.claims import CLAIMS, Claim
from fgmanifolds.verify.convergence import (
    corollary1,
    corollary2,
    denominator_bias,
    one_step,
    psi,
    supermartingale,
    theorem2,
)
from fgmanifolds.verify.finding import VERDICTS, Finding
from fgmanifolds.verify.products import lemma1, remark1, theorem1, two_spheres
from fgmanifolds.verify.verification import Verified, claims_table, verify

__all__ = [
    "CLAIMS",
    "VERDICTS",
    "Claim",
    "Finding",
    "Verified",
    "claims_table",
    "corollary1",
    "corollary2",
    "denominator_bias",
    "lemma1",
    "one_step",
    "psi",
    "remark1",
    "supermartingale",
    "theorem1",
    "theorem2",
    "two_spheres",
    "verify",
]
