"""FGSGD against an independent step by POMs in NumPy, and torch's optimizer contract."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.solver.poms import Poms
from fgmanifolds.steps import RULES, as_rule, corollary2
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.ops.native import available
from fgmanifolds.torch.poms import pom_bounds

CURVED = ("sphere", "oblique", "stiefel")


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, (1, 3), groups=4, bias=False),
        nn.Conv2d(8, 12, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(12, 10),
    )


def batches(count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        images = torch.randn(16, 3, 8, 8, generator=generator, dtype=dtype)
        yield images, torch.randint(0, 10, (16,), generator=generator)


def train(net, optimizer, steps, seed=0, scale=1.0):
    losses = []
    for images, labels in batches(steps, seed, next(net.parameters()).dtype):
        optimizer.zero_grad()
        loss = scale * F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def expected_points(adapter, directions, lr, rule, scale=1.0):
    """One step of Algorithm 1 on every POM by itself, with pymanopt-style verbs in NumPy."""
    twin = copy.deepcopy(adapter)
    for name, direction in directions.items():
        weight = twin.layers[name].weight
        for number in range(len(adapter.pom_names(name))):
            manifold, point = adapter.manifold(name, number), adapter.point(name, number)
            with torch.no_grad():
                saved = weight.clone()
                weight.copy_(direction)
                ambient = twin.point(name, number)
                weight.copy_(saved)
            gradient = manifold.projection(point, ambient)
            norm = manifold.norm(point, gradient)
            found = as_rule(rule)
            geometry = Poms(manifold, None, found, None).geometry(point, None)
            used = scale * np.array([norm]) if rule != "relative" else np.array([norm])
            (g,) = found(used, geometry)
            yield name, number, manifold.retraction(point, gradient * (-lr / g)), norm, g


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "theorem2"])
@pytest.mark.parametrize("pom", ["set", "manifold"])
@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
def test_one_step_is_algorithm_1(scheme, pom, rule):
    net = model().double()
    adapter = POMAdapter(net, scheme, pom=pom).initialize_()
    optimizer = FGSGD(adapter, lr=0.3, rule=rule, gradient_norm="current")
    images, labels = next(batches(1, dtype=torch.float64))
    # A large loss, so that denominators above 1 are at work.
    (200 * F.cross_entropy(net(images), labels)).backward()
    directions = {name: layer.weight.grad.clone() for name, layer in adapter.layers.items()}
    expected = list(expected_points(adapter, directions, 0.3, rule))
    optimizer.step()
    statistics = optimizer.pom_statistics()
    for name, number, point, norm, g in expected:
        for ours, theirs in zip(adapter.point(name, number), point, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(float(statistics[name][0][number]), norm, rtol=1e-9)
        np.testing.assert_allclose(float(statistics[name][1][number]), g, rtol=1e-9)
    largest = max(g for *_, g in expected)
    assert largest > 2 if rule else largest == 1


def test_momentum_is_ambient_and_projected():
    """Equation (31): the buffer is torch's, the step goes along its projection."""
    net = model().double()
    adapter = POMAdapter(net, "pi").initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, dampening=0.2, gradient_norm="current")
    buffers = {}
    for step, (images, labels) in enumerate(batches(4, dtype=torch.float64)):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        for name, layer in adapter.layers.items():
            grad = layer.weight.grad.clone()
            buffers[name] = grad if step == 0 else 0.9 * buffers[name] + 0.8 * grad
        expected = list(expected_points(adapter, buffers, 0.1, "corollary2", 0.1 / 0.8))
        optimizer.step()
        for name, number, point, *_ in expected:
            for ours, theirs in zip(adapter.point(name, number), point, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("native", [False, True])
def test_past_norms_are_a_running_mean_square_and_bound_the_step(native):
    net = model().to(torch.float32 if native else torch.float64)
    adapter = POMAdapter(net, "pi", (*CURVED, "euclidean"), exclude=("8",)).initialize_()
    optimizer = FGSGD(adapter, lr=1e-3, momentum=0.5, native=native and available())
    average = None
    dtype = next(net.parameters()).dtype
    for step, (images, labels) in enumerate(batches(6, dtype=dtype)):
        optimizer.zero_grad()
        (300 * F.cross_entropy(net(images), labels)).backward()
        if step == 5:
            for p in net.parameters():
                p.grad *= 1e4
        optimizer.step()
        norm, g = (x.double() for x in optimizer.pom_statistics()["0"])
        curvature, kappa, _ = pom_bounds(adapter.layers["0"])
        used = norm if average is None else average.sqrt()
        curved = curvature > 0
        expected = torch.maximum(corollary2(used, curvature, kappa), norm * curved)
        torch.testing.assert_close(g, expected, rtol=1e-5, atol=0)
        average = norm**2 if average is None else 0.9 * average + 0.1 * norm**2
        state = optimizer.state[net[0].weight]["mean_square"]
        torch.testing.assert_close(state.double(), average, rtol=1e-5, atol=0)
        # No step on a curved POM is longer than lr theta_E / (1 - theta_mu).
        assert bool((norm / 0.5 / g <= 1 / 0.5 * (1 + 1e-6))[curved].all())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "dampening": 0.3},
        {"weight_decay": 0.1},
        {"maximize": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("foreach", [None, True, False])
def test_on_euclidean_weights_it_is_torch_sgd(options, foreach):
    ours, theirs = model().double(), model().double()
    adapter = POMAdapter(ours, "pio", ("euclidean",)).initialize_()
    train(ours, FGSGD(adapter, lr=0.05, foreach=foreach, **options), 5)
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.05, **options), 5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_foreach_and_single_tensor_versions_agree():
    nets = [model().double() for _ in range(2)]
    for net, foreach in zip(nets, (True, False), strict=True):
        adapter = POMAdapter(net).initialize_()
        options = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
        train(net, FGSGD(adapter, lr=0.1, foreach=foreach, **options), 5)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("scheme", ["pi", "po", "pio"])
