"""
Two distances of a product
==========================

The paper's distance (21) is the sum of the factors' distances, the Riemannian distance the root
of the sum of their squares. They agree where only one factor moves and differ most where all move
equally far.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import ScaledProductManifold, Sphere, Stiefel

product = ScaledProductManifold([Sphere(3, 3, k=2), Stiefel(3, 3)], scales=[1, 0.5])
n = product.n_factors
start = product.random_point(rng=0)
vectors = product.random_tangent_vector(start, rng=1, n=300)
weights = np.random.default_rng(2).dirichlet([0.4, 0.4, 0.4], 300)
vectors = [weights[:, :2, None, None] * vectors[0], weights[:, 2:, None] * vectors[1]]
ends = product.exp(start, vectors)
riemannian = product.dist(start, ends)
summed = product.geodesic_distance(start, ends)

fig, ax = plt.subplots(figsize=(5.6, 4), layout="constrained")
ax.plot(riemannian, summed, ".", alpha=0.5)
reach = np.array([0, riemannian.max()])
ax.plot(reach, reach, color="black", linewidth=1, label="dist")
ax.plot(reach, n**0.5 * reach, color="tab:red", linewidth=1, label=f"root of {n} times dist")
ax.set(xlabel="dist, Riemannian", ylabel="geodesic_distance, eq. (21)")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
