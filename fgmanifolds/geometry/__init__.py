"""Component manifolds, their products, and curvature, on NumPy arrays."""

from fgmanifolds.geometry.base import Component
from fgmanifolds.geometry.components import COMPONENTS, Euclidean, Oblique, Sphere, Stiefel
from fgmanifolds.geometry.product import ScaledProductManifold

__all__ = [
    "COMPONENTS",
    "Component",
    "Euclidean",
    "Oblique",
    "ScaledProductManifold",
    "Sphere",
    "Stiefel",
]
