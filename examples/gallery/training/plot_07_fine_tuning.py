"""
Fine-tuning a network trained by SGD
====================================

``initialize_(from_weights=True)`` takes every weight to the nearest point of its manifold. With
the norms kept the network loses little, and FG-SGD goes on from there; at radii gamma / lambda it
has to learn anew.
"""

import copy

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

data = load_images("digits")
images, labels = data.train.tensors


def epoch(model, optimizer):
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()


@torch.no_grad()
def test_error(model):
    test_images, test_labels = data.test.tensors
    wrong = model.eval()(test_images).argmax(1) != test_labels
    model.train()
    return 100 * float(wrong.float().mean())


torch.manual_seed(0)
model = cnn(channels=1, classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
before = []
for _ in range(5):
    epoch(model, optimizer)
    before.append(test_error(model))

fig, ax = plt.subplots(figsize=(6.6, 3.5), layout="constrained")
ax.plot(range(1, 6), before, ".-", color="black", label="SGD")
for label, radius in (('radius="keep"', "keep"), ("gamma / lambda", None)):
    tuned = copy.deepcopy(model)
    adapter = POMAdapter(tuned, "pio", exclude=("classifier",), radius=radius)
    adapter.initialize_(from_weights=True)
    optimizer = FGSGD(adapter, lr=0.02, momentum=0.9)
    after = [test_error(tuned)]
    for _ in range(5):
        epoch(tuned, optimizer)
        after.append(test_error(tuned))
    (line,) = ax.plot(range(6, 12), after, ".-", label=f"FG-SGD, {label}")
    ax.plot([5, 6], [before[-1], after[0]], ":", color=line.get_color())
ax.axvline(5.5, color="gray", linewidth=0.8)
ax.text(5.4, 0.5, "put on manifolds", rotation=90, transform=ax.get_xaxis_transform(),
        ha="right", va="center", fontsize=9)  # fmt: skip
ax.set(xlabel="epoch", ylabel="test error in percent, one seed")
ax.set_ylim(bottom=0)
ax.grid(alpha=0.3)
ax.legend(frameon=False, loc="upper right")
