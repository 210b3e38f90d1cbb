"""
Radii over epochs
=================

A radius is gamma / lambda, where lambda is the spread of the input channel that the kernel reads.
``min_std=1``, the default, takes spreads below 1 for 1, as Proposition 1 needs; ``min_std=None``
takes them as they are. Behind a normalisation layer spreads are near 0.58 (that of the ReLU of a
normal variable), so that with the default most radii stay where they began.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
EPOCHS = 6

fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.4), sharey=True, layout="constrained")
for ax, min_std in zip(axes, (1.0, None), strict=True):
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(
        model, "pio", ("sphere", "oblique", "stiefel"), exclude=("classifier",), min_std=min_std
    ).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    radii = {name: [layer.radius.cpu().numpy()] for name, layer in adapter.layers.items()}
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        adapter.update_scales_()
        for name, layer in adapter.layers.items():
            radii[name].append(layer.radius.cpu().numpy().copy())
    for name, values in radii.items():
        low, middle, high = np.percentile(np.stack(values), (5, 50, 95), axis=1)
        (line,) = ax.plot(middle, ".-", label=name)
        ax.fill_between(range(EPOCHS + 1), low, high, color=line.get_color(), alpha=0.2)
    ax.set(title=f"min_std={min_std}", xlabel="epoch")
    ax.grid(alpha=0.3)
axes[0].set_ylabel("radius: median, 5% to 95%")
axes[0].set_ylim(bottom=0)
axes[0].legend(frameon=False)
