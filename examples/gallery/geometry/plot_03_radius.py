"""
What the radius does
====================

The scale of a component is the radius of an embedded manifold, not a factor of its metric:
lengths grow with it, and curvatures fall with its square.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Sphere, Stiefel

components = {
    "sphere 3 x 3": Sphere(3, 3),
    "orthogonal 3 x 3": Stiefel(3, 3),
    "Stiefel 5 x 3": Stiefel(5, 3),
}
radii = np.geomspace(0.1, 4, 30)

fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for (name, component), width in zip(components.items(), (6, 2, 2), strict=True):
    scaled = [component.with_radius(r) for r in radii]
    low, high = np.transpose([m.sectional_curvature_bounds for m in scaled])
    (line,) = left.semilogx(radii, high, label=name, linewidth=width)
    left.semilogx(radii, low, color=line.get_color(), linestyle="--")
    right.loglog(radii, [m.injectivity_radius for m in scaled], linewidth=width, label=name)
left.set(xlabel="radius", title="Curvature: highest, lowest (dashed)", ylim=(-10, 20))
right.set(xlabel="radius", title="Injectivity radius")
for ax in (left, right):
    ax.grid(alpha=0.3)
right.legend(frameon=False)
