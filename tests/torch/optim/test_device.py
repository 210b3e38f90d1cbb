"""Steps on a GPU: nothing waits for the device, and a CUDA graph can hold them."""

import copy

import pytest
import torch
from torch import nn

from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter

from .no_gpu import DEVICE, NoWaiting, Waits

RULES = ["corollary2", "global", "relative", "paper", None]
OPTIONS = [
    (FGSGD, {"momentum": 0.9}),
    (FGSGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    (FGSGD, {"momentum": 0.9, "momentum_space": "tangent"}),
    (FGSGD, {"gradient_norm": "current"}),
    (FGAdam, {}),
    (FGAdam, {"momentum_space": "tangent", "weight_decay": 0.1}),
]


def network(name):
    torch.manual_seed(0)
    if name == "recurrent":
        return nn.ModuleList([nn.LSTM(6, 8), nn.Linear(8, 4), nn.MultiheadAttention(8, 2)])
    return build_model(name, num_classes=4, **({"widths": "quarter"} if name != "cnn" else {}))


def adapted(net):
    return POMAdapter(net, "pio", radius=0.5, seed=0).initialize_()


def to_gpu_(net):
    """Move a model to the device that is not there, with gradients."""
    for module in net.modules():
        for name, p in list(module._parameters.items()):
            if p is not None:
                twin = nn.Parameter(torch.empty(p.shape, device=DEVICE))
                twin.grad = torch.empty(p.shape, device=DEVICE)
                module._parameters[name] = twin


def step_on_gpu(net, make, **options):
    adapter = adapted(net)
    to_gpu_(net)
    optimizer = make(adapter, lr=0.1, capturable=True, **options)
    optimizer.step()  # tables are brought to the device
    with NoWaiting() as seen:
        optimizer.step()
        optimizer.step()
    return seen.calls


@pytest.mark.parametrize("name", ["cnn", "mobilenet_v2", "recurrent"])
@pytest.mark.parametrize(("make", "options"), OPTIONS)
def test_no_step_waits_for_the_device(make, options, name):
    assert step_on_gpu(network(name), make, **options) > 100


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_waits(rule):
    step_on_gpu(network("cnn"), FGSGD, momentum=0.9, rule=rule)


def test_spreads_do_not_wait():
    net = network("cnn")
    adapter = POMAdapter(net).initialize_()
    to_gpu_(net.to(DEVICE))
    optimizer = FGSGD(adapter, lr=0.1, capturable=True)
    images = torch.empty(4, 3, 16, 16, device=DEVICE)
    for _ in range(2):
        net(images)
        optimizer.step()
    with NoWaiting() as seen:
        net(images)
        assert all(spread.waiting for spread in adapter.collection.spreads)
        optimizer.step()
    assert seen.calls > 100


def test_what_waits_is_found():
    """Without capturable, gradients are looked at."""
    x = torch.ones(3, device=DEVICE)
    square = torch.ones(3, 3, device=DEVICE)
    for wait in (
        lambda: x.sum().item(),
        lambda: bool((x > 0).all()),
        lambda: x.nonzero(),
        lambda: x[x > 0],
        lambda: x.cpu(),
        lambda: x.copy_(torch.ones(3)),
        lambda: torch.ones(3).to(DEVICE),
        lambda: x + torch.ones(3),
        lambda: torch.linalg.inv(square),
    ):
        with NoWaiting(), pytest.raises(Waits):
            wait()
    net = network("cnn")
    adapter = adapted(net)
    to_gpu_(net)
    optimizer = FGSGD(adapter, lr=0.1, check_every=0)
    with NoWaiting(), pytest.raises(Waits):
        optimizer.step()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize("make", [FGSGD, FGAdam])
@pytest.mark.parametrize("name", ["cnn", "mobilenet_v2"])
def test_a_graph_of_steps_is_the_steps(name, make, compile):
    """Captured once and replayed, with other gradients; nothing waits for the device."""
    nets = [network(name).cuda()]
    nets.append(copy.deepcopy(nets[0]))
    generator = torch.Generator("cuda").manual_seed(0)
    gradients = [
        [
            0.1 * torch.randn(p.shape, device="cuda", generator=generator)
            for p in nets[0].parameters()
        ]
        for _ in range(6)
    ]
    optimizers = [make(adapted(net), lr=0.1, capturable=True, compile=compile) for net in nets]

    def load(net, number):
        for p, grad in zip(net.parameters(), gradients[number], strict=True):
            p.grad = grad.clone() if p.grad is None else p.grad.copy_(grad)

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for number in range(3):
            load(nets[0], number)
            optimizers[0].step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    load(nets[0], 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.graph(graph):
            optimizers[0].step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for number in range(3, 6):
        load(nets[0], number)
        graph.replay()
    for number in range(6):
        load(nets[1], number)
        optimizers[1].step()
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
