"""
Remark 1: a counterexample
==========================

The paper says that curvatures of POMs are non-negative. On tall Stiefel manifolds with two
columns or more, with the metric of the embedding space, they are not: the lowest is -1/2, already
on 3 x 2 matrices.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Stiefel
from fgmanifolds.verify import remark1

manifold = Stiefel(3, 2)
(point, u, v), _ = manifold.extremal_planes()
print("curvature", float(manifold.sectional_curvature(point, u, v)), "of the plane of")
print(np.round(u, 3), "and", np.round(v, 3), "at", np.round(point, 3), sep="\n")

# A third direction, normal to both: the tangent space has three dimensions.
third = manifold.random_tangent_vector(point, rng=0)
for leg in (u, v):
    third -= leg * np.vdot(leg, third) / np.vdot(leg, leg)
third /= np.linalg.norm(third)
angles = np.linspace(0, np.pi, 91)
turned = [
    manifold.sectional_curvature(point, u, np.cos(a) * v / np.linalg.norm(v) + np.sin(a) * third)
    for a in angles
]

fig, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.6), width_ratios=(1, 1.2), layout="constrained"
)
left.plot(np.degrees(angles), turned)
left.axhline(0, color="black", linewidth=0.8)
left.set(xlabel="plane turned about its first leg, degrees", ylabel="curvature on Stiefel 3 x 2")
left.grid(alpha=0.3)
lowest = {
    name.removeprefix("lowest curvature on "): value
    for name, value in remark1(samples=50).measured.items()
    if name.startswith("lowest curvature on ")
}
colors = ["tab:red" if value < -1e-9 else "tab:blue" for value in lowest.values()]
right.barh(list(lowest), list(lowest.values()), color=colors)
right.axvline(0, color="black", linewidth=0.8)
right.set_xlabel("lowest curvature; printed: at least 0")
