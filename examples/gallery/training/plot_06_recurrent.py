"""
A recurrent network with orthogonal transitions
===============================================

The matrix that carries the state from step to step is put on a Stiefel manifold of square
matrices, at radius 1: an orthogonal matrix neither blows gradients up nor lets them die out.
Digits are read pixel by pixel, 64 steps.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.data import load_images
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
pixels = images.flatten(1)[:, :, None]
EPOCHS = 20


class Reader(nn.Module):
    """A ReLU network over pixels, and a linear classifier of its last state."""

    def __init__(self, width=48):
        super().__init__()
        self.rnn = nn.RNN(1, width, nonlinearity="relu", batch_first=True)
        self.classifier = nn.Linear(width, 10)

    def forward(self, x):
        return self.classifier(self.rnn(x)[1][0])


fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name in ("SGD", "FG-SGD, transitions on a Stiefel manifold"):
    torch.manual_seed(0)
    model = Reader()
    if name == "SGD":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    else:
        adapter = POMAdapter(
            model, "tensor", ("stiefel",), exclude=("classifier", "rnn.weight_ih_l0"), radius=1.0
        ).initialize_()
        optimizer = FGSGD(adapter, lr=0.01, momentum=0.9)
    losses = []
    for _ in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(pixels[batch]), labels[batch])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / len(labels))
    ax.plot(range(1, EPOCHS + 1), losses, ".-", label=name)
ax.set(xlabel="epoch", ylabel="training loss, one seed")
ax.set_ylim(bottom=0)
ax.set_xticks(range(0, EPOCHS + 1, 5))
ax.grid(alpha=0.3)
ax.legend(frameon=False)
