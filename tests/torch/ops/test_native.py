"""The C++ step against the way through torch, in float32 and float64."""

import copy
import subprocess
import sys
import weakref
from importlib.resources import files

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter
from fgmanifolds.torch.ops.native import (
    NativeBuildError,
    NativeTable,
    available,
    build,
    can_hold,
    can_take,
)
from fgmanifolds.torch.ops.native.plain import Known, are_plain, are_whole
from fgmanifolds.torch.optim.native_way import NativeWay
from tests.torch.changes import elsewhere, in_channels_last, transposed

pytestmark = pytest.mark.skipif(not available(), reason="there is no C++ compiler")

CURVED = ("sphere", "oblique", "stiefel")
SHAPES = [(3, 3), (5, 5), (1, 3), (2, 4), (4, 2), (7, 7), (3, 1)]


def layer(shape, outputs=6, inputs=7, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(inputs, outputs, shape, bias=False))


def steps(net, gradients, native, scheme="pio", manifolds=(*CURVED, "euclidean"), **options):
    adapter = POMAdapter(net, scheme, manifolds).initialize_()
    optimizer = FGSGD(adapter, native=native, **options)
    for gradient in gradients:
        net[0].weight.grad = gradient.to(net[0].weight)
        optimizer.step()
    return adapter, optimizer


def gradients_of(net, count, seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(net[0].weight.shape, generator=generator) for _ in range(count)]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    shape=st.sampled_from(SHAPES),
    outputs=st.integers(4, 9),
    rule=st.sampled_from(["corollary2", "global", "paper", None]),
    norm=st.sampled_from(["past", "current"]),
    momentum=st.sampled_from([0.0, 0.9]),
    nesterov=st.booleans(),
    dampening=st.sampled_from([0.0, 0.3]),
    decay=st.sampled_from([0.0, 0.1]),
    maximize=st.booleans(),
    scheme=st.sampled_from(["pi", "po", "pio"]),
)
def test_three_steps_as_through_torch(
    seed, shape, outputs, rule, norm, momentum, nesterov, dampening, decay, maximize, scheme
):
    nesterov = nesterov and momentum > 0
    net = layer(shape, outputs, seed=seed)
    options = {
        "lr": 0.1,
        "rule": rule,
        "gradient_norm": norm,
        "momentum": momentum,
        "nesterov": nesterov,
        "dampening": 0.0 if nesterov else dampening,
        "weight_decay": decay,
        "maximize": maximize,
        "scheme": scheme,
    }
    gradients = gradients_of(net, 3, seed)
    twin = copy.deepcopy(net).double()
    _, ours = steps(net, gradients, True, **options)
    _, reference = steps(twin, gradients, False, **options)
    size = float(twin[0].weight.abs().max())
    torch.testing.assert_close(net[0].weight.double(), twin[0].weight, rtol=0, atol=3e-5 * size)
    for a, b in zip(ours.pom_statistics()["0"], reference.pom_statistics()["0"]):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-6)
    if momentum:
        a, b = (
            o.state[n[0].weight]["momentum_buffer"] for o, n in ((ours, net), (reference, twin))
        )
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gradients_of_any_size_leave_weights_on_their_manifolds(shape, scale):
    net = layer(shape, 20, 20)
    options = {"lr": 0.5, "momentum": 0.9, "manifolds": CURVED, "scheme": "pi"}
    adapter, _ = steps(net, gradients_of(net, 5, 0, scale), True, rule=None, **options)
    assert adapter.residual() < 2e-5


def test_nearly_dependent_columns():
    """A long step along one direction for all columns; Gram-Schmidt is done twice for it."""
    net = layer((5, 3), 8, 8)
    direction = torch.randn(1, 1, 5, 1).expand(8, 8, 5, 3)
    noise = 1e-3 * torch.randn(8, 8, 5, 3)
    adapter = POMAdapter(net, "layer", ("stiefel",), radius=1.0).initialize_()
    optimizer = FGSGD(adapter, lr=30.0, rule=None)
    net[0].weight.grad = direction + noise
    optimizer.step()
    assert adapter.residual() < 1e-4


def test_1000_steps_stay_on_the_manifolds():
    net = layer((3, 3), 16, 16)
    adapter, _ = steps(net, gradients_of(net, 1000, 1), True, lr=0.1, momentum=0.9)
    assert adapter.residual() < 1e-6


