"""Stochastic weight averaging of a network on POMs: python examples/weight_averaging.py.

The mean of points of a manifold is inside of it, not on it. The average is taken
back to the nearest points at the end, and batch normalisation measures anew.
"""

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import SWALR, AveragedModel, update_bn
from torch.utils.data import DataLoader

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def main(epochs: int = 6, start: int = 3) -> float:
    """Train, average the last epochs, and return the test error of the average in percent."""
    torch.manual_seed(0)
    data = load_images("digits")
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, scheme="pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    average = AveragedModel(model)
    scheduler = SWALR(optimizer, swa_lr=0.02, anneal_epochs=2)
    batches = DataLoader(data.train, batch_size=64, shuffle=True)
    for epoch in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        if epoch < start:
            adapter.update_scales_()  # radii rest while weights are averaged
        else:
            average.update_parameters(model)
            scheduler.step()

    model.load_state_dict(average.module.state_dict())
    adapter.initialize_(from_weights=True)
    update_bn(batches, model)
    assert adapter.residual() < 1e-5
    images, labels = data.test.tensors
    with torch.no_grad():
        return 100 * float((model.eval()(images).argmax(1) != labels).float().mean())


if __name__ == "__main__":
    print(f"test error {main():.2f}%")
