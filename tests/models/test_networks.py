"""What the networks compute: shapes, shortcuts, stochastic depth, splitting, bad input."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fgmanifolds.models import MODELS, SplitConv2d, build_model
from fgmanifolds.models.blocks import BasicBlock, Shortcut
from fgmanifolds.models.splitting import biregular_inputs
from fgmanifolds.torch import FGSGD, POMAdapter

TINY = {"stem": "small", "widths": "quarter"}


def tiny(name, **options):
    chosen = {key: value for key, value in TINY.items() if key in MODELS[name]}
    return build_model(name, 5, in_channels=2, **{**chosen, **options})


@pytest.mark.parametrize("name", MODELS)
def test_shapes_and_gradients(name):
    model = tiny(name)
    scores = model(torch.randn(2, 2, 16, 16))
    assert scores.shape == (2, 5)
    scores.logsumexp(1).sum().backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert name == "rsd110" or not missing


@pytest.mark.parametrize("name", ["resnet20", "resnet44"])
@pytest.mark.parametrize("side", [8, 28])
def test_grey_images_of_any_side(name, side):
    assert build_model(name, 10, in_channels=1)(torch.randn(2, 1, side, side)).shape == (2, 10)


@pytest.mark.parametrize("side", [6, 7])
def test_option_a_by_hand(side):
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    for pool in (False, True):
        found = Shortcut(2, 4, pool)(x)
        half = -(-side // 2)
        assert found.shape == (2, 7, half, half)
        assert not found[:, 3:].any()
        for i in range(half):
            for j in range(half):
                patch = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                expected = patch.mean((2, 3)) if pool else patch[:, :, 0, 0]
                torch.testing.assert_close(found[:, :3, i, j], expected)


def test_pooled_shortcuts_reach_the_network():
    shortcuts = [m for m in tiny("rcd110", pool=True).modules() if isinstance(m, Shortcut)]
    assert [one.pool for one in shortcuts] == [True, True]


def test_survival_falls_linearly():
    """p_1 = 0.99074, p_54 = 0.5, 40.25 blocks expected (Huang et al. 2016)."""
    survival = [block.survival for block in tiny("rsd110").residual_blocks()]
    assert len(survival) == 54
    assert survival[0] == pytest.approx(0.99074, abs=1e-5)
    assert survival[-1] == 0.5
    assert sum(survival) == pytest.approx(40.25)


def test_stochastic_depth_opens_blocks_at_their_rates():
    model = tiny("rsd110", draw_seed=3).train()
    blocks = model.residual_blocks()
    drawn = []
    for _ in range(2000):
        model._draw_depth()
        drawn.append([block.open for block in blocks])
    rates, survival = np.mean(drawn, axis=0), np.array([block.survival for block in blocks])
    assert np.abs(rates - survival).max() < 4 * np.sqrt(0.25 / 2000)
    assert np.corrcoef(np.array(drawn)[:, [10, 40]].T)[0, 1] < 0.1


def test_closed_blocks_are_not_computed_and_evaluation_weighs_the_branch():
    block = BasicBlock(4, 4, 4, 1)
    x = torch.rand(3, 4, 5, 5)
    block.open, block.survival = False, 0.25
    before = copy.deepcopy(block.state_dict())
    assert torch.equal(block.train()(x), x)
    assert all(torch.equal(v, before[k]) for k, v in block.state_dict().items())
    expected = torch.relu(x + 0.25 * block.eval().branch(x))
    torch.testing.assert_close(block(x), expected)


def test_draws_of_depth_resume_and_leave_other_random_states_alone():
    torch.manual_seed(0)
    model = tiny("rsd110").train()
    x = torch.randn(2, 2, 8, 8)
    model(x)
    state, before = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    model(x)
    assert torch.equal(torch.get_rng_state(), before)
    opened = [block.open for block in model.residual_blocks()]
    other = tiny("rsd110").train()
    other.load_state_dict(state)
    other(x)
    assert [block.open for block in other.residual_blocks()] == opened


@pytest.mark.parametrize("zeroed", [False, True])
def test_closed_blocks_under_both_optimizers(zeroed):
    """Without gradients they stay; with gradients of zero, momentum moves them (Huang's code)."""
    for plain in (True, False):
        model = tiny("rsd110").train()
        if plain:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        else:
            optimizer = FGSGD(POMAdapter(model).initialize_(), lr=0.1, momentum=0.9)
        last = model.residual_blocks()[-1]
        x = torch.randn(4, 2, 8, 8)
        moved = None
        for _ in range(20):
            optimizer.zero_grad(set_to_none=not zeroed)
            before = last.conv1.weight.detach().clone()
            model(x).logsumexp(1).mean().backward()
            if not last.open and optimizer.state[last.conv1.weight]:
                optimizer.step()
                moved = not torch.equal(before, last.conv1.weight)
                break
            optimizer.step()
        assert moved is zeroed


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(8, 8, 4), (12, 6, 3), (64, 64, 2)])
def test_splitting_is_biregular_and_mixes(inputs, outputs, groups):
    chosen = biregular_inputs(inputs, outputs, groups, seed=1)
    assert chosen.shape == (outputs, inputs // groups)
    assert (np.diff(chosen, axis=1) > 0).all()
    assert (np.bincount(chosen.ravel(), minlength=inputs) == outputs // groups).all()
    assert len({tuple(row) for row in chosen.tolist()}) > groups
    assert (biregular_inputs(inputs, outputs, groups, seed=1) == chosen).all()
    assert (biregular_inputs(inputs, outputs, groups, seed=2) != chosen).any()


def test_split_convolution_by_hand():
    layer = SplitConv2d(6, 4, 3, 2, 2, seed=0)
    x = torch.randn(2, 6, 7, 7)
    expected = torch.zeros(2, 4, 4, 4)
    for d in range(4):
        for j, c in enumerate(layer.input_channels[d]):
            kernel = layer.weight[d, j][None, None]
            expected[:, d] += F.conv2d(x[:, [int(c)]], kernel, stride=2, padding=1)[:, 0]
    torch.testing.assert_close(layer(x), expected)


def test_splitting_replaces_grouped_layers_only():
    model = build_model("deeproots50", 5, wss=True, **TINY)
    split = {n for n, m in model.named_modules() if isinstance(m, SplitConv2d)}
    assert split == {f"layer{i}.{j}.conv2" for i, n in ((1, 3), (2, 4)) for j in range(n)}
    depthwise = build_model("mobilenet_v2", 5, wss=True, **TINY).modules()
    assert not any(isinstance(m, SplitConv2d) for m in depthwise)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet19", {}, "name='resnet19' is unknown.*'resnet18'"),
        ("resnet44", {"survival": 0.5}, "option of resnet44='survival' is unknown; allowed"),
        ("resnet44", {"widths": "half"}, "widths='half' is unknown"),
        ("resnext50_32x4d", {"widths": "paper"}, "widths='paper' is unknown; allowed: 'original'"),
        ("mobilenet_v2", {"widths": "paper"}, "widths='paper' is unknown"),
        ("resnet50", {"stem": "tiny"}, "stem='tiny' is unknown"),
        ("resnet50", {"shortcut": "C"}, "shortcut='C' is unknown"),
        ("rsd110", {"survival": 0.0}, r"survival=0.0 must be finite and in \(0, 1\]"),
        ("deeproots50", {"roots": 3}, "roots=3 must be a power of 2"),
        ("deeproots50", {"roots": 16, "widths": "paper"}, "72 channels into 16 groups"),
        ("deeproots50", {"wss": 1}, "wss=1 must be True or False"),
        ("cnn", {"width": 0}, "width=0 must be an integer of at least 1"),
        ("cnn", {"widths": "quarter"}, "option of cnn='widths' is unknown; allowed: 'width'"),
        ("resnet44", {"num_classes": 1}, "num_classes=1 must be an integer of at least 2"),
        ("resnet44", {"in_channels": 0}, "in_channels=0 must be"),
    ],
)
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_model(name, **{"num_classes": 10, **options})