def test_layers_that_it_cannot_take_go_through_torch():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 4, 11))
    adapter = POMAdapter(net, "pi", CURVED).initialize_()
    layers = [adapter.layers[name] for name in "012"]
    assert [can_hold(layer) for layer in layers] == [True, False, False]
    assert can_take(layers[0])
    net[0].weight.data = net[0].weight.data.mT
    assert not can_take(adapter.layers["0"])
    assert not can_take(POMAdapter(copy.deepcopy(net).double(), "pi", CURVED).layers["0"])


def test_versions_count_so_that_autograd_notices():
    net = layer((3, 3))
    weight = net[0].weight
    loss = (weight**2).sum()
    steps(net, gradients_of(net, 1, 0), True, lr=0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_process_keeps_its_floating_point_mode():
    """Libraries linked with -ffast-math make all numbers below 1e-38 zero, for everyone."""
    code = (
        "import numpy as np; from fgmanifolds.torch.ops.native import load; load(3, 3, False);"
        "assert np.float32(1e-40) * np.float32(1.0) > 0; assert np.float64(1e-310) / 2 > 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_failures_to_compile_are_told_and_training_goes_on(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    failed = subprocess.CompletedProcess([], 1, "", "error: no such machine")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: failed)
    build.load.cache_clear()
    net, twin = layer((3, 3)), layer((3, 3))
    gradients = gradients_of(net, 2, 0)
    with pytest.warns(RuntimeWarning, match="steps through torch, since .* error: no such machine"):
        _, optimizer = steps(net, gradients, True, lr=0.1, momentum=0.9)
    assert not optimizer.native
    steps(twin, gradients, False, lr=0.1, momentum=0.9)
    assert torch.equal(net[0].weight, twin[0].weight)
    build.load.cache_clear()
    with pytest.raises(NativeBuildError, match="no such machine"):
        build.load(3, 3, False)
    build.load.cache_clear()


def test_without_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    net = layer((3, 3))
    adapter = POMAdapter(net).initialize_()
    assert not FGSGD(adapter, lr=0.1).native
    with pytest.raises(ValueError, match=r"native=True needs a C\+\+ compiler"):
        FGSGD(adapter, lr=0.1, native=True)


def test_the_cache_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.load.cache_clear()
    build.load(2, 2, False)
    (path,) = (tmp_path / "fgmanifolds").glob("*.so")
    before = path.stat().st_mtime_ns
    build.load.cache_clear()
    build.load(2, 2, False)
    assert path.stat().st_mtime_ns == before
    assert {p.suffix for p in (tmp_path / "fgmanifolds").iterdir()} == {".so", ".sha256"}
    build.load.cache_clear()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    shape=st.sampled_from([(3, 3), (2, 4), (5, 2)]),
    inputs=st.integers(2, 40),
    transposed=st.booleans(),
    scheme=st.sampled_from(["pi", "po", "pio"]),
)
def test_channels_last_as_through_torch(seed, shape, inputs, transposed, scheme):
    torch.manual_seed(seed)
    make = nn.ConvTranspose2d if transposed else nn.Conv2d
    net = nn.Sequential(make(inputs, 5, shape, bias=False)).to(memory_format=torch.channels_last)
    twin = copy.deepcopy(net).double()
    gradients = [g.to(memory_format=torch.channels_last) for g in gradients_of(net, 3, seed)]
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "scheme": scheme}
    adapter, _ = steps(net, gradients, True, **options)
    assert can_take(adapter.layers["0"])
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    steps(twin, gradients, False, **options)
    size = float(twin[0].weight.abs().max())
    torch.testing.assert_close(net[0].weight.double(), twin[0].weight, rtol=0, atol=3e-5 * size)


def test_layouts_that_differ_go_through_torch():
    net = layer((3, 3)).to(memory_format=torch.channels_last)
    (gradient,) = gradients_of(net, 1, 0)
    adapter, _ = steps(net, [gradient.contiguous()], True, lr=0.1)
    assert not can_take(adapter.layers["0"])
    twin = layer((3, 3))
    steps(twin, [gradient], True, lr=0.1)
    torch.testing.assert_close(net[0].weight, twin[0].weight)


