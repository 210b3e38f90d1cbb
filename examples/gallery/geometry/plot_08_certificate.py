"""
Injectivity radius and the certificate
======================================

A geodesic of a Stiefel manifold is the shortest as long as it is below the injectivity radius,
pi. Beyond it a shorter one may exist: ``log`` and ``dist`` refuse to guess, ``log_certified``
gives the shortest geodesic found and says whether it is certified.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Stiefel

manifold = Stiefel(4, 2)
point = manifold.random_point(rng=0)
direction = manifold.random_tangent_vector(point, rng=3)
lengths = np.linspace(0.05, 1.6 * np.pi, 60)
ends = manifold.geodesic(point, direction, lengths)
vectors, certified = manifold.log_certified(np.broadcast_to(point, ends.shape), ends)
found = manifold.norm(point, vectors)

fig, ax = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
ax.plot(lengths, lengths, color="lightgray", linewidth=5, label="length along the geodesic")
ax.plot(lengths[certified], found[certified], ".", label="shortest geodesic, certified")
ax.plot(lengths[~certified], found[~certified], "x", color="tab:red", label="shortest found")
ax.axvline(manifold.injectivity_radius, color="black", linestyle=":", label="injectivity radius")
ax.set(xlabel="length of the geodesic", ylabel="distance of its ends")
ax.grid(alpha=0.3)
ax.legend(frameon=False)

try:
    manifold.dist(point, ends[-1])
except ValueError as error:
    print(error)
