"""What each process of a test does: python -m tests.torch.jobs JOB FOLDER SETTINGS."""

import ast
import contextlib
import os
import runpy
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter

EXAMPLES = Path(__file__).parents[2] / "examples"
WRAPS = ("before", "after")
EPOCHS, BATCH, IMAGES = 3, 16, 80

#: Ways to train, each as (optimizer, options, options of the adapter).
WAYS = {
    "native": (FGSGD, {"lr": 0.1, "momentum": 0.9}, {}),
    "torch": (FGSGD, {"lr": 0.1, "momentum": 0.9, "native": False, "nesterov": True}, {}),
    "tangent": (FGSGD, {"lr": 0.1, "momentum": 0.5, "momentum_space": "tangent"}, {"scheme": "pi"}),
    "adam": (FGAdam, {"lr": 0.01}, {"scheme": "po", "fan_out": "none"}),
    "theorem2": (FGSGD, {"lr": 0.2, "rule": "theorem2"}, {"pom": "manifold", "radius": 2.0}),
}


def network(seed=0):
    """Convolutions of 3 x 3 (grouped, too) and 1 x 1, linear layers, no batch normalisation."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.GroupNorm(2, 8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2, groups=2),
            nn.ReLU(),
            nn.Conv2d(12, 8, 1),
            nn.GroupNorm(2, 8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(72, 24),
            nn.ReLU(),
            nn.Linear(24, 5),
        )


def images(seed=3):
    """Images and labels, the last batch smaller than the others."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(IMAGES, 3, 8, 8, generator=generator)
    return 1.5 * x + 0.5, torch.randint(5, (IMAGES,), generator=generator)


def share(batch, rank, size):
    """A rank's part of a batch."""
    return batch[rank::size]


def train(way, *, wrap, accumulate=1, epochs=EPOCHS, rank=0, size=1):
    """Train on the rank's share of each batch; gives weights, radii and spreads.

    Parameters
    ----------
    way : str
        One of WAYS.
    wrap : {"before", "after", None}
        Whether the model is wrapped before or after the adapter is built.
    accumulate : int
        Backward passes in a step.
    """
    cls, options, choices = WAYS[way]
    net = model = network()
    if wrap == "before":
        model = DistributedDataParallel(net)
    # The first rank's seed holds for all.
    adapter = POMAdapter(model, seed=rank, min_std=None, **choices).initialize_()
    if wrap == "after":
        model = DistributedDataParallel(net)
    optimizer = cls(adapter, **options)
    x, y = images()
    for epoch in range(epochs):
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(BATCH):
            optimizer.zero_grad()
            parts = share(batch, rank, size).chunk(accumulate)

            def closure(parts=parts):
                total = 0.0
                for i, part in enumerate(parts):
                    last = i == len(parts) - 1
                    alone = contextlib.nullcontext() if last or wrap is None else model.no_sync()
                    with alone:
                        loss = F.cross_entropy(model(x[part]), y[part]) / len(parts)
                        loss.backward()
                    total += float(loss.detach())
                return total

            optimizer.step(closure)
        adapter.update_scales_()
    state = adapter.state_dict()
    return {
        "model": net.state_dict(),
        "radii": {name: one["radius"] for name, one in state["layers"].items()},
        "spreads": {name: adapter.spreads(name) for name in state["layers"]},
        "names": list(state["layers"]),
        "seed": state["options"]["seed"],
        "residual": adapter.residual(),
    }


# Jobs: functions of a folder, which return what the test looks at -----------------------


def ddp(folder, accumulated=()):
    """Train in all ways, the model wrapped before or after the adapter is built."""
    own = {"rank": dist.get_rank(), "size": dist.get_world_size()}
    found = {f"{way}-{wrap}": train(way, wrap=wrap, **own) for way in WAYS for wrap in WRAPS}
    for way in accumulated:
        found[f"{way}-accumulated"] = train(way, wrap="after", accumulate=2, **own)
    return {**found, "said": disagree()}


def disagree():
    """What a first step says if ranks differ in options, in radii or in weights."""
    rank, said = dist.get_rank(), {}
    for name in ("options", "radii", "weights", "apart"):
        own = rank if name == "weights" else 0
        net = network(own)
        group = None if name == "apart" else "world"
        scheme = "pi" if rank and name in ("options", "apart") else "po"
        adapter = POMAdapter(net, scheme, process_group=group).initialize_()
        if name == "radii" and rank:
            adapter.layers["0"].radius.mul_(1 + 1e-12)
        optimizer = FGSGD(adapter, lr=0.1)
        before = [p.detach().clone() for p in net.parameters()]
        x, y = images()
        F.cross_entropy(net(x), y).backward()
        try:
            optimizer.step()
            said[name] = "nothing"
        except ValueError as error:
            said[name] = str(error)
            assert all(map(torch.equal, before, net.parameters()))
    return said


def accelerate(folder):
    """Run the example; gives the network's weights on this rank."""
    example = runpy.run_path(str(EXAMPLES / "accelerate_loop.py"))
    kept = []
    cnn = example["main"].__globals__["cnn"]
    example["main"].__globals__["cnn"] = lambda **options: kept.append(cnn(**options)) or kept[0]
    error = example["main"](epochs=2)
    return {"error": error, "weights": [p.detach() for p in kept[0].parameters()]}


def main():
    job, folder, settings = sys.argv[1:]
    torch.manual_seed(100 + int(os.environ["RANK"]))
    if job != "accelerate":
        dist.init_process_group("gloo")
    found = globals()[job](Path(folder), **ast.literal_eval(settings))
    torch.save(found, Path(folder) / f"{job}-{os.environ['RANK']}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
