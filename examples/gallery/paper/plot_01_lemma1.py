"""
Lemma 1: curvature forms add up, curvatures do not
==================================================

On a product the curvature form (12) of four vectors is the sum of the factors' forms. The
sectional curvature (8) is a quotient of sums: the sum of the factors' curvatures is far off, and
leaves the range of the product.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.verify import lemma1

product = ScaledProductManifold([Sphere(3, 2), Stiefel(4, 2)], scales=[1, 1.5])
rng = np.random.default_rng(0)
point = product.random_point(rng)
u, v, w, z = (product.random_tangent_vector(point, rng, n=300) for _ in range(4))
forms, curvatures = [], []
for part, x, a, b, c, d in zip(product.components, point, u, v, w, z, strict=True):
    forms.append(part.curvature_form(x, a, b, c, d))
    curvatures.append(part.sectional_curvature(x, a, b))

fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
left.plot(sum(forms), product.curvature_form(point, u, v, w, z), ".", alpha=0.5)
left.set(xlabel="sum of the factors' forms", ylabel="form of the product", title="(12): a sum")
right.plot(sum(curvatures), product.sectional_curvature(point, u, v), ".", alpha=0.5)
right.set(xlabel="sum of the factors' curvatures", ylabel="curvature of the product")
right.set_title("(8): not a sum")
for bound in product.sectional_curvature_bounds:
    right.axhline(bound, color="tab:red", linewidth=1)
for ax in (left, right):
    ax.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle=":")
    ax.grid(alpha=0.3)

# %%
# The check behind the verdict parametrises the whole product as one manifold and
# differentiates its metric:
print(lemma1())
