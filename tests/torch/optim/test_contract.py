"""What torch's optimizers promise, beyond one step: groups, state, scalers, schedulers, checks."""

import copy
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler

from fgmanifolds.solver.poms import Poms
from fgmanifolds.steps import as_rule
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.ops.manifolds import RETRACTIONS
from fgmanifolds.torch.poms import pom_entries

from ..spreads import set_spread
from .test_fgsgd import CURVED, batches, model, train


def start(seed=0, double=True, **options):
    net = model(seed)
    net = net.double() if double else net
    adapter = POMAdapter(net, seed=seed, **options).initialize_()
    return net, adapter


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))


# Parameter groups ---------------------------------------------------------------------------


def test_groups_with_options_of_their_own():
    net, adapter = start()
    head = list(net[8].parameters())
    groups = [
        {"params": net[0].weight, "lr": 0.0},
        {"params": head, "lr": 0.2, "momentum": 0.5, "rule": None, "gradient_norm": "current"},
    ]
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, params=groups)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 2, 2, 4]
    everyone = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in everyone} == {id(p) for p in net.parameters()}
    before = copy.deepcopy(net.state_dict())
    train(net, optimizer, 3)
    torch.testing.assert_close(net[0].weight, before["0.weight"])
    assert not torch.equal(net[8].weight, before["8.weight"])
    assert (optimizer.pom_statistics()["8"][1] == 1).all()


def test_splitting_groups_changes_nothing():
    runs = []
    for split in (False, True):
        net, adapter = start()
        params = [{"params": [net[3].weight]}, {"params": net[8].parameters()}] if split else ()
        train(net, FGSGD(adapter, lr=0.1, momentum=0.9, params=params), 4)
        runs.append(net)
    for a, b in zip(*(net.parameters() for net in runs)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_parameters_of_nobody_are_trained_by_sgd():
    _, adapter = start()
    extra = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = FGSGD(adapter, lr=0.1)
    optimizer.add_param_group({"params": [extra], "lr": 0.5})
    extra.grad = torch.ones_like(extra)
    optimizer.step()
    torch.testing.assert_close(extra.detach(), torch.full((3,), 0.5, dtype=torch.float64))
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [extra]})
    with pytest.raises(ValueError, match="lr=-1"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": -1.0})


# State --------------------------------------------------------------------------------------


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_alike(copier):
    net, adapter = start(double=False)
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    train(net, optimizer, 3)
    twin, optimizer2 = copier((net, optimizer))
    assert optimizer2.adapter.model is twin
    for pair in ((net, optimizer), (twin, optimizer2)):
        train(*pair, 3, seed=5)
        pair[1].adapter.update_scales_()
        train(*pair, 2, seed=6)
    assert equal(net, twin)
    assert not torch.equal(net[0].weight, model()[0].weight)


def test_the_state_holds_the_radii(tmp_path):
    """Saving model and optimizer is enough: no radius is lost."""
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
    train(net, optimizer, 3)
    adapter.update_scales_()
    torch.save((net.state_dict(), optimizer.state_dict()), tmp_path / "state.pt")
    weights, state = torch.load(tmp_path / "state.pt", weights_only=True)
    twin, adapter2 = start()
    optimizer2 = FGSGD(adapter2, lr=0.1, momentum=0.9)
    twin.load_state_dict(weights)
    optimizer2.load_state_dict(state)
    train(net, optimizer, 3, seed=3)
    train(twin, optimizer2, 3, seed=3)
    assert equal(net, twin)


def test_states_of_others_are_refused():
    _, adapter = start()
    optimizer = FGSGD(adapter, lr=0.1)
    for options in ({"radius": 1.0}, {"retraction": "polar"}, {"manifolds": CURVED}):
        other = FGSGD(start(**options)[1], lr=0.1)
        with pytest.raises(ValueError, match=f"checkpoint has {next(iter(options))}="):
            optimizer.load_state_dict(other.state_dict())
    net = model()
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="not that of FGSGD"):
        optimizer.load_state_dict(sgd.state_dict())
    state = optimizer.state_dict()
    sets = state["fgmanifolds"]["adapter"]["layers"]["0"]["sets"]
    sets["pom"] = torch.zeros(24, dtype=torch.int32)
    with pytest.raises(ValueError, match="another collection of POMs in layer '0'"):
        optimizer.load_state_dict(state)


def test_hooks_run():
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.1)
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))
    optimizer.register_state_dict_post_hook(lambda *_: seen.append("state"))
    train(net, optimizer, 1)
    optimizer.state_dict()
    assert seen == ["pre", "post", "state"]


