"""The paper's statements, each measured: ``verify`` runs them all, ``mutate`` tests the checks."""

from fgmanifolds.verify.claim import Claim
from fgmanifolds.verify.claims import CLAIMS, FAULTS
from fgmanifolds.verify.fault import Fault
from fgmanifolds.verify.finding import VERDICTS, Finding
from fgmanifolds.verify.mutation import Mutation, mutate, mutation_table
from fgmanifolds.verify.onestep import psi
from fgmanifolds.verify.problems import PROBLEMS, make_problem
from fgmanifolds.verify.statements.bias import denominator_bias
from fgmanifolds.verify.statements.corollary1 import corollary1
from fgmanifolds.verify.statements.corollary2 import corollary2
from fgmanifolds.verify.statements.growth import one_step
from fgmanifolds.verify.statements.lemma1 import lemma1
from fgmanifolds.verify.statements.remark1 import remark1, two_spheres
from fgmanifolds.verify.statements.supermartingale import supermartingale
from fgmanifolds.verify.statements.theorem1 import theorem1
from fgmanifolds.verify.statements.theorem2 import theorem2
from fgmanifolds.verify.verification import Verified, claims_table, verify

__all__ = [
    "CLAIMS",
    "FAULTS",
    "PROBLEMS",
    "VERDICTS",
    "Claim",
    "Fault",
    "Finding",
    "Mutation",
    "Verified",
    "claims_table",
    "corollary1",
    "corollary2",
    "denominator_bias",
    "lemma1",
    "make_problem",
    "mutate",
    "mutation_table",
    "one_step",
    "psi",
    "remark1",
    "supermartingale",
    "theorem1",
    "theorem2",
    "two_spheres",
    "verify",
]