def test_weights_stay_on_their_manifolds_for_1000_steps(scheme):
    """In float32, at steps from usual to violent."""
    net = model()
    adapter = POMAdapter(net, scheme, CURVED).initialize_()
    on_manifolds = {id(layer.weight) for layer in adapter.layers.values()}
    for parameter in net.parameters():  # plain SGD on the others would diverge at such steps
        parameter.requires_grad_(id(parameter) in on_manifolds)
    optimizer = FGSGD(adapter, lr=0.5, momentum=0.9)
    for part in range(10):
        train(net, optimizer, 100, seed=part, scale=10.0 ** (part % 4))
        adapter.update_scales_()
    assert adapter.residual() < 1e-5


def test_weight_decay_does_nothing_on_curved_components():
    nets = [model().double() for _ in range(2)]
    for net, decay in zip(nets, (0.0, 0.5), strict=True):
        adapter = POMAdapter(net, manifolds=CURVED).initialize_()
        images, labels = next(batches(1, dtype=torch.float64))
        F.cross_entropy(net(images), labels).backward()
        FGSGD(adapter, lr=0.1, weight_decay=decay, rule=None).step()
    for number in (0, 3, 4, 8):
        torch.testing.assert_close(nets[0][number].weight, nets[1][number].weight)


# The contract of torch.optim ------------------------------------------------------------


def test_gradients_are_not_touched():
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True)
    images, labels = next(batches(1))
    F.cross_entropy(net(images), labels).backward()
    before = [p.grad.clone() for p in net.parameters()]
    optimizer.step()
    for p, grad in zip(net.parameters(), before, strict=True):
        assert torch.equal(p.grad, grad)


def test_closures_and_parameters_without_gradient():
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    assert optimizer.step() is None
    frozen = net[4].weight
    before = frozen.detach().clone()
    images, labels = next(batches(1))

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        frozen.grad = None
        return loss

    assert optimizer.step(closure).item() > 0
    assert torch.equal(frozen, before)
    train(net, optimizer, 2)
    assert not torch.equal(frozen, before)


