"""Optimizers of other packages, for comparisons: geoopt's RiemannianSGD and POGO (extra 'peers').

Both put every kernel of every convolution with square kernels on the Stiefel
manifold at unit radius, and train the rest with plain SGD.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fgmanifolds.torch.ops.manifolds import qr_positive

__all__ = [
    "PEERS",
    "geoopt_optimizers",
    "import_geoopt",
    "pogo_on",
    "pogo_optimizers",
    "square_convolutions",
]

_NEEDS = "optimizer={!r} needs another package: pip install 'fgmanifolds[peers]'."


def square_convolutions(model: nn.Module) -> list[nn.Conv2d]:
    """Convolutions of a model with square kernels larger than 1 x 1."""
    return [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size[0] == module.kernel_size[1] > 1
    ]


@torch.no_grad()
def _make_orthogonal_(weight: Tensor) -> None:
    kernels = weight.reshape(-1, *weight.shape[2:]).double()
    weight.copy_(qr_positive(torch.randn_like(kernels)).reshape(weight.shape))


def import_geoopt() -> Any:
    """The package geoopt; ``ImportError`` naming the extra if it is missing."""
    try:
        import geoopt
    except ImportError:
        raise ImportError(_NEEDS.format("geoopt")) from None
    return geoopt


def pogo_on(
    weights: Sequence[Tensor] | Sequence[dict[str, Any]], lr: float, momentum: float
) -> Any:
    """POGO with an SGD base on contiguous weights whose last two axes are orthogonal matrices.

    Its state is plain data: torch's checkpoints of plain data cannot hold the function that
    its groups hold.

    Parameters
    ----------
    weights : sequence of Tensor] or Sequence[dict[str, Any]
    lr : float
    momentum : float
    """
    try:
        from pogo import POGO, base
    except ImportError:
        raise ImportError(_NEEDS.format("pogo")) from None

    class PlainStatePOGO(POGO):
        def state_dict(self) -> dict[str, Any]:
            state: dict[str, Any] = super().state_dict()
            for group in state["param_groups"]:
                group.pop("flatten_fn")
            return state

        def load_state_dict(self, state: dict[str, Any]) -> None:
            groups = [{**group, "flatten_fn": _as_matrices} for group in state["param_groups"]]
            super().load_state_dict({**state, "param_groups": groups})

    return PlainStatePOGO(weights, base.SGD(momentum=momentum), lr, flatten_fn=_as_matrices)


def geoopt_optimizers(
    model: nn.Module, lr: float, momentum: float, weight_decay: float
) -> list[Optimizer]:
    """RiemannianSGD of geoopt on ``EuclideanStiefel``; the convolutions' weights are replaced.

    Parameters
    ----------
    model : nn.Module
    lr : float
    momentum : float
    weight_decay : float
    """
    geoopt = import_geoopt()
    for module in square_convolutions(model):
        _make_orthogonal_(module.weight)
        module.weight = geoopt.ManifoldParameter(
            module.weight.detach(), manifold=geoopt.EuclideanStiefel()
        )
    return [
        geoopt.optim.RiemannianSGD(
            model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
        )
    ]


def pogo_optimizers(
    model: nn.Module, lr: float, momentum: float, weight_decay: float
) -> list[Optimizer]:
    """POGO with an SGD base on the convolutions, SGD on the rest.

    Parameters
    ----------
    model : nn.Module
    lr : float
    momentum : float
    weight_decay : float
    """
    convolutions = square_convolutions(model)
    for module in convolutions:
        _make_orthogonal_(module.weight)
    kernels = [module.weight for module in convolutions]
    known = {id(weight) for weight in kernels}
    others = [p for p in model.parameters() if id(p) not in known]
    optimizers = [pogo_on(kernels, lr, momentum)]
    if others:
        optimizers.append(
            torch.optim.SGD(others, lr, momentum, weight_decay=weight_decay, foreach=True)
        )
    return optimizers


def _as_matrices(weight: Tensor) -> Tensor:
    return weight.view(-1, *weight.shape[2:])


#: Makers of optimizers by name.
PEERS = {"geoopt": geoopt_optimizers, "pogo": pogo_optimizers}
