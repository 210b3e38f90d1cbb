"""
An explorer that needs no kernel
================================

Move the slider: the radius of the first sphere changes, and with it the curvatures of random
planes, their range, and the geodesics on the right (drag to turn them). On a small sphere a
geodesic of length 4 goes around, and the vector that is carried along it turns.
"""

from fgmanifolds import Sphere
from fgmanifolds.plot import curvature_histogram, radius_slider

product = Sphere(3, 1) ** 2
live = radius_slider(product)

# %%
# In Jupyter ``fgmanifolds.plot.explore(product)`` has a slider for the radius and the number
# of each component. A still of what the slider changes:
figure = curvature_histogram(
    {f"radii {r} and 1": product.with_scales([r, 1]) for r in (0.5, 1.0, 2.0)}
)
