"""A network's loss as a pymanopt problem on one of its POMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pymanopt
import torch
from torch import Tensor

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.poms import load_pom_point_, pom_entries, pom_manifold, pom_tensor

__all__ = ["pom_problem"]


def pom_problem(layer: POMLayer, pom: int, closure: Callable[[], Tensor]) -> pymanopt.Problem:
    """See :meth:`fgmanifolds.torch.POMAdapter.problem`.

    Parameters
    ----------
    layer : POMLayer
    pom : int
    closure : callable
        Gives the loss.
    """
    manifold = pom_manifold(layer, pom)
    decorate = pymanopt.function.numpy(manifold)

    def loss(point: Sequence[Array]) -> Tensor:
        load_pom_point_(layer, pom, list(point))
        with torch.enable_grad():
            value = closure()
        if value.numel() != 1:
            raise ValueError(f"closure gave a tensor of shape {tuple(value.shape)}, not a scalar.")
        return value.reshape(())

    def cost(*point: Array) -> float:
        return float(loss(point).detach())

    def gradient(*point: Array) -> list[Array]:
        (derivative,) = torch.autograd.grad(loss(point), layer.weight)
        return pom_entries(layer, pom, derivative)

    def hessian(*arguments: Array) -> list[Array]:
        half = len(arguments) // 2
        point, vector = arguments[:half], arguments[half:]
        (derivative,) = torch.autograd.grad(loss(point), layer.weight, create_graph=True)
        direction = pom_tensor(layer, pom, list(vector))
        (second,) = torch.autograd.grad((derivative * direction).sum(), layer.weight)
        return pom_entries(layer, pom, second)

    functions: dict[str, Any] = {
        "euclidean_gradient": decorate(gradient),
        "euclidean_hessian": decorate(hessian),
    }
    return pymanopt.Problem(manifold, decorate(cost), **functions)
