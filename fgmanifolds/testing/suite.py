"""The suite: every check by its name, run on one manifold."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from fgmanifolds.testing import batches, calculus, curvature, embedding, maps
from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Finding, Skipped, Verdict
from fgmanifolds.validation import check_choice, check_number

__all__ = ["CHECKS", "check_manifold", "run_check"]

#: Checks by name, in the order in which they run.
CHECKS: dict[str, Check] = {
    **embedding.CHECKS,
    **maps.CHECKS,
    **calculus.CHECKS,
    **curvature.CHECKS,
    **batches.CHECKS,
}


def run_check(name: str, manifold: Any, *, seed: int = 0, length: float = 0.5) -> Finding:
    """Run one check.

    Parameters
    ----------
    name : str
        Of :data:`CHECKS`.
    manifold : Component, ScaledProductManifold or ScaledSubmanifold
    seed : int
    length : float
        Length of the tangent vectors in each copy at unit radius, below its injectivity radius.

    Returns
    -------
    Finding
        Skipped where the manifold has not what the check looks at (``NotImplementedError``);
        failed where another error comes up.
    """
    check_choice("name", name, CHECKS)
    check_number("length", length, low=0.0, open_low=True)
    try:
        result = CHECKS[name](Case(manifold, seed + zlib.crc32(name.encode()), length))
    except (NotImplementedError, Skipped) as reason:
        return Finding(name, None, str(reason))
    except Exception as error:
        return Finding(name, None, f"{type(error).__name__}: {error}", passed=False)
    return Finding(name, result, passed=result.passed)


def check_manifold(
    manifold: Any,
    *,
    seed: int = 0,
    length: float = 0.5,
    skip: Iterable[str] = (),
    raises: bool = True,
) -> Verdict:
    """Run the contract of a manifold: sets and projections, maps, derivatives, curvature, batches.

    Parameters
    ----------
    manifold : Component, ScaledProductManifold or ScaledSubmanifold
    seed, length
        See :func:`run_check`.
    skip : iterable of str
        Names of checks to leave out.
    raises : bool
        Whether to raise where a check fails.

    Returns
    -------
    Verdict
        Each check with its measured figure: a deviation, or the measured order.

    Raises
    ------
    AssertionError
        With the names and the figures of the checks that failed.
    ValueError
        If `skip` names no check.
    """
    left_out = set(skip)
    for name in left_out:
        check_choice("skip", name, CHECKS)
    findings = [
        run_check(name, manifold, seed=seed, length=length)
        for name in CHECKS
        if name not in left_out
    ]
    verdict = Verdict(str(manifold), tuple(findings))
    if raises and verdict.failed:
        lines = "\n".join(str(finding) for finding in verdict.failed)
        raise AssertionError(f"{manifold} fails {len(verdict.failed)} checks:\n{lines}")
    return verdict
