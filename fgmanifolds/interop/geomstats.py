"""The same manifolds as geomstats spaces, for its learning algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.product import ScaledProductManifold

if TYPE_CHECKING:
    from fgmanifolds.interop.geomstats_space import GeomstatsSpace

__all__ = ["as_geomstats"]


def as_geomstats(manifold: Component | ScaledProductManifold) -> GeomstatsSpace:
    """Present a component or a product as a geomstats space, equipped with its metric.

    geomstats is imported by the first call, and need not be installed otherwise.

    Parameters
    ----------
    manifold : Component or ScaledProductManifold
        A product must be of this package's own components.

    Returns
    -------
    GeomstatsSpace
        Points of a component keep their shape. Points of a product are flat
        vectors, the components' entries one after the other, as in geomstats'
        ``ProductManifold`` of unequal factors.

    Raises
    ------
    TypeError
        If `manifold` is neither.
    ImportError
        If geomstats is missing, or runs on another backend than NumPy.
    """
    factors = getattr(manifold, "components", (manifold,))
    if not all(isinstance(factor, Component) for factor in factors):
        raise TypeError(
            f"manifold={manifold!r} of type {type(manifold).__name__}: a Component, or a "
            "ScaledProductManifold of them, is needed."
        )
    from fgmanifolds.interop.geomstats_space import GeomstatsSpace

    return GeomstatsSpace(manifold)
