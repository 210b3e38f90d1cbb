"""Step rules: which denominator g a step takes, as objects that NumPy and torch share."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from fgmanifolds.steps.formulas import (
    at_local_distance,
    global_bound,
    local_distance,
    paper,
    relative,
    theorem2,
)
from fgmanifolds.validation import check_choice

__all__ = [
    "RULES",
    "Corollary2",
    "GivenGeometry",
    "GlobalBound",
    "Paper",
    "Plain",
    "PomGeometry",
    "Relative",
    "StepRule",
    "Theorem2",
    "as_rule",
    "denominator",
]


class PomGeometry(Protocol):
    r"""What a rule may ask of some POMs; each entry has one value a POM.

    Attributes
    ----------
    c_hat : array or tensor
        Tight upper bound :math:`\hat c \ge 0` of the sectional curvature.
    kappa : array or tensor
        Minus the tight lower bound of the sectional curvature, or 0.
    curved_norm : array or tensor
        Frobenius norm of the curved components of the POM's point, the same at all points.
    rho_hat : array or tensor
        :func:`~fgmanifolds.steps.formulas.local_distance`; 0 on flat POMs, and on no others.
    curved : array or tensor
        1.0 on POMs with curvature, 0.0 on flat ones, which take steps of g = 1.
    """

    @property
    def c_hat(self) -> Any:
        """See above."""

    @property
    def kappa(self) -> Any:
        """See above."""

    @property
    def curved_norm(self) -> Any:
        """See above."""

    @property
    def rho_hat(self) -> Any:
        """See above."""

    @property
    def curved(self) -> Any:
        """See above."""

    def distance(self) -> Any:
        """Distance (21) of the present point to the reference, or an upper bound of it."""

    def point_norm(self) -> Any:
        """Frobenius norm of the present point, flat components included."""


class StepRule(abc.ABC):
    """A denominator g of the step, one value for each POM.

    Subclass it, and give an instance as `rule` to the solver or to an optimizer.

    Attributes
    ----------
    name : str
        Under which checkpoints and tables know the rule.
    needs_reference : bool
        Whether it asks for :meth:`PomGeometry.distance`, and so for a reference point.
    of_direction : bool
        Whether R is always the present norm of the whole direction, momentum included, and
        not a norm at a gradient's scale.
    bounded : bool
        Whether ``gradient_norm="past"`` takes max{g(R_past), R_now}, so that no step is longer
        than that of a gradient of norm 1.
    """

    name: ClassVar[str | None]
    needs_reference: ClassVar[bool] = False
    of_direction: ClassVar[bool] = False
    bounded: ClassVar[bool] = False

    @abc.abstractmethod
    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """Give g from the norms R and the geometry of the POMs, elementwise."""

    def __repr__(self) -> str:
        return f"<step rule {self.name!r}>"


class Corollary2(StepRule):
    """See :func:`~fgmanifolds.steps.formulas.corollary2`."""

    name = "corollary2"
    bounded = True

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says."""
        return at_local_distance(norm, geometry.rho_hat, geometry.kappa, geometry.curved)


class GlobalBound(StepRule):
    """See :func:`global_bound`."""

    name = "global"
    bounded = True

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says."""
        return global_bound(norm, geometry.curved_norm, geometry.kappa)


class Theorem2(StepRule):
    """See :func:`theorem2`."""

    name = "theorem2"
    needs_reference = True
    bounded = True

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says."""
        return theorem2(norm, geometry.distance(), geometry.kappa)


class Paper(StepRule):
    """Eq. (5) as printed, with the distance 1 / c of Corollary 2; see :func:`paper`."""

    name = "paper"
    bounded = True

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says; 1 on flat POMs."""
        curved = geometry.c_hat > 0
        c = geometry.c_hat + ~curved
        return 1 + (paper(norm, 1 / c, c) - 1) * curved


class Plain(StepRule):
    """No denominator: g = 1."""

    name = None

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says."""
        return 0 * norm + 1


class Relative(StepRule):
    """See :func:`relative`."""

    name = "relative"
    of_direction = True

    def __call__(self, norm: Any, geometry: PomGeometry) -> Any:
        """As :class:`StepRule` says."""
        return relative(norm, geometry.point_norm())