# Schedulers, averages, mixed precision -----------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda o: lr_scheduler.StepLR(o, 2),
        lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
        lambda o: lr_scheduler.ExponentialLR(o, 0.8),
        lambda o: lr_scheduler.LinearLR(o),
        lambda o: lr_scheduler.ConstantLR(o),
        lambda o: lr_scheduler.PolynomialLR(o, 5),
        lambda o: lr_scheduler.MultiStepLR(o, [1, 3]),
        lambda o: lr_scheduler.MultiplicativeLR(o, lambda _: 0.9),
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=8),
        lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1),
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o), lr_scheduler.ExponentialLR(o, 0.9)], [2]
        ),
        lambda o: torch.optim.swa_utils.SWALR(o, swa_lr=0.05),
    ],
)
def test_all_schedulers(make):
    """The rate is that of SGD under the same scheduler, and the weights stay on their manifolds."""
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    sgd = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.05, momentum=0.9)
    schedulers = [make(optimizer), make(sgd)]
    for step in range(6):
        train(net, optimizer, 1, seed=step)
        sgd.step()
        for scheduler in schedulers:
            scheduler.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(sgd.param_groups[0]["lr"])
    assert adapter.residual() < 1e-14


def test_plateaus_and_tensor_rates():
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=torch.tensor(0.05), momentum=0.9)
    twin, adapter2 = start()
    train(net, optimizer, 3)
    train(twin, FGSGD(adapter2, lr=float(torch.tensor(0.05)), momentum=0.9), 3)
    for a, b in zip(net.parameters(), twin.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    for _ in range(3):
        scheduler.step(1.0)
    assert float(optimizer.param_groups[0]["lr"]) < 0.05


def test_grad_scaler():
    """Scaled losses give the same weights; a step with overflow is left out by the scaler."""
    net, adapter = start(double=False)
    twin, adapter2 = start(double=False)
    optimizer, optimizer2 = (FGSGD(a, lr=0.05, momentum=0.9) for a in (adapter, adapter2))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for images, labels in batches(4):
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(net(images), labels)).backward()
        scaler.step(optimizer)
        scaler.update()
    train(twin, optimizer2, 4)
    for a, b in zip(net.parameters(), twin.parameters()):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    before = copy.deepcopy(net.state_dict())
    images, labels = next(batches(1))
    scaler.scale(F.cross_entropy(net(images), labels)).backward()
    net[0].weight.grad[0, 0, 0, 0] = float("inf")
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() < 1024
    assert torch.equal(net[0].weight, before["0.weight"])


def test_bf16_autocast_keeps_float32_weights_on_their_manifolds():
    net, adapter = start(double=False, manifolds=CURVED)
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    for images, labels in batches(5):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
    adapter.update_scales_()
    assert net[0].weight.dtype == torch.float32
    assert adapter.residual() < 1e-6
    assert bool((adapter.spreads("0") > 0.5).all())


def test_capturable_steps_are_the_same():
    runs = []
    for capturable in (False, True):
        net, adapter = start()
        train(net, FGSGD(adapter, lr=0.1, momentum=0.9, capturable=capturable), 4)
        runs.append(net)
    assert equal(*runs)


# Rules, momentum, retractions ---------------------------------------------------------------


def test_theorem2_needs_a_reference_and_bounds_the_distance():
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.1, rule="theorem2", gradient_norm="current")
    images, labels = next(batches(1, dtype=torch.float64))
    with pytest.raises(ValueError, match="needs a reference point: call set_reference_"):
        train(net, optimizer, 1)
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.1, rule="theorem2", gradient_norm="current")
    optimizer.set_reference_()
    points = {(n, i): adapter.point(n, i) for n in adapter.layers for i in range(3)}
    train(net, FGSGD(adapter, lr=1.0, rule=None), 2)
    optimizer.zero_grad()
    (200 * F.cross_entropy(net(images), labels)).backward()
    present = {key: adapter.point(*key) for key in points}
    optimizer.step()
    for (name, number), reference in points.items():
        manifold = adapter.manifold(name, number)
        rule = as_rule("theorem2")
        geometry = Poms(manifold, None, rule, None).geometry(present[name, number], reference)
        norm, g = (float(values[number]) for values in optimizer.pom_statistics()[name])
        (exact,) = rule(np.array([norm]), geometry)
        kinds = {type(component).__name__ for component in manifold.components}
        if kinds <= {"Sphere", "Oblique", "Euclidean"}:
            assert g == pytest.approx(exact, rel=1e-7)
        else:
            assert exact * (1 - 1e-9) <= g <= exact * np.pi / 2 + 1e-9


def test_closures_keep_the_best_weights_as_reference():
    net, adapter = start()
    optimizer = FGSGD(adapter, lr=0.05, rule="theorem2")
    images, labels = next(batches(1, dtype=torch.float64))

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure)) for _ in range(10)]
    assert losses[-1] < losses[0]
    assert optimizer.state_dict()["fgmanifolds"]["best_loss"] == min(losses)


