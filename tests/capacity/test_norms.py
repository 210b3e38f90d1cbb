"""Norms and bounds against numpy and naive products."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fgmanifolds import Euclidean, Oblique, Sphere, Stiefel
from fgmanifolds.capacity import (
    ARCHITECTURES,
    BoundRecorder,
    LayerNorms,
    bai_yin,
    concatenated_norms,
    generalization_bounds,
    layer_norms,
    layer_shapes,
    margin_quantile,
    model_bounds,
    norm_ranges,
    proposition1_norms,
    table2,
    top_singular_value,
)
from fgmanifolds.models import build_model
from fgmanifolds.torch import POMAdapter

seeds = st.integers(0, 2**31)
CURVED = [kind(*shape) for kind in (Sphere, Oblique, Stiefel) for shape in ((3, 3), (6, 2), (5, 1))]


@given(seeds, st.integers(1, 5), st.integers(1, 4), st.integers(1, 6))
def test_norms_of_groups_against_numpy(seed, a, b, n):
    rng = np.random.default_rng(seed)
    components, groups = rng.standard_normal((n, a, b)), rng.integers(0, 3, n)
    groups[-1] = 2
    norms = concatenated_norms(components, groups)
    assert len(norms) == 3
    for group in range(3):
        members = components[groups == group]
        matrix = np.concatenate(list(members), axis=1) if len(members) else np.zeros((a, 1))
        assert norms.frobenius[group] == pytest.approx(np.linalg.norm(matrix))
        assert norms.spectral[group] == pytest.approx(np.linalg.norm(matrix, 2), abs=1e-7)
        assert norms.rows[group] == pytest.approx(np.linalg.norm(matrix, axis=1).sum())


@pytest.mark.parametrize("component", CURVED, ids=str)
def test_ranges_are_attained_and_never_left(component):
    """By a search over the manifold, against the closed forms."""
    ranges = norm_ranges(component)
    many = type(component)(*component.shape, k=4000)
    norms = concatenated_norms(many.random_point(0))
    a, b = component.shape
    corner = np.eye(a, b)
    if isinstance(component, Sphere):
        corner /= math.sqrt(b)
    special = concatenated_norms(np.stack([component.nearest_point(np.ones((a, b))), corner]))
    for name, (low, high) in ranges.items():
        values = np.concatenate([getattr(norms, name), getattr(special, name)])
        assert values.min() >= low - 1e-9
        assert values.max() <= high + 1e-9
    # Frobenius norms are fixed; the identity attains the least spectral norm.
    assert special.frobenius[1] == pytest.approx(ranges["frobenius"][0])
    if not isinstance(component, Oblique) or a >= b:
        assert special.spectral[1] == pytest.approx(ranges["spectral"][0])


def test_ranges_scale_with_the_radius():
    once, twice = norm_ranges(Oblique(4, 3)), norm_ranges(Oblique(4, 3, radius=2.0))
    for name in once:
        assert twice[name] == pytest.approx([2 * value for value in once[name]])
    assert norm_ranges(Euclidean(2, 2))["rows"] == (0, math.inf)


def test_table2_says_which_entries_hold():
    assert not table2(Stiefel(3, 3))["holds"]["rows"]
    assert table2(Stiefel(3, 3))["holds"][["spectral", "frobenius"]].all()
    assert table2(Sphere(5, 1))["holds"]["frobenius"]


def test_bai_yin_is_near_on_large_matrices():
    assert bai_yin(Sphere(200, 100)) == pytest.approx(
        top_singular_value(Sphere(200, 100), samples=5), rel=0.03
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: concatenated_norms(np.ones((2, 2))), r"components has shape \(2, 2\)"),
        (lambda: concatenated_norms(np.full((1, 2, 2), np.nan)), "not finite"),
        (lambda: concatenated_norms(np.ones((2, 2, 2)), [0]), r"groups has shape \(1,\)"),
        (lambda: norm_ranges(Sphere(3, 3, k=2, radius=[1.0, 2.0])), "different radii"),
        (lambda: table2(Euclidean(3, 3)), "Table II has"),
        (lambda: table2(Sphere(3, 3, radius=2.0)), "radius 1"),
        (lambda: table2(Sphere(3, 3), samples=0), "samples=0"),
    ],
)
def test_bad_input_of_norms(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Bounds ------------------------------------------------------------------------------


def naive_bounds(matrices, n, margin, size):
    """Products in plain floating point."""
    f = [np.linalg.norm(m) for m in matrices]
    s = [np.linalg.norm(m, 2) for m in matrices]
    r = [np.linalg.norm(m, axis=1).sum() for m in matrices]
    width, depth = max(len(m) for m in matrices), len(matrices)
    scale = size / margin / math.sqrt(n)
    ratio = sum((x / y) ** (2 / 3) for x, y in zip(r, s, strict=True)) ** 1.5
    squares = sum((x / y) ** 2 for x, y in zip(f, s, strict=True))
    return {
        "Neyshabur 2015": 2**depth * np.prod(f) * scale,
        "Bartlett 2017": np.prod(s) * ratio * scale,
        "Neyshabur 2018": np.prod(s) * math.sqrt(depth**2 * width * squares) * scale,
    }


@given(seeds)
def test_bounds_against_naive_products(seed):
    rng = np.random.default_rng(seed)
    matrices = [rng.standard_normal(shape) for shape in ((4, 3), (5, 4), (2, 5))]
    layers = [
        LayerNorms(str(i), norms, norms, len(m))
        for i, m in enumerate(matrices)
        for norms in [concatenated_norms(m[None])]
    ]
    found = generalization_bounds(layers, 100, margin=0.5, input_norm=3.0)
    for name, value in naive_bounds(matrices, 100, 0.5, 3.0).items():
        assert found.loc[name, "layers"] == pytest.approx(math.log10(value))
        assert found.loc[name, "groups"] == pytest.approx(math.log10(value))


def test_bounds_of_110_layers_do_not_overflow():
    norms = concatenated_norms(np.full((1, 64, 64), 1e3))
    found = generalization_bounds([LayerNorms("x", norms, norms, 64)] * 110, 50_000)
    assert np.isfinite(found).all(axis=None)
    assert found.loc["Neyshabur 2015", "layers"] > 308


def test_squares_of_groups_sum_to_that_of_the_layer():
    model = build_model("cnn", 10, in_channels=1)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_()
    for layer in layer_norms(model, adapter):
        weight = model.get_submodule(layer.name).weight.detach().double()
        assert layer.whole.frobenius[0] == pytest.approx(float(weight.norm()))
        matrix = weight.flatten(1)
        assert layer.whole.spectral[0] == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)))
        assert np.sum(layer.groups.frobenius**2) == pytest.approx(layer.whole.frobenius[0] ** 2)


def test_spectral_norms_of_poms_with_blocks_of_several_shapes():
    model = nn.Sequential(nn.Linear(7, 11))
    adapter = POMAdapter(model, "pio", ("sphere", "stiefel"), pom="manifold", radius=0.7)
    adapter.initialize_()
    (layer,) = layer_norms(model, adapter)
    for pom in range(2):
        blocks = [np.reshape(x, (-1, *x.shape[-2:])) for x in adapter.point("0", pom)]
        assert len(blocks) > 1
        norms = [np.linalg.norm(np.concatenate(list(x), axis=1), 2) for x in blocks]
        assert layer.groups.spectral[pom] == pytest.approx(max(norms))


def test_bounds_of_a_model_and_their_recorder():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    recorder = BoundRecorder(model, 50, input_norm=2.0)
    row = recorder(0.5)
    table = model_bounds(model, 50, margin=0.5, input_norm=2.0)
    assert row["bound_layers_bartlett_2017"] == pytest.approx(table.loc["Bartlett 2017", "layers"])
    assert math.isnan(recorder(-0.1)["bound_groups_neyshabur_2018"])
    assert [entry["margin"] for entry in recorder.history] == [0.5, -0.1]


def test_margins():
    scores = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0], [1.0, 1.5, 0.0]])
    labels = torch.tensor([0, 2, 0])
    assert margin_quantile(scores, labels, 0.0) == pytest.approx(-0.5)
    assert margin_quantile(scores, labels, 1.0) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="scores has shape"):
        margin_quantile(scores[:, :1], labels)


def zero_model():
    model = nn.Sequential(nn.Linear(3, 2))
    nn.init.zeros_(model[0].weight)
    return model


def broken_model():
    model = nn.Sequential(nn.Linear(3, 2))
    nn.init.constant_(model[0].weight, math.inf)
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: model_bounds(nn.Sequential(nn.ReLU()), 10), "no convolution and no linear"),
        (lambda: model_bounds(zero_model(), 10), "layer '0' has a weight that is zero"),
        (lambda: model_bounds(broken_model(), 10), "layer '0' has weights that are not finite"),
        (lambda: model_bounds(nn.Sequential(nn.Linear(2, 2)), 0), "n_samples=0"),
        (lambda: model_bounds(nn.Sequential(nn.Linear(2, 2)), 5, margin=0.0), "margin=0.0"),
        (lambda: generalization_bounds([], 5), "layers is empty"),
        (lambda: layer_shapes(nn.Sequential(nn.ReLU()), torch.ones(1)), "no Conv2d"),
        (
            lambda: layer_shapes(nn.Sequential(nn.Conv2d(1, 1, (3, 1))), torch.ones(1, 1, 8, 8)),
            "must be square",
        ),
    ],
)
def test_bad_input_of_bounds(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Proposition 1 -----------------------------------------------------------------------


@pytest.mark.parametrize("fan_out", ["glorot", "none"])
@pytest.mark.parametrize("scheme", ["pi", "po", "pio", "layer"])
def test_proposition1_against_the_norms_of_drawn_weights(scheme, fan_out):
    manifolds = ("stiefel",) if scheme == "layer" else ("sphere", "oblique", "stiefel")
    model = nn.Sequential(nn.Conv2d(24, 48, 3), nn.Conv2d(48, 48, 3))
    shapes = layer_shapes(model, torch.zeros(1, 24, 8, 8))
    adapter = POMAdapter(model, scheme, manifolds, fan_out=fan_out).initialize_()
    predicted = proposition1_norms(shapes, scheme=scheme, manifolds=manifolds, fan_out=fan_out)
    for layer in layer_norms(model, adapter):
        found, row = layer.groups.frobenius, predicted.loc[layer.name]
        assert row["groups"] == len(found)
        # Each has a random stream of its own for the sets.
        assert found.max() == pytest.approx(row["frobenius"], rel=0.2)
        assert layer.groups.rows.max() <= row["rows"] * 1.2
        if scheme == "layer":
            assert found.max() == pytest.approx(row["frobenius"], rel=1e-5)


def test_layer_counts_of_the_papers_networks():
    """Convolutions: the names' numbers count the classifier, not the shortcuts."""
    for name, depth in (("ResNet-18", 18), ("ResNet-44", 44), ("RCD-110", 110), ("ResNet-50", 50)):
        main = [layer for layer in ARCHITECTURES[name] if "shortcut" not in layer.name]
        assert len(main) + 1 == depth


def test_proposition1_holds_and_fails_where_it_should():
    assert proposition1_norms("ResNet-44", scheme="pi")["frobenius"].max() < 1
    wide = proposition1_norms("ResNet-18", scheme="layer", manifolds=("sphere",))
    assert wide["frobenius"].max() > 1
    halved = proposition1_norms("ResNet-44", scheme="pi", spread=2.0)["frobenius"].max()
    once = proposition1_norms("ResNet-44", scheme="pi")["frobenius"].max()
    assert halved == pytest.approx(once / 2)
    without = proposition1_norms("ResNet-44", fan_out="none")["frobenius"]
    assert list(without.index[without > 1]) == [without.index[0]]  # the first layer alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "ResNet-19"}, "Did you mean 'ResNet-18'"),
        ({"scheme": "pip"}, "scheme='pip'"),
        ({"fan_out": "xavier"}, "fan_out='xavier'"),
        ({"spread": 0.0}, "spread=0.0"),
    ],
)
def test_bad_input_of_proposition1(arguments, message):
    with pytest.raises(ValueError, match=message):
        proposition1_norms(**{"architecture": "ResNet-44", **arguments})
