"""The POMs of a manifold: gradient norms and denominators of the step, one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymanopt.manifolds import Product
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.steps import StepRule

__all__ = ["PointGeometry", "Poms"]


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
    """

    def __init__(
        self,
        manifold: Manifold,
        groups: Sequence[Sequence[int]] | None,
        rule: StepRule,
        curvature_bounds: tuple[float, float] | None,
    ) -> None:
        self.manifold, self.rule = manifold, rule
        self.parts = list(manifold.manifolds) if isinstance(manifold, Product) else [manifold]
        self.groups = _checked_groups(groups, len(self.parts))
        if rule.name is not None:
            bounds = [self._bounds(group, curvature_bounds) for group in self.groups]
            self.low, self.high = (
                np.array(ends, dtype=float) for ends in zip(*bounds, strict=True)
            )

    def _split(self, vector: Any) -> Sequence[Any]:
        return vector if isinstance(self.manifold, Product) else [vector]

    def _bounds(
        self, group: Sequence[int], given: tuple[float, float] | None
    ) -> tuple[float, float]:
        if given is not None:
            return given
        ranges, movable = [], 0
        for position in group:
            part = self.parts[position]
            bounds = getattr(part, "sectional_curvature_bounds", None)
            if bounds is None:
                raise ValueError(
                    f"{part} does not tell its sectional curvature, which rule={self.rule.name!r} "
                    "needs: give curvature_bounds=(low, high), or rule=None."
                )
            ranges.append(bounds)
            movable += part.dim > 0
        ranges += [(0.0, 0.0)] if movable != 1 else []
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def norms(self, point: Any, gradient: Any) -> Array:
        """Norm of each POM's gradient, eq. (17)."""
        points, gradients = self._split(point), self._split(gradient)
        squares = [
            float(part.inner_product(w, u, u))
            for part, w, u in zip(self.parts, points, gradients, strict=True)
        ]
        return np.sqrt([sum(squares[i] for i in group) for group in self.groups])

    def distances(self, point: Any, reference: Any) -> Array:
        """Distance of each POM to a reference, eq. (21); where it is not known, its upper bound."""
        each = [
            _distance(part, w, y)
            for part, w, y in zip(
                self.parts, self._split(point), self._split(reference), strict=True
            )
        ]
        return np.array([sum(each[i] for i in group) for group in self.groups])

    def geometry(self, point: Any, reference: Any) -> PointGeometry:
        """What step rules ask of the POMs at a point."""
        return PointGeometry(self, point, reference)

    def _group_norms(self, point: Any, *, curved: bool) -> Array:
        squares = [
            0.0
            if curved and np.isinf(getattr(part, "injectivity_radius", 0.0))
            else np.vdot(w, w).real
            for part, w in zip(self.parts, self._split(point), strict=True)
        ]
        return np.sqrt([sum(squares[i] for i in group) for group in self.groups])

    def scaled(self, vector: Any, factors: Array) -> Any:
        """Multiply each POM's part of a tangent vector by a factor of its own."""
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
