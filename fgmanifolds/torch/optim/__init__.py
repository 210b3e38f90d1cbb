"""Optimizers on POMs."""

from fgmanifolds.torch.optim.base import POMOptimizer
from fgmanifolds.torch.optim.fgadam import FGAdam
from fgmanifolds.torch.optim.fgsgd import FGSGD

__all__ = ["FGSGD", "FGAdam", "POMOptimizer"]