#: Rules by name; None is g = 1.
RULES: dict[str | None, StepRule] = {
    rule.name: rule
    for rule in (Corollary2(), GlobalBound(), Theorem2(), Paper(), Relative(), Plain())
}


def as_rule(rule: str | StepRule | None) -> StepRule:
    """Give the rule of a name, or the rule itself.

    Raises
    ------
    ValueError
        If the name is unknown, or a rule of one's own bears the name of another one.
    TypeError
        If it is neither a name nor a :class:`StepRule`.
    """
    if isinstance(rule, StepRule):
        name = getattr(rule, "name", None)
        if not (isinstance(name, str) or rule is RULES[None]):
            raise ValueError(f"rule={type(rule).__name__} has no name: set its attribute `name`.")
        if name in RULES and type(RULES[name]) is not type(rule):
            raise ValueError(
                f"rule={rule!r} bears the name of a rule of the package; take another."
            )
        return rule
    if rule is not None and not isinstance(rule, str):
        raise TypeError(
            f"rule={rule!r} of type {type(rule).__name__}: a name, None or a StepRule is needed."
        )
    check_choice("rule", rule, RULES)
    return RULES[rule]


@dataclass(frozen=True)
class GivenGeometry:
    """A :class:`PomGeometry` of values at hand; what is missing is named when it is asked for."""

    rule: StepRule
    values: Mapping[str, Any]

    def _get(self, argument: str) -> Any:
        value = self.values.get(argument)
        if value is None:
            raise ValueError(f"{argument}=None: rule={self.rule.name!r} needs it.")
        return value

    @property
    def c_hat(self) -> Any:
        """The argument `c`."""
        return self._get("c")

    @property
    def kappa(self) -> Any:
        """The argument `kappa`; 0 if it is left out."""
        kappa = self.values.get("kappa")
        return 0.0 if kappa is None else kappa

    @property
    def curved_norm(self) -> Any:
        """The argument `norm`."""
        return self._get("norm")

    @property
    def rho_hat(self) -> Any:
        """From the arguments `c` and `kappa`."""
        return local_distance(self.c_hat, self.kappa)

    @property
    def curved(self) -> Any:
        """From the arguments `c` and `kappa`."""
        return 1.0 * (self.c_hat + self.kappa > 0)

    def distance(self) -> Any:
        """Give the argument `rho`."""
        return self._get("rho")

    def point_norm(self) -> Any:
        """Give the argument `norm`."""
        return self._get("norm")


def denominator(
    rule: str | StepRule | None,
    norm_of_gradient: Any,
    *,
    rho: Any = None,
    c: Any = None,
    kappa: Any = None,
    norm: Any = None,
) -> Any:
    r"""Denominator g of the step, on NumPy arrays, torch tensors or numbers, elementwise.

    Parameters
    ----------
    rule : {"corollary2", "global", "theorem2", "paper", "relative", None} or StepRule
    norm_of_gradient : array, tensor or float
        R of each POM, >= 0; for ``"relative"`` the norm of the whole direction.
    rho : array, tensor or float, optional
        Distance to the reference, for ``"theorem2"``.
    c : array, tensor or float, optional
        Upper bound :math:`\hat c \ge 0` of the curvature, for ``"corollary2"`` and ``"paper"``.
    kappa : array, tensor or float, optional
        Minus the lower bound of the curvature; 0 if it is left out.
    norm : array, tensor or float, optional
        Frobenius norm of the curved components (``"global"``), of the point (``"relative"``).

    Raises
    ------
    ValueError
        If the rule is unknown, or needs an argument that is left out.
    """
    found = as_rule(rule)
    plain = isinstance(norm_of_gradient, int | float)
    given = {"rho": rho, "c": c, "kappa": kappa, "norm": norm}
    like = np.asarray(norm_of_gradient, dtype=float) if plain else norm_of_gradient
    values = {key: value if value is None else value + 0 * like for key, value in given.items()}
    return found(like, GivenGeometry(found, values))
