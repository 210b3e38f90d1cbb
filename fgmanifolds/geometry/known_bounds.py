"""Ranges of the sectional curvature, for manifolds of this package and of pymanopt."""

from __future__ import annotations

from typing import Any

import pymanopt.manifolds as theirs
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.geometry.grassmann import Grassmann
from fgmanifolds.geometry.hyperbolic import Hyperbolic
from fgmanifolds.geometry.oblique import Oblique
from fgmanifolds.geometry.stiefel import Stiefel

__all__ = ["is_flat_space", "is_unbounded", "known_curvature_bounds"]

Bounds = tuple[float, float]
FLAT: Bounds = (0.0, 0.0)

SPHERES = (
    theirs.Sphere,
    theirs.SphereSubspaceIntersection,
    theirs.SphereSubspaceComplementIntersection,
)
LINEAR = (theirs.Euclidean, theirs.ComplexEuclidean, theirs.Symmetric, theirs.SkewSymmetric)


def known_curvature_bounds(manifold: Manifold) -> Bounds | None:
    """Tight range of the sectional curvature over all planes; None where it is not known.

    Known are the manifolds of this package that tell it, and of pymanopt: spheres and their
    sections, Oblique, Stiefel, Grassmann, SpecialOrthogonalGroup, the linear spaces,
    Positive and ComplexCircle (flat), SymmetricPositiveDefinite (affine-invariant metric,
    [-1/2, 0]) and PoincareBall.
    """
    if hasattr(type(manifold), "sectional_curvature_bounds"):
        try:
            low, high = manifold.sectional_curvature_bounds
        except NotImplementedError:
            return None
        return float(low), float(high)
    if manifold.dim < 2 or isinstance(manifold, (*LINEAR, theirs.ComplexCircle, theirs.Positive)):
        return FLAT
    if isinstance(manifold, SPHERES):
        return (1.0, 1.0)
    return _by_shape(manifold)


def _by_shape(manifold: Any) -> Bounds | None:
    """Of pymanopt's manifolds of matrices, which take k copies."""
    if isinstance(manifold, theirs.Oblique):
        return Oblique(manifold._m, manifold._n).sectional_curvature_bounds
    if isinstance(manifold, theirs.Stiefel):
        copies = Stiefel(manifold._n, manifold._p, k=manifold._k)
    elif isinstance(manifold, theirs.SpecialOrthogonalGroup):
        copies = Stiefel(manifold._n, manifold._n, k=manifold._k)
    elif isinstance(manifold, theirs.Grassmann):
        return Grassmann(manifold._n, manifold._p, k=manifold._k).sectional_curvature_bounds
    elif isinstance(manifold, theirs.SymmetricPositiveDefinite):
        # Planes of diagonal matrices are flat, so that copies change nothing.
        return (-0.5, 0.0) if manifold._n >= 2 else FLAT
    elif isinstance(manifold, theirs.PoincareBall):
        if manifold._n < 2:
            return FLAT
        return (-1.0, -1.0) if manifold._k == 1 else (-1.0, 0.0)
    else:
        return None
    return copies.sectional_curvature_bounds


def is_unbounded(manifold: Manifold) -> bool:
    """Whether a space that is not linear has points at any distance."""
    endless = (theirs.PoincareBall, theirs.SymmetricPositiveDefinite, theirs.Positive)
    return isinstance(manifold, (Hyperbolic, *endless))


def is_flat_space(manifold: Manifold) -> bool:
    """Whether the manifold is a linear space, whose points have no norm of their own."""
    return isinstance(manifold, LINEAR) or getattr(manifold, "kind", "") == "euclidean"
