"""Copies of a unit manifold, each with a radius: what they are made of, shown and sized by."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import RiemannianSubmanifold

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.checks import CheckedComponent
from fgmanifolds.geometry.curvature import Curved, Plane
from fgmanifolds.geometry.display import component_name, component_table
from fgmanifolds.geometry.planes import extremal_planes
from fgmanifolds.geometry.retractions import Retraction, as_retraction
from fgmanifolds.geometry.unit import UnitManifold
from fgmanifolds.geometry.verbs import Verbs
from fgmanifolds.validation import check_integer

__all__ = ["Copies"]


class Copies(UnitManifold, CheckedComponent, Verbs, Curved, RiemannianSubmanifold):
    """Shape, copies, radii, names and sizes of a :class:`fgmanifolds.Component`."""

    #: Name on the torch side and in tables.
    kind: ClassVar[str]
    #: Names of the retractions there are, the default first.
    retractions: ClassVar[tuple[str, ...]] = ("projection", "exp")

    def __init__(
        self,
        rows: int,
        columns: int = 1,
        *,
        k: int = 1,
        radius: ArrayLike = 1.0,
        retraction: str | Retraction | None = None,
    ) -> None:
        self._check_complete()
        for argument, value in (("rows", rows), ("columns", columns), ("k", k)):
            check_integer(argument, value, low=1)
        self._check_shape(rows, columns)
        #: How :meth:`retraction` moves.
        self.retraction_method = as_retraction(
            self.retractions[0] if retraction is None else retraction, self.retractions
        )
        self._shape = (int(rows), int(columns))
        self._k = int(k)
        self._set_radius(radius)
        super().__init__(self._describe(), self._k * self._unit_dim())

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (A, B) of one matrix."""
        return self._shape

    @property
    def k(self) -> int:
        """Number of copies."""
        return self._k

    @property
    def point_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Shape of a point: ``(A, B)``, or ``(k, A, B)`` for more than one copy."""
        return self._shape if self._k == 1 else (self._k, *self._shape)

    @property
    def radius(self) -> float | Array:
        """Radius: a number, or an array of shape (k,) if the copies differ."""
        return float(self._radii[0]) if self._uniform else self._radii.copy()

    @property
    def radii(self) -> Array:
        """Radius of each copy, shape (k,)."""
        return self._radii.copy()

    def _set_radius(self, radius: ArrayLike) -> None:
        radii = np.asarray(radius, dtype=np.float64)
        if radii.shape not in ((), (self._k,)):
            raise ValueError(
                f"radius has shape {radii.shape}; a number or shape ({self._k},) is needed, "
                "one for each copy."
            )
        if not (np.all(np.isfinite(radii)) and np.all(radii > 0)):
            raise ValueError(f"radius={radius!r} must be positive and finite.")
        self._radii = np.broadcast_to(radii, (self._k,)).copy()
        self._uniform = bool(np.all(self._radii == self._radii[0]))
        # Broadcasts against points; a plain number where one is enough.
        self._r: Any = float(self._radii[0]) if self._uniform else self._radii[:, None, None]

    def with_radius(self, radius: ArrayLike) -> Any:
        """Return the same manifold at another radius (or radii, one for each copy)."""
        other = copy.copy(self)
        other._set_radius(radius)
        other._name = other._describe()
        return other

    def _describe(self) -> str:
        return component_name(self)

    def __repr__(self) -> str:
        return self._name

    def _repr_html_(self) -> str:
        return component_table(self)

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Copies)
            and self._identity() == other._identity()
            and np.array_equal(self._radii, other._radii)
        )

    def __hash__(self) -> int:
        return hash((type(self), self._identity(), self._radii.tobytes()))

    def _identity(self) -> tuple[Any, ...]:
        return (self._shape, self._k, self.retraction_method, *self._options())

    def __mul__(self, other: Any) -> Any:
        from fgmanifolds.geometry.product import ScaledProductManifold

        return ScaledProductManifold([self]) * other

    def __pow__(self, n: int) -> Any:
        from fgmanifolds.geometry.product import ScaledProductManifold

        return ScaledProductManifold([self]) ** n

    def _each(self, function: Callable[..., Any], *values: Any) -> list[Any]:
        return [function(self, *values)]

    def _pack(self, parts: Sequence[Any], *, tangent: bool = False) -> Any:
        return parts[0]

    def _over_copies(self, values: Array) -> Any:
        """Sum per-copy `values` over the copies."""
        return values.sum(axis=-1) if self._k > 1 else values

    # Sizes ------------------------------------------------------------------

    @property
    def typical_dist(self) -> float:
        """A length of the order of the diameter, for trust-region methods."""
        return self._unit_typical_dist() * float(np.linalg.norm(self._radii))

    @property
    def injectivity_radius(self) -> float:
        """Largest radius up to which the exponential map is a diffeomorphism (inf if none)."""
        if self._unit_dim() == 0:
            return math.inf
        return self._unit_injectivity_radius() * float(self._radii.min())

    @property
    def sectional_curvature_bounds(self) -> tuple[float, float]:
        """Tight bounds of the sectional curvature over all planes; (0, 0) if there is no plane.

        With more than one copy, planes that span two copies have curvature 0
        (Lemma 1), so that 0 lies in the range.
        """
        low, high = self._unit_curvature_bounds()
        tightest = 1.0 / float(self._radii.min()) ** 2
        if self._k > 1 and self.dim > 1:
            return min(low * tightest, 0.0), max(high * tightest, 0.0)
        return low * tightest, high * tightest

    def extremal_planes(self) -> tuple[Plane, Plane] | None:
        """Planes that attain the two ends of :attr:`sectional_curvature_bounds`.

        Returns
        -------
        (lowest, highest) : tuple of Plane, or None
            None where there is no plane (dimension below 2).
        """
        return extremal_planes(self)
