"""Sets, radii and selection: groups, ties, seeds, kept norms, tables and messages."""

import copy
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.models.splitting import SplitConv2d
from fgmanifolds.torch import FGSGD, POMAdapter

FOUR = ("sphere", "oblique", "stiefel", "euclidean")


def one(layer, scheme="pio", manifolds=FOUR, **options):
    adapter = POMAdapter(nn.Sequential(layer), scheme, manifolds, **options)
    return adapter, adapter.weight_sets("0")


@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
@pytest.mark.parametrize("groups", [2, 8, 32])
def test_sets_of_grouped_convolutions_keep_one_channel(scheme, groups):
    layer = nn.Conv2d(32, 64, 3, groups=groups)
    _, sets = one(layer, scheme)
    for _, cells in sets:
        outputs, inputs = ({c[i] for c in cells} for i in range(2))
        assert len(inputs) == 1 or len(outputs) == 1
        if scheme != "pio":
            assert len(inputs if scheme == "pi" else outputs) == 1
        for output, channel in cells:
            assert output // (64 // groups) == channel // (32 // groups)
    assert sorted(c for _, cells in sets for c in cells) == sorted(
        (d, c) for d in range(64) for c in range(32) if d // (64 // groups) == c // (32 // groups)
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 64, 3, groups=64),
        nn.Conv2d(1, 64, 5),
        nn.Conv2d(64, 1, 5),
        nn.ConvTranspose2d(64, 64, 3, groups=64),
    ],
    ids=str,
)
def test_grids_of_width_one_are_dealt_evenly_kernel_by_kernel(layer):
    _, sets = one(layer, "pio")
    assert all(len(cells) == 1 for _, cells in sets)
    kinds = [kind for kind, _ in sets]
    assert {kinds.count(name) for name in FOUR} == {16}


@pytest.mark.parametrize("scheme", ["pi", "pio"])
def test_split_convolutions_keep_the_inputs_that_they_see(scheme):
    torch.manual_seed(0)
    layer = SplitConv2d(16, 24, 3, 1, 4, seed=0)
    adapter, sets = one(layer, scheme)
    adapter.initialize_()
    seen = {(d, int(c)) for d in range(24) for c in layer.input_channels[d]}
    assert sorted(cell for _, cells in sets for cell in cells) == sorted(seen)
    for _, cells in sets:
        assert len({c for _, c in cells}) == 1 or len({d for d, _ in cells}) == 1
    x = torch.ones(4, 16, 8, 8) * torch.randn(4, 16, 8, 8)
    x[:, 5] *= 40
    layer(x)
    adapter.update_scales_()
    kernels = adapter.layers["0"].radius.reshape(24, 4)
    reads = (layer.input_channels == 5) & ~adapter.layers["0"].is_euclidean.reshape(24, 4)
    gamma = adapter.layers["0"].gamma
    assert (kernels[reads] < 0.2 * gamma).all()
    assert (kernels[~reads & (kernels < 1)] > 0.5 * gamma).all()


@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
@pytest.mark.parametrize("shape", [(6, 10, 1), (3, 24, 1), (12, 12, 4), (30, 10, 10)])
def test_remainders_are_dealt_over_the_whole_layer(scheme, shape):
    inputs, outputs, groups = shape
    adapter, _ = one(nn.Conv2d(inputs, outputs, 3, groups=groups), scheme)
    counts = np.bincount(adapter.layers["0"].view.manifold.numpy(), minlength=4)
    total = counts.sum()
    if scheme != "pio":
        assert counts.max() - counts.min() <= 1
    else:
        assert counts.max() <= total / 4 + max(inputs, outputs) / groups


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3),
        nn.ConvTranspose2d(4, 6, 3),
        nn.Linear(5, 9),
        nn.Conv2d(6, 8, 3, groups=2),
    ],
    ids=str,
)
def test_the_tensor_scheme_takes_the_whole_weight(layer):
    adapter = POMAdapter(nn.Sequential(layer), "tensor", ("stiefel",)).initialize_()
    (component,) = adapter.manifold("0", 0).components
    weight = layer.weight.detach().double()
    matrix = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    matrix = matrix.flatten(1).numpy()
    assert component.shape == (max(matrix.shape), min(matrix.shape))
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    gram = tall.T @ tall / component.radius**2
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-6)
    layer.weight.grad = torch.randn_like(layer.weight)
    FGSGD(adapter, lr=0.1).step()
    assert adapter.residual() < 1e-6


