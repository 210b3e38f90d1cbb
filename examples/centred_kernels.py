"""A manifold of one's own: kernels of one norm whose entries sum to 0, as edge detectors' do.

``python examples/centred_kernels.py`` trains a small network on it.
"""

import math

import numpy as np
import torch
from torch import Tensor

from fgmanifolds import Component
from fgmanifolds.torch import ManifoldOps


class CentredSphere(Component):
    """Matrices of Frobenius norm `radius` whose entries sum to 0: a great sphere."""

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

    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """Part along the point, and the mean."""
        return w * (w * u).sum((1, 2), keepdim=True) + u.mean((1, 2), keepdim=True)

    def normalise(self, x: Tensor) -> Tensor:
        """Subtract the mean, and normalise."""
        centred = x - x.mean((1, 2), keepdim=True)
        return centred / centred.square().sum((1, 2), keepdim=True).sqrt()

    nearest = normalise


def main() -> float:
    """Train on centred spheres and Stiefel manifolds."""
    from torch import nn

    from fgmanifolds.torch import FGSGD, POMAdapter, register_component

    register_component("centred_sphere", CentredSphere, CentredOps())
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    adapter = POMAdapter(net, "pi", ("centred_sphere", "stiefel"), exclude=("3",), radius=0.5)
    adapter.initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    images, labels = torch.randn(64, 1, 8, 8), torch.randint(0, 4, (64,))
    for step in range(51):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            print(f"step {step}: loss {loss.item():.3f}, residual {adapter.residual():.1e}")
    return float(loss.detach())


if __name__ == "__main__":
    main()
