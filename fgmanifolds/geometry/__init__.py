"""Component manifolds, their products, and curvature, on NumPy arrays."""

from fgmanifolds.geometry.base import Component
from fgmanifolds.geometry.components import COMPONENTS, Euclidean, Oblique, Sphere, Stiefel
from fgmanifolds.geometry.curvature import (
    Plane,
    curvature_form,
    ricci_curvature,
    riemann_tensor,
    scalar_curvature,
    second_fundamental_form,
    sectional_curvature,
)
from fgmanifolds.geometry.foreign import ScaledSubmanifold
from fgmanifolds.geometry.product import ScaledProductManifold
from fgmanifolds.geometry.stiefel import CanonicalStiefel

__all__ = [
    "COMPONENTS",
    "CanonicalStiefel",
    "Component",
    "Euclidean",
    "Oblique",
    "Plane",
    "ScaledProductManifold",
    "ScaledSubmanifold",
    "Sphere",
    "Stiefel",
    "curvature_form",
    "ricci_curvature",
    "riemann_tensor",
    "scalar_curvature",
    "second_fundamental_form",
    "sectional_curvature",
]