def test_lstm_gates_are_parts_and_read_the_same_channels():
    net = nn.Sequential(nn.LSTM(8, 12, batch_first=True))
    adapter = POMAdapter(net, "pi", ("sphere", "oblique"), fan_out="glorot").initialize_()
    names = adapter.pom_names("0.weight_ih_l0")
    assert len(names) == 8
    assert names[0].startswith("input gate, outputs 0")
    for _, cells in adapter.weight_sets("0.weight_ih_l0"):
        assert {c for _, c in cells} == set(range(8))
    net(5 * torch.randn(6, 7, 8))
    adapter.update_scales_()
    assert (adapter.spreads("0.weight_ih_l0") > 1.1).all()
    assert (adapter.spreads("0.weight_hh_l0") == 1).all()
    assert adapter.layers["0.weight_ih_l0"].gamma == pytest.approx((8 + 12) ** -0.5)


# State ------------------------------------------------------------------------------------------


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 10))


def steps(net, optimizer, count, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        optimizer.zero_grad()
        x = torch.randn(8, 3, 8, 8, generator=generator)
        F.cross_entropy(net(x), torch.arange(8)).backward()
        optimizer.step()


def test_a_checkpoint_goes_on_in_an_adapter_of_another_seed(tmp_path):
    net = network()
    adapter = POMAdapter(net, seed=3).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    steps(net, optimizer, 3, 0)
    adapter.update_scales_()
    torch.save([net.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    steps(net, optimizer, 3, 1)
    twin = network(5)
    other = POMAdapter(twin, seed=8)
    assert other.weight_sets("0") != adapter.weight_sets("0")
    optimizer2 = FGSGD(other, lr=0.1, momentum=0.9)
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    twin.load_state_dict(weights)
    optimizer2.load_state_dict(state)
    assert other.weight_sets("0") == adapter.weight_sets("0")
    assert other.weight_sets("3") == adapter.weight_sets("3")
    steps(twin, optimizer2, 3, 1)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
    assert other.state_dict()["options"]["seed"] == 3


@pytest.mark.parametrize("key", ["options", "layers", "rescalings"])
def test_a_state_without_a_key_is_refused(key):
    adapter = POMAdapter(network())
    state = adapter.state_dict()
    del state[key]
    with pytest.raises(ValueError, match=f"checkpoint lacks '{key}'"):
        adapter.load_state_dict(state)


def test_older_states_and_hooks_that_migrate():
    net = network()
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1, momentum=0.9, maximize=True)
    state = copy.deepcopy(optimizer.state_dict())
    for group in state["param_groups"]:
        del group["maximize"], group["momentum_space"]
    del state["fgmanifolds"]["skip_nonfinite"]
    twin = FGSGD(POMAdapter(network()), lr=0.1, momentum=0.9)
    twin.load_state_dict(copy.deepcopy(state))
    assert twin.param_groups[0]["momentum_space"] == "ambient"
    renamed = copy.deepcopy(state)
    renamed["poms"] = renamed.pop("fgmanifolds")

    def migrate(optimizer, state):
        state["fgmanifolds"] = state.pop("poms")
        return state

    with pytest.raises(ValueError, match="the key 'fgmanifolds' is missing"):
        twin.load_state_dict(copy.deepcopy(renamed))
    twin.register_load_state_dict_pre_hook(migrate)
    twin.load_state_dict(renamed)


# Radii ------------------------------------------------------------------------------------------


def test_kept_norms_stay():
    net = network()
    before = net[0].weight.detach().flatten(2).norm(dim=2)
    adapter = POMAdapter(net, radius="keep").initialize_()
    torch.testing.assert_close(net[0].weight.detach().flatten(2).norm(dim=2), before)
    steps(net, FGSGD(adapter, lr=0.1), 2, 0)
    adapter.update_scales_()
    curved = ~adapter.layers["0"].is_euclidean.reshape(8, 3)
    after = net[0].weight.detach().flatten(2).norm(dim=2)
    torch.testing.assert_close(after[curved], before[curved])
    with torch.no_grad():
        net[0].weight[2] = 0
    with pytest.raises(ValueError, match=r"radius='keep': the weight of layer '0' has components"):
        POMAdapter(net, "kernel", ("sphere",), radius="keep").initialize_()


def test_one_filter_norm_without_b_hat():
    adapter = POMAdapter(network(), "kernel", ("sphere",), exclude=("3",), fan_out="none")
    adapter.initialize_()
    filters = adapter.model[0].weight.detach().flatten(1).norm(dim=1)
    torch.testing.assert_close(filters, torch.full_like(filters, 1 / 3))


def test_a_large_change_of_norm_without_normalisation_is_warned_of():
    with pytest.warns(UserWarning, match=r"'0', '2' more than twofold.*radius='keep'"):
        POMAdapter(
            nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400)),
            "tensor",
            ("sphere",),
        ).initialize_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        POMAdapter(network(), exclude=("3",)).initialize_()


