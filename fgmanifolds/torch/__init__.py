"""Train torch models on products of weight manifolds."""

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.layers import Features, Grid, LayerReader, register_layer
from fgmanifolds.torch.networks import distances, interpolate
from fgmanifolds.torch.ops.manifolds import ManifoldOps, register_component
from fgmanifolds.torch.optim import FGSGD, FGAdam, POMOptimizer
from fgmanifolds.torch.scaling import geometric_scaling

__all__ = [
    "FGSGD",
    "FGAdam",
    "Features",
    "Grid",
    "LayerReader",
    "ManifoldOps",
    "POMAdapter",
    "POMOptimizer",
    "distances",
    "geometric_scaling",
    "interpolate",
    "register_component",
    "register_layer",
]
