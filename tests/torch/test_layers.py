"""Every kind of layer: its components, its options, and what is left out with a reason."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.poms import pom_entries

from .spreads import set_spread

CURVED = ("sphere", "oblique", "stiefel")


class Everything(nn.Module):
    """One of each, on inputs of shape (batch, 7) of symbols."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.packed = nn.MultiheadAttention(8, 2, batch_first=True)
        self.split = nn.MultiheadAttention(8, 2, batch_first=True, kdim=6, vdim=4)
        self.line = nn.Conv1d(8, 6, 5)
        self.volume = nn.Conv3d(1, 4, 3)
        self.back = nn.ConvTranspose2d(4, 6, 3, groups=2)
        self.point = nn.ConvTranspose2d(6, 12, 1, groups=2)
        self.head = nn.Linear(6, 5)

    def forward(self, symbols):
        x = self.embedding(symbols)
        x, _ = self.packed(x, x, value=2 * x)
        y, _ = self.split(query=x, key=x[..., :6], value=x[..., :4])
        z = self.volume(x[:, None, None].repeat(1, 1, 3, 1, 1)).mean(2)
        z = self.point(self.back(z)).mean((1, 2, 3))
        return self.head(self.line(y.mT).mean(-1)) + z[:, None]


LAYERS = [
    "packed.in_proj_weight",
    "packed.out_proj",
    "split.q_proj_weight",
    "split.k_proj_weight",
    "split.v_proj_weight",
    "split.out_proj",
    "line",
    "volume",
    "back",
    "point",
    "head",
]


def everything(seed=0):
    torch.manual_seed(seed)
    return Everything()


def train(net, optimizer, steps=3):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randint(0, 20, (4, 7), generator=generator)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
def test_every_kind_of_layer_trains_on_its_manifolds(scheme):
    net = everything()
    adapter = POMAdapter(net, scheme, CURVED).initialize_()
    assert list(adapter.layers) == LAYERS
    assert adapter.skipped == {"embedding": "an embedding; name it in overrides to put it on POMs"}
    before = copy.deepcopy(net.state_dict())
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    train(net, optimizer)
    adapter.update_scales_()
    train(net, optimizer)
    assert adapter.residual() < 1e-5
    for name, layer in adapter.layers.items():
        key = name if name.endswith("_weight") else f"{name}.weight"
        assert not torch.equal(before[key], layer.weight), name


@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
def test_each_entry_belongs_to_exactly_one_pom(scheme):
    net = everything()
    adapter = POMAdapter(net, scheme, CURVED)
    for name, layer in adapter.layers.items():
        numbers = torch.arange(layer.weight.numel()).reshape(layer.weight.shape).double()
        found = [
            entries.ravel()
            for pom in range(len(adapter.pom_names(name)))
            for entries in pom_entries(layer, pom, numbers)
        ]
        assert sorted(np.concatenate(found)) == list(range(layer.weight.numel())), name


def channels_of(adapter, name, pom):
    """(outputs, inputs) of the entries of a POM, read off an index tensor of the weight."""
    layer = adapter.layers[name]
    first = torch.arange(layer.weight.shape[0]).double()
    second = torch.arange(layer.weight.shape[1]).double()
    rest = (1,) * (layer.weight.dim() - 2)
    rows = first.reshape(-1, 1, *rest).expand(layer.weight.shape)
    columns = second.reshape(1, -1, *rest).expand(layer.weight.shape)
    return [
        {int(v) for part in pom_entries(layer, pom, index.contiguous()) for v in part.ravel()}
        for index in (rows, columns)
    ]


def test_transposed_convolutions_count_inputs_first():
    """A PI set is of one input channel, which is the first axis of a transposed weight."""
    adapter = POMAdapter(everything(), "pi", CURVED)
    assert all(len(channels_of(adapter, "back", pom)[0]) == 1 for pom in range(12))
    adapter = POMAdapter(everything(), "po", CURVED, fan_out="glorot")
    assert all(len(channels_of(adapter, "back", pom)[1]) == 1 for pom in range(9))
    assert adapter.layers["back"].gamma == pytest.approx((9 * 2 + 9 * 6) ** -0.5)


