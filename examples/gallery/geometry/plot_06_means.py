"""
Mean and median of points of a manifold
=======================================

The Fréchet mean has the least sum of squared distances, the median the least sum of distances:
three stray points pull the mean away, and hardly the median. The average of the coordinates is
not on the manifold at all.
"""

import matplotlib.pyplot as plt
import numpy as np

from fgmanifolds import Sphere
from fgmanifolds.plot import two_sphere

sphere = Sphere(3, 1)
center = np.array([[0.8], [-0.5], [0.33]]) / np.linalg.norm([0.8, -0.5, 0.33])
cloud = sphere.exp(center, 0.15 * sphere.projection(
    center, np.random.default_rng(1).standard_normal((12, 3, 1))))  # fmt: skip
stray = sphere.exp(center, np.array([1.2, 1.3, 1.4])[:, None, None] * sphere.projection(
    center, np.array([[0.0], [0.4], [0.9]])))  # fmt: skip
points = np.concatenate([cloud, stray])

mean, median = sphere.mean(points), sphere.median(points)
print("mean:", mean.reason)
print("median:", median.reason)
print("norm of the average of the coordinates:", np.linalg.norm(points.mean(0)))

fig = plt.figure(figsize=(5.6, 4.8), layout="constrained")
ax = two_sphere(fig)
ax.scatter(*cloud[:, :, 0].T, color="gray", s=25, label="cloud")
ax.scatter(*stray[:, :, 0].T, color="tab:orange", s=35, marker="^", label="stray points")
for found, color, name in ((mean, "tab:red", "mean"), (median, "tab:blue", "median")):
    ax.scatter(*found.point[:, 0], color=color, s=90, marker="*", label=name)
ax.view_init(elev=30, azim=-5)
ax.legend(frameon=False, loc="upper left")
