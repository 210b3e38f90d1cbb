"""Gains: the norm of each kernel as a parameter of its own, beside a kernel on a manifold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fgmanifolds.torch.components import Kernels
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.sharded import is_sharded

__all__ = ["KernelGain", "add_gains_", "can_have_gains", "fold_gains_", "has_gains"]


class KernelGain(nn.Module):
    """A parametrization: kernels of a weight at norms that are parameters.

    The layer's weight becomes ``gain * V / |V|`` for each kernel V, as in weight normalisation
    (Salimans and Kingma, 2016), which has a gain for each output.

    Parameters
    ----------
    weight : Tensor of shape [D, C, ...]
        Its norms are the first gains, so that nothing changes at first.

    Attributes
    ----------
    gain : Parameter of shape [D, C, 1, ...]
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(_norms(weight.detach()))

    def forward(self, weight: Tensor) -> Tensor:
        """Give the weight that the layer uses."""
        return weight * (self.gain / _norms(weight))


def _norms(weight: Tensor) -> Tensor:
    axes = tuple(range(2, weight.ndim))
    return torch.linalg.vector_norm(weight, dim=axes, keepdim=True)


def has_gains(layer: POMLayer) -> bool:
    """Whether the kernels of a layer have gains."""
    return isinstance(layer.module, parametrize.ParametrizationList)


def can_have_gains(layer: POMLayer, model: nn.Module) -> bool:
    """Whether a layer can be given gains: False if its components are no kernels.

    Parameters
    ----------
    layer : POMLayer
    model : nn.Module
        That the layer is in.

    Raises
    ------
    ValueError
        If the layer has gains already, if its weight is shared or sharded, or if a kernel is 0
        or not finite.
    """
    weight = layer.weight
    if not all(isinstance(batch, Kernels) for batch in layer.view.batches):
        return False
    if has_gains(layer):
        raise ValueError(f"layer {layer.name!r} has gains already.")
    holders = [m for m in model.modules() if any(p is weight for p in m._parameters.values())]
    if len(holders) > 1 or is_sharded(weight):
        how = "sharded over processes" if is_sharded(weight) else "tied to that of another"
        raise ValueError(f"layer {layer.name!r} can have no gains: its weight is {how}.")
    norms = _norms(weight.detach())
    if not bool(((norms > 0) & norms.isfinite()).all()):
        raise ValueError(
            f"layer {layer.name!r} can have no gains: one of its kernels is 0 or not finite."
        )
    return True


def add_gains_(layer: POMLayer) -> None:
    """Give each kernel of a layer that can have gains its gain.

    Parameters
    ----------
    layer : POMLayer
    """
    gain = KernelGain(layer.weight)
    parametrize.register_parametrization(layer.module, layer.parameter, gain)
    found = layer.module.parametrizations[layer.parameter]  # type: ignore[index]
    assert isinstance(found, parametrize.ParametrizationList)
    layer.module, layer.parameter = found, "original"


def fold_gains_(model: nn.Module) -> None:
    """Take the gains of a model into its weights, which are plain parameters then.

    Parameters
    ----------
    model : nn.Module
        May be a copy: other copies keep their gains.
    """
    for module in list(model.modules()):
        if not parametrize.is_parametrized(module):
            continue
        steps = module.parametrizations
        assert isinstance(steps, nn.ModuleDict)
        for name in [key for key, own in steps.items() if _is_gain(own)]:
            # Copies share the class that torch made for a parametrized module, and torch takes
            # the weight off the class.
            shared = type(module)
            module.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
            parametrize.remove_parametrizations(module, name)


def _is_gain(steps: nn.Module) -> bool:
    return [type(step) for step in steps.children()] == [KernelGain]
