"""Faults of FGSGD, the adapter and the solver that several statements must notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fgmanifolds.torch import FGSGD
from fgmanifolds.verify.fault import PACKAGE, Fault, negated, with_argument

__all__ = []


@contextmanager
def _other_options(optimizer: FGSGD, changes: dict[str, Any]) -> Iterator[None]:
    kept = [dict(group) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group.update({key: value for key, value in changes.items() if key in group})
    try:
        yield
    finally:
        for group, old in zip(optimizer.param_groups, kept, strict=True):
            group.update({key: old[key] for key in changes if key in old})


def with_options(**changes: Any) -> Callable[[Any], Any]:
    """FGSGD.step with other options than the optimizer was given."""

    def change(step: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(self: FGSGD, closure: Any = None) -> Any:
            with _other_options(self, changes):
                return step(self, closure)

        return wrong

    return change


CLIMBS = Fault(
    "fgsgd-climbs",
    PACKAGE,
    "FGSGD steps along the gradient (the printed minus inside of its momentum)",
    "fgmanifolds.torch:FGSGD.step",
    with_options(maximize=True),
)


NO_DENOMINATOR = Fault(
    "fgsgd-no-denominator",
    PACKAGE,
    "FGSGD takes g = 1",
    "fgmanifolds.torch:FGSGD.step",
    with_options(rule=None),
)


NO_MOMENTUM = Fault(
    "fgsgd-no-momentum",
    PACKAGE,
    "FGSGD has no momentum",
    "fgmanifolds.torch:FGSGD.step",
    with_options(momentum=0.0),
)


NO_DAMPENING = Fault(
    "fgsgd-no-theta-e",
    PACKAGE,
    "FGSGD takes theta_E = 1",
    "fgmanifolds.torch:FGSGD.step",
    with_options(dampening=0.0),
)


NO_RESCALING = Fault(
    "no-rescaling",
    PACKAGE,
    "POMAdapter.update_scales_ leaves the radii as they are",
    "fgmanifolds.torch:POMAdapter.update_scales_",
    lambda f: lambda self: None,
)


RETRACTS_BACK = Fault(
    "solver-backwards",
    PACKAGE,
    "retractions on products go the other way",
    "fgmanifolds.geometry:ScaledProductManifold.retraction",
    with_argument(2, negated(lambda v: v)),
)
