"""Algorithm 1 in NumPy, from the constraints and the printed formulas alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify import reference

__all__ = []


#: Highest sectional curvature of 3 x 3 kernels at unit radius; the lowest is 0 or more.
CURVATURE = {"sphere": 1.0, "oblique": 1.0, "stiefel": 0.125}


#: Size of the loss: gradients that are large enough for a denominator above 1.
SIZE = 3.0

#: Weight of the loss's cubic part, which makes gradients change from place to place.
CUBE = 0.05


def printed_momentum(theta_mu: float, mu: Array, theta_e: float, grad: Array) -> Array:
    """Eq. (31) as printed."""
    return theta_mu * mu - theta_e * grad


def right_momentum(theta_mu: float, mu: Array, theta_e: float, grad: Array) -> Array:
    """Eq. (31) with the sign that descends under (3)."""
    return theta_mu * mu + theta_e * grad


def printed_step(rate: float, g: float, grad: Array) -> Array:
    """Eqs. (3) and (30): the step on the tangent space."""
    return -(rate / g) * grad


def printed_denominator(norm: float, rho: float) -> float:
    """The denominator where no curvature is negative."""
    return max(1.0, norm * max(2 * rho + norm, 1.0))


class Reference:
    """One POM in NumPy: Algorithm 1 from constraints alone, for kernels of one kind."""

    def __init__(self, kind: str, point: Array, radii: Array, target: Array) -> None:
        self.kind, self.point, self.radii, self.target = kind, point, radii, target
        self.mu: Array | None = None

    def loss(self) -> float:
        """The loss: linear and cubic in the entries."""
        x = self.point * self.target
        return float((x + CUBE * x**3).sum())

    def step(
        self,
        rate: float,
        theta: tuple[float, float] = (0.0, 1.0),
        momentum: Callable[[float, Array, float, Array], Array] = right_momentum,
        plain: bool = False,
    ) -> None:
        """Lines 5 to 7: project, divide, retract; the first momentum is the gradient."""
        grad = self.target + 3 * CUBE * self.target**3 * self.point**2
        if self.mu is None:
            self.mu = momentum(0.0, 0 * grad, 1.0, grad)
        else:
            self.mu = momentum(theta[0], self.mu, theta[1], grad)
        each = zip(self.point, self.mu, strict=True)
        tangent = np.array([reference.tangent_part(self.kind, w, u) for w, u in each])
        norm = float(np.sqrt(np.sum(tangent**2)))
        rho = float(self.radii.min()) / CURVATURE[self.kind] ** 0.5
        g = 1.0 if plain else printed_denominator(norm, rho)
        moved = self.point + printed_step(rate, g, tangent)
        each_moved = zip(moved, self.radii, strict=True)
        self.point = np.array([reference.nearest(self.kind, y, r) for y, r in each_moved])


class Layer:
    """A convolution on POMs with a loss, and a reference for each of its POMs."""

    def __init__(self, seed: int, scheme: str = "pio", **options: Any) -> None:
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(4, 6, 3, padding=1, bias=False, dtype=torch.float64)
            self.model = nn.Sequential(self.conv, nn.BatchNorm2d(6, dtype=torch.float64))
            kinds = ("sphere", "oblique", "stiefel")
            options = {"fan_out": "glorot", **options}
            self.adapter = POMAdapter(self.model, scheme, kinds, seed=seed, **options)
            self.adapter.initialize_()
        shape = self.conv.weight.shape
        self.target = SIZE * torch.randn(shape, generator=generator, dtype=torch.float64)
        self.poms = range(len(self.adapter.pom_names("0")))
        targets = self._read(self.target)
        points = self._read(self.conv.weight.detach())
        self.parts: list[Reference] = []
        for pom in self.poms:
            component = self.adapter.manifold("0", pom).components[0]
            stack = (component.k, 3, 3)
            arrays = (np.reshape(x[pom], stack) for x in (points, targets))
            point, target = arrays
            self.parts.append(Reference(component.kind, point, component.radii, target))

    def _read(self, values: torch.Tensor) -> list[Array]:
        """Entries of a tensor of the weight's shape, one array a POM."""
        kept = self.conv.weight.detach().clone()
        with torch.no_grad():
            self.conv.weight.copy_(values)
            found = [self.adapter.point("0", pom)[0] for pom in self.poms]
            self.conv.weight.copy_(kept)
        return found

    def backward(self) -> float:
        """Loss with its gradient."""
        x = self.conv.weight * self.target
        loss = (x + CUBE * x**3).sum()
        self.conv.weight.grad = None
        loss.backward()
        return float(loss.detach())

    def difference(self) -> float:
        """Largest difference of the weights from the reference."""
        now = self._read(self.conv.weight.detach())
        pairs = zip(now, self.parts, strict=True)
        return max(float(np.abs(np.reshape(a, b.point.shape) - b.point).max()) for a, b in pairs)

    def rescaled(self) -> None:
        """Take over new radii and carried points, as an epoch's end does."""
        for pom, part in zip(self.poms, self.parts, strict=True):
            radii = self.adapter.manifold("0", pom).components[0].radii
            part.point = part.point * (radii / part.radii)[:, None, None]
            part.radii = radii
