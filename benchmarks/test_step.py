"""Time of one optimizer step on the 163,656 3 x 3 kernels of a ResNet-44, beside torch's SGD.

Run with ``make bench``. Compare within one run only: machines differ, and are shared.
"""

import pytest
import torch

from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, POMAdapter

LR, MOMENTUM = 0.05, 0.9


def network():
    """A ResNet-44 with random gradients."""
    torch.manual_seed(0)
    model = build_model("resnet44", 10)
    for parameter in model.parameters():
        parameter.grad = 0.01 * torch.randn_like(parameter)
    return model


@pytest.mark.benchmark(group="step, ResNet-44")
@pytest.mark.parametrize("variant", ["foreach", "fused"])
def test_sgd(benchmark, variant):
    """torch.optim.SGD."""
    optimizer = torch.optim.SGD(network().parameters(), lr=LR, momentum=MOMENTUM, **{variant: True})
    benchmark(optimizer.step)


@pytest.mark.benchmark(group="step, ResNet-44")
@pytest.mark.parametrize(
    "manifolds",
    [("sphere",), ("oblique",), ("stiefel",), ("sphere", "oblique", "stiefel", "euclidean")],
    ids="+".join,
)
def test_fgsgd(benchmark, manifolds):
    """FGSGD with PIO."""
    adapter = POMAdapter(network(), "pio", manifolds, exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=LR, momentum=MOMENTUM)
    benchmark(optimizer.step)
