"""
Factors of both signs of curvature
==================================

Hyperbolic spaces are negatively curved, spheres and Grassmann manifolds positively. In a product
the ranges of the factors are joined, with 0, and the smallest radius of each sign rules.
"""

from fgmanifolds import Grassmann, Hyperbolic, ScaledProductManifold, Sphere
from fgmanifolds.plot import curvature_histogram

figure = curvature_histogram(
    {
        "Grassmann 5 x 2": Grassmann(5, 2),
        "hyperbolic plane": Hyperbolic(3, 1),
        "sphere x hyperbolic plane": ScaledProductManifold([Sphere(3, 1), Hyperbolic(3, 1)]),
        "the same, sphere of radius 2": ScaledProductManifold(
            [Sphere(3, 1), Hyperbolic(3, 1)], scales=[2, 1]
        ),
    }
)