def test_channels_last_in_three_dimensions():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(20, 4, 2, bias=False))
    last = copy.deepcopy(net).to(memory_format=torch.channels_last_3d)
    gradients = gradients_of(net, 2, 0)
    steps(net, gradients, True, lr=0.1, momentum=0.9)
    gradients = [g.to(memory_format=torch.channels_last_3d) for g in gradients]
    adapter, _ = steps(last, gradients, True, lr=0.1, momentum=0.9)
    assert can_take(adapter.layers["0"])
    torch.testing.assert_close(net[0].weight, last[0].weight)


@pytest.mark.parametrize("length", [0.5, 1e3, 1e6])
def test_long_steps_stay_on_the_manifold(length):
    net = layer((3, 3), 20, 30)
    radius = float(POMAdapter(net, "layer", ("stiefel",)).layers["0"].radius[0])
    gradients = gradients_of(net, 1, 0, scale=length * radius)
    adapter, _ = steps(net, gradients, True, "layer", ("stiefel",), lr=1.0, rule=None)
    assert max(adapter.layers["0"].residuals().values()) < 1e-6


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradients_are_not_written_to(momentum):
    net = layer((3, 3))
    (gradient,) = gradients_of(net, 1, 0)
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    net[0].weight.grad = gradient.clone()
    FGSGD(adapter, lr=0.1, momentum=momentum, weight_decay=0.5, native=True).step()
    assert torch.equal(net[0].weight.grad, gradient)


# What must never be given to C++ ----------------------------------------------------------------


def test_which_tensors_are_plain():
    """Of many at once: one that is not makes all of them not."""
    fine = [torch.ones(2, 3), nn.Parameter(torch.ones(4))]
    assert are_plain(fine)
    assert are_whole(fine, [6, 4])
    wrong = {
        "subclass": torch.ones(2).as_subclass(type("Sub", (torch.Tensor,), {})),
        "type": torch.ones(2, dtype=torch.float64),
        "device": torch.ones(2, device="meta"),
        "layout": torch.ones(2).to_sparse(),
    }
    for one in wrong.values():
        assert not are_plain([*fine, one])
    assert not are_whole([*fine, torch.ones(2)], [6, 4, 3])
    assert not are_whole([*fine, torch.ones(2, 3).mT], [6, 4, 6])
    assert not are_whole([*fine, torch.ones(0)], [6, 4, 0])  # it has no address


def test_what_was_plain_at_the_last_look():
    """Only the same object at the same address needs no look."""
    known, fine = Known(), [torch.ones(2, 3), nn.Parameter(torch.ones(3, 3))]
    addresses = [x.data_ptr() for x in fine]
    assert known.addresses_of(fine) == known.addresses_of(list(fine)) == addresses
    assert known.addresses_of([fine[0].view(torch.int32), fine[1]]) is None
    assert known.addresses_of(fine[:1]) == addresses[:1]
    assert known.addresses_of(fine) == addresses
    fine[1].data = torch.ones(3, 3)
    assert known.addresses_of(fine) == [addresses[0], fine[1].data_ptr()] != addresses
    fine[1].data = torch.ones(3, 3, dtype=torch.float64)
    assert known.addresses_of(fine) is None


