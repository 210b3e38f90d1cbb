"""
The denominator, (5) against (7)
================================

(7) is (5) on a sphere of radius 1, and there both rules agree. On a sphere of radius r the
printed formula takes 1 / c = r² for a length that is r, and has a term in c that grows on small
spheres. Rule ``"corollary2"`` takes the root, ``"paper"`` the formula as it is printed;
``"global"`` assumes nothing of the distance to a minimum.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Sphere
from fgmanifolds.steps import denominator

norms = np.geomspace(0.05, 10, 200)
fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), sharey=True, layout="constrained")
for ax, radius in zip(axes, (0.3, 1, 3), strict=True):
    _, highest = Sphere(3, 3, radius=radius).sectional_curvature_bounds
    ax.loglog(norms, denominator("corollary2", norms, c=highest), label='"corollary2"')
    ax.loglog(norms, denominator("paper", norms, rho=1 / highest, c=highest), "--", label='"paper"')
    ax.loglog(norms, denominator("global", norms, norm=radius), ":", label='"global"')
    ax.set(title=f"sphere of radius {radius}", xlabel="norm R of the gradient")
    ax.grid(alpha=0.3)
axes[0].set_ylabel("denominator g of the step")
axes[0].legend(frameon=False)
