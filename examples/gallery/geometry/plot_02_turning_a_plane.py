"""
Turning a plane from one sphere into another
============================================

On a product of two two-spheres the first leg of a plane stays on the first sphere, the second
turns from the first sphere to the second. The curvature falls from 1 to 0 as the squared cosine:
numerators and squared areas are sums over the factors, curvatures are not.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import ScaledProductManifold, Sphere

product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)])
e = np.eye(3)[:, :, None]
point, nothing = [e[0], e[0]], np.zeros((3, 1))

angles = np.linspace(0, np.pi / 2, 46)
curvatures = [
    product.sectional_curvature(point, [e[1], nothing], [np.cos(a) * e[2], np.sin(a) * e[2]])
    for a in angles
]

fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.plot(np.degrees(angles), np.cos(angles) ** 2, color="lightgray", linewidth=6, label="cos²")
ax.plot(np.degrees(angles), curvatures, label="sectional_curvature")
ax.set(xlabel="angle between the second leg and the first sphere, degrees", ylabel="curvature")
ax.set_xticks(range(0, 91, 15))
ax.grid(alpha=0.3)
ax.legend(frameon=False)