@pytest.mark.parametrize("change", [transposed, elsewhere, in_channels_last])
@pytest.mark.parametrize("whose", ["weight", "momentum", "both"])
def test_tensors_that_change_between_steps(change, whose):
    """Against the way through torch, which asks for no addresses; one layer of three."""
    nets = [nn.Sequential(*(layer((3, 3), 4, 4, seed) for seed in range(3))) for _ in range(2)]
    for net, native in zip(nets, [True, False], strict=True):
        adapter = POMAdapter(net, "pio", (*CURVED, "euclidean")).initialize_()
        optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, native=native)
        generator = torch.Generator().manual_seed(0)
        for i in range(5):
            for p in net.parameters():
                p.grad = torch.randn(p.shape, generator=generator).to(p)
            if i == 2:
                weight = net[1][0].weight
                momentum = optimizer.state[weight]["momentum_buffer"]
                for x in {"weight": [weight], "momentum": [momentum]}.get(
                    whose, [weight, momentum]
                ):
                    change(x)
            optimizer.step()
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
def test_all_tensors_stay_where_they_are(make):
    """Gradients that are written in place, as after ``zero_grad(set_to_none=False)``."""
    nets = [layer((3, 3), 4, 4) for _ in range(2)]
    own = {"momentum": 0.9} if make is FGSGD else {}
    for net, native in zip(nets, [True, False], strict=True):
        adapter = POMAdapter(net, "pio", (*CURVED, "euclidean")).initialize_()
        optimizer = make(adapter, lr=0.1, native=native, **own)
        net[0].weight.grad = torch.empty_like(net[0].weight)
        for gradient in gradients_of(net, 4, 0):
            net[0].weight.grad.copy_(gradient)
            optimizer.step()
    torch.testing.assert_close(nets[0][0].weight, nets[1][0].weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_gradients_are_let_go_after_a_step(momentum):
    net = layer((3, 3), 4, 4)
    adapter = POMAdapter(net, "pio", CURVED).initialize_()
    optimizer = FGSGD(adapter, lr=0.1, momentum=momentum, native=True)
    for _ in range(2):
        gradient = torch.randn(net[0].weight.shape)
        net[0].weight.grad, kept = gradient, weakref.ref(gradient)
        optimizer.step()
        optimizer.zero_grad()
        del gradient
    assert kept() is None


@pytest.mark.parametrize("steps_before", [1, 2])
def test_a_momentum_that_is_taken_away_starts_anew(steps_before):
    nets = [layer((3, 3), 4, 4) for _ in range(2)]
    for net, native in zip(nets, [True, False], strict=True):
        adapter = POMAdapter(net, "pio", (*CURVED, "euclidean")).initialize_()
        optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, native=native)
        for i, gradient in enumerate(gradients_of(net, 4, 0)):
            net[0].weight.grad = gradient
            if i == steps_before:
                del optimizer.state[net[0].weight]["momentum_buffer"]
            optimizer.step()
    torch.testing.assert_close(nets[0][0].weight, nets[1][0].weight, rtol=1e-4, atol=1e-5)


def test_tensors_of_another_size_never_reach_it():
    """A momentum cut to its first output, and a weight replaced by a smaller one."""
    net = layer((3, 3), 8, 8)
    adapter, optimizer = steps(net, gradients_of(net, 1, 0), True, lr=0.1, momentum=0.9)
    weight, taken = net[0].weight, adapter.layers["0"]
    buffer = optimizer.state[weight]["momentum_buffer"]
    assert can_take(taken, buffer)
    assert not can_take(taken, buffer[:1])
    assert not can_take(taken, torch.empty_strided((8, 4, 3, 3), weight.stride()))
    assert not can_take(taken, torch.empty(weight.shape, device="meta"))
    assert not can_take(taken, buffer.double())
    sub = type("Sub", (torch.Tensor,), {})
    assert not can_take(taken, buffer.as_subclass(sub))
    weight.grad = torch.zeros_like(weight).as_subclass(sub)
    assert not can_take(taken, buffer)
    weight.grad = torch.zeros_like(weight)
    assert can_take(taken, buffer)
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0]["momentum_buffer"] = buffer[:1].clone()
    with pytest.raises(ValueError, match=r"momentum_buffer of layer '0' has shape \(1, 8, 3, 3\)"):
        optimizer.load_state_dict(state)
    weight.data = weight.data[:1].clone()
    weight.grad = torch.zeros_like(weight)
    with pytest.raises(ValueError, match=r"has shape \(1, 8, 3, 3\); it had \(8, 8, 3, 3\)"):
        optimizer.step()


def test_it_stabilizes():
    net = layer((3, 3), 8, 8)
    adapter = POMAdapter(net, "pi", CURVED).initialize_()
    optimizer = FGSGD(adapter, lr=1e-9, native=True, stabilize_every=2, check_every=0, rule=None)
    for step in range(2):
        net[0].weight.grad = torch.zeros_like(net[0].weight)
        optimizer.step()
        if step == 0:
            with torch.no_grad():
                net[0].weight.mul_(1 + 1e-3)
    assert adapter.residual() < 1e-7


