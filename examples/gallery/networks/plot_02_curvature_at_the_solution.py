"""
Curvature at the solution
=========================

``adapter.problem`` gives the loss as a function of one POM, with its Riemannian Hessian. Second
derivatives along random unit directions are near 0 and of both signs at the start, large after an
epoch, with few below 0, and small and positive where the run ends.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
model = cnn(channels=1, classes=10)
adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_()
optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)


def second_derivatives():
    model.eval()
    problem = adapter.problem(
        "conv2", 0, lambda: F.cross_entropy(model(images[:300]), labels[:300])
    )
    point = adapter.point("conv2", 0)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        u = problem.manifold.random_tangent_vector(point, rng)
        hessian = problem.riemannian_hessian(point, u)
        found.append(float(problem.manifold.inner_product(point, hessian, u)))
    model.train()
    return found


rows = {"at the start": second_derivatives()}
for epochs in (1, 6):
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    rows["after 1 epoch" if epochs == 1 else "after 7 epochs"] = second_derivatives()

fig, ax = plt.subplots(figsize=(6.6, 3), layout="constrained")
for place, values in enumerate(rows.values()):
    jitter = np.random.default_rng(1).uniform(-0.15, 0.15, len(values))
    ax.plot(values, place + jitter, ".", alpha=0.7)
ax.axvline(0, color="black", linewidth=0.8)
ax.set_yticks(range(len(rows)), rows)
ax.invert_yaxis()
ax.set_xlabel("second derivative along random unit directions")
ax.grid(axis="x", alpha=0.3)