@pytest.mark.parametrize("gradient_norm", ["past", "current"])
def test_resume_is_exact(tmp_path, gradient_norm):
    options = {"lr": 0.1, "momentum": 0.9, "gradient_norm": gradient_norm}
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    train(net, optimizer, 5, seed=1)
    adapter.update_scales_()
    scheduler.step()
    parts = {"net": net, "adapter": adapter, "optimizer": optimizer, "scheduler": scheduler}
    torch.save({k: v.state_dict() for k, v in parts.items()}, tmp_path / "state.pt")
    train(net, optimizer, 5, seed=2, scale=100)

    twin = model(seed=9)
    adapter2 = POMAdapter(twin)
    optimizer2 = FGSGD(adapter2, **options)
    scheduler2 = torch.optim.lr_scheduler.StepLR(optimizer2, 1, 0.5)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    parts2 = {"net": twin, "adapter": adapter2, "optimizer": optimizer2, "scheduler": scheduler2}
    for name, part in parts2.items():
        part.load_state_dict(state[name])
    train(twin, optimizer2, 5, seed=2, scale=100)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)


def test_schedulers_set_the_step():
    net = model().double()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.0)
    before = copy.deepcopy(net.state_dict())
    images, labels = next(batches(1, dtype=torch.float64))
    net.eval()
    F.cross_entropy(net(images), labels).backward()
    optimizer.step()
    scheduler.step()
    for name, value in net.named_parameters():
        torch.testing.assert_close(value, before[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nonfinite_gradients_change_nothing(value):
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    train(net, optimizer, 2)
    images, labels = next(batches(1))
    F.cross_entropy(net(images), labels).backward()
    net[3].weight.grad[0, 0, 0, 0] = value
    net[8].bias.grad[2] = value
    weights = copy.deepcopy(net.state_dict())
    state = copy.deepcopy(optimizer.state_dict())

    def unchanged():
        for name, tensor in net.state_dict().items():
            assert torch.equal(tensor, weights[name])
        for number, entries in optimizer.state_dict()["state"].items():
            for key, tensor in entries.items():
                assert torch.equal(tensor, state["state"][number][key])

    with pytest.raises(ValueError, match=r"gradient of '3.weight', '8.bias' has nan or inf"):
        optimizer.step()
    unchanged()
    optimizer.skip_nonfinite = True
    optimizer.step()
    assert optimizer.skipped_steps == 1
    unchanged()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, r"lr=-1 must be finite and in \[0, inf\)"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"momentum": -0.1}, "momentum=-0.1"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
        ({"weight_decay": 1e300}, "more than torch's numbers hold"),
        ({"weight_decay": 2**70}, "more than torch's numbers hold"),
        ({"lr": 1e300}, "more than torch's numbers hold"),
        ({"lr": 2**70}, "more than torch's numbers hold"),
        ({"nesterov": True}, "nesterov=True needs momentum > 0"),
        ({"rule": "corollary3"}, r"rule='corollary3' is unknown; allowed: 'corollary2', 'global'"),
        ({"gradient_norm": "now"}, "gradient_norm='now' is unknown; allowed: 'past', 'current'"),
        ({"differentiable": True}, "differentiable=True is not supported"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FGSGD(POMAdapter(model()), **options)


def test_parameters_in_place_of_an_adapter_are_refused():
    with pytest.raises(TypeError, match=r"FGSGD takes a POMAdapter, not parameters"):
        FGSGD(model().parameters(), lr=0.1)


@pytest.mark.parametrize("max_norm", [2**0.5 - 1, 100.0])
def test_clipped_gradients_are_what_r_and_g_see(max_norm):
    net = model()
    adapter = POMAdapter(net, "pio", ("sphere", "oblique", "euclidean")).initialize_()
    optimizer = FGSGD(adapter, lr=0.1)
    exceeded = False
    for images, labels in batches(4):
        optimizer.zero_grad()
        (1e3 * F.cross_entropy(net(images), labels)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm)
        before = {name: layer.weight.detach().clone() for name, layer in adapter.layers.items()}
        optimizer.step()
        for name, (norm, g) in optimizer.pom_statistics().items():
            assert float(norm.max()) <= max_norm * (1 + 1e-5)
            assert bool((g >= 1).all())
            exceeded |= bool((g > 1).any())
            moved = (adapter.layers[name].weight - before[name]).norm()
            assert float(moved) <= 0.1 * max_norm * (1 + 1e-5)
    assert exceeded == (max_norm > 1)