def test_some_layers_without_gradients():
    """Stochastic depth: closed layers stay, the others step as by themselves."""
    torch.manual_seed(0)
    nets = [nn.ModuleList([nn.Conv2d(6, 6, 3, bias=False) for _ in range(4)]) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [
        FGSGD(POMAdapter(net, "pi").initialize_(), lr=0.1, momentum=0.9, native=native)
        for net, native in zip(nets, (True, False), strict=True)
    ]
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        for i in range(4):
            grad = 0.3 * torch.randn(6, 6, 3, 3, generator=generator)
            for net in nets:
                net[i].weight.grad = grad.clone() if (step + i) % 3 else None
        before = nets[0][step % 3].weight.detach().clone()
        for optimizer in optimizers:
            optimizer.step()
        closed = [i for i in range(4) if not (step + i) % 3]
        assert all(nets[0][i].weight.grad is None for i in closed)
        assert before.shape == (6, 6, 3, 3)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        means = [o.state[p]["mean_square"] for o, p in zip(optimizers, (a, b), strict=True)]
        torch.testing.assert_close(*means, rtol=1e-4, atol=1e-9)


def test_momenta_count_in_the_bound_of_the_step():
    """After one large gradient the momentum is longer than g(R_past), without any gradient."""
    found = []
    for native in (True, False):
        net = layer((3, 3), 4, 4)
        sizes = [0.01] * 30 + [6.0, 0.0]
        gradients = [s * g for s, g in zip(sizes, gradients_of(net, 32, 0), strict=True)]
        _, optimizer = steps(
            net, gradients, native, lr=0.01, momentum=0.9, scheme="kernel", manifolds=("sphere",)
        )
        found.append((net[0].weight.detach(), *optimizer.pom_statistics()["0"]))
    assert float(found[1][2].max()) > 1.2
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-6)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build.load.cache_clear()
    yield tmp_path / "fgmanifolds"
    build.load.cache_clear()


def compiled(cache):
    build.load.cache_clear()
    build.load(2, 2, False)
    (path,) = cache.glob("*.so")
    return path, path.stat().st_mtime_ns


@pytest.mark.parametrize("damage", [b"", b"not a library", None])
def test_damaged_libraries_are_built_anew(cache, damage):
    path, _ = compiled(cache)
    whole = path.read_bytes()
    # Not in place: this process has loaded it.
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    again, _ = compiled(cache)
    assert again.read_bytes() != damage
    build.load(2, 2, False).fgsgd_interface()


def test_libraries_that_others_could_write_are_built_anew(cache):
    path, before = compiled(cache)
    path.chmod(0o777)
    _, after = compiled(cache)
    assert after > before
    assert not path.stat().st_mode & 0o022


def test_a_folder_that_others_could_write_is_not_used(cache):
    cache.mkdir()
    cache.chmod(0o777)
    build.load.cache_clear()
    build.load(2, 2, False)
    assert not list(cache.iterdir())


