"""
First and second order retractions
==================================

A retraction is an exponential map that is right to first or second order: its error falls with
the square or the cube of the step. On Stiefel manifolds the Q factor of QR is of first order, the
polar factor of second; normalising is of second order on spheres.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Sphere, Stiefel

cases = {
    "Stiefel 5 x 3, QR": Stiefel(5, 3, retraction="qr"),
    "Stiefel 5 x 3, polar": Stiefel(5, 3, retraction="polar"),
    "sphere 3 x 3, normalising": Sphere(3, 3),
}
steps = np.geomspace(1e-3, 1, 20)

fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, manifold in cases.items():
    point = manifold.random_point(rng=0)
    vector = manifold.random_tangent_vector(point, rng=1)
    errors = [
        np.linalg.norm(manifold.retraction(point, t * vector) - manifold.exp(point, t * vector))
        for t in steps
    ]
    slope = np.polyfit(np.log(steps[:10]), np.log(errors[:10]), 1)[0]
    ax.loglog(steps, errors, ".-", label=f"{name}: slope {slope:.2f}")
ax.set(xlabel="length of the step", ylabel="distance from the exponential map")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
