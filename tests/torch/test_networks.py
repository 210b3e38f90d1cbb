"""Networks as points: geodesics, distances, problems on one POM, fine-tuning."""

import copy
import math

import numpy as np
import pymanopt
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.data import load_images
from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, POMAdapter, distances, interpolate

CURVED = ("sphere", "oblique", "stiefel")


def digits(part="train"):
    return getattr(load_images("digits"), part).tensors


def epochs(net, optimizer, count, adapter=None, seed=0):
    images, labels = digits()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        for batch in torch.randperm(len(labels), generator=generator).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
        if adapter is not None:
            adapter.update_scales_()


@torch.no_grad()
def error(net):
    images, labels = digits("test")
    net.eval()
    wrong = (net(images).argmax(1) != labels).double().mean()
    net.train()
    return 100 * float(wrong)


@pytest.fixture(scope="module")
def trained():
    """An adapter, and the network after one and after four epochs."""
    torch.manual_seed(0)
    net = build_model("cnn", 10, in_channels=1)
    adapter = POMAdapter(net, "pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    epochs(net, optimizer, 1, adapter)
    first = copy.deepcopy(net.state_dict())
    epochs(net, optimizer, 3, adapter, seed=1)
    return adapter, first, copy.deepcopy(net.state_dict())


def test_interpolation_moves_on_the_manifolds(trained):
    adapter, a, b = trained
    for t, end in ((0.0, a), (1.0, b)):
        for key, value in interpolate(adapter, a, b, t).items():
            torch.testing.assert_close(value, end[key], rtol=1e-5, atol=1e-6)
    net = copy.deepcopy(adapter.model)
    twin = POMAdapter(net, **adapter.options)
    net.load_state_dict(interpolate(adapter, a, b, 0.3))
    for name, layer in twin.layers.items():
        for _, kind, _, components, _ in layer.unit_parts(layer.weight):
            if kind == "stiefel":
                gram = components.mT @ components
                eye = torch.eye(gram.shape[-1]) * gram[:, :1, :1]
                torch.testing.assert_close(gram, eye, atol=1e-6, rtol=1e-5, msg=name)


def test_distances_divide_along_geodesics(trained):
    adapter, a, b = trained
    whole = distances(adapter, a, b)
    assert set(whole) == set(adapter.layers)
    middle = interpolate(adapter, a, b, 0.25)
    for name in whole:
        first, second = distances(adapter, a, middle)[name], distances(adapter, middle, b)[name]
        assert first == pytest.approx(0.25 * whole[name], rel=0.05)
        assert second == pytest.approx(0.75 * whole[name], rel=0.05)
    assert max(distances(adapter, a, a).values()) < 1e-5


def test_distances_against_the_product(trained):
    """Of one POM at fixed radii, by the NumPy side."""
    adapter, a, _ = trained
    net = adapter.model
    net.load_state_dict(a)
    adapter.initialize_(from_weights=True)
    start = copy.deepcopy(net.state_dict())
    manifold, point = adapter.manifold("conv1", 0), adapter.point("conv1", 0)
    moved = manifold.exp(point, manifold.random_tangent_vector(point, 1) * 0.05)
    adapter.load_point_("conv1", 0, moved)
    found = distances(adapter, start, net.state_dict())["conv1"]
    assert found == pytest.approx(0.05, rel=1e-3)


def test_bad_pairs_are_refused(trained):
    adapter, a, b = trained
    with pytest.raises(ValueError, match="t=2"):
        interpolate(adapter, a, b, 2)
    with pytest.raises(ValueError, match=r"b is of another model: \['bn1"):
        interpolate(adapter, a, {k: v for k, v in b.items() if not k.startswith("bn1")}, 0.5)
    broken = {**b, "conv2.weight": torch.randn_like(b["conv2.weight"])}
    with pytest.raises(ValueError, match="layer 'conv2' is off its manifolds"):
        interpolate(adapter, a, broken, 0.5)
    with pytest.raises(ValueError, match="has shape"):
        distances(adapter, a, {**b, "conv2.weight": b["conv1.weight"]})
    torch.manual_seed(5)
    other = build_model("cnn", 10, in_channels=1)
    POMAdapter(other, seed=0, exclude=("classifier",)).initialize_()
    adapter_other = POMAdapter(copy.deepcopy(other), seed=0, exclude=("classifier",))
    with torch.no_grad():
        for _, layer in adapter_other.layers.items():
            layer.weight.copy_(-layer.weight)
    flipped = {**other.state_dict()}
    for key in flipped:
        if key.startswith("conv") and key.endswith("weight"):
            flipped[key] = -flipped[key]
    with pytest.raises(ValueError, match="layer 'conv1'"):
        interpolate(adapter, other.state_dict(), flipped, 0.5)
    assert distances(adapter, other.state_dict(), flipped)["conv1"] == np.inf


def test_trust_regions_on_one_pom_of_a_trained_network(trained):
    adapter, _, b = trained
    net = copy.deepcopy(adapter.model).double()
    net.load_state_dict(b)
    net.eval()
    twin = POMAdapter(net, "pio", exclude=("classifier",)).initialize_(from_weights=True)
    images, labels = (x[:200] for x in digits())

    def closure():
        return F.cross_entropy(net(images.double()), labels)

    problem = twin.problem("conv2", 0, closure)
    point = twin.point("conv2", 0)
    others = net.conv3.weight.detach().clone()
    before = float(closure())
    solver = pymanopt.optimizers.TrustRegions(max_iterations=4, verbosity=0)
    result = solver.run(problem, initial_point=point)
    twin.load_point_("conv2", 0, result.point)
    assert float(closure()) == pytest.approx(result.cost, rel=1e-9)
    assert result.cost < 0.9 * before
    assert twin.residual() < 1e-12
    assert torch.equal(net.conv3.weight, others)


def test_derivatives_of_the_problem():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Softplus(), nn.Flatten(), nn.Linear(216, 10))
    net = net.double()
    adapter = POMAdapter(net, "pio", CURVED, radius=0.5).initialize_()
    images, labels = (x[:50] for x in digits())
    problem = adapter.problem("0", 1, lambda: F.cross_entropy(net(images.double()), labels))
    manifold, point = problem.manifold, adapter.point("0", 1)
    vector = manifold.random_tangent_vector(point, 0)
    h = 1e-4
    # Along geodesics, where second derivatives are those of the Riemannian Hessian.
    ahead, here, back = (problem.cost(manifold.exp(point, vector * (s * h))) for s in (1, 0, -1))
    gradient = problem.riemannian_gradient(point)
    slope = manifold.inner_product(point, gradient, vector)
    assert slope == pytest.approx((ahead - back) / (2 * h), rel=1e-5)
    hessian = problem.riemannian_hessian(point, vector)
    bend = manifold.inner_product(point, hessian, vector)
    assert bend == pytest.approx((ahead - 2 * here + back) / h**2, rel=1e-4, abs=1e-6)


