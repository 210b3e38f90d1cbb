"""
The mean of three runs
======================

The Fréchet mean of three networks, POM by POM, is a network on the same manifolds; the average of
the coordinates lies inside of them, at smaller norms. The runs differ in the order of the images.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

images, labels = load_images("digits").train.tensors
torch.manual_seed(0)
initial = cnn(channels=1, classes=10)
POMAdapter(initial, "pio", exclude=("classifier",)).initialize_()


def train(seed):
    model = copy.deepcopy(initial)
    adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_(from_weights=True)
    optimizer = FGSGD(adapter, lr=0.02, momentum=0.9)
    order = torch.Generator().manual_seed(seed)
    for _ in range(4):
        for batch in torch.randperm(len(labels), generator=order).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return adapter


runs = [train(seed) for seed in range(3)]
distances, insides = [], []
for pom in range(len(runs[0].pom_names("conv2"))):
    manifold = runs[0].manifold("conv2", pom)
    points = [run.point("conv2", pom) for run in runs]
    batch = [np.stack(parts) for parts in zip(*points, strict=True)]
    mean = manifold.mean(batch)
    distances.append(manifold.dist(mean.point, batch).mean())
    average = [parts.mean(0) for parts in batch]
    insides.append(manifold.residual(average))
    assert manifold.is_point(mean.point, tol=1e-6)

fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), layout="constrained")
left.hist(distances, bins=20)
left.set(xlabel="distance of the runs from their mean", ylabel="POMs of conv2")
right.hist(insides, bins=20, color="tab:orange")
right.set(xlabel="distance of the average from the manifold")