def test_packed_attention_is_split_into_its_parts():
    adapter = POMAdapter(everything(), "pi", CURVED, fan_out="glorot")
    labels = adapter.pom_names("packed.in_proj_weight")
    for pom, label in enumerate(labels):
        rows, _ = channels_of(adapter, "packed.in_proj_weight", pom)
        part = ("query", "key", "value").index(label.split(",")[0])
        assert {row // 8 for row in rows} == {part}
    assert adapter.layers["packed.in_proj_weight"].gamma == pytest.approx((8 + 8) ** -0.5)


def test_groups_are_not_mixed_in_pointwise_transposed_convolutions():
    adapter = POMAdapter(everything(), "po", CURVED)
    for pom in range(len(adapter.pom_names("point"))):
        inputs, _ = channels_of(adapter, "point", pom)
        assert len({channel // 3 for channel in inputs}) == 1


def test_kernels_of_three_dimensions_are_flattened():
    adapter = POMAdapter(everything(), "layer", ("stiefel",)).initialize_()
    weight = adapter.layers["volume"].weight.detach().double()
    point = adapter.point("volume", 0)[0]
    for kernel, component in zip(weight[:, 0], point):
        np.testing.assert_array_equal(component.T, kernel.reshape(3, 9).numpy())
    radius = adapter.layers["volume"].radius[0] ** 2
    gram = weight[0, 0].reshape(3, 9) @ weight[0, 0].reshape(3, 9).T
    torch.testing.assert_close(gram, radius * torch.eye(3).double(), atol=1e-7, rtol=1e-5)


# Spreads ----------------------------------------------------------------------------------


def after_one(mean, deviation):
    """Spread after one batch of features with these moments."""
    square = 0.9 + 0.1 * (mean**2 + deviation**2)
    return (square - (0.1 * mean) ** 2).sqrt()


def test_spreads_of_attention_are_those_of_query_key_and_value():
    net = everything()
    adapter = POMAdapter(net, "pi", CURVED)
    symbols = torch.randint(0, 20, (4, 7), generator=torch.Generator().manual_seed(0))
    net(symbols)
    x = net.embedding(symbols).detach().flatten(0, 1)
    expected = torch.cat([x.std(0, correction=0)] * 2 + [2 * x.std(0, correction=0)])
    adapter.collection.fold_spreads_()
    means = torch.cat([x.mean(0)] * 2 + [2 * x.mean(0)])
    found = adapter.spreads("packed.in_proj_weight").float()
    torch.testing.assert_close(found, after_one(means, expected))


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.Conv2d(3, 4, 3), (5, 3, 8, 8), (0, 2, 3)),
        (nn.Conv1d(3, 4, 3), (5, 3, 8), (0, 2)),
        (nn.Conv1d(3, 4, 3), (3, 8), None),
        (nn.ConvTranspose2d(3, 4, 3), (3, 8, 8), None),
        (nn.Linear(3, 4), (5, 6, 3), (0, 1)),
    ],
    ids=str,
)
def test_spreads_against_torch_std(layer, shape, axes):
    net = nn.Sequential(layer)
    adapter = POMAdapter(net, "pi", ("sphere",))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 2
    net(x)
    if axes is None:
        x, axes = x[None], (0, *range(2, x.dim() + 1))
    adapter.collection.fold_spreads_()
    expected = after_one(x.mean(axes), x.std(axes, correction=0))
    torch.testing.assert_close(adapter.spreads("0").float(), expected)


