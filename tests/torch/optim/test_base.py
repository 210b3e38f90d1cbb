"""POMOptimizer: subclasses from outside, rules of one's own, options, strangers, and FGAdam."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from fgmanifolds.steps import StepRule
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter, POMOptimizer
from fgmanifolds.torch.ops.native import available
from fgmanifolds.torch.optim.pom_steps import PomSteps

from .test_fgsgd import CURVED, batches, model, train


class MySGD(POMOptimizer):
    """As an outsider would write it."""

    def direction(self, params, grads, group):
        return grads


class Uphill(FGSGD):
    """A subclass of FGSGD that goes the other way."""

    def direction(self, params, grads, group):
        return [-d for d in super().direction(params, grads, group)]


class EveryLayer(nn.Module):
    """Convolutions, linear layers, attention, recurrence and plain parameters."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True, bidirectional=True)
        self.position = nn.Parameter(torch.randn(1, 16, 8))
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.grouped(self.norm(self.conv(x)).relu())
        x = x.flatten(2).mT[:, :16] + self.position
        x = self.attention(x, x, x)[0]
        x = self.gru(self.lstm(x)[0])[0]
        return self.head(x[:, -1])


def everything(**options):
    torch.manual_seed(0)
    net = EveryLayer()
    options = {"radius": 0.5, "parameters": ("position",), **options}
    return net, POMAdapter(net, **options).initialize_()


@pytest.mark.parametrize("make", [MySGD, FGSGD, FGAdam])
def test_any_subclass_trains_every_kind_of_layer(make):
    net, adapter = everything()
    assert {"conv", "grouped", "position", "head", "lstm.weight_hh_l1"} <= set(adapter.layers)
    before = copy.deepcopy(net.state_dict())
    losses = train(net, make(adapter, lr=0.05), 8)
    assert all(map(math.isfinite, losses))
    assert adapter.residual() < 1e-5
    for name, _ in net.named_parameters():
        if "norm" not in name:
            assert not torch.equal(net.state_dict()[name], before[name]), name


def test_my_sgd_is_fgsgd_without_momentum():
    nets = []
    for make in (MySGD, FGSGD):
        net, adapter = everything()
        train(net, make(adapter, lr=0.1, weight_decay=0.01), 4)
        nets.append(net)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("native", [False, None])
def test_a_subclass_of_fgsgd_goes_where_it_says(native):
    net, adapter = everything()
    x, y = next(batches(1))
    up = Uphill(adapter, lr=1e-3, momentum=0.9, native=native)
    for _ in range(2):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        up.step()
        up.zero_grad()
        assert F.cross_entropy(net(x), y) > loss


@pytest.mark.skipif(not available(), reason="no C++ compiler")
@pytest.mark.parametrize("space", ["ambient", "tangent"])
@pytest.mark.parametrize("make", [MySGD, Uphill, FGAdam])
def test_directions_that_are_given_go_through_cpp(make, space, monkeypatch):
    """As they go through torch, with norms and denominators; and they do go that way."""
    nets, optimizers = [], []
    for native in (True, False):
        net, adapter = everything()
        optimizer = make(adapter, lr=0.001, native=native, momentum_space=space)
        for group in optimizer.param_groups:  # large gradients, so that g is at work
            group["rule"] = "paper"
        train(net, optimizer, 4)
        nets.append(net), optimizers.append(optimizer)
    layers = [optimizer.adapter.layers.values() for optimizer in optimizers]
    for a, b in zip(*layers, strict=True):
        torch.testing.assert_close(a.weight, b.weight, rtol=1e-4, atol=2e-6)
    ours, theirs = (one.pom_statistics() for one in optimizers)
    assert set(ours) == set(theirs)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-5)
    monkeypatch.setattr(PomSteps, "step_", lambda _, active, *__: names.extend(active.layers))
    names = []
    train(nets[0], optimizers[0], 1)
    left = {layer.name for layer in names}
    assert "conv" not in left
    assert "head" in left


