"""
Stiefel manifolds have planes of negative curvature
===================================================

With the metric of the embedding space, tall Stiefel manifolds have planes of curvature down to
-1/2 (one column is a sphere, and square ones are groups: none there). With the canonical metric
all curvatures are non-negative.
"""

from fgmanifolds import Stiefel
from fgmanifolds.plot import curvature_histogram

manifolds = {
    "Stiefel 3 x 2, embedded": Stiefel(3, 2),
    "Stiefel 6 x 3, embedded": Stiefel(6, 3),
    "Stiefel 4 x 4, embedded": Stiefel(4, 4),
    "Stiefel 6 x 3, canonical": Stiefel(6, 3, metric="canonical"),
}
figure = curvature_histogram(manifolds)

for name, manifold in manifolds.items():
    planes = manifold.extremal_planes()
    lowest, highest = (float(manifold.sectional_curvature(*plane)) for plane in planes)
    print(f"{name}: planes of curvature {lowest:.4f} and {highest:.4f}")
