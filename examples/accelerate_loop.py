"""FG-SGD with Hugging Face accelerate: python examples/accelerate_loop.py.

On two processes: torchrun --nproc-per-node 2 examples/accelerate_loop.py.
"""

from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch.utils.data import DataLoader

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def main(epochs: int = 6) -> float:
    """Train, save and load the state half-way, and return the test error in percent."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    data = load_images("digits")
    model = cnn(channels=1, classes=10)
    adapter = POMAdapter(model, scheme="pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    batches = DataLoader(data.train, batch_size=64, shuffle=True)
    model, optimizer, scheduler, batches = accelerator.prepare(model, optimizer, scheduler, batches)
    with TemporaryDirectory() as own:
        (folder,) = broadcast_object_list([own])
        for epoch in range(epochs):
            for images, labels in batches:
                optimizer.zero_grad()
                accelerator.backward(F.cross_entropy(model(images), labels))
                optimizer.step()
            scheduler.step()
            adapter.update_scales_()
            if epoch == epochs // 2:
                accelerator.save_state(folder)
                accelerator.wait_for_everyone()
                accelerator.load_state(folder)
                accelerator.wait_for_everyone()
    assert adapter.residual() < 1e-5
    images, labels = data.test.tensors
    with torch.no_grad():
        return 100 * float((model.eval()(images).argmax(1) != labels).float().mean())


if __name__ == "__main__":
    print(f"test error {main():.2f}%")
