"""
Averaging weights on manifolds
==============================

The average of points of a manifold lies inside of it. ``project_()`` takes it back to the nearest
points, and the statistics of batch normalisation are measured anew, for the last weights and the
average alike.
"""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, update_bn
from torch.utils.data import DataLoader

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter

data = load_images("digits")
batches = DataLoader(
    data.train, batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(0)
)
torch.manual_seed(0)
model = cnn(channels=1, classes=10)
adapter = POMAdapter(model, "pio", exclude=("classifier",)).initialize_()
optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
average = AveragedModel(model)
probe = cnn(channels=1, classes=10)
at_rest = POMAdapter(probe, "pio", exclude=("classifier",)).initialize_()


@torch.no_grad()
def test_error(net):
    test_images, test_labels = data.test.tensors
    return 100 * float((net.eval()(test_images).argmax(1) != test_labels).float().mean())


single, averaged, inside, back = [], [], [], []
for epoch in range(8):
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    if epoch < 3:
        adapter.update_scales_()  # radii rest while weights are averaged
        continue
    average.update_parameters(model)
    at_rest.load_state_dict(adapter.state_dict())
    probe.load_state_dict(model.state_dict())
    update_bn(batches, probe.train())
    single.append(test_error(probe))
    probe.load_state_dict(average.module.state_dict())
    inside.append(at_rest.residual())
    at_rest.project_()
    back.append(at_rest.residual())
    update_bn(batches, probe.train())
    averaged.append(test_error(probe))

fig, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4), layout="constrained")
epochs = range(4, 9)
left.semilogy(epochs, inside, ".-", label="average")
left.semilogy(epochs, back, ".-", label="after project_()")
left.set(xlabel="epoch", title="Distance from the manifolds")
right.plot(epochs, single, ".-", color="gray", label="last weights")
right.plot(epochs, averaged, ".-", label="average, on the manifolds")
right.set(xlabel="epoch", title="Test error in percent, one seed")
right.set_ylim(bottom=0)
for ax in (left, right):
    ax.set_xticks(epochs)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
