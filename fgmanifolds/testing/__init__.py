"""The contract of a manifold, as checks that run on any component or product, your own too.

>>> from fgmanifolds import Sphere
>>> from fgmanifolds.testing import check_manifold
>>> verdict = check_manifold(Sphere(3, 2, radius=2.0))
>>> verdict.passed
True

With pytest, one test for each check::

    @pytest.mark.parametrize("name", CHECKS)
    def test_contract(name):
        assert run_check(name, MyManifold(3, 3)).passed
"""

from fgmanifolds.testing.suite import CHECKS, check_manifold, run_check
from fgmanifolds.testing.verdict import Finding, Measured, Slope, Verdict

__all__ = [
    "CHECKS",
    "Finding",
    "Measured",
    "Slope",
    "Verdict",
    "check_manifold",
    "run_check",
]
