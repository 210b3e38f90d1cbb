"""FG-SGD on several processes: torchrun --nproc-per-node 2 examples/ddp.py."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from fgmanifolds.data import load_images
from fgmanifolds.models import cnn
from fgmanifolds.torch import FGSGD, POMAdapter


def main(epochs: int = 6) -> float:
    """Train, and return the test error in percent; one process alone will do, too."""
    several = dist.is_torchelastic_launched()
    if several:
        dist.init_process_group("gloo")
    torch.manual_seed(0)
    data = load_images("digits")
    net = cnn(channels=1, classes=10)
    model = DistributedDataParallel(net) if several else net
    adapter = POMAdapter(model, scheme="pio", exclude=("classifier",)).initialize_()
    optimizer = FGSGD(adapter, lr=0.05, momentum=0.9)

    share = DistributedSampler(data.train) if several else None
    size = 64 // (dist.get_world_size() if several else 1)
    batches = DataLoader(data.train, size, shuffle=share is None, sampler=share, drop_last=True)
    for epoch in range(epochs):
        if share is not None:
            share.set_epoch(epoch)
        for images, labels in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
        adapter.update_scales_()  # on all processes: they average what they saw of the features
    if several:
        dist.destroy_process_group()

    images, labels = data.test.tensors
    with torch.no_grad():
        return 100 * float((net.eval()(images).argmax(1) != labels).float().mean())


if __name__ == "__main__":
    print(f"test error {main():.2f}%")