def test_a_library_without_the_functions_is_built_anew(cache, tmp_path):
    path, _ = compiled(cache)
    source = tmp_path / "empty.cpp"
    source.write_text('extern "C" int nothing() { return 0; }')
    path.unlink()
    subprocess.run(["c++", "-shared", "-fPIC", str(source), "-o", str(path)], check=True)
    path.chmod(0o700)
    path.with_suffix(".sha256").write_text(build._digest(path))
    build.load.cache_clear()
    code = (
        "from fgmanifolds.torch.ops.native import load;"
        "assert load(2, 2, False).fgsgd_interface() > 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("compiler", ["c++ -O2", "env c++"])
def test_compilers_with_arguments(cache, monkeypatch, compiler):
    monkeypatch.setenv("CXX", compiler)
    assert available()
    build.load.cache_clear()
    build.load(2, 2, False)
    assert len(list(cache.glob("*.so"))) == 1


def test_what_a_killed_process_left_is_cleared(cache):
    cache.mkdir(mode=0o700)
    (cache / "build-999999999-abc").mkdir()
    compiled(cache)
    assert {path.suffix for path in cache.iterdir()} == {".so", ".sha256"}


def test_a_killed_compiler_is_told_and_training_goes_on(cache, monkeypatch):
    monkeypatch.setenv("CXX", "sh -c 'kill -9 $$'")
    net = layer((3, 3))
    adapter = POMAdapter(net).initialize_()
    with pytest.warns(RuntimeWarning, match="FGSGD steps through torch, since the C") as told:
        optimizer = FGSGD(adapter, lr=0.1)
    assert told[0].filename == __file__
    with pytest.warns(RuntimeWarning, match="FGAdam steps through torch") as told:
        FGAdam(adapter)
    assert told[0].filename == __file__
    net[0].weight.grad = torch.ones_like(net[0].weight)
    optimizer.step()
    assert not optimizer.native
    assert not list(cache.iterdir())


def test_the_switch(monkeypatch):
    monkeypatch.setenv("FGMANIFOLDS_NATIVE", "0")
    assert not FGSGD(POMAdapter(layer((3, 3))), lr=0.1).native


def test_without_a_home(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(build.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    build.load.cache_clear()
    assert build.load(2, 2, False).fgsgd_interface() > 0
    build.load.cache_clear()


def scaled_steps(monkeypatch):
    """Lists of layers that C++ steps along scaled momenta, as they come."""
    found, run = [], NativeTable.run

    def seen(self, taken, factor, options, *, write):
        if options.get("scaled") and write:
            found.append([layer.name for layer in taken.layers])
        return run(self, taken, factor, options, write=write)

    monkeypatch.setattr(NativeTable, "run", seen)
    return found


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from(SHAPES),
    outputs=st.integers(1, 9),
    inputs=st.integers(1, 40),
    last=st.booleans(),
    scheme=st.sampled_from(["pi", "po", "pio", "layer"]),
    betas=st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)]),
    eps=st.sampled_from([1e-8, 1.0]),
    rule=st.sampled_from(["corollary2", "relative", None]),
    maximize=st.booleans(),
    growth=st.sampled_from([10.0, 1.0]),
    written=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_adam_with_directions_that_are_never_written(
    shape, outputs, inputs, last, scheme, betas, eps, rule, maximize, growth, written, seed
):
    """Moments, weights, norms and denominators as through torch in float64.

    Gradients that grow tenfold from step to step let norms outgrow those of the past; a moment
    that somebody writes to is looked at anew.
    """
    manifolds = ("sphere",) if scheme == "layer" else (*CURVED, "euclidean")
    nets = [layer(shape, outputs, inputs, seed) for _ in range(2)]
    if last:
        nets[0].to(memory_format=torch.channels_last)
    nets[1].double()
    options = {"betas": betas, "eps": eps, "rule": rule, "maximize": maximize}
    found = []
    with pytest.MonkeyPatch.context() as patch:
        native = scaled_steps(patch)
        for net in nets:
            adapter = POMAdapter(net, scheme, manifolds, radius=1.0).initialize_()
            optimizer = FGAdam(adapter, lr=0.01, weight_decay=0.1, **options)
            for i, gradient in enumerate(gradients_of(nets[0], 5, seed)):
                if written and i == 3:
                    optimizer.state[net[0].weight]["exp_avg"].mul_(100)
                net[0].weight.grad = torch.empty_like(net[0].weight).copy_(
                    growth ** (i - 2) * gradient
                )
                optimizer.step()
            state = optimizer.state[net[0].weight]
            found.append((net[0].weight, state, optimizer.pom_statistics()))
    assert len(native) == (5 if betas[0] > 0 else 0)
    (ours, kept, statistics), (theirs, exact, expected) = found
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-5)
    for name in ("step", "exp_avg", "exp_avg_sq"):
        torch.testing.assert_close(kept[name].double(), exact[name], rtol=1e-3, atol=1e-4)
    for a, b in zip(statistics["0"], expected["0"], strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-4)


