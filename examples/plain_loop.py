"""FG-SGD in a plain training loop, on real digits: python examples/plain_loop.py."""

import torch
import torch.nn.functional as F

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def main(epochs: int = 6) -> float:
    """Train, and return the test error in percent."""
    torch.manual_seed(0)
    data = load_images("digits")
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, scheme="pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)

    images, labels = data.train.tensors
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        adapter.update_scales_()

    images, labels = data.test.tensors
    with torch.no_grad():
        return 100 * float((model.eval()(images).argmax(1) != labels).float().mean())


if __name__ == "__main__":
    print(f"test error {main():.2f}%")
