"""Architectures of the paper's widths."""

import pytest
import torch

from fgmanifolds.models import MODELS, build_model, resnet44


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("side", [8, 28])
def test_shapes(name, side):
    model = build_model(name, 1, 10)
    assert model(torch.randn(2, 1, side, side)).shape == (2, 10)
    widths = {m.out_channels for m in model.modules() if isinstance(m, torch.nn.Conv2d)}
    assert widths == {24, 48, 96}


def test_resnet44_has_the_kernels_of_the_paper():
    model = resnet44(3, 10)
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convs) + 1 == 44
    assert sum(m.in_channels * m.out_channels for m in convs[1:]) == 163584
    assert sum(m.in_channels * m.out_channels for m in convs) == 163656


def test_unknown_models_are_refused():
    with pytest.raises(ValueError, match=r"model='resnet18' is unknown.*'resnet20'"):
        build_model("resnet18", 1, 10)