@pytest.mark.parametrize("retraction", RETRACTIONS)
def test_retractions_keep_weights_on_their_manifolds(retraction):
    net, adapter = start(double=False, manifolds=CURVED, retraction=retraction)
    optimizer = FGSGD(adapter, lr=0.2, momentum=0.9)
    assert optimizer.stabilize_every == (100 if retraction in ("cayley", "exp") else 0)
    train(net, optimizer, 250)
    assert adapter.residual() < 1e-4


def test_retractions_agree_for_short_steps():
    nets = []
    for retraction in RETRACTIONS:
        net, adapter = start(retraction=retraction)
        train(net, FGSGD(adapter, lr=1e-5), 1)
        nets.append(net)
    for other in nets[1:]:
        torch.testing.assert_close(other[0].weight, nets[0][0].weight, rtol=0, atol=1e-9)


def test_stabilizing_takes_the_nearest_points():
    net, adapter = start(double=False, retraction="exp", manifolds=CURVED)
    optimizer = FGSGD(adapter, lr=0.05, stabilize_every=4, check_every=0)
    train(net, optimizer, 3)
    with torch.no_grad():
        net[0].weight.mul_(1.01)
    train(net, optimizer, 1)
    assert adapter.residual() < 1e-6


def test_tangent_momentum():
    """The buffer is tangent where the step starts, and the step goes along it."""
    net, adapter = start(manifolds=CURVED)
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, momentum_space="tangent", rule=None)
    weight = net[0].weight
    train(net, optimizer, 3)
    carried = optimizer.state[weight]["momentum_buffer"].clone()
    manifolds = [adapter.manifold("0", i) for i in range(len(adapter.pom_names("0")))]
    layer = adapter.layers["0"]
    points = [adapter.point("0", i) for i in range(len(manifolds))]
    images, labels = next(batches(1, 7, torch.float64))
    optimizer.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    expected = []
    for i, (manifold, point) in enumerate(zip(manifolds, points)):
        old = manifold.projection(point, pom_entries(layer, i, carried))
        new = manifold.projection(point, pom_entries(layer, i, weight.grad))
        direction = old * 0.9 + new
        expected.append(manifold.retraction(point, direction * -0.1))
    optimizer.step()
    for i, point in enumerate(expected):
        for ours, theirs in zip(adapter.point("0", i), point):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_momenta_follow_the_radii_as_gradients_do():
    """On a loss that does not see the scale, gradients go with one over the radius."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3, bias=False).double()
    adapter = POMAdapter(nn.Sequential(conv), "pi", ("sphere",)).initialize_()
    target = torch.randn(conv.weight.shape, dtype=torch.float64)

    def gradient():
        conv.weight.grad = None
        norms = conv.weight.norm(dim=(2, 3), keepdim=True)
        ((conv.weight / norms) * target).sum().backward()
        return conv.weight.grad.clone()

    optimizer = FGSGD(adapter, lr=0.0, momentum=0.9, rule=None)
    gradient()
    optimizer.step()
    set_spread(adapter.layers["0"].spread, torch.tensor([1.5, 2.0, 4.0]))
    adapter.update_scales_()
    optimizer.state_dict()
    torch.testing.assert_close(optimizer.state[conv.weight]["momentum_buffer"], gradient())


# Checks -------------------------------------------------------------------------------------


def test_weights_that_were_never_put_on_their_manifolds():
    net = model()
    optimizer = FGSGD(POMAdapter(net), lr=0.1)
    with pytest.raises(ValueError, match=r"layer '0' is off its manifolds, by .*from_weights=True"):
        train(net, optimizer, 1)


def test_weights_replaced_during_training_are_noticed():
    net, adapter = start(double=False)
    optimizer = FGSGD(adapter, lr=0.05, check_every=10)
    train(net, optimizer, 5)
    net[3].weight.data = torch.randn_like(net[3].weight)
    before = copy.deepcopy(net[0].weight)
    with pytest.raises(ValueError, match=r"the weight of layer '3' is off its manifolds"):
        train(net, optimizer, 10)
    adapter.initialize_(from_weights=True)
    train(net, optimizer, 10)
    assert adapter.residual() < 1e-5
    assert not torch.equal(net[0].weight, before)
    net[3].weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"layer '3' is off|nan or inf"):
        train(net, optimizer, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum_space": "normal"}, "momentum_space='normal' is unknown"),
        ({"stabilize_every": -1}, "stabilize_every=-1"),
        ({"check_every": 0.5}, "check_every=0.5"),
        ({"params": [{"params": [], "rule": "none"}]}, "rule='none' is unknown"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        FGSGD(start()[1], lr=0.1, **options)