@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_groups_with_momenta_in_different_spaces():
    """A batch 1e4 times as large: each group sees its own norms, in C++ as through torch."""
    nets = []
    for native in (True, False):
        net = model()
        adapter = POMAdapter(net, manifolds=CURVED, radius=0.5, seed=0).initialize_(
            generator=torch.Generator().manual_seed(0)
        )
        groups = [
            {"params": [net[0].weight], "momentum_space": "tangent"},
            {"params": [net[3].weight], "momentum_space": "ambient"},
        ]
        optimizer = FGSGD(adapter, lr=0.05, momentum=0.5, params=groups, native=native)
        generator = torch.Generator().manual_seed(1)
        for scale in (1.0, 1.0, 1e4, 1.0):
            for p in net.parameters():
                p.grad = scale * 0.01 * torch.randn(p.shape, generator=generator)
            optimizer.step()
        nets.append(net)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("native", [None, False])
@pytest.mark.parametrize("make", [FGSGD, FGAdam])
def test_parameters_of_a_group_in_any_order(make, native):
    """One group that begins with Euclidean parameters, against the groups that are made."""
    nets = []
    for reverse in (True, False):
        net = model()
        adapter = POMAdapter(net, manifolds=CURVED, radius=0.5, seed=0).initialize_(
            generator=torch.Generator().manual_seed(0)
        )
        params = [{"params": list(net.parameters())[::-1]}] if reverse else ()
        optimizer = make(adapter, lr=0.05, params=params, native=native)
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            for p in net.parameters():
                p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()
        nets.append(net)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b)


def test_the_wrong_number_of_directions():
    class Short(POMOptimizer):
        def direction(self, params, grads, group):
            return grads[1:]

    net, adapter = everything()
    with pytest.raises(ValueError, match=r"gave \d+ directions for \d+ parameters"):
        train(net, Short(adapter), 1)


# Rules --------------------------------------------------------------------------------------


class Half(StepRule):
    """A denominator of 2, whatever the gradient."""

    name = "half"

    def __call__(self, norm, geometry):
        return 0 * norm + 2


def test_a_rule_of_ones_own_and_its_checkpoint():
    nets = []
    for rule, lr in ((Half(), 0.2), (None, 0.1)):
        net = model().double()
        adapter = POMAdapter(net).initialize_()
        optimizer = FGSGD(adapter, lr=lr, rule=rule)
        optimizer.param_groups[1]["lr"] = 0.1
        train(net, optimizer, 3)
        nets.append(net)
    torch.testing.assert_close(nets[0][0].weight, nets[1][0].weight)
    net = model().double()
    optimizer = FGSGD(POMAdapter(net).initialize_(), rule=Half())
    state = optimizer.state_dict()
    assert state["param_groups"][0]["rule"] == "half"
    FGSGD(POMAdapter(model().double()), rule=Half()).load_state_dict(state)
    with pytest.raises(ValueError, match="rule='half' is unknown"):
        FGSGD(POMAdapter(model().double())).load_state_dict(state)


@pytest.mark.parametrize("scheme", ["tensor", "pio"])
def test_relative_steps_are_lr_times_the_point(scheme):
    net = model().double()
    manifolds = ("sphere",) if scheme == "tensor" else (*CURVED, "euclidean")
    adapter = POMAdapter(net, scheme, manifolds).initialize_()
    optimizer = FGSGD(adapter, lr=1e-4, momentum=0.9, rule="relative")
    train(net, optimizer, 3)
    before = {n: [adapter.point(n, i) for i in range(len(adapter.pom_names(n)))] for n in "0348"}
    images, labels = next(batches(1, 9, torch.float64))
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    optimizer.step()
    for name, points in before.items():
        for i, old in enumerate(points):
            new = adapter.point(name, i)
            moved = math.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(new, old)))
            size = math.sqrt(sum(np.sum(a**2) for a in old))
            assert moved == pytest.approx(1e-4 * size, rel=1e-3)


def test_nothing_moves_where_the_direction_is_zero():
    net = model()
    adapter = POMAdapter(net).initialize_()
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    before = copy.deepcopy(net.state_dict())
    FGSGD(adapter, lr=0.1, rule="relative").step()
    for name, value in net.named_parameters():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-7)


