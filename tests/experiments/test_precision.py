"""Forward passes in bfloat16."""

from contextlib import ExitStack

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fgmanifolds.experiments.precision import RoundedProducts, autocast, is_emulated


def on(monkeypatch, machine, capability):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)


@pytest.mark.parametrize(
    ("machine", "capability", "device", "found"),
    [
        ("x86_64", "AVX2", "cpu", True),
        ("AMD64", "DEFAULT", "cpu", True),
        ("x86_64", "AVX512", "cpu", False),
        ("aarch64", "DEFAULT", "cpu", False),
        ("x86_64", "AVX2", "cuda:0", False),
    ],
)
def test_where_bfloat16_is_emulated(monkeypatch, machine, capability, device, found):
    on(monkeypatch, machine, capability)
    assert is_emulated(device) is found


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
@pytest.mark.parametrize("enabled", [True, False])
def test_autocast(monkeypatch, enabled, capability):
    on(monkeypatch, "x86_64", capability)
    with autocast("cpu", enabled):
        rounded = any(
            isinstance(mode, RoundedProducts)
            for mode in torch.overrides._get_current_function_mode_stack()
        )
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if enabled else torch.float32)
    assert rounded == (enabled and capability == "AVX2")


def _calls():
    generator = torch.Generator().manual_seed(5)
    a, b, c = (torch.randn(3, 8, 8, generator=generator) for _ in range(3))
    filters = torch.randn(4, 8, 3, 3, generator=generator)
    images = torch.randn(2, 8, 6, 6, generator=generator)
    bias = torch.randn(4, generator=generator)
    return {
        "conv1d": (torch.conv1d, (a, filters[..., 0], bias)),
        "conv2d": (F.conv2d, (images, filters, bias)),
        "grouped": (lambda x, y: F.conv2d(x, y, None, 2, 1, 1, 4), (images, filters[:, :2])),
        "conv3d": (torch.conv3d, (images[None], filters[:, :2, None])),
        "linear": (F.linear, (a, b[0, :4], bias)),
        "operator": (lambda x, y: x @ y, (a, b)),
        "matmul": (torch.matmul, (a, b)),
        "method": (_method, (a, b)),
        "bmm": (torch.bmm, (a, b)),
        "mm": (torch.mm, (a[0], b[0])),
        "addmm": (torch.addmm, (c[0], a[0], b[0])),
    }


def _method(x, y):
    return x.matmul(y)


class Types(TorchDispatchMode):
    """Types of what convolutions and products of matrices are of."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if "convolution" in name or name.removeprefix("_") in ("mm", "addmm", "bmm", "baddbmm"):
            self.seen |= {x.dtype for x in args if isinstance(x, torch.Tensor)}
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", list(_calls()))
def test_products_are_computed_in_float32(name):
    """Forwards and backwards."""
    function, arguments = _calls()[name]
    values = [x.requires_grad_() if isinstance(x, torch.Tensor) else x for x in arguments]
    with Types() as types:
        with torch.autocast("cpu", torch.bfloat16), RoundedProducts():
            out = function(*values)
        out.float().sum().backward()
    assert types.seen == {torch.float32}


@pytest.mark.parametrize("name", list(_calls()))
def test_products_are_those_of_bfloat16(name):
    """Values and gradients: torch's own but for last places, and exact ones but for few roundings.

    (Where torch emulates bfloat16, it rounds partial sums of gradients too.)
    """
    function, arguments = _calls()[name]
    found = []
    for way in ("ours", "torch", "exact"):
        leaves = [
            x.clone().to(torch.float64 if way == "exact" else torch.float32).requires_grad_()
            for x in arguments
            if isinstance(x, torch.Tensor)
        ]
        rest = [x for x in arguments if not isinstance(x, torch.Tensor)]
        if way == "exact":
            out = function(*(x.bfloat16().double() for x in leaves), *rest).bfloat16()
        else:
            modes = [RoundedProducts()] if way == "ours" else []
            with torch.autocast("cpu", torch.bfloat16), ExitStack() as stack:
                for mode in modes:
                    stack.enter_context(mode)
                out = function(*leaves, *rest)
        assert out.dtype == torch.bfloat16
        weights = torch.linspace(-1, 1, out.numel()).reshape(out.shape)
        (out.float() * weights).sum().backward()
        found.append([out.detach().float(), *(x.grad.float() for x in leaves)])
    for ours, torchs, exact in zip(*found, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=2**-7, atol=2**-8 * float(exact.abs().max()))
        assert float((ours == exact).double().mean()) > 0.98


def test_float64_is_left_as_it_is():
    x = torch.ones(2, 2, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16), RoundedProducts():
        ours = x @ x, F.linear(x, weight=x)
    with torch.autocast("cpu", torch.bfloat16):
        torchs = x @ x, F.linear(x, weight=x)
    assert [one.dtype for one in ours] == [one.dtype for one in torchs] == [torch.float64] * 2


def test_results_are_rounded_once():
    """The product of rounded values is exact before it is rounded: 1 + 2^-8 has no bfloat16."""
    x, y = torch.tensor([[1.0, 2**-8]]), torch.tensor([[1.0], [1.0]])
    with torch.autocast("cpu", torch.bfloat16), RoundedProducts():
        assert float(x @ y) == 1.0
        assert float(torch.tensor([[1 + 2**-9]]) @ torch.tensor([[256.0]])) == 256.0
        assert float(torch.ones(1, 256) @ torch.full((256, 1), 1 + 2**-7)) == 258.0


def test_a_network_trains_as_in_torchs_bfloat16():
    """Ten steps of a small network: losses as torch's own emulation has them."""
    losses = []
    for rounded in (True, False):
        generator = torch.Generator().manual_seed(3)
        images = torch.randn(16, 1, 8, 8, generator=generator)
        labels = torch.randint(0, 4, (16,), generator=generator)
        with torch.random.fork_rng():
            torch.manual_seed(7)
            net = nn.Sequential(
                nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
            )
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        for _ in range(10):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                if rounded:
                    with RoundedProducts():
                        loss = F.cross_entropy(net(images), labels)
                else:
                    loss = F.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    ours, theirs = torch.tensor(losses).reshape(2, -1)
    assert ours[-1] < 0.5 * ours[0]
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.005)
