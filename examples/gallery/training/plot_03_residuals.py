"""
Weights stay on their manifolds
===============================

Every step ends with a retraction, so that after hundreds of steps in float32 the weights are on
their manifolds to rounding. Without one, plain SGD leaves them from the first step on.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
STEPS = 200

fig, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name in ("FG-SGD", "SGD from the same weights"):
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    manifolds = ("sphere", "oblique", "stiefel")
    adapter = POMAdapter(model, "pio", manifolds, exclude=("classifier",)).initialize_()
    if name == "FG-SGD":
        optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    residuals = []
    for _ in range(STEPS):
        batch = torch.randint(len(labels), (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
        residuals.append(adapter.residual())
    ax.semilogy(range(1, STEPS + 1), residuals, label=name)
ax.set(xlabel="step", ylabel="largest relative distance")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
