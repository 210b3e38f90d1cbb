"""Architectures of the experiments, with widths in multiples of 24 as in the paper."""

from fgmanifolds.models.cnn import cnn
from fgmanifolds.models.registry import MODELS, build_model
from fgmanifolds.models.resnet import resnet20, resnet44

__all__ = ["MODELS", "build_model", "cnn", "resnet20", "resnet44"]
