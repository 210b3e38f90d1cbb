"""Other packages' optimizers at our radii: kernels on Stiefel manifolds of radius gamma.

Their manifolds have radius 1. A layer's weight is therefore written as its radius times an
orthogonal one, which is what they train, at the rate lr / radius^2: that is the homothety
which carries steps of size lr at the radius over to radius 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from fgmanifolds.experiments.peers import import_geoopt, pogo_on
from fgmanifolds.torch import POMAdapter
from fgmanifolds.torch.layer import POMLayer

__all__ = ["Times", "geoopt_at_radii", "pogo_at_radii"]


class Times(nn.Module):
    """Multiplication by a number, as a parametrization of a weight."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        """Give the weight that the layer uses."""
        return self.factor * weight

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Give the weight that is trained."""
        return (weight / self.factor).contiguous()


def geoopt_at_radii(adapter: POMAdapter, lr: float, momentum: float) -> Optimizer:
    """RiemannianSGD of geoopt on the kernels of an adapter's layers, which lie on their manifolds.

    Parameters
    ----------
    adapter : POMAdapter
    lr : float
    momentum : float

    Raises
    ------
    ImportError
        If geoopt is not installed.
    ValueError
        If a layer is not one of square kernels on Stiefel manifolds of one radius.
    """
    geoopt = import_geoopt()
    groups = []
    for layer, radius in _square(adapter):
        own = _parametrized(layer, radius)
        weight = geoopt.ManifoldParameter(own.original.detach(), geoopt.EuclideanStiefel())
        own.original = weight
        groups.append({"params": [weight], "lr": lr / radius**2})
    made: Optimizer = geoopt.optim.RiemannianSGD(groups, lr=lr, momentum=momentum)
    return made


def pogo_at_radii(adapter: POMAdapter, lr: float, momentum: float) -> Optimizer:
    """POGO with an SGD base, as :func:`geoopt_at_radii`.

    Parameters
    ----------
    adapter : POMAdapter
    lr : float
    momentum : float
    """
    groups = []
    for layer, radius in _square(adapter):
        weight = _parametrized(layer, radius).original
        groups.append({"params": [weight], "lr": lr / radius**2})
    made: Optimizer = pogo_on(groups, lr, momentum)
    return made


def _square(adapter: POMAdapter) -> Iterator[tuple[POMLayer, float]]:
    """Layers with their radii."""
    for layer in adapter.layers.values():
        radius, shape = layer.radius, layer.weight.shape
        square = layer.weight.ndim == 4 and shape[2] == shape[3]
        on_stiefel = layer.options.scheme == "kernel" and layer.manifolds == ("stiefel",)
        if not (square and on_stiefel and bool((radius == radius[0]).all())):
            raise ValueError(
                f"layer {layer.name!r} with weight {tuple(shape)}: geoopt and POGO are run with "
                "scheme='kernel', manifolds=['stiefel'] on square kernels of one radius; exclude "
                "other layers."
            )
        yield layer, float(radius[0])


def _parametrized(layer: POMLayer, radius: float) -> parametrize.ParametrizationList:
    parametrize.register_parametrization(layer.module, layer.parameter, Times(radius))
    found = layer.module.parametrizations[layer.parameter]  # type: ignore[index]
    assert isinstance(found, parametrize.ParametrizationList)
    return found
