"""Component manifolds, their products, and curvature, on NumPy arrays."""

from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.curvature import (
    Plane,
    curvature_form,
    ricci_curvature,
    riemann_tensor,
    scalar_curvature,
    second_fundamental_form,
    sectional_curvature,
)
from fgmanifolds.geometry.euclidean import Euclidean
from fgmanifolds.geometry.grassmann import Grassmann
from fgmanifolds.geometry.hyperbolic import Hyperbolic
from fgmanifolds.geometry.means import Center
from fgmanifolds.geometry.oblique import Oblique
from fgmanifolds.geometry.product import ScaledProductManifold
from fgmanifolds.geometry.registry import COMPONENTS
from fgmanifolds.geometry.retractions import RETRACTIONS, Retraction
from fgmanifolds.geometry.sphere import Sphere
from fgmanifolds.geometry.stiefel import Stiefel
from fgmanifolds.geometry.stiefel_canonical import CanonicalStiefel
from fgmanifolds.geometry.submanifold import ScaledSubmanifold

__all__ = [
    "COMPONENTS",
    "RETRACTIONS",
    "CanonicalStiefel",
    "Center",
    "Component",
    "Euclidean",
    "Grassmann",
    "Hyperbolic",
    "Oblique",
    "Plane",
    "Retraction",
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
