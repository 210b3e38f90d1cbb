"""Weights as components: read one by one, and multiplied in one pass."""

import pytest
import torch
from torch import nn

from fgmanifolds.torch import POMAdapter
from tests.torch.spreads import set_spread

LAYERS = {
    "linear": lambda: nn.Linear(30, 50),
    "few columns": lambda: nn.Linear(3, 50),
    "1 x 1": lambda: nn.Conv2d(13, 7, 1),
    "1 x 1, groups": lambda: nn.Conv2d(24, 36, 1, groups=3),
    "1 x 1, a column each": lambda: nn.Conv2d(6, 20, 1, groups=2),
    "1 x 1, channels_last": lambda: nn.Conv2d(13, 7, 1).to(memory_format=torch.channels_last),
    "transposed 1 x 1": lambda: nn.ConvTranspose2d(20, 12, 1),
    "3 x 3": lambda: nn.Conv2d(5, 7, 3),
    "3 x 3, channels_last": lambda: nn.Conv2d(5, 7, 3).to(memory_format=torch.channels_last),
    "attention": lambda: nn.MultiheadAttention(12, 3),
    "lstm": lambda: nn.LSTM(30, 20),
}


@pytest.mark.parametrize("scheme", ["pio", "pi", "po", "layer", "tensor"])
@pytest.mark.parametrize("kind", LAYERS)
def test_components_are_multiplied_each_by_its_own_factor(kind, scheme):
    torch.manual_seed(0)
    manifolds = ("sphere", "oblique") if scheme in ("pio", "pi", "po") else ("sphere",)
    adapter = POMAdapter(nn.ModuleList([LAYERS[kind]()]), scheme, manifolds, seed=1)
    for layer in adapter.layers.values():
        before = layer.weight.detach().clone()
        factors = torch.rand(layer.view.n_components, dtype=torch.float64) + 0.5
        layer.multiply_(layer.weight, factors)
        for batch in layer.view.batches:
            old, new = batch.read(before), batch.read(layer.weight.detach())
            own = factors[batch.members.long()].float()[:, None, None]
            torch.testing.assert_close(new, old * own, rtol=1e-6, atol=0)


def test_lines_are_of_blocks_that_share_all_rows_or_none():
    nets = {kind: POMAdapter(nn.ModuleList([make()]), "pio") for kind, make in LAYERS.items()}
    lines = {kind: next(iter(a.layers.values())).view.lines for kind, a in nets.items()}
    without = {kind for kind, own in lines.items() if own is None}
    assert without == {"transposed 1 x 1", "3 x 3", "3 x 3, channels_last"}


def test_large_matrices_are_multiplied_part_by_part():
    net = nn.Sequential(nn.Linear(400, 401, bias=False))
    layer = POMAdapter(net, "pio", ("sphere", "euclidean")).layers["0"]
    factors = 1 + torch.rand(layer.view.n_components, generator=torch.Generator().manual_seed(0))
    before = [batch.read(layer.weight.detach()).clone() for batch in layer.view.batches]
    layer.multiply_(layer.weight, factors.double())
    for batch, old in zip(layer.view.batches, before):
        wanted = old * factors[batch.members.long()][:, None, None]
        torch.testing.assert_close(batch.read(layer.weight.detach()), wanted)


@pytest.mark.parametrize("scheme", ["pio", "pi", "po", "layer", "kernel"])
@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind not in ("attention", "lstm")])
def test_radii_follow_the_channels_that_a_component_reads(kind, scheme):
    manifolds = ("sphere", "oblique", "euclidean") if scheme != "kernel" else ("sphere",)
    module = LAYERS[kind]()
    manifolds = manifolds if scheme != "layer" else ("oblique",)
    adapter = POMAdapter(nn.ModuleList([module]), scheme, manifolds, seed=3)
    (layer,) = adapter.layers.values()
    channels = module.in_features if "in_features" in vars(module) else module.in_channels
    spread = 1 + torch.rand(channels, generator=torch.Generator().manual_seed(1)).double()
    set_spread(layer.spread, spread)
    adapter.update_scales_()
    numbers = torch.arange(channels).view(getattr(module, "groups", 1), 1, -1)
    if "transposed" in kind:
        numbers = numbers.mT
    first = module.weight.shape[0] // len(numbers)
    numbers = numbers.expand(-1, first, module.weight.shape[1]).flatten(0, 1)
    numbers = numbers.view(*numbers.shape, *[1] * (module.weight.dim() - 2))
    of_entries = (spread**2)[numbers].expand_as(module.weight).contiguous()
    for batch in layer.view.batches:
        mean = batch.read(of_entries).flatten(1).mean(dim=1)
        members = batch.members.long()
        wanted = torch.where(layer.is_euclidean[members], 1.0, layer.gamma / mean.sqrt())
        torch.testing.assert_close(layer.radius[members], wanted)
