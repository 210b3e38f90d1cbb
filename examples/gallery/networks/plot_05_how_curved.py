"""
How curved is a network?
========================

Each POM comes out of the adapter as a ``ScaledProductManifold``. At radii of a few hundredths the
highest curvature goes into the hundreds, but random planes of a POM lie across many kernels, and
are much flatter.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from fgmanifolds.models import cnn
from fgmanifolds.torch import POMAdapter

torch.manual_seed(0)
model = cnn(channels=1, classes=10)
adapter = POMAdapter(
    model, "pio", ("sphere", "oblique", "stiefel"), exclude=("classifier",)
).initialize_()

fig, ax = plt.subplots(figsize=(6.8, 3.6), layout="constrained")
colors = {"sphere": "tab:orange", "oblique": "tab:green", "stiefel": "tab:purple"}
rng = np.random.default_rng(0)
for place, name in enumerate(adapter.layers):
    for pom in range(len(adapter.pom_names(name))):
        manifold, point = adapter.manifold(name, pom), adapter.point(name, pom)
        u, v = (manifold.random_tangent_vector(point, rng, n=20) for _ in range(2))
        x = place + {"sphere": -0.25, "oblique": 0, "stiefel": 0.25}[manifold.components[0].kind]
        x += rng.uniform(-0.08, 0.08)
        color = colors[manifold.components[0].kind]
        _, highest = manifold.sectional_curvature_bounds
        ax.semilogy(x, highest, "^", color=color, markersize=4)
        typical = np.mean(manifold.sectional_curvature(point, u, v))
        ax.semilogy(x, typical, ".", color=color, markersize=4)
ax.set_xticks(range(len(adapter.layers)), adapter.layers)
ax.set_ylabel("sectional curvature")
ax.plot([], [], "^", color="gray", label="highest of a POM")
ax.plot([], [], ".", color="gray", label="mean over random planes")
for kind, color in colors.items():
    ax.plot([], [], "s", color=color, label=kind)
fig.legend(loc="outside right upper", frameon=False)
ax.grid(axis="y", alpha=0.3)
