"""
Theorem 1: the steepest slope
=============================

The norm of a gradient on a product is the root of the sum of the factors' squared norms (17).
Slopes of a loss along geodesics in all directions of a plane that holds the gradient follow that
norm times the cosine.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Oblique, ScaledProductManifold, Sphere, Stiefel

product = ScaledProductManifold([Sphere(3, 1), Oblique(3, 2), Stiefel(4, 2)], scales=[0.5, 2, 1])
rng = np.random.default_rng(0)
target = [rng.standard_normal(part.point_shape) for part in product.components]


def loss(w):
    return sum(float(np.sum((a - b) ** 4)) for a, b in zip(w, target, strict=True))


point = product.random_point(rng)
euclidean = [4 * (a - b) ** 3 for a, b in zip(point, target, strict=True)]
gradient = product.projection(point, euclidean)
norms = [
    float(part.norm(w, g)) for part, w, g in zip(product.components, point, gradient, strict=True)
]
print("norms of the factors' gradients", np.round(norms, 3))

root = np.linalg.norm(norms)
first = [g / root for g in gradient]
second = product.random_tangent_vector(point, rng)
along = product.inner_product(point, first, second)
second = [b - along * a for a, b in zip(first, second, strict=True)]
second = [b / product.norm(point, second) for b in second]

angles, h = np.linspace(-np.pi, np.pi, 41), 1e-5
slopes = []
for angle in angles:
    way = [np.cos(angle) * a + np.sin(angle) * b for a, b in zip(first, second, strict=True)]
    ahead, back = (loss(product.exp(point, [t * x for x in way])) for t in (h, -h))
    slopes.append((ahead - back) / (2 * h))

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
fine = np.linspace(-np.pi, np.pi, 400)
ax.plot(np.degrees(fine), root * np.cos(fine), label="root of the sum of squares (17), times cos")
ax.plot(np.degrees(angles), slopes, "o", markersize=4, label="slope of the loss, measured")
ax.axhline(sum(norms), color="tab:red", linewidth=1, linestyle=":", label="sum of the norms")
ax.set(xlabel="angle between direction and gradient, degrees", ylabel="slope")
ax.set_xticks(range(-180, 181, 60))
ax.grid(alpha=0.3)
ax.set_ylim(top=1.45 * sum(norms))
ax.legend(frameon=False, loc="upper left", ncols=2, fontsize="small")
