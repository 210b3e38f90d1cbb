"""Train torch models on products of weight manifolds."""

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.networks import distances, interpolate
from fgmanifolds.torch.optim.fgsgd import FGSGD

__all__ = ["FGSGD", "POMAdapter", "distances", "interpolate"]
