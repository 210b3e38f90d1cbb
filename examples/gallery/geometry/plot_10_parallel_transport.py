"""
Parallel transport turns vectors
================================

Carried around a triangle of three right angles on the unit sphere, a tangent vector comes back
turned by a quarter: the area of the triangle times the curvature.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Sphere
from fgmanifolds.plot import two_sphere

sphere = Sphere(3, 1)
corners = np.eye(3)[[0, 1, 2, 0]][:, :, None]
vector = np.array([[0.0], [0.35], [0.0]])

fig = plt.figure(figsize=(5.6, 4.8), layout="constrained")
ax = two_sphere(fig, octant=True)
carried = vector
for a, b, color in zip(corners, corners[1:], ("tab:blue", "tab:green", "tab:red"), strict=False):
    along = sphere.log(a, b)
    for t in np.linspace(0, 1, 7):
        place = sphere.exp(a, t * along)
        arrow = sphere.parallel_transport(a, t * along, carried)
        ax.quiver(*place[:, 0], *arrow[:, 0], color=color, linewidth=1.5)
    side = sphere.geodesic(a, along, np.linspace(0, 1, 50))
    ax.plot(*side[:, :, 0].T, color=color, linewidth=1)
    carried = sphere.parallel_transport(a, along, carried)
ax.view_init(elev=25, azim=40)

cosine = float(np.vdot(vector, carried)) / float(np.vdot(vector, vector))
print(f"angle between the vector and itself, carried around: {np.degrees(np.arccos(cosine)):.1f}")