def test_the_default_rule_trains_with_momentum():
    """Nearest point on St(20, 10), a problem of geoopt's tests: R is at a gradient's scale."""
    torch.manual_seed(42)
    net = nn.Module()
    net.weight = nn.Parameter(torch.randn(20, 10, dtype=torch.float64))
    adapter = POMAdapter(net, "tensor", ("stiefel",), parameters=("weight",), radius=1.0)
    with pytest.warns(UserWarning, match="changes the norm of the weights of 'weight' more than"):
        adapter.initialize_()
    target = torch.linalg.qr(torch.randn(20, 10, dtype=torch.float64))[0]
    optimizer = FGSGD(adapter, lr=0.01, momentum=0.9)
    for _ in range(2000):
        optimizer.zero_grad()
        (net.weight - target).square().sum().backward()
        optimizer.step()
    assert float((net.weight - target).detach().norm()) < 1e-5


def test_theorem2_without_a_reference_changes_nothing():
    net = model()
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1, momentum=0.9, rule="theorem2")
    optimizer.set_reference_()
    train(net, optimizer, 2)
    for layer in optimizer.adapter.layers.values():
        del optimizer.state[layer.weight]["reference"]
    state, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(net.state_dict())
    images, labels = next(batches(1))
    net.eval()
    F.cross_entropy(net(images), labels).backward()
    with pytest.raises(ValueError, match="needs a reference point"):
        optimizer.step()
    assert optimizer.steps == 2
    for name, value in net.state_dict().items():
        assert torch.equal(value, weights[name])
    for number, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            assert torch.equal(value, state["state"][number][key])


def test_theorem2_measures_to_the_best_weights():
    net = model().double()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, rule="theorem2")
    weight = net[0].weight
    seen = []
    for loss in (3.0, 1.0, 2.0):
        for p in net.parameters():
            p.grad = 1e-2 * torch.ones_like(p)
        seen.append(weight.detach().clone())
        optimizer.step(lambda loss=loss: torch.tensor(loss))
    assert torch.equal(optimizer.state[weight]["reference"], seen[1])


# Momentum on tangent spaces -------------------------------------------------------------------


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
def test_normal_parts_of_gradients_stay_out_of_tangent_momentum(make):
    """Adding 20 norm(w)^2 to the loss, constant on spheres, changes nothing."""
    nets = []
    for extra in (0.0, 20.0):
        net = model().double()
        adapter = POMAdapter(net, "kernel", ("sphere",)).initialize_()
        options = {"momentum": 0.9} if make is FGSGD else {}
        optimizer = make(adapter, lr=0.05, momentum_space="tangent", **options)
        for images, labels in batches(12, 0, torch.float64):
            optimizer.zero_grad()
            weights = [layer.weight for layer in adapter.layers.values()]
            penalty = extra * sum(w.square().sum() for w in weights)
            (F.cross_entropy(net(images), labels) + penalty).backward()
            optimizer.step()
        nets.append(net)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


def test_tangent_momentum_is_carried():
    """Where the next step starts the buffer is tangent, so that a zero gradient keeps it so."""
    net = model().double()
    adapter = POMAdapter(net, manifolds=CURVED).initialize_()
    optimizer = FGSGD(adapter, lr=0.5, momentum=0.9, momentum_space="tangent", rule=None)
    train(net, optimizer, 2)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    weight = net[0].weight.detach().clone()
    optimizer.step()
    buffer = optimizer.state[net[0].weight]["momentum_buffer"].clone()
    with torch.no_grad():
        moved = net[0].weight.clone()
        net[0].weight.copy_(weight)
        again = buffer.clone()
        for table in optimizer._poms.tables_of([adapter.layers["0"]]):
            table.tangents_([net[0].weight], [again])
        net[0].weight.copy_(moved)
    torch.testing.assert_close(again, buffer, rtol=1e-10, atol=1e-12)