class Bounds:
    """Bounds of norms, and the norms, of each step in C++ of one layer, as they come."""

    def __init__(self, monkeypatch):
        self.bounds, self.norms = [], []
        step, run = NativeWay.step_, NativeTable.run

        def step_(way, taken, group, rule, state, scale, kept, bound=None):
            infinite = torch.full((way.table.n_poms,), torch.inf)
            self.bounds.append(infinite if bound is None else bound)
            step(way, taken, group, rule, state, scale, kept, bound)

        def run_(table, taken, factor, options, *, write):
            found = run(table, taken, factor, options, write=write)
            if write:
                self.norms.append(found[1])
            return found

        monkeypatch.setattr(NativeWay, "step_", step_)
        monkeypatch.setattr(NativeTable, "run", run_)


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("growth", [10.0, 0.1])
def test_adam_where_layers_take_part_in_some_steps(monkeypatch, growth, copied):
    """Numbers of steps lie together for layers that are stepped together; bounds do not."""
    taking_part = [(0, 1, 2), (0, 1), (1,), (0, 1, 2), (2,), (2, 1), (0, 1, 2), (0,), (0, 1)]
    torch.manual_seed(0)
    nets = [nn.Sequential(*(nn.Conv2d(3, 3, 3) for _ in range(3))) for _ in range(2)]
    nets[1].double()
    optimizers = []
    for net in nets:
        adapter = POMAdapter(net, radius=1.0).initialize_(
            generator=torch.Generator().manual_seed(1)
        )
        optimizers.append(FGAdam(adapter, lr=0.05, betas=(0.7, 0.9)))
    with torch.no_grad():
        for p, q in zip(*(net.parameters() for net in nets), strict=True):
            q.copy_(p)
    optimizers[1].adapter.project_()
    seen = Bounds(monkeypatch)
    for turn, numbers in enumerate(taking_part):
        if copied and turn == 4:
            nets[0], optimizers[0] = copy.deepcopy((nets[0], optimizers[0]))
        for i, (one, other) in enumerate(zip(*nets, strict=True)):
            part = i in numbers
            one.weight.grad = growth**turn * torch.randn(3, 3, 3, 3) if part else None
            other.weight.grad = one.weight.grad.double() if part else None
        if turn == 6:  # factors of the first layer grow tenfold
            for net, optimizer in zip(nets, optimizers, strict=True):
                optimizer.state[net[0].weight]["exp_avg_sq"].mul_(0.01)
        for optimizer in optimizers:
            optimizer.step()
    assert len(seen.norms) == len(taking_part)
    for bound, norm in zip(seen.bounds, seen.norms, strict=True):
        assert (bound * (1 + 1e-4) >= norm).all()
    # From their second steps on they are known: of layers that paused, too.
    known = [int(torch.isfinite(bound).sum()) for bound in seen.bounds]
    assert known[0] == 0 < min(known[1], known[3], known[7])
    ours, exact = ([opt.state[x.weight] for x in net] for net, opt in zip(nets, optimizers))
    for i, (state, expected) in enumerate(zip(ours, exact, strict=True)):
        assert float(state["step"]) == sum(i in numbers for numbers in taking_part)
        torch.testing.assert_close(
            state["exp_avg"].double(), expected["exp_avg"], rtol=1e-5, atol=0
        )
    for one, other in zip(*nets, strict=True):
        torch.testing.assert_close(one.weight.double(), other.weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("scheme", ["pi", "pio"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4)])
@pytest.mark.parametrize("last", [True, False])
def test_bounds_of_adams_directions(monkeypatch, scheme, shape, last):
    """Reached where gradients vanish; infinite where a moment is not that of the last step."""
    seen = Bounds(monkeypatch)
    net = layer(shape, 5, 19)
    if last:
        net.to(memory_format=torch.channels_last)
    optimizer = FGAdam(POMAdapter(net, scheme, radius=1.0).initialize_(), betas=(0.7, 0.9))
    weight = net[0].weight
    for i in range(9):
        weight.grad = torch.randn_like(weight) if i < 4 else torch.zeros_like(weight)
        if i == 2:
            optimizer.state[weight]["exp_avg"].mul_(2)
        if i == 6:
            optimizer.state[weight]["exp_avg_sq"].mul_(2)
        optimizer.step()
    assert [bool(bound.isinf().all()) for bound in seen.bounds] == [
        i in (0, 2, 6) for i in range(9)
    ]
    for bound, norm in zip(seen.bounds, seen.norms, strict=True):
        assert (bound >= (1 - 1e-5) * norm).all()
    for i in (4, 5, 7, 8):
        torch.testing.assert_close(seen.bounds[i], seen.norms[i], rtol=1e-4, atol=0)


