"""From a network trained by SGD to one on POMs: python examples/fine_tuning.py."""

import torch
import torch.nn.functional as F
from torch import nn

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def train(model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int) -> None:
    """Some epochs over the digits."""
    images, labels = load_images("digits").train.tensors
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()


@torch.no_grad()
def test_error(model: nn.Module) -> float:
    """Error on the test part, in percent."""
    images, labels = load_images("digits").test.tensors
    model.eval()
    error = 100 * float((model(images).argmax(1) != labels).float().mean())
    model.train()
    return error


def main(epochs: int = 6) -> tuple[float, float, float]:
    """Test errors after SGD, after the projection on the manifolds, and after FG-SGD."""
    torch.manual_seed(0)
    model = cnn(channels=1, classes=10)
    train(model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), epochs)
    pretrained = test_error(model)
    adapter = POMAdapter(model, scheme="pio", exclude=("classifier",))
    adapter.initialize_(from_weights=True)
    projected = test_error(model)
    train(model, FGSGD(adapter, lr=0.02, momentum=0.9), epochs)
    return pretrained, projected, test_error(model)


if __name__ == "__main__":
    print("test error: SGD {:.2f}%, projected {:.2f}%, fine-tuned {:.2f}%".format(*main()))