def test_initial_points_from_a_generator_and_nothing_else():
    weights = []
    state = torch.get_rng_state()
    for seed in (0, 0, 1):
        net = network()
        state = torch.get_rng_state()
        POMAdapter(net).initialize_(generator=torch.Generator().manual_seed(seed))
        assert torch.equal(torch.get_rng_state(), state)
        weights.append(net[0].weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_layers_have_streams_of_their_own():
    net = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3))
    adapter = POMAdapter(net, "pi")
    assert adapter.weight_sets("0") != adapter.weight_sets("1")


def test_averaged_weights_are_projected():
    net = network()
    adapter = POMAdapter(net, manifolds=FOUR[:3]).initialize_()
    with torch.no_grad():
        net[0].weight.add_(0.01 * torch.randn_like(net[0].weight))
    assert adapter.residual() > 1e-3
    adapter.project_()
    assert adapter.residual() < 1e-6


def test_radii_that_are_set_by_hand_are_followed():
    net = network()
    adapter = POMAdapter(net, "kernel", ("sphere",), exclude=("3",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    steps(net, optimizer, 2, 0)
    layer = adapter.layers["0"]
    layer.rescale_(1.5 * layer.radius)
    steps(net, optimizer, 2, 1)
    assert adapter.residual() < 1e-6
    layer.radius.mul_(2)
    adapter.project_()
    steps(net, optimizer, 1, 2)
    assert adapter.residual() < 1e-6
    layer.rescale_(1.5 * layer.radius)
    steps(net, optimizer, 1, 3)
    assert adapter.residual() < 1e-6


def test_versions_grow_with_every_change_of_the_radii():
    adapter = POMAdapter(network(), "kernel", ("sphere",), exclude=("3",)).initialize_()
    layer = adapter.layers["0"]
    versions = [adapter.version]
    for change in (
        lambda: layer.radius.mul_(2),
        lambda: layer.radius.mul_(2),
        lambda: layer.rescale_(3 * layer.radius),
        lambda: layer.radius.mul_(2),
        lambda: layer.rescale_(layer.target_radius()),
        lambda: setattr(layer, "radius", layer.target_radius().mul_(2)),
        lambda: setattr(layer, "radius", layer.target_radius()),
    ):
        change()
        versions.append(adapter.version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("native", [None, False])
def test_denominators_follow_the_radii(native):
    """On spheres of twice the radius rho_hat is twice as large."""
    net = network()
    adapter = POMAdapter(net, "kernel", ("sphere",), exclude=("3",), radius=None).initialize_()
    optimizer = FGSGD(adapter, lr=1e-9, gradient_norm="current", native=native)
    net[0].weight.grad = 10 * torch.ones_like(net[0].weight)
    for factor in (1.0, 2.0):
        layer = adapter.layers["0"]
        layer.rescale_(factor * layer.radius)
        optimizer.step()
        norm, g = optimizer.pom_statistics()["0"]
        expected = norm * (2 * layer.radius.float() + norm)
        torch.testing.assert_close(g, expected.clamp(min=1), rtol=1e-5, atol=0)


def test_the_summary_tells_clamped_and_skipped():
    net = network()
    adapter = POMAdapter(net, exclude=("3",)).initialize_()
    table = adapter.summary()
    assert table.loc["3", "skipped"] == "excluded"
    assert "update_scales_ never called" in table.loc["0", "radius"]
    net(0.1 * torch.randn(8, 3, 8, 8))
    adapter.update_scales_()
    table = adapter.summary()
    assert table.loc["0", "clamped"] == 1.0
    assert "never" not in table.loc["0", "radius"]


# Ties and messages ------------------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(12, 8)
        self.mid = nn.Linear(8, 8)
        self.head = nn.Linear(8, 12)
        self.head.weight = self.tok.weight


def test_ties_share_their_fate():
    assert list(POMAdapter(Tied()).layers) == ["mid"]
    assert list(POMAdapter(Tied(), exclude=("tok",)).layers) == ["mid"]
    assert list(POMAdapter(Tied(), overrides={"tok": {}}).layers) == ["tok", "mid"]
    adapter = POMAdapter(Tied(), overrides={"tok": {}}, exclude=("head",))
    assert list(adapter.layers) == ["mid"]
    assert "which is excluded" in adapter.skipped["tok"]


def test_wrong_arguments_are_named():
    net = network()
    with pytest.raises(TypeError, match=r"a torch\.nn\.Module is needed, not its parameters"):
        POMAdapter(net.parameters())
    with pytest.raises(TypeError, match="exclude holds a Conv2d; names of layers"):
        POMAdapter(net, exclude=(net[0],))
    with pytest.raises(ValueError, match="parameters='pos' is unknown"):
        POMAdapter(net, parameters=("pos",))
    with pytest.raises(ValueError, match="radius='kept' is unknown; allowed: 'keep'"):
        POMAdapter(net, radius="kept")
    parent = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 4, 3))
    assert list(POMAdapter(parent, exclude=("0",)).layers) == ["1"]