def test_spreads_of_large_batches_are_near_those_of_all_samples():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    adapter = POMAdapter(net, "pi", ("sphere",))
    x = torch.randn(128, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    net(x)
    adapter.collection.fold_spreads_()
    found = ((adapter.spreads("0") ** 2 - 0.9) / 0.1).sqrt().float()
    torch.testing.assert_close(found, x.std((0, 2, 3), correction=0), rtol=0.05, atol=0)


def test_detach_and_export_leave_nothing_behind():
    net = everything()
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    plain = adapter.export()
    assert type(plain) is Everything
    assert not any(module._forward_pre_hooks for module in plain.modules())
    assert any(module._forward_pre_hooks for module in net.modules())
    assert all(
        type(module).__module__.split(".")[0] in ("torch", __name__.split(".")[0])
        for module in plain.modules()
    )
    symbols = torch.arange(14).reshape(2, 7)
    torch.testing.assert_close(plain(symbols), net(symbols))
    adapter.detach()
    assert not any(module._forward_pre_hooks for module in net.modules())
    spread = adapter.layers["head"].spread.value.clone()
    net(symbols)
    assert torch.equal(adapter.layers["head"].spread.value, spread)


def test_exported_models_compile_to_graphs():
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    images = torch.randn(2, 1, 8, 8)
    program = torch.export.export(adapter.export().eval(), (images,))
    torch.testing.assert_close(program.module()(images), net(images))


def test_onnx_gives_the_same_scores(tmp_path):
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    images = torch.randn(2, 1, 8, 8)
    path = tmp_path / "net.onnx"
    torch.onnx.export(adapter.export().eval(), (images,), path, dynamo=True, verbose=False)
    session = reference.ReferenceEvaluator(str(path))
    (scores,) = session.run(None, {session.input_names[0]: images.numpy()})
    np.testing.assert_allclose(scores, net(images).detach().numpy(), rtol=1e-4, atol=1e-5)


# Options ------------------------------------------------------------------------------------


def test_overrides_by_pattern_later_ones_win():
    overrides = {
        "*": {"radius": 2.0},
        "split.*": {"scheme": "kernel", "manifolds": ("stiefel",)},
        "split.out_proj": {"radius": 3.0},
        "embedding": {"manifolds": ("sphere",)},
    }
    adapter = POMAdapter(everything(), "pio", CURVED, overrides=overrides).initialize_()
    assert not adapter.skipped
    assert adapter.layers["split.q_proj_weight"].manifolds == ("stiefel",)
    assert adapter.layers["split.out_proj"].radius.unique().tolist() == [3.0]
    assert adapter.layers["back"].radius.unique().tolist() == [2.0]
    assert adapter.layers["embedding"].manifolds == ("sphere",)
    assert adapter.residual() < 1e-6
    twin = POMAdapter(everything(), "pio", CURVED, overrides=overrides)
    twin.load_state_dict(adapter.state_dict())
    with pytest.raises(ValueError, match="checkpoint has overrides="):
        POMAdapter(everything(), "pio", CURVED).load_state_dict(adapter.state_dict())


def test_feature_maps_as_b_hat():
    net = nn.Sequential(nn.Conv2d(2, 6, 3, stride=2), nn.Flatten(), nn.Linear(54, 4))
    adapter = POMAdapter(net, "pi", CURVED, fan_out="feature_map", example=torch.zeros(1, 2, 8, 8))
    assert adapter.layers["0"].gamma == pytest.approx((9 * 2 + 3 * 3 * 6) ** -0.5)
    assert adapter.layers["2"].gamma == pytest.approx((54 + 4) ** -0.5)
    assert net.training
    state = adapter.state_dict()
    state["layers"]["0"]["map_size"] = 4
    with pytest.raises(ValueError, match="checkpoint has other feature maps in layer '0'"):
        adapter.load_state_dict(state)


def test_min_std_clamps_or_not():
    for min_std, expected in ((1.0, 1.0), (0.25, 0.5), (None, 0.5)):
        net = nn.Sequential(nn.Linear(3, 4))
        adapter = POMAdapter(net, "pi", ("sphere",), min_std=min_std).initialize_()
        layer = adapter.layers["0"]
        set_spread(layer.spread, torch.full((3,), 0.5))
        adapter.update_scales_()
        torch.testing.assert_close(
            layer.radius[0].item(), layer.gamma / expected, rtol=1e-4, atol=0
        )
        assert float(layer.weight.detach().norm()) == pytest.approx(
            float(layer.radius[0]), rel=1e-5
        )


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6)
        self.head.weight = self.embedding.weight
        self.line = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.complex = nn.Linear(4, 4, dtype=torch.complex64)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.bilinear = nn.Bilinear(4, 3, 2)


def test_what_is_left_out_has_a_reason():
    adapter = POMAdapter(Tied(), "pi", CURVED)
    assert list(adapter.layers) == ["line"]
    for name, reason in {
        "bilinear": "weight of Bilinear: name them in parameters= to put them on POMs",
        "head": "its weight is tied to that of the embedding 'embedding'",
        "embedding": "an embedding; name it in overrides to put it on POMs",
        "frozen": "frozen (requires_grad=False)",
        "complex": "complex",
        "normed": "its weight is not a plain parameter (parametrized or pruned)",
    }.items():
        assert adapter.skipped[name] == reason
    twice = POMAdapter(Tied(), "pi", CURVED, overrides={"embedding": {}})
    assert "head" not in twice.layers
    assert twice.skipped["head"] == "its weight is tied to that of 'embedding'"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overrides": {"nothing*": {}}}, r"overrides='nothing\*' matches no layer"),
        ({"overrides": {"line": {"schema": "pi"}}}, r"overrides\['line'\]: option='schema' is unk"),
        ({"overrides": {"line": {"radius": -1}}}, r"overrides\['line'\]: radius=-1"),
        ({"fan_out": "xavier"}, "fan_out='xavier' is unknown"),
        ({"fan_out": "feature_map"}, "give an input of the model as example="),
        ({"retraction": "svd"}, "retraction='svd' is unknown; allowed: 'qr', 'polar'"),
        ({"min_std": 0}, "min_std=0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        POMAdapter(everything(), "pi", CURVED, **options)


def test_lazy_layers_are_refused():
    with pytest.raises(ValueError, match="layer '0' is lazy; run the model once"):
        POMAdapter(nn.Sequential(nn.LazyLinear(3)))


@pytest.mark.parametrize("training", [True, False])
def test_onnx_takes_the_model_itself(training, tmp_path):
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    net.train(training)
    images = torch.randn(2, 1, 8, 8)
    path = tmp_path / "net.onnx"
    torch.onnx.export(net, (images,), path, dynamo=True, verbose=False)
    assert net.training is training
    assert int(adapter.layers["0"].spread.passes) == 0
    session = reference.ReferenceEvaluator(str(path))
    (scores,) = session.run(None, {session.input_names[0]: images.numpy()})
    expected = adapter.export().eval()(images).detach().numpy()
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
