"""The component classes by the name that the torch side and the tables use."""

from __future__ import annotations

from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.euclidean import Euclidean
from fgmanifolds.geometry.oblique import Oblique
from fgmanifolds.geometry.sphere import Sphere
from fgmanifolds.geometry.stiefel import Stiefel

__all__ = ["COMPONENTS"]

#: Component classes by name.
COMPONENTS: dict[str, type[Component]] = {
    cls.kind: cls for cls in (Sphere, Oblique, Stiefel, Euclidean)
}
