"""Runs of studies: every arm trains, steps turn weights by the angles said, runs go on exactly."""

import math

import numpy as np
import pytest
import torch

from fgmanifolds.data import load_images
from fgmanifolds.experiments.angles import turned
from fgmanifolds.experiments.study.arm import Arm, preset_arms
from fgmanifolds.experiments.study.optimizers import Rates, make_optimizers
from fgmanifolds.experiments.study.sections import Budget, Data, Model
from fgmanifolds.experiments.study.session import RunOptions, StudySession, cosine
from fgmanifolds.experiments.study.tasks import rates_of
from fgmanifolds.models import build_model

ARMS = preset_arms()
NEEDS = {"geoopt": "geoopt", "pogo": "pogo"}


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", 0, validation=0.2)


def session(arm, data, **changes):
    budget = {"epochs": 2, "batch_size": 64, "evaluations": 2, "angles": 2, "steps": 6, **changes}
    options = RunOptions(
        Data("digits", 0.2), Model("cnn"), Budget(**budget), arm, rates_of(arm, 0), 3
    )
    return StudySession(options, data)


def arm_of(name):
    arm = ARMS[name]
    if arm.optimizer in NEEDS:
        pytest.importorskip(NEEDS[arm.optimizer])
    if arm.optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch 2.9 has Muon first")
    return arm


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", ARMS)
def test_every_arm_moves_all_weights_and_goes_on_bit_for_bit(name, channels_last, digits, tmp_path):
    arm = arm_of(name)
    straight = session(arm, digits, channels_last=channels_last)
    start = {k: p.detach().clone() for k, p in straight.model.named_parameters()}
    straight.run_epoch()
    for key, parameter in straight.model.named_parameters():
        assert not torch.equal(start[key], parameter.detach()), key
    torch.save(straight.state_dict(), tmp_path / "state.pt")
    straight.run_epoch()
    again = session(arm, digits, channels_last=channels_last)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.run_epoch()
    for a, b in zip(straight.model.parameters(), again.model.parameters()):
        assert torch.equal(a, b)
    untimed = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in one.history]
        for one in (straight, again)
    ]
    assert untimed[0] == untimed[1]
    assert straight.angles.rows == again.angles.rows
    if straight.adapter is not None:
        assert straight.adapter.residual() < 1e-5


def test_evaluations_and_angles_are_where_the_budget_says(digits):
    run = session(ARMS["sgd"], digits, evaluations=3, angles=2)
    run.run_epoch()
    run.run_epoch()
    assert [row["step"] for row in run.history] == [2, 4, 6, 8, 10, 12]
    steps = sorted({row["step"] for row in run.angles.rows})
    assert steps == [2, 5, 8, 11]
    layers = {row["layer"] for row in run.angles.rows}
    assert layers == {"conv1", "conv2", "conv3", "classifier"}


def test_rates_fall_along_a_cosine_in_both_groups(digits):
    run = session(ARMS["sgd"], digits)
    rates, seen = run.options.rates, []
    step = run.optimizers[0].step

    def spy(*arguments):
        seen.append([group["lr"] for group in run.optimizers[0].param_groups])
        return step(*arguments)

    run.optimizers[0].step = spy
    run.run_epoch()
    run.run_epoch()
    expected = np.outer([cosine(t, 12) for t in range(12)], [rates.lr, rates.lr_euclidean])
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_angles_of_rotations():
    rng = np.random.default_rng(0)
    for angle in (0.0, 1e-7, 0.3, math.pi / 2, 3.0):
        axes = np.linalg.qr(rng.normal(size=(6, 18, 2)))[0]
        before, other = axes[..., 0], axes[..., 1]
        after = 2.5 * (math.cos(angle) * before + math.sin(angle) * other)
        shape = (6, 2, 3, 3)
        found = turned(torch.tensor(before).reshape(shape), torch.tensor(after).reshape(shape))
        assert found == pytest.approx(angle, rel=1e-7, abs=1e-15)


def test_starting_on_poms_is_where_the_poms_start(digits):
    plain = session(ARMS["sgd-glorot"], digits)
    on_poms = session(ARMS["pio4"], digits)
    for a, b in zip(plain.model.parameters(), on_poms.model.parameters()):
        assert torch.equal(a, b)
    assert plain.adapter is None
    other = session(ARMS["sgd"], digits)
    assert not torch.equal(plain.model.conv1.weight, other.model.conv1.weight)


@pytest.mark.parametrize("network", ["cnn", "resnet20", "mobilenet_v2"])
def test_arms_put_the_same_weights_into_their_first_group(network):
    names = {}
    for name in ("sgd", "sgd-glorot", "pio4", "spheres", "adam"):
        options = {} if network == "cnn" else {"widths": "quarter"}
        model = build_model(network, 10, in_channels=3, **options)
        _, (optimizer,) = make_optimizers(ARMS[name], model, Rates(0.5, 0.25, 0.0), 0)
        fast = {id(p) for g in optimizer.param_groups if g["lr"] == 0.5 for p in g["params"]}
        slow = {id(p) for g in optimizer.param_groups if g["lr"] == 0.25 for p in g["params"]}
        known = {id(p): key for key, p in model.named_parameters()}
        assert fast | slow == set(known)
        assert not fast & slow
        names[name] = sorted(known[p] for p in fast)
        assert not any(key.startswith("classifier") for key in names[name])
    assert all(found == names["sgd"] for found in names.values())
    assert all(model.get_parameter(key).ndim > 1 for key in names["sgd"])


