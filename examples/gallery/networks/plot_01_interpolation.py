"""
The geodesic between two networks
=================================

From a network that has seen the images once to the end of another run. ``interpolate`` moves
every weight along its manifold, at its radius; the straight line cuts through the inside. The
loss hardly tells them apart, since batch normalisation (measured anew at each point) forgives a
norm; the distance from the manifolds does.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter, distances, interpolate

images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
initial = cnn(channels=1, classes=10)
POMAdapter(initial, "pio", exclude=("classifier",)).initialize_()


def train(seed, epochs):
    model = copy.deepcopy(initial)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_(from_weights=True)
    optimizer = FGSGD(adapter, lr=0.02, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=order).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return adapter, model.state_dict()


@torch.no_grad()
def loss_at(state):
    probe = copy.deepcopy(initial)
    probe.load_state_dict(state)
    for module in probe.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    probe.train()(images)
    return float(F.cross_entropy(probe.eval()(images), labels))


adapter, first = train(0, epochs=1)
_, second = train(1, epochs=6)
print({name: round(d, 3) for name, d in distances(adapter, first, second).items()})


def straight(t):
    return {
        key: torch.lerp(value, second[key], t) if value.is_floating_point() else value
        for key, value in first.items()
    }


times = np.linspace(0, 1, 11)
probe = copy.deepcopy(initial)
watch = POMAdapter(probe, "pio", exclude=("classifier",)).initialize_(from_weights=True)


def residual_at(state):
    watch.load_state_dict(adapter.state_dict())
    probe.load_state_dict(state)
    return watch.residual()


ways = {"geodesic": lambda t: interpolate(adapter, first, second, t), "straight line": straight}
fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
for (name, way), style in zip(ways.items(), ("o-", "s--"), strict=True):
    states = [way(t) for t in times]
    left.plot(times, [loss_at(state) for state in states], style, markersize=4, label=name)
    right.semilogy(times, [residual_at(state) for state in states], style, markersize=4)
left.set(xlabel="t", title="Loss on the training images")
left.set_ylim(bottom=0)
right.set(xlabel="t", title="Distance from the manifolds")
for ax in (left, right):
    ax.grid(alpha=0.3)
left.legend(frameon=False)
