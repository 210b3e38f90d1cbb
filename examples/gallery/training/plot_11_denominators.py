"""
When the denominator acts
=========================

``pom_statistics()`` gives the norm R and the denominator g of every POM at the last step. Where
gradients are small, R below 0.41 on these spheres, g is 1 and the rule does nothing: so it is
with a loss that is a mean over the minibatch. With a loss that is a sum, R is many times as
large, and g holds the steps back.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors


def watch(reduction):
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, "pio", ("sphere",), exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    norms, denominators = [], []
    for _ in range(120):
        batch = torch.randint(len(labels), (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch], reduction=reduction).backward()
        optimizer.step()
        statistics = optimizer.pom_statistics().values()
        norms.append(np.concatenate([R.numpy() for R, _ in statistics]))
        denominators.append(np.concatenate([g.numpy() for _, g in statistics]))
    return np.stack(norms), np.stack(denominators)


fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
for reduction, color in (("mean", "tab:blue"), ("sum", "tab:red")):
    for ax, values in zip(axes, watch(reduction), strict=True):
        low, middle, high = np.percentile(values, (5, 50, 95), axis=1)
        ax.semilogy(middle, color=color, label=f'reduction="{reduction}"')
        ax.fill_between(range(len(middle)), low, high, color=color, alpha=0.2)
for ax, title in zip(axes, ("norm R of the POMs", "denominator g"), strict=True):
    ax.set(xlabel="step", title=f"{title}: median, 5% to 95%")
    ax.grid(alpha=0.3)
axes[0].set_ylim(bottom=1e-4)
axes[1].legend(frameon=False)
