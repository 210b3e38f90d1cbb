"""
A geodesic of a product, weight by weight
=========================================

Every component moves along its own geodesic. The distance from the start grows as fast as the
geodesic's length up to the injectivity radius; on this product the smallest component, an oblique
manifold of radius 1/2, sets it.
"""

from fgmanifolds import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.plot import geodesic

product = ScaledProductManifold([Sphere(3, 3), Oblique(3, 3), Stiefel(5, 3)], scales=[1, 0.5, 2])
point = product.random_point(rng=0)
vector = product.random_tangent_vector(point, rng=0)
print("injectivity radius", product.injectivity_radius)

figure = geodesic(product, point, 8 * vector)
