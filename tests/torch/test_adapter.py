"""The way from a model to its POMs, and back."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch import POMAdapter
from fgmanifolds.torch.scaling import geometric_scaling
from fgmanifolds.torch.spread import MOMENTUM

from .spreads import set_spread

ALL = tuple(COMPONENTS)


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 12, 3, groups=3, bias=False),
        nn.Conv2d(12, 12, (1, 3), groups=12),
        nn.Conv2d(12, 16, 1),
        nn.Conv2d(16, 16, 1, groups=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


LAYERS = ["0", "3", "4", "5", "6", "9"]
CASES = [(scheme, pom) for scheme in ("pi", "po", "pio") for pom in ("set", "manifold")]


@pytest.mark.parametrize(("scheme", "pom"), CASES)
@pytest.mark.parametrize("from_weights", [False, True])
def test_initialize_puts_every_weight_on_its_manifold(scheme, pom, from_weights):
    net = model().double()
    adapter = POMAdapter(net, scheme, pom=pom)
    others = {n: p.clone() for n, p in net.named_parameters() if p.dim() == 1}
    adapter.initialize_(from_weights=from_weights)
    assert list(adapter.layers) == LAYERS
    assert adapter.residual() < 1e-14
    for layer in LAYERS:
        for pom_number in range(len(adapter.pom_names(layer))):
            adapter.manifold(layer, pom_number).check_point(adapter.point(layer, pom_number))
    for name, value in others.items():
        assert torch.equal(dict(net.named_parameters())[name], value)


@pytest.mark.parametrize("manifold", ALL)
@pytest.mark.parametrize("scheme", ["layer", "kernel", "pio"])
def test_one_manifold(scheme, manifold):
    adapter = POMAdapter(model().double(), scheme, manifolds=(manifold,)).initialize_()
    assert adapter.residuals().keys() == {manifold}
    assert adapter.residual() < 1e-14
    if scheme == "layer":
        assert [len(adapter.pom_names(layer)) for layer in LAYERS[:3]] == [1, 1, 1]
    if scheme == "kernel":
        assert len(adapter.pom_names("0")) == 24


def test_from_weights_takes_the_nearest_point():
    net = model().double()
    adapter = POMAdapter(net, "pio", radius=0.3)
    before = {(n, i): adapter.point(n, i) for n in LAYERS for i in range(len(adapter.pom_names(n)))}
    adapter.initialize_(from_weights=True)
    for (name, number), old in before.items():
        manifold = adapter.manifold(name, number)
        for component, w, new in zip(
            manifold.components, old, adapter.point(name, number), strict=True
        ):
            np.testing.assert_allclose(new, component.nearest_point(w), atol=1e-12)


def test_euclidean_components_keep_their_weights():
    net = model()
    before = copy.deepcopy(net.state_dict())
    POMAdapter(net, "pio", manifolds=("euclidean",)).initialize_()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_example_1_through_the_adapter():
    net = nn.Conv2d(4, 6, 3)
    adapter = POMAdapter(nn.Sequential(net), "pio", ("sphere", "stiefel"))
    kinds = [
        (repr(component)) for i in range(10) for component in adapter.manifold("0", i).components
    ]
    shapes = sorted(text.split(", radius")[0] for text in kinds)
    assert shapes == sorted(
        ["Sphere(3, 3, k=3"] * 2
        + ["Stiefel(3, 3, k=3"] * 2
        + ["Sphere(3, 3, k=2"] * 3
        + ["Stiefel(3, 3, k=2"] * 3
    )
    assert len(adapter.pom_names("0")) == 10
    assert "3 x sphere(3, 3)" in " ".join(adapter.pom_names("0"))


def test_seeds_reproduce_and_differ():
    nets = [model() for _ in range(3)]
    adapters = [
        POMAdapter(net, seed=s).initialize_() for net, s in zip(nets, (1, 1, 2), strict=True)
    ]
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(
        adapters[0].layers["0"].view.pom[: 4 * 6], adapters[2].layers["0"].view.pom[: 4 * 6]
    )


def test_sets_of_a_layer_do_not_depend_on_the_others():
    alone, with_all = POMAdapter(model(), exclude=("0", "3")), POMAdapter(model())
    for name in alone.layers:
        assert torch.equal(alone.layers[name].view.pom, with_all.layers[name].view.pom)


@pytest.mark.parametrize(("scheme", "pom"), CASES)
def test_points_go_both_ways(scheme, pom):
    net = model().double()
    adapter = POMAdapter(net, scheme, pom=pom).initialize_()
    rng = np.random.default_rng(0)
    for layer in LAYERS:
        before = adapter.layers[layer].weight.detach().clone()
        numbers = range(len(adapter.pom_names(layer)))
        new = [adapter.manifold(layer, i).random_point(rng) for i in numbers]
        old = [adapter.point(layer, i) for i in numbers]
        for i in numbers:
            adapter.load_point_(layer, i, new[i])
        for i in numbers:
            for a, b in zip(adapter.point(layer, i), new[i], strict=True):
                np.testing.assert_array_equal(a, b)
        for i in numbers:
            adapter.load_point_(layer, i, old[i])
        assert torch.equal(adapter.layers[layer].weight, before)


def test_a_point_off_the_manifold_is_not_loaded():
    adapter = POMAdapter(model(), "layer", ("sphere",)).initialize_()
    before = adapter.layers["0"].weight.detach().clone()
    point = [1.1 * w for w in adapter.point("0", 0)]
    with pytest.raises(ValueError, match="component 0: point is not on Sphere"):
        adapter.load_point_("0", 0, point)
    assert torch.equal(adapter.layers["0"].weight, before)


def test_the_components_are_the_weights():
    """A kernel of the point is the kernel of the weight, tall ones transposed."""
    net = model().double()
    adapter = POMAdapter(net, "kernel", ("oblique",)).initialize_()
    np.testing.assert_array_equal(
        adapter.point("0", 4 * 5 + 2)[0], net[0].weight[5, 2].detach().numpy()
    )
    np.testing.assert_array_equal(adapter.point("4", 7)[0], net[4].weight[7, 0].detach().numpy().T)
    np.testing.assert_array_equal(adapter.point("9", 0)[0], net[9].weight.detach().numpy().T)


# Radii ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "share"), [({}, 0), ({"fan_out": "glorot"}, 1)])
def test_first_radii_are_gamma(options, share):
    """By default b-hat is 0."""
    adapter = POMAdapter(model(), **options)
    for name, fans in {"0": (36, 54), "3": (18, 108), "5": (12, 16), "9": (16, 10)}.items():
        layer = adapter.layers[name]
        gamma = (fans[0] + share * fans[1]) ** -0.5
        assert geometric_scaling(fans[0], share * fans[1]) == pytest.approx(gamma)
        curved = layer.radius[~layer.is_euclidean]
        torch.testing.assert_close(curved, torch.full_like(curved, gamma))
        assert (layer.radius[layer.is_euclidean] == 1).all()


def test_filters_of_all_layers_have_one_norm():
    """Each kernel of A x B entries that lies on a sphere has norm (A B C)^(-1/2)."""
    net = nn.Sequential(*(nn.Conv2d(c, 8, 3) for c in (1, 8)), nn.Flatten(), nn.Linear(8 * 25, 5))
    adapter = POMAdapter(net, "kernel", ("sphere",), exclude=("3",)).initialize_()
    norms = [adapter.layers[name].weight.detach().flatten(1).norm(dim=1) for name in "01"]
    torch.testing.assert_close(torch.cat(norms), torch.full((16,), 1 / 3))


def test_versions_grow_however_radii_are_written():
    adapter = POMAdapter(model())
    layer, versions = adapter.layers["0"], [adapter.version]
    layer.radius.mul_(2)
    versions.append(adapter.version)
    layer.radius = layer.radius.clone()
    versions.append(adapter.version)
    layer.radius[0] = 3.0
    versions.append(adapter.version)
    assert versions == sorted(set(versions))


def test_radii_follow_sets_that_were_loaded():
    """Of other kernels and blocks than before."""
    nets = model(), model()
    adapters = [POMAdapter(net, seed=i).initialize_() for i, net in enumerate(nets)]
    adapters[0].update_scales_()
    before = {name: layer.is_euclidean for name, layer in adapters[0].layers.items()}
    nets[0].load_state_dict(nets[1].state_dict())
    adapters[0].load_state_dict(adapters[1].state_dict())
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 4, 9, 9, generator=generator)
    for net, adapter in zip(nets, adapters, strict=True):
        net.train()(batch)
        adapter.update_scales_()
    for name, ours in adapters[0].layers.items():
        theirs = adapters[1].layers[name]
        torch.testing.assert_close(ours.radius, theirs.radius, rtol=0, atol=0)
        assert torch.equal(ours.is_euclidean, theirs.is_euclidean)
        assert (ours.radius[ours.is_euclidean] == 1).all()
    assert not torch.equal(adapters[0].layers["0"].is_euclidean, before["0"])


def test_spreads_follow_the_features_and_set_the_radii():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.Conv2d(4, 6, 1, bias=False))
    adapter = POMAdapter(net, "pi", ("sphere",)).initialize_()
    scale = torch.tensor([3.0, 50.0])[:, None, None]
    torch.manual_seed(0)
    batches = [scale * torch.randn(8, 2, 9, 9) for _ in range(30)]
    mean, square = torch.zeros(2).double(), torch.ones(2).double()
    for batch in batches:
        net(batch)
        adapter.collection.fold_spreads_()
        values = batch.double().transpose(0, 1).reshape(2, -1)
        mean = (1 - MOMENTUM) * mean + MOMENTUM * values.mean(1)
        square = (1 - MOMENTUM) * square + MOMENTUM * values.square().mean(1)
    expected = (square - mean**2).sqrt()
    torch.testing.assert_close(adapter.spreads("0"), expected, rtol=1e-6, atol=0)
    net.eval()
    net(1000 * batches[0])
    adapter.collection.fold_spreads_()
    torch.testing.assert_close(adapter.spreads("0"), expected, rtol=1e-6, atol=0)
    before = net[0].weight.detach().clone()
    adapter.update_scales_()
    gamma = adapter.layers["0"].gamma
    # Outputs 0 and 1 belong to the first group and read channel 0; 2 and 3 read channel 1.
    radius = gamma / expected[[0, 0, 1, 1]]
    torch.testing.assert_close(adapter.layers["0"].radius, radius, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        net[0].weight.flatten(1).norm(dim=1).double(), radius, rtol=1e-5, atol=0
    )
    cosine = torch.cosine_similarity(before.flatten(1), net[0].weight.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(4))
    assert adapter.residual() < 1e-6


def test_blocks_take_the_root_mean_square_of_their_channels():
    net = nn.Linear(4, 6)
    adapter = POMAdapter(nn.Sequential(net), "po", ("sphere", "oblique"))
    set_spread(adapter.layers["0"].spread, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    adapter.update_scales_()
    layer = adapter.layers["0"]
    for component in range(2):
        reads = layer.view.reads[1][layer.view.reads[0] == component]
        rms = (reads.double() + 1).square().mean().sqrt()
        assert float(layer.radius[component]) == pytest.approx(layer.gamma / float(rms))


def test_min_std_clamps():
    for min_std, expected in ((1.0, 1.0), (0.2, 0.25), (None, 0.25)):
        net = nn.Sequential(nn.Conv2d(1, 2, 3))
        adapter = POMAdapter(net, "layer", ("sphere",), min_std=min_std)
        set_spread(adapter.layers["0"].spread, torch.tensor([0.25]))
        adapter.update_scales_()
        radius = float(adapter.layers["0"].radius[0])
        assert radius == pytest.approx(adapter.layers["0"].gamma / expected, rel=1e-4)


def test_a_fixed_radius_never_moves():
    net = model()
    adapter = POMAdapter(net, manifolds=("stiefel", "sphere"), radius=2.0).initialize_()
    assert not any(module._forward_pre_hooks for module in net.modules())
    net(100 * torch.randn(2, 4, 9, 9))
    adapter.update_scales_()
    assert all((layer.radius == 2).all() for layer in adapter.layers.values())
    assert adapter.residual() < 1e-6


# What is left out, and what is refused ----------------------------------------------------


def test_what_is_skipped_has_a_reason():
    net = model()
    net[3].weight.requires_grad_(False)
    net.add_module("tied", nn.Conv2d(4, 6, 3))
    net.tied.weight = net[0].weight
    adapter = POMAdapter(net, exclude=("9",))
    assert adapter.skipped == {
        "3": "frozen (requires_grad=False)",
        "9": "excluded",
        "tied": "its weight is tied to that of '0'",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "piox"}, r"scheme='piox' is unknown; allowed: 'pi', 'po', 'pio', 'layer'"),
        ({"manifolds": ("sphere", "stifel")}, r"manifolds='stifel' is unknown.*mean 'stiefel'"),
        ({"manifolds": ()}, "manifolds is empty"),
        ({"manifolds": ("sphere", "sphere")}, "names the same thing twice"),
        ({"pom": "all"}, "pom='all' is unknown"),
        ({"exclude": ("fc",)}, r"exclude='fc' matches no layer; layers: '0', '3'"),
        ({"exclude": ("*",)}, r"no weight to put on a manifold.*'0': excluded"),
        ({"seed": -1}, "seed=-1 must be an integer of at least 0"),
        ({"radius": 0.0}, r"radius=0.0 must be finite and in \(0"),
        ({"min_std": float("nan")}, "min_std=nan must be finite"),
        ({"scheme": "layer"}, "scheme='layer' puts every weight on one manifold"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        POMAdapter(model(), **options)


def test_models_without_weights_are_refused():
    with pytest.raises(ValueError, match="model has no weight to put on a manifold"):
        POMAdapter(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))
    with pytest.raises(ValueError, match="layer '0' is lazy"):
        POMAdapter(nn.Sequential(nn.LazyLinear(3)))


def test_a_shape_without_the_manifold_is_refused():
    with pytest.raises(
        ValueError, match=r"layer 'small'.*\(1, 1\).*'sphere'.*dimension 0.*exclude"
    ):
        POMAdapter(nn.ModuleDict({"small": nn.Linear(1, 1)}), "layer", ("sphere",))


def test_unknown_layers_and_poms_are_refused():
    adapter = POMAdapter(model())
    with pytest.raises(ValueError, match=r"layer='conv' is unknown; allowed: '0', '3'"):
        adapter.manifold("conv", 0)
    with pytest.raises(IndexError, match="layer '0' has POMs 0 to 9, not 10"):
        adapter.point("0", 10)


# State -------------------------------------------------------------------------------------


def test_state_goes_round(tmp_path):
    net = model()
    adapter = POMAdapter(net).initialize_()
    net(30 * torch.randn(4, 4, 9, 9))
    adapter.update_scales_()
    torch.save(adapter.state_dict(), tmp_path / "adapter.pt")
    twin = POMAdapter(model())
    twin.load_state_dict(torch.load(tmp_path / "adapter.pt", weights_only=True))
    for name, layer in adapter.layers.items():
        assert torch.equal(layer.radius, twin.layers[name].radius)
        assert torch.equal(layer.spread.value, twin.layers[name].spread.value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: POMAdapter(model(), "pi"), "checkpoint has scheme='pio', this adapter 'pi'"),
        (lambda: POMAdapter(model(), min_std=None), "checkpoint has min_std=1.0"),
        (lambda: POMAdapter(nn.Sequential(nn.Linear(8, 8))), "another model: layers"),
        (lambda: POMAdapter(model()[:9]), r"another model: layers \['9'\]"),
    ],
)
def test_the_state_of_another_adapter_is_refused(other, message):
    state = POMAdapter(model()).state_dict()
    with pytest.raises(ValueError, match=message):
        other().load_state_dict(state)


def test_a_layer_of_another_width_is_refused():
    state = POMAdapter(nn.Sequential(nn.Conv2d(2, 4, 3))).state_dict()
    with pytest.raises(ValueError, match=r"weight of shape \(4, 2, 3, 3\) in layer '0'"):
        POMAdapter(nn.Sequential(nn.Conv2d(2, 6, 3))).load_state_dict(state)


def test_summary_counts_everything():
    table = POMAdapter(model()).summary()
    assert list(table.index) == LAYERS
    assert table.loc["0", list(ALL)].sum() == 24
    assert table.loc["0", "POMs"] == 10
    assert "POMAdapter(scheme='pio'" in repr(POMAdapter(model()))
