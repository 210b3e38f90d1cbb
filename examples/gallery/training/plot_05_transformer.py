"""
A transformer, and ``radius="keep"``
====================================

Radii gamma / lambda are those of a network with normalisation layers behind its weights.
Attention and the blocks of a transformer feel the norms of their weights: with ``radius="keep"``
each weight keeps the norm that it starts with.
"""

import warnings

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.data import load_images
from fgmanifolds.torch import FGSGD, POMAdapter

data = load_images("digits")
images, labels = data.train.tensors
EPOCHS = 8


class SmallViT(nn.Module):
    """Patches of 2 x 2 pixels, two blocks, the mean of the tokens."""

    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Conv2d(1, width, 2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        block = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.classifier = nn.Linear(width, 10)

    def forward(self, x):
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.classifier(self.blocks(tokens).mean(1))


fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for label, radius in (("gamma / lambda, the default", None), ('radius="keep"', "keep")):
    torch.manual_seed(0)
    model = SmallViT()
    adapter = POMAdapter(
        model, "pio", ("sphere", "oblique", "stiefel"), exclude=("classifier",), radius=radius
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        adapter.initialize_()
    print(f"{label}: {len(caught)} warning", *(str(one.message)[:70] for one in caught))
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9)
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
    ax.plot(range(1, EPOCHS + 1), losses, ".-", label=label)
ax.axhline(2.303, color="black", linestyle=":", linewidth=1, label="chance")
ax.set(xlabel="epoch", ylabel="training loss")
ax.set_ylim(bottom=0)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
