"""
An optimizer of one's own
=========================

``POMOptimizer`` holds what all optimizers share: groups, checks, radii, the norms, the
denominator of the step, the retraction. A subclass says only where to go.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter, POMOptimizer


class SignSGD(POMOptimizer):
    """The signs of the gradients."""

    def direction(self, params, grads, group):
        return [grad.sign() for grad in grads]


images, labels = load_images("digits").train.tensors
EPOCHS = 6
makers = {
    "FGSGD": lambda adapter: FGSGD(adapter, lr=0.05, momentum=0.9),
    "FGAdam": lambda adapter: FGAdam(adapter, lr=2e-3),
    "SignSGD, above": lambda adapter: SignSGD(adapter, lr=1e-2),
}

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name, make in makers.items():
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_()
    optimizer = make(adapter)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        adapter.update_scales_()
        losses.append(total / len(labels))
    label = f"{name}: residual {adapter.residual():.0e}"
    ax.semilogy(range(1, EPOCHS + 1), losses, ".-", label=label)
ax.set(xlabel="epoch", ylabel="training loss, rates not tuned")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
