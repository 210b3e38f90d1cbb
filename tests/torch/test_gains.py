"""Gains: norms of kernels are parameters, directions stay on their manifolds."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, cross_entropy, normalize
from torch.nn.utils.parametrizations import weight_norm

from fgmanifolds.experiments.angles import StepAngles, turned
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter
from fgmanifolds.torch.gains import KernelGain


def model(dtype=torch.float32):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, groups=2),
        nn.Conv2d(8, 8, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    return net.to(dtype)


def batch(dtype=torch.float32, n=12):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(n, 2, 8, 8, generator=generator).to(dtype)
    return images, torch.randint(3, (n,), generator=generator)


def kernels(weight):
    return weight.detach().flatten(0, 1).flatten(1)


@pytest.mark.parametrize("scheme", ["pio", "pi", "po", "kernel"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", [FGSGD, FGAdam])
def test_kernels_stay_on_manifolds_and_norms_become_gains(scheme, channels_last, kind):
    net = model()
    if channels_last:
        net = net.to(memory_format=torch.channels_last)
    manifolds = ("stiefel",) if scheme == "kernel" else ("sphere", "oblique", "stiefel")
    adapter = POMAdapter(net, scheme, manifolds).initialize_()
    images, labels = batch()
    scores = net.eval()(images)
    assert adapter.add_gains_() == ["0", "3"]
    torch.testing.assert_close(net(images), scores)
    norms = {name: kernels(adapter.layer(name).weight).norm(dim=1) for name in ("0", "3")}
    optimizer = kind(adapter, lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        cross_entropy(net.train()(images), labels).backward()
        optimizer.step()
    assert adapter.residual() < 1e-5
    for name in ("0", "3"):
        module, own = net[int(name)], adapter.layer(name).weight
        gain = module.parametrizations["weight"][0].gain
        used = kernels(module.weight)
        torch.testing.assert_close(used.norm(dim=1), gain.detach().flatten().abs())
        torch.testing.assert_close(
            normalize(used) * gain.detach().flatten().sign()[:, None], normalize(kernels(own))
        )
        torch.testing.assert_close(kernels(own).norm(dim=1), norms[name])
        assert not torch.allclose(used.norm(dim=1), norms[name], rtol=1e-3)


def test_gains_of_one_channel_are_weight_normalisation():
    torch.manual_seed(0)
    ours, theirs = (nn.Conv2d(1, 5, 3, bias=False).double() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adapter = POMAdapter(ours, "kernel", ("euclidean",))
    adapter.add_gains_()
    weight_norm(theirs)
    x = torch.randn(4, 1, 6, 6, dtype=torch.float64)
    for layer in (ours, theirs):
        (layer(x) ** 3).sum().backward()
    mine, reference = ours.parametrizations["weight"], theirs.parametrizations["weight"]
    torch.testing.assert_close(mine[0].gain.grad, reference.original0.grad)
    torch.testing.assert_close(mine.original.grad, reference.original1.grad)


def test_radii_and_the_directions_norms_do_not_change_the_network():
    net = model(torch.float64).train()
    images, _ = batch(torch.float64)
    adapter = POMAdapter(net, "pio", min_std=None).initialize_()
    adapter.add_gains_()
    net(5 * images)
    before = adapter.layer("0").radius.clone()
    net.eval()
    scores = net[:2](images)
    adapter.update_scales_()
    assert not torch.allclose(adapter.layer("0").radius, before)
    torch.testing.assert_close(net[:2](images), scores)


def test_no_warning_of_norms_where_they_are_gains():
    net = nn.Sequential(nn.Conv2d(2, 6, 3))
    with torch.no_grad():
        net[0].weight.mul_(100)
    adapter = POMAdapter(net, "pio", ("sphere",))
    adapter.add_gains_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.initialize_()
    assert float(net[0].weight.detach().norm()) > 50


def test_export_takes_gains_into_plain_weights():
    net = model()
    adapter = POMAdapter(net, "pio").initialize_()
    adapter.add_gains_()
    with torch.no_grad():
        net[0].parametrizations["weight"][0].gain.mul_(3)
    images, _ = batch()
    twin = adapter.export()
    torch.testing.assert_close(twin.eval()(images), net.eval()(images))
    assert type(twin[0]) is nn.Conv2d
    assert not any(isinstance(module, KernelGain) for module in twin.modules())
    assert any(isinstance(module, KernelGain) for module in net.modules())
    model().load_state_dict(twin.state_dict())


def test_states_and_copies_go_on_alike():
    images, labels = batch()

    def made():
        net = model()
        adapter = POMAdapter(net, "pio").initialize_()
        adapter.add_gains_()
        return net, FGSGD(adapter, lr=0.05, momentum=0.9)

    def step(net, optimizer):
        optimizer.zero_grad()
        cross_entropy(net(images), labels).backward()
        optimizer.step()

    first = made()
    step(*first)
    net, optimizer = second = made()
    net.load_state_dict(first[0].state_dict())
    optimizer.load_state_dict(copy.deepcopy(first[1].state_dict()))
    third = copy.deepcopy(first)
    for one in (first, second, third):
        step(*one)
    for other in (second, third):
        for a, b in zip(first[0].parameters(), other[0].parameters(), strict=True):
            assert torch.equal(a, b)


def test_angles_are_those_of_the_weights_that_layers_use():
    net = model(torch.float64)
    POMAdapter(net, "pio").initialize_().add_gains_()
    angles, old = StepAngles(net), net[0].weight.detach().clone()
    assert set(angles._weights) == {"0", "3", "4", "7"}
    angles.before()
    with torch.no_grad():
        net[0].parametrizations["weight"][0].gain[:, 0].mul_(2)
    angles.after(1)
    rows = {row["layer"]: row["angle"] for row in angles.rows}
    assert rows["0"] == pytest.approx(turned(old, net[0].weight.detach())) != 0
    assert rows["3"] == pytest.approx(0)


def test_what_can_have_no_gains_is_said():
    net = nn.Sequential(nn.Conv2d(4, 6, 1), nn.Flatten(), nn.Linear(6, 3))
    with pytest.raises(ValueError, match="no layer has kernels to give gains to"):
        POMAdapter(net, "pio", ("sphere",)).add_gains_()
    with pytest.raises(ValueError, match="no layer has kernels"):
        POMAdapter(nn.Conv2d(2, 3, 3), "tensor", ("sphere",)).add_gains_()
    adapter = POMAdapter(model(), "pio", ("sphere",))
    adapter.add_gains_()
    with pytest.raises(ValueError, match="layer '0' has gains already"):
        adapter.add_gains_()
    pair = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
    pair[1].weight = pair[0].weight
    with pytest.raises(ValueError, match="its weight is tied to that of another"):
        POMAdapter(pair, "pio", ("sphere",)).add_gains_()
    zero = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 3, 3))
    for value in (0.0, float("nan"), float("inf")):
        with torch.no_grad():
            zero[1].weight[1, 1] = value
        with pytest.raises(ValueError, match=r"layer '1' can have no gains: .* is 0 or not finite"):
            POMAdapter(zero, "pio", ("euclidean",)).add_gains_()
    assert type(zero[0]) is nn.Conv2d  # nothing was changed


def test_the_used_weight_is_what_convolves():
    net = nn.Conv2d(2, 3, 3, bias=False)
    adapter = POMAdapter(net, "kernel", ("sphere",), radius=0.5).initialize_()
    adapter.add_gains_()
    images, _ = batch()
    gain = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]])
    with torch.no_grad():
        net.parametrizations["weight"][0].gain.copy_(gain[:, :, None, None])
    unit = adapter.layer("").weight / 0.5
    torch.testing.assert_close(net(images), conv2d(images, unit * gain[:, :, None, None]))
