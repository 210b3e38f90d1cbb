"""Geometry of, and optimization on, products of scaled weight manifolds.

The NumPy side lives here: manifolds and their products. The torch side is the
subpackage :mod:`fgmanifolds.torch`. Importing ``fgmanifolds`` is cheap and does
not import torch; the manifold classes are loaded at first use (pymanopt, on
which they are built, imports torch itself where torch is installed).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgmanifolds.geometry import (
        Component,
        Euclidean,
        Grassmann,
        Hyperbolic,
        Oblique,
        ScaledProductManifold,
        ScaledSubmanifold,
        Sphere,
        Stiefel,
    )
    from fgmanifolds.interop.geomstats import as_geomstats
    from fgmanifolds.solver import FGSGDSolver, StochasticProblem

__version__ = "0.2.0"

_HOME = {
    "Component": "fgmanifolds.geometry",
    "Euclidean": "fgmanifolds.geometry",
    "FGSGDSolver": "fgmanifolds.solver",
    "Grassmann": "fgmanifolds.geometry",
    "Hyperbolic": "fgmanifolds.geometry",
    "Oblique": "fgmanifolds.geometry",
    "ScaledProductManifold": "fgmanifolds.geometry",
    "ScaledSubmanifold": "fgmanifolds.geometry",
    "Sphere": "fgmanifolds.geometry",
    "Stiefel": "fgmanifolds.geometry",
    "StochasticProblem": "fgmanifolds.solver",
    "as_geomstats": "fgmanifolds.interop.geomstats",
}

__all__ = [
    "Component",
    "Euclidean",
    "FGSGDSolver",
    "Grassmann",
    "Hyperbolic",
    "Oblique",
    "ScaledProductManifold",
    "ScaledSubmanifold",
    "Sphere",
    "Stiefel",
    "StochasticProblem",
    "__version__",
    "as_geomstats",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
