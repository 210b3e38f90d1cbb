"""
A thousand steps, and the distance from the manifold
====================================================

Floating point arithmetic leaves a manifold a little at every step, and the next step starts from
there. The closed form of the Stiefel exponential map, taken as it stands, carries the error on:
it grows or shrinks with the way that is taken, here to a thousand times rounding. Ours ends on
the manifold to rounding at every step.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import expm

from fgmanifolds import Stiefel

STEPS = 1000
manifold = Stiefel(5, 3)
rng = np.random.default_rng(0)


def closed_form(w, v):
    a, identity = w.T @ v, np.eye(3)
    block = expm(np.block([[a, -v.T @ v], [identity, a]]))
    return np.hstack([w, v]) @ block[:, :3] @ expm(-a)


def walk(exp):
    point, residuals = manifold.random_point(rng), []
    for _ in range(STEPS):
        vector = manifold.projection(point, rng.standard_normal((5, 3)))
        point = exp(point, 0.5 * vector / np.linalg.norm(vector))
        residuals.append(np.linalg.norm(point.T @ point - np.eye(3)))
    return residuals


fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
ax.semilogy(walk(closed_form), color="tab:red", linewidth=1, label="closed form, as it stands")
ax.semilogy(walk(manifold.exp), color="tab:blue", linewidth=1, label="Stiefel.exp")
ax.set(xlabel="step of length 1/2", ylabel="distance from the manifold")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