# Options, groups and strangers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum": 5}, r"momentum=5 must be in \[0, 1\)"),
        ({"dampening": -3}, "dampening=-3"),
        ({"foreach": "yes"}, "foreach='yes' must be True or False"),
        ({"native": "no"}, "native='no' must be True or False"),
        ({"lr": "0.1"}, "lr='0.1' is not a number"),
        ({"lr": torch.tensor([0.1, 0.2])}, "lr has 2 elements"),
        ({"maximize": 1}, "maximize=1 must be True or False"),
        ({"skip_nonfinite": "no"}, "skip_nonfinite='no'"),
        ({"nesterov": 1}, "nesterov=1 must be True or False"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        FGSGD(POMAdapter(model()), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"betas": (0.9, 1.0)}, r"betas=1.0 must be in \[0, 1\)"),
        ({"betas": (0.9,)}, r"betas=\(0.9,\) must be two numbers"),
        ({"eps": 0.0}, "eps=0.0 must be positive"),
        ({"weight_decay": -1}, "weight_decay=-1"),
    ],
)
def test_bad_options_of_fgadam(options, message):
    with pytest.raises(ValueError, match=message):
        FGAdam(POMAdapter(model()), **options)


def test_groups_without_dicts_and_with_names():
    net = model()
    adapter = POMAdapter(net, exclude=("8",)).initialize_()
    with pytest.raises(TypeError, match="dicts are needed, each with its parameters"):
        FGSGD(adapter, params=list(net[8].parameters()))
    optimizer = FGSGD(adapter, params=[{"params": list(net[8].named_parameters()), "lr": 0.5}])
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[1]["param_names"][0] == "0.weight"
    train(net, optimizer, 2)


def test_strangers_are_warned_of_once():
    net = model()
    net[8].requires_grad_(False)
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1)
    train(net, optimizer, 2)
    net[8].requires_grad_(True)
    with pytest.warns(UserWarning, match=r"'8.weight', '8.bias' have gradients but are in no"):
        train(net, optimizer, 1)
    train(net, optimizer, 1)
    optimizer.add_param_group({"params": list(net[8].parameters())})
    before = net[8].weight.detach().clone()
    train(net, optimizer, 1)
    assert not torch.equal(net[8].weight, before)


def test_replaced_parameters_are_warned_of():
    net = model()
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1)
    train(net, optimizer, 2)
    net[8] = nn.Linear(12, 10)
    with pytest.warns(UserWarning, match=r"'8.weight', '8.bias' have gradients but are in no"):
        train(net, optimizer, 1)


def test_parameters_may_be_put_into_a_group_and_sorted_anew():
    """As lists of torch's optimizers may."""
    net, alone = model(), nn.Parameter(torch.ones(3))
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1)
    train(net, optimizer, 2)
    for group in optimizer.param_groups:
        group["params"].reverse()
    optimizer.param_groups[1]["params"].append(alone)
    alone.grad = torch.ones(3)
    optimizer.step()
    torch.testing.assert_close(alone.detach(), torch.full((3,), 0.9))
    assert optimizer.adapter.residual() < 1e-5


def test_a_weight_that_is_a_layers_no_more_is_a_parameter_like_others():
    net = model()
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1)
    train(net, optimizer, 2)
    old = net[0].weight
    net[0].weight = nn.Parameter(old.detach().clone())
    new, before = net[0].weight.detach().clone(), old.detach().clone()
    optimizer.step()
    torch.testing.assert_close(old.detach(), before - 0.1 * old.grad)
    assert torch.equal(net[0].weight, new)


def test_pruned_weights_are_an_error():
    net = model()
    optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1)
    prune.random_unstructured(net[0], "weight", amount=0.5)
    with pytest.raises(ValueError, match="weight of layer '0' is not a parameter any more"):
        train(net, optimizer, 1)


# Types ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [torch.bfloat16, torch.float64])
def test_two_types_in_one_model(other):
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3)
            self.second = nn.Conv2d(8, 8, 3, dtype=other)
            self.head = nn.Linear(8, 10, dtype=other)

        def forward(self, x):
            x = self.first(x).relu().to(other)
            return self.head(self.second(x).mean((2, 3))).float()

    torch.manual_seed(0)
    net = Mixed()
    adapter = POMAdapter(net, radius=0.5).initialize_()
    train(net, FGSGD(adapter, lr=0.05, momentum=0.9), 5)
    assert adapter.residual() < (1e-2 if other == torch.bfloat16 else 1e-6)