@pytest.mark.parametrize("eps", [1e-8, 1.0])
def test_bounds_of_adams_directions_without_a_past(monkeypatch, eps):
    """Where the gradient is nearly all of the moment, its norm is nearly the bound."""
    seen = Bounds(monkeypatch)
    net = layer((3, 3), 5, 19)
    adapter = POMAdapter(net, radius=1.0).initialize_()
    optimizer = FGAdam(adapter, betas=(1e-4, 0.9), eps=eps)
    for _ in range(4):
        net[0].weight.grad = torch.randn_like(net[0].weight)
        optimizer.step()
    for bound, norm in list(zip(seen.bounds, seen.norms, strict=True))[1:]:
        torch.testing.assert_close(bound, norm, rtol=1e-3, atol=0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    betas=st.lists(
        st.sampled_from([(0.9, 0.999), (0.5, 0.9), (0.99, 0.5), (0.9, 0.0)]), min_size=4, max_size=4
    ),
    eps=st.lists(st.sampled_from([1e-8, 1.0, 1e-3]), min_size=4, max_size=4),
    scales=st.lists(st.sampled_from([1.0, 1e-3, 1e3, 0.0]), min_size=4, max_size=4),
    seed=st.integers(0, 1000),
)
def test_bounds_of_adams_directions_hold(betas, eps, scales, seed):
    """Whatever gradients do, and options between two steps."""
    with pytest.MonkeyPatch.context() as patch:
        seen = Bounds(patch)
        net = layer((3, 3), 3, 6, seed)
        optimizer = FGAdam(POMAdapter(net, radius=1.0).initialize_())
        for i, gradient in enumerate(gradients_of(net, 4, seed)):
            optimizer.param_groups[0].update(betas=betas[i], eps=eps[i])
            net[0].weight.grad = scales[i] * gradient
            optimizer.step()
    for bound, norm in zip(seen.bounds, seen.norms, strict=True):
        assert (bound >= (1 - 1e-5) * norm).all()


def two_layers():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3))


def give_gradients(net, seed):
    generator = torch.Generator().manual_seed(seed)
    for p in net.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


def test_adam_goes_through_torch_where_second_moments_are_of_another_type(monkeypatch):
    """One layer of two; both end where two that go through torch end."""
    native = scaled_steps(monkeypatch)
    nets = two_layers(), two_layers()
    for net, options in zip(nets, ({}, {"native": False}), strict=True):
        optimizer = FGAdam(POMAdapter(net, radius=1.0).initialize_(), lr=0.01, **options)
        give_gradients(net, 0)
        optimizer.step()
        state = optimizer.state[net[2].weight]
        state["exp_avg_sq"] = state["exp_avg_sq"].double()
        give_gradients(net, 1)
        optimizer.step()
    assert native == [["0", "2"], ["0"]]
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
@pytest.mark.parametrize("first", [True, False])
def test_gradients_that_cannot_be_used_change_nothing(make, first):
    """Neither weights nor state, of the layer and of others, at the first step and later."""
    net = two_layers()
    options = {"momentum": 0.9} if make is FGSGD else {}
    optimizer = make(POMAdapter(net, radius=1.0).initialize_(), lr=0.01, **options)
    if not first:
        give_gradients(net, 0)
        optimizer.step()
    give_gradients(net, 1)
    net[2].weight.grad[0, 0, 1, 1] = float("nan")

    def everything():
        state = optimizer.state_dict()["state"]
        return net.state_dict(), {key: own for key, own in state.items() if own}

    before = copy.deepcopy(everything())
    with pytest.raises(ValueError, match=r"gradient of '2\.weight' has nan or inf"):
        optimizer.step()
    torch.testing.assert_close(everything(), before, rtol=0, atol=0)


def test_sources_compile_with_openmp(tmp_path):
    """Or they would be compiled without it, for one thread, and nobody told."""
    (tmp_path / "empty.cpp").write_text("int main() { return 0; }")

    def compiles(code, *defines):
        command = [*build._compiler(), *build.FLAGS, *defines, "-fopenmp", "-shared", "-fPIC"]
        out = str(tmp_path / "out.so")
        done = subprocess.run([*command, str(code), "-o", out], capture_output=True, text=True)
        return done.returncode == 0, done.stderr

    if not compiles(tmp_path / "empty.cpp")[0]:
        pytest.skip("the compiler has no OpenMP")
    folder = files("fgmanifolds.torch.ops.native")
    for (source, *_), defines in (
        (build.STEP, ("-DROWS=3", "-DCOLUMNS=3")),
        (build.STEP, ("-DROWS=3", "-DCOLUMNS=1", "-DWIDE")),
        (build.BLOCKS, ()),
        (build.MOMENTS, ()),
    ):
        assert compiles(folder.joinpath(source), *defines) == (True, "")
