"""Optimizers on POMs."""

from fgmanifolds.torch.optim.fgsgd import FGSGD, GRADIENT_NORMS

__all__ = ["FGSGD", "GRADIENT_NORMS"]
