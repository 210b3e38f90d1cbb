"""
Distances between networks, layer by layer
==========================================

The Riemannian distance of two networks in each layer, over the epochs of a run: from where it
began, and from a run that sees the images in another order.
"""

import copy

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter, distances

images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
initial = cnn(channels=1, classes=10)
POMAdapter(initial, "pio", exclude=("classifier",)).initialize_()
start = copy.deepcopy(initial.state_dict())
EPOCHS = 6


def train(seed):
    model = copy.deepcopy(initial)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_(from_weights=True)
    optimizer = FGSGD(adapter, lr=0.02, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    states = [start]
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels), generator=order).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        states.append(copy.deepcopy(model.state_dict()))
    return adapter, states


adapter, first = train(0)
_, second = train(1)
gone = [distances(adapter, start, state) for state in first]
apart = [distances(adapter, a, b) for a, b in zip(first, second, strict=True)]

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.3), sharey=True, layout="constrained")
for ax, rows, title in zip(
    axes, (gone, apart), ("from the start", "between two runs"), strict=True
):
    for name in adapter.layers:
        ax.plot([row[name] for row in rows], ".-", label=name)
    ax.set(xlabel="epoch", title=f"Distance {title}")
    ax.grid(alpha=0.3)
axes[0].legend(frameon=False)
