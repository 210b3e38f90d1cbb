"""C++ functions for blocks of matrices, against the way through torch in float64."""

import copy

import pytest
import torch
from torch import nn

from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter, POMOptimizer
from fgmanifolds.torch.ops.blocks_part import BlocksPart, can_walk
from fgmanifolds.torch.ops.native import available

pytestmark = pytest.mark.skipif(not available(), reason="needs a C++ compiler")

ALL = ("sphere", "oblique", "stiefel", "euclidean")
COLLECTIONS = [
    ("pio", ALL),
    ("pi", ("oblique", "sphere")),
    ("po", ("euclidean", "oblique", "stiefel")),
    ("layer", ("oblique",)),
    ("layer", ("sphere",)),
    ("layer", ("stiefel",)),
    ("tensor", ("oblique",)),
]


class Plain(POMOptimizer):
    """The least that a subclass can say."""

    def direction(self, params, grads, group):
        """Down the gradient."""
        return grads


def network():
    torch.manual_seed(0)
    return nn.ModuleList(
        [
            nn.Linear(30, 50),
            nn.Linear(50, 17, bias=False),
            nn.Linear(17, 600),
            nn.Conv2d(24, 36, 1, groups=2),
            nn.ConvTranspose2d(20, 12, 1),
            nn.MultiheadAttention(12, 3),
        ]
    )


def pair(make, scheme, manifolds, **options):
    """The same points in float32, in C++, and in float64, through torch."""
    fast, slow = network(), network().double()
    adapters = [POMAdapter(net, scheme, manifolds, radius=0.3) for net in (fast, slow)]
    adapters[0].initialize_()
    with torch.no_grad():
        for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
            q.copy_(p)
    adapters[1].project_()
    optimizers = [
        make(adapters[0], native=True if make is not FGSGD else None, **options),
        make(adapters[1], native=False, **options),
    ]
    return fast, slow, optimizers


def set_gradients(fast, slow, generator, scale=1.0):
    for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
        p.grad = scale * torch.randn(p.shape, generator=generator)
        q.grad = p.grad.double()


def blocks_parts(optimizer):
    units = [unit for table in optimizer._poms.tables.values() for unit in table.units]
    return [part for unit in units for part in unit.parts if isinstance(part, BlocksPart)]


@pytest.mark.parametrize(("scheme", "manifolds"), COLLECTIONS)
@pytest.mark.parametrize("make", [FGSGD, FGAdam, Plain])
def test_steps_as_through_torch(make, scheme, manifolds):
    options = {"momentum": 0.9} if make is FGSGD else {}
    fast, slow, optimizers = pair(make, scheme, manifolds, lr=0.05, **options)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        set_gradients(fast, slow, generator)
        for optimizer in optimizers:
            optimizer.step()
    assert bool(blocks_parts(optimizers[0])) == (set(manifolds) != {"stiefel"})
    for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(p.double(), q, rtol=1e-4, atol=3e-6)
    ours, exact = (optimizer.pom_statistics() for optimizer in optimizers)
    for name, (norm, g) in exact.items():
        torch.testing.assert_close(ours[name][0].double(), norm, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(ours[name][1].double(), g, rtol=1e-4, atol=1e-6)
    assert optimizers[0].adapter.residual() < 1e-6


class Said(FGAdam):
    """FGAdam whose directions are written out, components multiplied."""

    def direction(self, params, grads, group):
        """Those of FGAdam."""
        return super().direction(params, grads, group)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("rule", ["corollary2", "relative", None])
def test_adams_factors_may_come_before_projections_or_after(rule, native):
    nets = [network().append(nn.Conv2d(3, 8, 3)) for _ in range(2)]
    optimizers = []
    for net, make in zip(nets, (FGAdam, Said), strict=True):
        adapter = POMAdapter(net, "pio", ALL, radius=0.3)
        adapter.initialize_(generator=torch.Generator().manual_seed(0))
        optimizers.append(make(adapter, lr=0.05, rule=rule, native=native))
    generator = torch.Generator().manual_seed(6)
    for _ in range(5):
        for p, q in zip(*(net.parameters() for net in nets), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for p, q in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=3e-6)
    ours, theirs = (optimizer.pom_statistics() for optimizer in optimizers)
    for name, (norm, _) in ours.items():
        torch.testing.assert_close(norm, theirs[name][0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("length", [1.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("parallel", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("manifold", ["sphere", "oblique"])
def test_steps_of_any_length_stay_on_the_manifold(manifold, parallel, length):
    fast, slow, (optimizer, _) = pair(Plain, "pio", (manifold,), lr=length, rule=None)
    set_gradients(fast, slow, torch.Generator().manual_seed(2))
    for p in fast.parameters():
        p.grad += parallel * p.detach()
    optimizer.step()
    assert blocks_parts(optimizer)
    assert optimizer.adapter.residual() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "manifolds"), COLLECTIONS)
def test_10000_steps_stay_on_the_manifolds(scheme, manifolds):
    fast, slow, (optimizer, _) = pair(FGSGD, scheme, manifolds, lr=0.02, momentum=0.9)
    generator = torch.Generator().manual_seed(3)
    for _ in range(10_000):
        set_gradients(fast, slow, generator)
        optimizer.step()
    assert optimizer.adapter.residual() < 1e-6


@pytest.mark.parametrize("make", [Plain, FGAdam])
def test_what_is_not_dense_goes_through_torch(make):
    fast, slow, optimizers = pair(make, "pio", ALL, lr=0.05)
    generator = torch.Generator().manual_seed(4)
    for turn in range(2):
        set_gradients(fast, slow, generator)
        if turn:
            fast[0].weight.grad = fast[0].weight.grad.T.contiguous().T
        for optimizer in optimizers:
            optimizer.step()
    for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(p.double(), q, rtol=1e-4, atol=3e-6)


def test_steps_are_seen_by_autograd():
    fast, slow, (optimizer, _) = pair(Plain, "pio", ALL, lr=0.05)
    set_gradients(fast, slow, torch.Generator().manual_seed(5))
    before = [p._version for p in fast.parameters() if p.dim() > 1]
    optimizer.step()
    assert all(
        p._version > v
        for p, v in zip((p for p in fast.parameters() if p.dim() > 1), before, strict=True)
    )


def test_blocks_that_share_rows_in_part_are_not_walked():
    # A transposed convolution stores inputs times outputs.
    layers = POMAdapter(network(), "pio", ALL).layers
    assert [can_walk(layers[name], "qr") for name in "0123"] == [True] * 4
    assert not can_walk(layers["4"], "qr")
    assert not can_walk(layers["0"], "exp")


def test_copies_go_on_the_same_way():
    fast, slow, (optimizer, _) = pair(Plain, "pio", ALL, lr=0.05)
    generator = torch.Generator().manual_seed(6)
    set_gradients(fast, slow, generator)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    for own, other in zip(optimizer.param_groups, twin.param_groups, strict=True):
        for p, q in zip(own["params"], other["params"], strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
    optimizer.step(), twin.step()
    assert blocks_parts(twin)
    for own, other in zip(optimizer.param_groups, twin.param_groups, strict=True):
        for p, q in zip(own["params"], other["params"], strict=True):
            assert torch.equal(p, q)
