"""The step through planes: in parts, of any layout, compiled, and against float64."""

import pytest
import torch
from torch import nn

from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.ops import planes
from fgmanifolds.torch.ops import table as tables
from fgmanifolds.torch.ops.manifolds import OPS
from fgmanifolds.torch.ops.native import available
from fgmanifolds.torch.ops.planes_part import PlanesPart
from tests.torch.compiling import needs_compiler

SMALL = 100


@pytest.fixture
def small_parts(monkeypatch):
    """Cut even small layers into several parts."""
    monkeypatch.setitem(tables.PART_SIZES, "cpu", SMALL)


def model():
    """Convolutions of one to three dimensions, wide kernels, and blocks of matrices."""
    torch.manual_seed(0)
    return nn.ModuleList(
        [
            nn.Conv2d(12, 20, 3),
            nn.Conv2d(7, 9, 3),
            nn.Conv2d(9, 8, (2, 5)),
            nn.Conv1d(6, 30, 5),
            nn.Conv3d(3, 5, 2),
            nn.ConvTranspose2d(4, 6, 3),
            nn.Linear(16, 16),
        ]
    )


def optimizer(layers, scheme="pio", manifolds=None, **options):
    names = manifolds or ("sphere", "oblique", "stiefel", "euclidean")
    adapter = POMAdapter(layers, scheme, names).initialize_()
    return FGSGD(adapter, lr=0.1, momentum=0.9, **{"native": False, **options})


def run(layers, own, steps=3, size=1.0):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        for parameter in layers.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = torch.empty_like(parameter).copy_(size * noise)
        own.step()
    return own


def assert_same(one, other, rtol=1e-5, atol=1e-6):
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(
            a, b.to(a), rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.usefixtures("small_parts")
def test_layers_are_cut_into_parts():
    layers = model()
    own = run(layers, optimizer(layers), steps=1)
    (table,) = own._poms.tables.values()
    parts = [part for unit in table.units for part in unit.parts]
    sizes = [len(part.radius) for part in parts if isinstance(part, PlanesPart)]
    kernels = [x.view.n_components for x in own.adapter.layers.values() if x.name != "6"]
    assert sum(sizes) == sum(kernels)
    assert max(sizes) <= 2 * SMALL
    assert len(sizes) == 8
    # Two layers of one shape fit into one part.
    assert len(table.units) == len(kernels)


@pytest.mark.parametrize("gradient_norm", ["past", "current"])
def test_parts_change_nothing(monkeypatch, gradient_norm):
    whole, parts = model(), model()
    run(whole, optimizer(whole, gradient_norm=gradient_norm))
    monkeypatch.setitem(tables.PART_SIZES, "cpu", SMALL)
    run(parts, optimizer(parts, gradient_norm=gradient_norm))
    assert_same(whole, parts)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_against_the_reference_in_float64(monkeypatch, size):
    """Planes in float32 against batched QR in float64, from tiny to huge gradients."""
    in_planes, reference = model(), model().double()
    run(in_planes, optimizer(in_planes, rule=None), size=size, steps=1)
    monkeypatch.setattr(tables, "PLANES_ENTRIES", 0)
    own = run(reference, optimizer(reference, rule=None), size=size, steps=1)
    (table,) = own._poms.tables.values()
    assert not any(isinstance(part, PlanesPart) for unit in table.units for part in unit.parts)
    for name, layer in own.adapter.layers.items():
        pairs = zip(
            layer.unit_parts(layer.weight),
            layer.unit_parts(in_planes[int(name)].weight),
            strict=True,
        )
        for (_, kind, _, exact, radius), (*_, ours, _) in pairs:
            if kind != "euclidean":
                torch.testing.assert_close(ours / radius, exact / radius, rtol=0, atol=2e-5)


@pytest.mark.parametrize("length", [0.5, 1e3, 1e6, 1e12, 1e30])
@pytest.mark.parametrize("native", [False, available()])
def test_steps_of_any_length_stay_on_the_manifold(length, native):
    layers = nn.ModuleList([nn.Conv2d(20, 30, 3, bias=False)])
    own = optimizer(layers, "layer", ("stiefel",), rule=None, native=native)
    weight = layers[0].weight
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    # Nearly the same direction for all columns, which Gram-Schmidt finds hard.
    weight.grad[:5] = weight.grad[:5, :, :, :1] + 1e-4 * weight.grad[:5]
    layer = own.adapter.layers["0"]
    ((_, _, _, components, radius),) = layer.unit_parts(weight)
    (batch,) = layer.view.batches
    tangent = OPS["stiefel"].project(components / radius, batch.read(weight.grad).double())
    longest = torch.linalg.matrix_norm(tangent).max().item()
    own.param_groups[0]["lr"] = length * radius.flatten()[0].item() / longest
    own.step()
    assert max(layer.residuals().values()) < 1e-6


def test_passes_by_length():
    assert [planes.passes_for(longest) for longest in (0.5, 1.0, 3.0, 2e3)] == [1, 1, 2, 3]


def test_channels_last_weights_stay_so():
    plain, last = model(), model()
    for layer in last:
        if isinstance(layer, nn.Conv2d):
            layer.to(memory_format=torch.channels_last)
        if isinstance(layer, nn.Conv3d):
            layer.to(memory_format=torch.channels_last_3d)
    run(plain, optimizer(plain))
    run(last, optimizer(last))
    assert_same(plain, last)
    assert last[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert last[4].weight.is_contiguous(memory_format=torch.channels_last_3d)


# torch.compile ------------------------------------------------------------------------


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("manifolds", [None, ("sphere",), ("oblique", "stiefel")])
def test_compiled_steps_agree(manifolds):
    layers, compiled = (
        nn.ModuleList([model()[0], model()[1]]),
        nn.ModuleList([model()[0], model()[1]]),
    )
    run(layers, optimizer(layers, manifolds=manifolds))
    own = run(compiled, optimizer(compiled, manifolds=manifolds, native=None, compile=True))
    assert not own.native
    assert_same(layers, compiled)


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("small_parts")
def test_compiled_once_whatever_the_radii_and_the_rate():
    layers = nn.ModuleList([nn.Conv2d(12, 20, 3), nn.Conv2d(7, 9, 3)])
    own = run(layers, optimizer(layers, compile=True), steps=2)
    with torch._dynamo.config.patch(error_on_recompile=True):
        own.param_groups[0]["lr"] = 0.03
        for layer in own.adapter.layers.values():
            layer.rescale_(torch.where(layer.is_euclidean, 1.0, 1.1) * layer.radius)
        run(layers, own, steps=2, size=3.0)
    assert own.adapter.residual() < 1e-6


def test_one_way_at_a_time():
    adapter = POMAdapter(nn.Conv2d(3, 4, 3)).initialize_()
    with pytest.raises(ValueError, match="native=True and compile=True"):
        FGSGD(adapter, native=True, compile=True)
    with pytest.raises(ValueError, match="compile='yes' must be True or False"):
        FGSGD(adapter, compile="yes")


@pytest.mark.slow
@needs_compiler
def test_a_compiled_training_step_may_hold_the_optimizer():
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    own = optimizer(layers, native=None)

    def iteration(images):
        own.zero_grad()
        loss = layers(images).square().mean()
        loss.backward()
        own.step()
        return loss.detach()

    compiled = torch.compile(iteration)
    images = torch.randn(8, 3, 10, 10)
    losses = [compiled(images) for _ in range(5)]
    assert losses[-1] < losses[0]
    assert own.adapter.residual() < 1e-6
