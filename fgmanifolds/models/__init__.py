"""The networks of the paper, from few shared blocks, in the paper's widths and the sources'."""

from fgmanifolds.models.cnn import cnn
from fgmanifolds.models.cost import LayerCost, describe, layer_costs
from fgmanifolds.models.registry import MODELS, build_model
from fgmanifolds.models.resnet import Plan, ResNet, StochasticDepthResNet
from fgmanifolds.models.splitting import SplitConv2d

__all__ = [
    "MODELS",
    "LayerCost",
    "Plan",
    "ResNet",
    "SplitConv2d",
    "StochasticDepthResNet",
    "build_model",
    "cnn",
    "describe",
    "layer_costs",
]
