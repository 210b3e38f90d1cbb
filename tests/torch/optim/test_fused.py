"""Euclidean parameters by torch's fused functions, against torch's own optimizers."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter
from fgmanifolds.torch.optim.gradients import norm_bounds
from tests.torch.changes import elsewhere, transposed

CURVED = ("sphere", "oblique")


class Mixed(nn.Module):
    """One layer on POMs, and parameters of many kinds that are on none."""

    def __init__(self, dtype):
        super().__init__()
        self.on_poms = nn.Conv2d(2, 3, 3, dtype=dtype)
        image = torch.randn(4, 3, 3, 3, dtype=dtype)
        self.last = nn.Parameter(image.to(memory_format=torch.channels_last))
        self.transposed = nn.Parameter(torch.randn(4, 3, dtype=dtype).t())
        self.matrix = nn.Parameter(torch.randn(5, 4, dtype=dtype))
        self.number = nn.Parameter(torch.randn((), dtype=dtype))
        self.late = nn.Parameter(torch.randn(7, dtype=dtype))


def steps(make, plain, count, late, seed, scale=1.0):
    """Random gradients; `late` has none at the first steps."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(count):
        for p in plain:
            p.grad = scale * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        if i < 2:
            late.grad = None
        make.step()


def of_both(make, theirs, dtype, seed, count=4, **options):
    """Parameters after steps of ours, and after steps of torch's on copies of them."""
    torch.manual_seed(seed)
    net = Mixed(dtype)
    adapter = POMAdapter(net, "pio", CURVED, radius="keep").initialize_()
    plain = [p for name, p in net.named_parameters() if name != "on_poms.weight"]
    copies = [nn.Parameter(p.detach().clone()) for p in plain]
    steps(make(adapter, **options), plain, count, net.late, seed)
    (late,) = (copy for p, copy in zip(plain, copies, strict=True) if p is net.late)
    steps(theirs(copies, **options), copies, count, late, seed)
    return plain, copies


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    dampening=st.sampled_from([0.0, 0.3]),
    weight_decay=st.sampled_from([0.0, 0.01]),
    nesterov=st.booleans(),
    maximize=st.booleans(),
)
def test_plain_parameters_step_as_with_torch_sgd(seed, dtype, nesterov, **options):
    """Also one whose first gradient comes later, and those that the fused function cannot take."""
    options["nesterov"] = nesterov and options["momentum"] > 0 and options["dampening"] == 0
    plain, copies = of_both(FGSGD, torch.optim.SGD, dtype, seed, lr=0.1, **options)
    for a, b in zip(plain, copies, strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    betas=st.sampled_from([(0.9, 0.999), (0.0, 0.5)]),
    weight_decay=st.sampled_from([0.0, 0.1]),
    maximize=st.booleans(),
)
def test_plain_parameters_step_as_with_torch_adamw(seed, dtype, **options):
    plain, copies = of_both(FGAdam, torch.optim.AdamW, dtype, seed, lr=0.01, **options)
    for a, b in zip(plain, copies, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "theirs"), [(FGSGD, torch.optim.SGD), (FGAdam, torch.optim.AdamW)]
)
def test_parameters_of_two_types_are_fused(make, theirs):
    torch.manual_seed(0)
    net = Mixed(torch.float32)
    net.matrix = nn.Parameter(net.matrix.detach().double())
    options = {"lr": 0.01, "weight_decay": 0.0}
    adapter = POMAdapter(net, "pio", CURVED, radius="keep").initialize_()
    plain = [net.matrix, net.number, net.late]
    copies = [nn.Parameter(p.detach().clone()) for p in plain]
    steps(make(adapter, **options), plain, 4, net.late, 0)
    steps(theirs(copies, **options), copies, 4, copies[2], 0)
    for a, b in zip(plain, copies, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("change", [transposed, elsewhere])
@pytest.mark.parametrize("whose", ["weight", "momentum"])
@pytest.mark.parametrize(
    ("make", "theirs", "name"),
    [(FGSGD, torch.optim.SGD, "momentum_buffer"), (FGAdam, torch.optim.AdamW, "exp_avg")],
)
def test_tensors_that_change_between_steps(change, whose, make, theirs, name):
    """One of several square matrices, between the second step and the third."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), *(nn.Linear(4, 4) for _ in range(3)))
    adapter = POMAdapter(net, "pio", CURVED, radius="keep", exclude=("1", "2", "3")).initialize_()
    plain = list(net[1:].parameters())
    copies = [nn.Parameter(p.detach().clone()) for p in plain]
    own = {"momentum": 0.9} if make is FGSGD else {"weight_decay": 0.0}
    pairs = (make(adapter, lr=0.1, **own), plain), (theirs(copies, lr=0.1, **own), copies)
    for optimizer, params in pairs:
        generator = torch.Generator().manual_seed(1)
        for i in range(4):
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator)
            if i == 2:
                change(params[2] if whose == "weight" else optimizer.state[params[2]][name])
            optimizer.step()
    for a, b in zip(plain, copies, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
def test_what_is_fused(make, monkeypatch):
    """Dense parameters on the CPU, unless foreach, a rate in a tensor, or a subclass is in use."""
    seen = []
    for name in ("_fused_sgd_", "_fused_adam_"):
        original = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda p, *a, f=original, **k: (seen.extend(p), f(p, *a, **k))
        )

    def names_of(kind, **options):
        seen.clear()
        net = Mixed(torch.float32)
        adapter = POMAdapter(net, "pio", CURVED, radius="keep").initialize_()
        plain = [p for name, p in net.named_parameters() if name != "on_poms.weight"]
        steps(kind(adapter, **{"lr": 0.1, **options}), plain, 3, net.late, 0)
        return {name for name, p in net.named_parameters() if any(p is one for one in seen)}

    dense = {"on_poms.bias", "matrix", "number", "late"}
    assert names_of(make) == dense
    assert names_of(make, foreach=True) == names_of(make, foreach=False) == set()
    assert names_of(make, lr=torch.tensor(0.1)) == set()
    assert names_of(type("Own", (make,), {})) == set()


@pytest.mark.skipif(not hasattr(torch.Tensor, "grad_dtype"), reason="gradients have the type")
def test_gradients_of_another_type_are_not_fused():
    """One of two parameters, against torch's own."""
    torch.manual_seed(0)
    net = Mixed(torch.float32)
    adapter = POMAdapter(net, "pio", CURVED, radius="keep").initialize_()
    plain = [net.matrix, net.late]
    copies = [nn.Parameter(p.detach().clone()) for p in plain]
    for optimizer, params in (
        (FGSGD(adapter, lr=0.1), plain),
        (torch.optim.SGD(copies, lr=0.1), copies),
    ):
        generator = torch.Generator().manual_seed(1)
        params[1].grad_dtype = None
        for _ in range(2):
            for p, dtype in zip(params, (torch.float32, torch.float64), strict=True):
                p.grad = torch.randn(p.shape, generator=generator, dtype=dtype)
            optimizer.step()
    for a, b in zip(plain, copies, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("make", "name"), [(FGSGD, "_fused_sgd_"), (FGAdam, "_fused_adam_")])
def test_gradients_of_a_subclass_are_not_fused(make, name, monkeypatch):
    """They may be more than their numbers; foreach asks them."""
    net = Mixed(torch.float32)
    optimizer = make(POMAdapter(net, "pio", CURVED, radius="keep").initialize_(), lr=0.1)
    seen = []
    monkeypatch.setattr(torch, name, lambda params, *_, **__: seen.extend(params))
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    net.matrix.grad = net.matrix.grad.as_subclass(type("Sub", (torch.Tensor,), {}))
    before = net.matrix.detach().clone()
    optimizer.step()
    assert any(p is net.late for p in seen)
    assert not any(p is net.matrix for p in seen)
    assert (net.matrix < before).all()


@pytest.mark.parametrize("seed", range(5))
def test_norms_are_bounded(seed):
    """By their norms, but for short vectors, which are looked at together."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3,), (4, 5), (10_000,), (7,), (), (2, 3, 3, 3)]
    grads = [torch.randn(shape, generator=generator) for shape in shapes]
    grads += [torch.randn(5, generator=generator, dtype=torch.float64), grads[0].bfloat16()]
    found = norm_bounds(grads)
    norms = [np.linalg.norm(g.double().numpy().ravel()) for g in grads]
    short = [i for i, g in enumerate(grads) if g.dim() == 1 and g.numel() < 100]
    together = np.sqrt(sum(norms[i] ** 2 for i in short))
    expected = [together if i in short else norm for i, norm in enumerate(norms)]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_one_short_vector_that_is_wrong_is_named():
    net = Mixed(torch.float32)
    optimizer = FGSGD(POMAdapter(net, "pio", CURVED, radius="keep").initialize_(), lr=0.1)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    net.late.grad[3] = torch.nan
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(ValueError, match=r"the gradient of 'late' has nan or inf entries; nothing"):
        optimizer.step()
    assert all(map(torch.equal, before, net.parameters()))


@pytest.mark.parametrize("make", [FGSGD, FGAdam])
def test_nothing_is_read_beyond_a_gradient(make):
    """A parameter that was enlarged after the backward pass is refused, as by torch's foreach."""
    net = Mixed(torch.float32)
    optimizer = make(POMAdapter(net, "pio", CURVED, radius="keep").initialize_(), lr=0.1)
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    net.late.data = torch.ones(100)
    with pytest.raises(RuntimeError, match="size"):
        optimizer.step()
    assert torch.equal(net.late, torch.ones(100))