def test_a_cast_in_mid_training_goes_on_or_is_told():
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    train(net, optimizer, 2)
    net.double()
    before = copy.deepcopy(net.state_dict())
    images, labels = next(batches(1, 0, torch.float64))
    net.eval()
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    with pytest.raises(ValueError, match=r"cast to another type since\?"):
        optimizer.step()
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    adapter.project_()
    optimizer.step()
    net.bfloat16()
    optimizer.zero_grad()
    F.cross_entropy(net(images.bfloat16()), labels).backward()
    optimizer.step()
    assert adapter.residual() < 1e-2


def test_huge_gradients_are_refused_and_change_nothing():
    for size, native in ((1e19, False), (1e19, None), (3e37, None)):
        net = model()
        optimizer = FGSGD(POMAdapter(net).initialize_(), lr=0.1, momentum=0.9, native=native)
        train(net, optimizer, 1)
        before = copy.deepcopy(net.state_dict())
        net[0].weight.grad[0, 0, 0, 0] = size
        with pytest.raises(ValueError, match=r"'0.weight' has norm .* more than the"):
            optimizer.step()
        for name, value in net.state_dict().items():
            assert torch.equal(value, before[name])


# FGAdam -------------------------------------------------------------------------------------------


def test_fgadam_is_adam_on_parameters_that_are_not_on_poms():
    ours, theirs = model().double(), model().double()
    adapter = POMAdapter(ours, exclude=("0", "3", "4")).initialize_()
    own = [p for n, p in ours.named_parameters() if n != "8.weight"]
    for parameter in adapter.layers["8"].module.parameters():
        parameter.requires_grad_(parameter is not ours[8].weight)
    theirs[8].weight.requires_grad_(False)
    with torch.no_grad():
        theirs[8].weight.copy_(ours[8].weight)
    optimizer = FGAdam(adapter, lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW(
        [p for n, p in theirs.named_parameters() if n != "8.weight"], lr=0.01, weight_decay=0.1
    )
    train(ours, optimizer, 5)
    train(theirs, reference, 5)
    other = [p for n, p in theirs.named_parameters() if n != "8.weight"]
    for a, b in zip(own, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_fgadam_divides_by_the_root_mean_square_of_a_component():
    """At the first step each kernel's direction has root mean square 1."""
    net = model().double()
    adapter = POMAdapter(net, "kernel", ("euclidean",)).initialize_()
    optimizer = FGAdam(adapter, lr=0.1)
    before = net[0].weight.detach().clone()
    net[0].weight.grad = torch.randn_like(before) * torch.rand(8, 3, 1, 1) * 100
    optimizer.step()
    moved = (net[0].weight.detach() - before) / 0.1
    torch.testing.assert_close(
        moved.square().mean((2, 3)), torch.ones(8, 3).double(), rtol=1e-6, atol=0
    )


def test_fgadam_turns_with_the_component():
    """Rotating kernel, gradient and start by one rotation rotates the whole path."""
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    generator = torch.Generator().manual_seed(0)
    grads = [torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=generator) for _ in range(6)]
    ends = []
    for turned in (False, True):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False).double())
        adapter = POMAdapter(net, "kernel", ("stiefel",)).initialize_()
        weight = net[0].weight
        optimizer = FGAdam(adapter, lr=0.1)
        if turned:
            with torch.no_grad():
                weight.copy_(rotation @ weight)
        for grad in grads:
            weight.grad = rotation @ grad if turned else grad.clone()
            optimizer.step()
        ends.append(weight.detach().clone())
    torch.testing.assert_close(ends[1], rotation @ ends[0], rtol=1e-8, atol=1e-10)


def test_fgadam_resumes_exactly(tmp_path):
    net = model()
    adapter = POMAdapter(net).initialize_()
    optimizer = FGAdam(adapter, lr=0.05)
    train(net, optimizer, 3)
    adapter.update_scales_()
    torch.save([net.state_dict(), optimizer.state_dict()], tmp_path / "state.pt")
    train(net, optimizer, 3, seed=2)
    twin = model(seed=4)
    adapter2 = POMAdapter(twin, seed=7)
    optimizer2 = FGAdam(adapter2, lr=0.05)
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    twin.load_state_dict(weights)
    optimizer2.load_state_dict(state)
    train(twin, optimizer2, 3, seed=2)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(a, b)
