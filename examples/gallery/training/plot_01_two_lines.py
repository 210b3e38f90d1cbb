"""
Two more lines in a training loop
=================================

An adapter puts the weights on manifolds, and ``FGSGD`` takes the place of ``SGD``. The rest of
the loop is as it was; once an epoch the radii follow the spread of the features.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

data = load_images("digits")
images, labels = data.train.tensors
EPOCHS = 8


def train(on_manifolds):
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    if on_manifolds:
        adapter = POMAdapter(model, scheme="pio", exclude=("classifier",)).initialize_()
        optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        schedule.step()
        if on_manifolds:
            adapter.update_scales_()
        losses.append(total / len(labels))
    return losses, test_error(model)


@torch.no_grad()
def test_error(model):
    test_images, test_labels = data.test.tensors
    wrong = model.eval()(test_images).argmax(1) != test_labels
    return 100 * float(wrong.float().mean())


fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name, on_manifolds in (("SGD", False), ("FG-SGD, PIO of four manifolds", True)):
    losses, error = train(on_manifolds)
    ax.semilogy(range(1, EPOCHS + 1), losses, ".-", label=f"{name}: test error {error:.2f}%")
ax.set(xlabel="epoch", ylabel="training loss, one seed")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
