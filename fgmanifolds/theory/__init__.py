"""The paper's statements as code that measures them."""

from fgmanifolds.theory.claims import lemma1, remark1, theorem1, two_spheres
from fgmanifolds.theory.finding import VERDICTS, Finding

__all__ = ["VERDICTS", "Finding", "lemma1", "remark1", "theorem1", "two_spheres"]
