"""
A component of one's own
========================

Kernels of one norm whose entries sum to 0, as those of edge detectors: a class says what is
normal to a point, and one for torch says the same on tensors. Products, curvature, the adapter
and the optimizers take it from there.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds import Component
from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.testing import check_manifold
from fgmanifolds.torch import FGSGD, ManifoldOps, POMAdapter, register_component


class CentredSphere(Component):
    """Matrices of Frobenius norm `radius` whose entries sum to 0."""

    kind = "centred_sphere"

    def _unit_dim(self):
        return math.prod(self.shape) - 2

    def _normal_part(self, w, u):
        along = np.sum(w * u, axis=(-2, -1), keepdims=True)
        return w * along + np.mean(u, axis=(-2, -1), keepdims=True)

    def _second_fundamental_form(self, w, u, v):
        return -w * np.sum(u * v, axis=(-2, -1), keepdims=True)

    def _nearest(self, matrix):
        centred = matrix - np.mean(matrix, axis=(-2, -1), keepdims=True)
        return centred / np.linalg.norm(centred, axis=(-2, -1), keepdims=True)

    def _unit_curvature_bounds(self):
        return (1.0, 1.0)

    def _unit_injectivity_radius(self):
        return math.pi


class CentredOps(ManifoldOps):
    """The same on tensors."""

    def normal(self, w, u):
        return w * (w * u).sum((1, 2), keepdim=True) + u.mean((1, 2), keepdim=True)

    def normalise(self, x):
        centred = x - x.mean((1, 2), keepdim=True)
        return centred / centred.square().sum((1, 2), keepdim=True).sqrt()

    nearest = normalise


print(check_manifold(CentredSphere(3, 3, radius=2.0)))

# %%
# A network with half of its kernels on it, and what its first kernels look like:
register_component("centred_sphere", CentredSphere, CentredOps())
images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
model = cnn(channels=1, classes=10)
adapter = POMAdapter(model, "pio", ("centred_sphere", "stiefel"), exclude=("classifier",))
adapter.initialize_()
optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
for _ in range(4):
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    adapter.update_scales_()
print(f"largest relative distance from the manifolds {adapter.residual():.1e}")

kernels = {"centred_sphere": [], "stiefel": []}
for manifold, places in adapter.weight_sets("conv2"):
    kernels[manifold] += [model.conv2.weight[d, c].detach().numpy() for d, c in places]
fig, axes = plt.subplots(2, 8, figsize=(8.4, 2.5), layout="constrained")
for row, (name, found) in zip(axes, kernels.items(), strict=True):
    limit = max(abs(kernel).max() for kernel in found[:8])
    for ax, kernel in zip(row, found, strict=False):
        ax.imshow(kernel, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"sum {kernel.sum():.2f}".replace("-0.00", "0.00"), fontsize=8)
    row[0].set_ylabel(name.replace("_", "\n"), fontsize=9)
