"""A program of a user's own, for type checkers: see test_typed.py."""

from typing import Any

import numpy as np
import torch
from torch import nn

import fgmanifolds as fg
from fgmanifolds.plot import curvature_histogram
from fgmanifolds.steps import denominator
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter, POMOptimizer

product = fg.ScaledProductManifold([fg.Sphere(3, 3, k=2), fg.Stiefel(5, 3)], scales=[1, 2])
point = product.random_point(rng=0)
dimension: int = product.dim
low, high = product.sectional_curvature_bounds
curved: bool = low < high
scales: list[float] = [float(part.radii[0]) for part in product.components]
curvature_histogram(product).savefig("curvature.png")
bound = denominator("corollary2", np.ones(3), c=np.ones(3))


class SignSGD(POMOptimizer):
    """A direction of one's own."""

    def direction(
        self, params: list[torch.Tensor], grads: list[torch.Tensor], group: dict[str, Any]
    ) -> list[torch.Tensor]:
        """Signs."""
        return [grad.sign() for grad in grads]


model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
adapter: POMAdapter = POMAdapter(model, "pio", exclude=("2",)).initialize_()
optimizers: list[torch.optim.Optimizer] = [FGSGD(adapter, lr=0.1), FGAdam(adapter)]
names: list[str] = list(adapter.layers)
off: float = adapter.residual()