def test_a_closure_must_give_a_scalar(trained):
    adapter, _, _ = trained
    problem = adapter.problem("conv1", 0, lambda: torch.ones(3))
    with pytest.raises(ValueError, match=r"closure gave a tensor of shape \(3,\)"):
        problem.cost(adapter.point("conv1", 0))


def test_fine_tuning_keeps_the_accuracy_of_a_network_trained_by_sgd():
    torch.manual_seed(1)
    net = build_model("cnn", 10, in_channels=1)
    epochs(net, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9), 6)
    pretrained = error(net)
    adapter = POMAdapter(net, "pio", exclude=("classifier",)).initialize_(from_weights=True)
    epochs(net, FGSGD(adapter, lr=0.01, momentum=0.9), 4, adapter)
    assert pretrained < 5
    assert error(net) <= pretrained + 1
    assert adapter.residual() < 1e-5


def test_curvature_at_a_trained_weight(trained):
    adapter, _, _ = trained
    manifold, point = adapter.manifold("conv3", 0), adapter.point("conv3", 0)
    u, v = (manifold.random_tangent_vector(point, seed) for seed in (0, 1))
    low, high = manifold.sectional_curvature_bounds
    assert low <= manifold.sectional_curvature(point, u, v) <= high


def test_exported_state_loads_into_a_plain_model(trained):
    adapter, _, _ = trained
    plain = build_model("cnn", 10, in_channels=1)
    plain.load_state_dict(adapter.export().state_dict())
    assert isinstance(plain, nn.Module)


def test_distances_of_independent_networks_are_answered():
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Conv2d(2, 3, (7, 3)), nn.Linear(24, 10))
        adapter = POMAdapter(net, "layer", ("stiefel",), seed=seed, radius=0.5).initialize_()
        states.append(net.state_dict())
    found = distances(adapter, *states)
    assert all(0 < value < math.inf for value in found.values())
    with pytest.raises(ValueError, match=r"layer '\d': "):
        distances(adapter, *states, certify=True)
