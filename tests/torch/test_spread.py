"""Feature spreads: what is pooled, what is left out, and what compilers see."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from fgmanifolds.torch import FGSGD, POMAdapter, collection, moments
from fgmanifolds.torch.moments import ENOUGH, add_moments_
from fgmanifolds.torch.ops.native import NativeBuildError, available
from tests.torch.compiling import needs_compiler


def layers(**options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, bias=False))
    return net, POMAdapter(net, "pi", ("sphere",), **options).initialize_()


def folded(adapter):
    adapter.collection.fold_spreads_()
    return adapter.spreads("0")


def long_run(adapter, net, batches, folds=80):
    for i in range(folds):
        net(batches[i % len(batches)])
        adapter.collection.fold_spreads_()
    return adapter.spreads("0")


def images(size=1.0, seed=0, n=8):
    return size * torch.randn(n, 2, 12, 12, generator=torch.Generator().manual_seed(seed))


def test_batches_that_alternate_in_scale():
    """1x and 10x: the moments are averaged, so that lambda is near the root of 50.5."""
    net, adapter = layers()
    spread = long_run(adapter, net, [images(1.0), images(10.0, 1)])
    torch.testing.assert_close(spread, torch.full_like(spread, math.sqrt(50.5)), rtol=0.15, atol=0)


def test_a_layer_used_twice_sees_both():
    net, adapter = layers()
    for i in range(80):
        net(images(1.0, i))
        net(images(7.0, i + 1))
        adapter.collection.fold_spreads_()
    spread = adapter.spreads("0")
    torch.testing.assert_close(spread, torch.full_like(spread, 5.0), rtol=0.1, atol=0)


@pytest.mark.parametrize("period", [2, 4, 8])
@pytest.mark.parametrize("axis", [2, 3])
def test_stripes_of_any_period(period, axis):
    net, adapter = layers()
    x = images(1.0, n=64).repeat(1, 1, 4, 4)
    stripes = torch.arange(48).remainder(period).eq(period - 1).float() * 10 + 0.1
    x = x * (stripes[:, None] if axis == 2 else stripes)
    spread = long_run(adapter, net, [x])
    exact = x.double().std((0, 2, 3), correction=0)
    torch.testing.assert_close(spread, exact, rtol=0.1, atol=0)


def test_micro_batches_count_as_one_batch():
    spreads = []
    for parts in (1, 4):
        net, adapter = layers()
        for part in images(5.0).chunk(parts):
            net(part)
        spreads.append(folded(adapter))
    torch.testing.assert_close(*spreads, rtol=1e-6, atol=0)


def test_passes_are_pooled_by_the_optimizer_and_at_update_scales():
    net, adapter = layers()
    net(images(5.0))
    assert torch.equal(adapter.spreads("0"), torch.ones(2, dtype=torch.float64))
    FGSGD(adapter, lr=0.1).step()
    expected = folded(adapter).clone()
    assert (expected > 1.5).all()
    twin, other = layers()
    twin(images(5.0))
    other.update_scales_()
    torch.testing.assert_close(other.spreads("0"), expected)
    assert (other.layers["0"].radius < other.layers["0"].gamma).all()


def test_values_that_are_not_finite_are_left_out():
    net, adapter = layers()
    x = images(3.0)
    x[0, 0, :2] = math.nan
    x[1, 1] = math.inf
    net(x)
    found = folded(adapter)
    for channel in range(2):
        values = x[:, channel][x[:, channel].isfinite()].double()
        mean, square = 0.1 * values.mean(), 0.9 + 0.1 * values.square().mean()
        assert float(found[channel]) == pytest.approx(float((square - mean**2).sqrt()))


def test_a_skipped_step_leaves_radii_finite():
    net, adapter = layers()
    optimizer = FGSGD(adapter, lr=0.1, skip_nonfinite=True)
    F.cross_entropy(net(images() * math.inf).flatten(1), torch.zeros(8, dtype=int)).backward()
    optimizer.step()
    assert optimizer.skipped_steps == 1
    adapter.update_scales_()
    assert all(bool(layer.radius.isfinite().all()) for layer in adapter.layers.values())
    assert adapter.residual() < 1e-6


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_counts_once(reentrant):
    net, adapter = layers()
    x = images(5.0).requires_grad_()
    checkpoint(net, x, use_reentrant=reentrant).sum().backward()
    assert int(adapter.layers["0"].spread.passes) == 1
    assert float(adapter.layers["0"].spread.sums[0, 0]) == 8 * 144


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_large_batches_are_sampled_without_touching_the_random_state(layout):
    net, adapter = layers()
    state = torch.get_rng_state()
    net(
        torch.randn(64, 2, 48, 48, generator=torch.Generator().manual_seed(0)).to(
            memory_format=layout
        )
    )
    assert torch.equal(torch.get_rng_state(), state)
    count = adapter.layers["0"].spread.sums[0, 0]
    assert ENOUGH / 2 < float(count) <= ENOUGH


def test_sequences_and_vectors():
    for module, shape in ((nn.Conv1d(2, 4, 3), (9, 2, 5000)), (nn.Linear(2, 4), (9, 900, 2))):
        net = nn.Sequential(module)
        adapter = POMAdapter(net, "pi", ("sphere",))
        x = 4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        spread = long_run(adapter, net, [x])
        torch.testing.assert_close(spread, torch.full_like(spread, 4.0), rtol=0.05, atol=0)


@needs_compiler
@pytest.mark.slow
def test_one_graph_with_the_spreads_right():
    nets = [layers() for _ in range(2)]
    compiled = torch.compile(nets[1][0], fullgraph=True)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(4):
            for (_, adapter), run in zip(nets, (nets[0][0], compiled), strict=True):
                run(images(4.0, seed)).sum().backward()
                adapter.collection.fold_spreads_()
    for name in ("0", "2"):
        torch.testing.assert_close(nets[0][1].spreads(name), nets[1][1].spreads(name))


@pytest.mark.parametrize("training", [True, False])
def test_export_sees_nothing(training):
    if training and not hasattr(torch.compiler, "is_exporting"):
        pytest.skip("torch 2.6 does not say whether a model is exported")
    net, adapter = layers()
    net.train(training)
    program = torch.export.export(net, (images(),))
    assert not any("add_moments" in str(node.target) for node in program.graph.nodes)
    assert int(adapter.layers["0"].spread.passes) == 0
    torch.testing.assert_close(program.module()(images()), net(images()))


def test_a_second_adapter_takes_the_place_of_the_first():
    net, first = layers()
    second = POMAdapter(net, "pi", ("sphere",))
    assert [len(m._forward_pre_hooks) for m in net] == [1, 0, 1]
    net(images(5.0))
    assert folded(second).min() > 1.5
    with pytest.raises(ValueError, match="another adapter was built on its model"):
        first.update_scales_()


def test_copies_measure_their_own_model():
    _, adapter = layers()
    twin = copy.deepcopy(adapter)
    twin.model(images(5.0))
    assert folded(twin).min() > 1.5
    assert torch.equal(folded(adapter), torch.ones(2, dtype=torch.float64))


# The C++ function ---------------------------------------------------------------------------

FORMS = {
    "vectors": ((300, 7), 1),
    "sequences": ((40, 130, 9), 2),
    "signals": ((9, 5, 700), 1),
    "unbatched": ((5, 33, 200), 0),
    "small maps": ((6, 7, 5, 3), 1),
    "maps": ((40, 7, 15, 20), 1),
    "wide maps": ((3, 4, 9, 600), 1),
    "one value": ((1, 3, 1, 1), 1),
    "volumes": ((5, 3, 12, 13, 14), 1),
}


def moments_of(x, axis, native, width=None, start=1):
    width = x.shape[axis] if width is None else width
    sums = torch.zeros(3, width + 3, dtype=torch.float64)
    passes = torch.tensor(4)
    add_moments_(x, sums, passes, axis, start, width, native)
    assert int(passes) == 5
    assert (sums[:, :start] == 0).all()
    assert (sums[:, start + width :] == 0).all()
    return sums[:, start : start + width]


@pytest.mark.skipif(not available(), reason="no C++ compiler")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_cpp_takes_the_same_values(form, last, dtype):
    shape, axis = FORMS[form]
    x = (3 * torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 1).to(dtype)
    if last and x.dim() in (4, 5):
        form = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        x = x.contiguous(memory_format=form)
    elif last:
        x = torch.stack([x, x], -1)[..., 0]  # with gaps
    ours, theirs = moments_of(x, axis, True), moments_of(x, axis, False)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    if theirs[0, 0] == x.numel() / x.shape[axis]:  # all values: an independent sum
        others = [i for i in range(x.dim()) if i != axis]
        torch.testing.assert_close(ours[1], x.double().sum(others), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(ours[2], x.double().square().sum(others), rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(not available(), reason="no C++ compiler")
def test_cpp_is_used_and_leaves_out_what_is_not_finite(monkeypatch):
    x = torch.randn(40, 7, 15, 20)
    calls = []
    monkeypatch.setattr(moments, "_values", lambda *args: calls.append(1) or values(*args))
    net, adapter = layers()
    net(images())
    assert not calls
    assert all(spread.native for spread in adapter.collection.spreads)
    x[3, 2] = math.nan
    ours, theirs = moments_of(x, 1, True), moments_of(x, 1, False)
    assert len(calls) == 2
    assert torch.equal(ours, theirs)
    assert ours.isfinite().all()


class Wrapped(torch.Tensor):
    pass


def test_features_of_other_classes_go_through_torch(monkeypatch):
    """Their addresses may mean nothing: with the same moments."""
    net, adapter = layers()
    x = images()
    net(x)
    wanted = [spread.sums.clone() for spread in adapter.collection.spreads]
    for spread in adapter.collection.spreads:
        spread.sums.zero_()
    monkeypatch.setattr(moments, "add_moments", None)
    net(x.as_subclass(Wrapped))
    for spread, sums in zip(adapter.collection.spreads, wanted, strict=True):
        torch.testing.assert_close(spread.sums, sums, rtol=1e-5, atol=1e-3)


def test_without_cpp(monkeypatch):
    monkeypatch.setenv("FGMANIFOLDS_NATIVE", "0")
    _, adapter = layers()
    assert not any(spread.native for spread in adapter.collection.spreads)
    monkeypatch.delenv("FGMANIFOLDS_NATIVE")
    monkeypatch.setattr(collection, "load_moments", raiser)
    with pytest.warns(
        RuntimeWarning, match="features are measured through torch, since .*: no"
    ) as told:
        _, adapter = layers()
    assert told[0].filename == __file__
    assert not any(spread.native for spread in adapter.collection.spreads)


def raiser():
    raise NativeBuildError("no")


values = moments._values
