"""The POMs of a manifold: gradient norms and denominators of the step, one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymanopt.manifolds import Product
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.known_bounds import FLAT, is_flat_space, is_unbounded
from fgmanifolds.geometry.known_bounds import known_curvature_bounds as _bounds
from fgmanifolds.steps import StepRule, as_rule
from fgmanifolds.steps.formulas import local_distance

__all__ = ["PointGeometry", "Poms"]

#: Rules that do not ask for curvature.
FREE = (None, "relative")


class Poms:
    """A partition of a manifold's components into POMs, with the step's denominators.

    Parameters
    ----------
    manifold : pymanopt Manifold
    groups : sequence of sequences of int, optional
        Positions of the components of each POM. Default: the manifold is one POM.
    rule : StepRule
    curvature_bounds : (float, float), optional
        Range of the sectional curvature, for manifolds that do not tell it.
    fall_back : bool
        Whether to go without a rule where the curvature is not known, with a :attr:`note`.

    Raises
    ------
    ValueError
        If the curvature is not known, and is needed.
    """

    def __init__(
        self,
        manifold: Manifold,
        groups: Sequence[Sequence[int]] | None,
        rule: StepRule,
        curvature_bounds: tuple[float, float] | None,
        *,
        fall_back: bool = False,
    ) -> None:
        self.manifold, self.rule, self.note = manifold, rule, ""
        self.parts = list(manifold.manifolds) if isinstance(manifold, Product) else [manifold]
        self.groups = _checked_groups(groups, len(self.parts))
        if rule.name in FREE:
            return
        if rule.name == "global" and (endless := [p for p in self.parts if is_unbounded(p)]):
            raise ValueError(
                f'rule="global" bounds distances by norms of points, which {endless[0]} does not '
                'allow: take rule="corollary2".'
            )
        unknown = [] if curvature_bounds else [p for p in self.parts if _bounds(p) is None]
        if unknown and not fall_back:
            raise ValueError(
                f"{unknown[0]} does not tell its sectional curvature, which rule={rule.name!r} "
                "needs: give curvature_bounds=(low, high), or rule=None."
            )
        if unknown:
            self.rule = as_rule(None)
            self.note = (
                f"rule=None was taken: the sectional curvature of {unknown[0]} is not known; "
                "with curvature_bounds=(low, high) steps are bounded."
            )
            return
        bounds = [self._group_bounds(group, curvature_bounds) for group in self.groups]
        self.low, self.high = (np.array(ends, dtype=float) for ends in zip(*bounds, strict=True))

    def _split(self, vector: Any) -> Sequence[Any]:
        return vector if isinstance(self.manifold, Product) else [vector]

    def _group_bounds(
        self, group: Sequence[int], given: tuple[float, float] | None
    ) -> tuple[float, float]:
        if given is not None:
            return given
        ranges = [found for i in group if (found := _bounds(self.parts[i])) is not None]
        movable = sum(self.parts[i].dim > 0 for i in group)
        ranges += [FLAT] if movable != 1 else []
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def norms(self, point: Any, gradient: Any) -> Array:
        """Norm of each POM's gradient, eq. (17).

        Parameters
        ----------
        point : point of the manifold
        gradient : tangent vector
        """
        points, gradients = self._split(point), self._split(gradient)
        squares = [
            float(part.inner_product(w, u, u))
            for part, w, u in zip(self.parts, points, gradients, strict=True)
        ]
        return np.sqrt([sum(squares[i] for i in group) for group in self.groups])

    def distances(self, point: Any, reference: Any) -> Array:
        """Distance of each POM to a reference, eq. (21); where it is not known, its upper bound.

        Parameters
        ----------
        point, reference : point of the manifold
        """
        each = [
            _distance(part, w, y)
            for part, w, y in zip(
                self.parts, self._split(point), self._split(reference), strict=True
            )
        ]
        return np.array([sum(each[i] for i in group) for group in self.groups])

    def geometry(self, point: Any, reference: Any) -> PointGeometry:
        """What step rules ask of the POMs at a point.

        Parameters
        ----------
        point, reference : point of the manifold
        """
        return PointGeometry(self, point, reference)

    def _group_norms(self, point: Any, *, curved: bool) -> Array:
        squares = [
            0.0 if curved and is_flat_space(part) else np.vdot(w, w).real
            for part, w in zip(self.parts, self._split(point), strict=True)
        ]
        return np.sqrt([sum(squares[i] for i in group) for group in self.groups])

    def scaled(self, vector: Any, factors: Array) -> Any:
        """Multiply each POM's part of a tangent vector by a factor of its own.

        Parameters
        ----------
        vector : tangent vector
        factors : array
            One for each POM.
        """
        if not isinstance(self.manifold, Product):
            return float(factors[0]) * vector
        out = 1.0 * vector
        for group, factor in zip(self.groups, factors, strict=True):
            for i in group:
                out[i] = float(factor) * vector[i]
        return out


@dataclass(frozen=True)
class PointGeometry:
    """The :class:`~fgmanifolds.steps.PomGeometry` of a manifold's POMs at a point."""

    poms: Poms
    point: Any
    reference: Any

    @property
    def c_hat(self) -> Array:
        """Tight upper bound of the sectional curvature, at least 0."""
        return np.maximum(self.poms.high, 0.0)

    @property
    def kappa(self) -> Array:
        """Minus the tight lower bound, at least 0."""
        return np.maximum(-self.poms.low, 0.0)

    @property
    def curved_norm(self) -> Array:
        """Frobenius norm of the curved components."""
        return self.poms._group_norms(self.point, curved=True)

    @property
    def rho_hat(self) -> Array:
        """Distance of Corollary 2."""
        return local_distance(self.c_hat, self.kappa)

    @property
    def curved(self) -> Array:
        """1.0 on POMs with curvature, 0.0 on flat ones."""
        return np.sign(self.rho_hat)

    def distance(self) -> Array:
        """Distance (21) to the reference, or an upper bound of it."""
        return self.poms.distances(self.point, self.reference)

    def point_norm(self) -> Array:
        """Frobenius norm of the point."""
        return self.poms._group_norms(self.point, curved=False)


def _distance(part: Manifold, point: Any, reference: Any) -> float:
    try:
        return float(getattr(part, "geodesic_distance", part.dist)(point, reference))
    except ValueError:
        # Not certified (tall Stiefel manifolds, far apart): no two points are further apart.
        return float(np.pi * np.linalg.norm(point))


def _checked_groups(groups: Sequence[Sequence[int]] | None, n: int) -> list[list[int]]:
    if groups is None:
        return [list(range(n))]
    checked = [list(group) for group in groups]
    if sorted(i for group in checked for i in group) != list(range(n)):
        raise ValueError(
            f"poms={checked} must name each of the {n} components exactly once (0 to {n - 1})."
        )
    return checked