def test_fixed_radii_stay_and_others_follow_the_spreads(digits):
    changes = {"min_std": None, "scheme": "kernel", "manifolds": ("sphere",)}
    options = {**ARMS["pio4"].to_dict(), **changes}
    for radii, moves in (("fixed", False), ("spreads", True)):
        run = session(Arm(**{**options, "radii": radii}), digits)
        before = run.adapter.layers["conv2"].radius.clone()
        run.run_epoch()
        assert torch.equal(before, run.adapter.layers["conv2"].radius)
        run.run_epoch()
        assert torch.equal(before, run.adapter.layers["conv2"].radius) != moves


@pytest.mark.parametrize("name", ["geoopt", "pogo"])
def test_peers_lie_on_stiefel_manifolds_of_our_radii(name, digits):
    run = session(arm_of(name), digits)
    ours = session(ARMS["stiefel"], digits)
    for layer in ("conv1", "conv2", "conv3"):
        start = getattr(run.model, layer).weight
        torch.testing.assert_close(start, getattr(ours.model, layer).weight, atol=1e-7, rtol=0)
    run.run_epoch()
    for layer in ("conv1", "conv2", "conv3"):
        gamma = ours.adapter.layers[layer].gamma
        kernels = getattr(run.model, layer).weight.detach().flatten(0, 1) / gamma
        gram = kernels @ kernels.mT
        torch.testing.assert_close(gram, torch.eye(3).expand_as(gram), atol=2e-3, rtol=0)


def test_first_steps_of_peers_turn_weights_as_ours():
    """One small plain step of geoopt, POGO and FGSGD with g = 1 agree to first order."""
    pytest.importorskip("geoopt")
    pytest.importorskip("pogo")
    images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    moved = {}
    for name in ("stiefel", "geoopt", "pogo"):
        options = {**ARMS[name].to_dict(), "rule": None, "momentum": 0.0}
        torch.manual_seed(0)
        model = build_model("cnn", 10, in_channels=1)
        _, optimizers = make_optimizers(Arm(**options), model, Rates(1e-4, 1e-4, 0.0), 1)
        before = model.conv2.weight.detach().clone()
        torch.nn.functional.cross_entropy(model(images), torch.arange(16) % 10).backward()
        for optimizer in optimizers:
            optimizer.step()
        moved[name] = model.conv2.weight.detach() - before
    scale = float(moved["stiefel"].norm())
    assert scale > 0
    for name in ("geoopt", "pogo"):
        assert float((moved[name] - moved["stiefel"]).norm()) < 0.05 * scale, name


def test_muon_steps_as_torchs_on_the_flattened_weight():
    torch.manual_seed(0)
    model = build_model("cnn", 10, in_channels=1).to(memory_format=torch.channels_last)
    _, optimizers = make_optimizers(arm_of("muon"), model, Rates(0.02, 0.1, 1e-3), 0)
    twin = torch.nn.Parameter(model.conv2.weight.detach().flatten(1).clone())
    reference = torch.optim.Muon(
        [twin], lr=0.02, weight_decay=1e-3, momentum=0.95, adjust_lr_fn="original"
    )
    for seed in range(3):
        for group in (*optimizers[0].param_groups, *reference.param_groups):
            group["lr"] = 0.02 / (1 + seed)
        gradient = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=gradient)
        twin.grad = model.conv2.weight.grad.flatten(1).clone()
        for optimizer in (*optimizers, reference):
            optimizer.step()
    torch.testing.assert_close(model.conv2.weight.flatten(1), twin, atol=2e-3, rtol=0)


def test_muon_needs_a_torch_that_has_it(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    model = build_model("cnn", 10, in_channels=1)
    with pytest.raises(ValueError, match=r"optimizer='muon' needs torch 2\.9 or newer"):
        make_optimizers(ARMS["muon"], model, Rates(0.02, 0.1, 1e-3), 0)


def test_peers_are_for_square_kernels_on_stiefel_manifolds():
    pytest.importorskip("geoopt")
    model = build_model("cnn", 10, in_channels=1)
    arm = Arm(**{**ARMS["pio4"].to_dict(), "optimizer": "geoopt"})
    with pytest.raises(
        ValueError, match=r"layer 'conv1' .*scheme='kernel', manifolds=\['stiefel'\]"
    ):
        make_optimizers(arm, model, Rates(0.02, 0.1, 1e-3), 0)


def test_a_loss_that_is_not_finite_ends_the_run(digits):
    options = {**ARMS["sgd"].to_dict(), "lr": (1e30, 1e30), "lr_euclidean": (1e30, 1e30)}
    run = session(Arm(**options), digits)
    with pytest.raises(FloatingPointError, match=r"in epoch 1\."):
        run.run_epoch()


def test_a_checkpoint_of_other_options_is_refused(digits):
    state = session(ARMS["sgd"], digits).state_dict()
    with pytest.raises(ValueError, match="other options"):
        session(ARMS["adam"], digits).load_state_dict(state)
