"""
The explorer on a sphere times a Stiefel manifold
=================================================

The slider changes the radius of the Stiefel manifold. Its planes of negative curvature, and the
highest ones, grow as it shrinks; the sphere's share of the range stays.
"""

from fgmanifolds import Sphere, Stiefel
from fgmanifolds.plot import curvature_histogram, radius_slider

product = Sphere(3, 3) * Stiefel(4, 2)
live = radius_slider(product, component=1)

# %%
# A still of the same:
figure = curvature_histogram(
    {f"Stiefel manifold of radius {r}": product.with_scales([1, r]) for r in (0.5, 1.0, 2.0)}
)
