"""
Norms and generalization bounds during training
===============================================

``BoundRecorder`` keeps three generalization bounds while a network trains, from the norms of
whole layers and from products over groups, as the paper has them. The products are astronomically
small because a layer has many groups of norm below 1; they bound nothing, and are recorded to
show that. The margin is the one that three quarters of the images exceed; where it is not
positive there is no bound.
"""

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F

from fgmanifolds.capacity import BoundRecorder, margin_quantile
from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
model = cnn(channels=1, classes=10)
adapter = POMAdapter(model, "pio", ("sphere", "oblique", "stiefel"), exclude=("classifier",))
adapter.initialize_()
optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
largest = float(images.flatten(1).norm(dim=1).max())
recorder = BoundRecorder(model, len(labels), adapter, input_norm=largest)
for _ in range(12):
    for batch in torch.randperm(len(labels)).split(64):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    adapter.update_scales_()
    with torch.no_grad():
        recorder(margin_quantile(model.eval()(images), labels, quantile=0.25))
    model.train()

history = pd.DataFrame(recorder.history)
fig, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
titles = {"layers": "norms of layers", "groups": "products over groups"}
for ax, (norms, title) in zip(axes, titles.items(), strict=True):
    for name in ("neyshabur_2015", "bartlett_2017", "neyshabur_2018"):
        label = name.replace("_", " ").capitalize()
        ax.plot(range(1, 13), history[f"bound_{norms}_{name}"], ".-", label=label)
    ax.set(title=title, xlabel="epoch")
    ax.set_xticks(range(2, 13, 2))
    ax.grid(alpha=0.3)
axes[0].set_ylabel("log10 of the bound")
handles = axes[0].get_legend_handles_labels()
fig.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
