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
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter
from fgmanifolds.torch.checkpoint import load_training, save_training
from fgmanifolds.torch.distributed import Ranks
from fgmanifolds.torch.sharded import whole

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


#: Ways to train sharded networks.
SHARDED = {
    "sgd": (FGSGD, {"lr": 0.1, "momentum": 0.9}),
    "tangent": (FGSGD, {"lr": 0.1, "momentum": 0.5, "momentum_space": "tangent"}),
    "adam": (FGAdam, {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-4}),
    "theorem2": (FGSGD, {"lr": 0.1, "rule": "theorem2"}),
}
STEPS = 20


class Block(nn.Module):
    """A transformer's block on sequences, and a classifier."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(12), nn.LayerNorm(12)])
        self.mlp = nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.Linear(20, 12))
        self.head = nn.Linear(12, 5)

    def forward(self, x):
        x = x.flatten(2).mT.reshape(len(x), -1, 12)
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.mlp(self.norms[1](x))
        return self.head(x.mean(1))


def block():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Block()


NETWORKS = {"convolutions": network, "block": block}


def prepared(kind, way, *, shard):
    """A network, sharded or not, with its adapter and optimizer."""
    cls, options = SHARDED[way]
    net = NETWORKS[kind]()
    adapter = POMAdapter(net, min_std=None).initialize_() if way == "sgd" else None
    if shard:
        parts = net.children() if kind == "block" else [net[0], net[9]]
        for part in parts:
            if not isinstance(part, nn.ModuleList | nn.MultiheadAttention):
                fully_shard(part)
        fully_shard(net)
    if adapter is None:
        adapter = POMAdapter(net, min_std=None).initialize_()
    return net, adapter, cls(adapter, **options)


def steps(net, adapter, optimizer, first, last, rank=0, size=1):
    """Take steps on the rank's share of each batch; radii follow in between."""
    x, y = images()
    for step in range(first, last):
        batch = share(torch.arange(16) + 16 * (step % 5), rank, size)

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[batch]), y[batch])
            loss.backward()
            return float(loss.detach())

        optimizer.step(closure)
        if step % 8 == 7:
            net(x[batch])  # leaves a sharded network's root whole
            adapter.update_scales_()


def outcome(net, adapter):
    state = {name: whole(value) for name, value in net.state_dict().items()}
    return {
        "model": state,
        "residual": adapter.residual(),
        "radii": {name: layer.radius for name, layer in adapter.layers.items()},
        "spreads": {},
        "seed": 0,
        "names": list(adapter.layers),
        "point": [torch.as_tensor(x) for x in adapter.point(next(iter(adapter.layers)), 1)],
    }


def sharded(folder):
    """Train sharded networks; save one of each half-way."""
    own, found = {"rank": dist.get_rank(), "size": dist.get_world_size()}, {}
    for kind in NETWORKS:
        for way in SHARDED:
            parts = prepared(kind, way, shard=True)
            steps(*parts, 0, STEPS // 2, **own)
            save_training(parts[2], folder / f"{kind}-{way}")
            steps(*parts, STEPS // 2, STEPS, **own)
            found[f"{kind}-{way}"] = outcome(*parts[:2])
    parts = prepared("convolutions", "sgd", shard=True)
    steps(*parts, 0, 1, **own)
    before = {name: whole(p).clone() for name, p in parts[0].named_parameters()}
    spoiled = parts[0][0].weight
    if own["rank"] == 1:
        spoiled.grad.to_local().view(-1)[0] = float("nan")
    found["said"] = ""
    try:
        parts[2].step()
    except ValueError as error:
        found["said"] = str(error)
    found["unchanged"] = all(
        torch.equal(before[name], whole(p)) for name, p in parts[0].named_parameters()
    )
    return found


def resumed(folder, saved):
    """Go on from the checkpoints of other ranks."""
    own, found = {"rank": dist.get_rank(), "size": dist.get_world_size()}, {}
    for kind in NETWORKS:
        for way in SHARDED:
            parts = prepared(kind, way, shard=True)
            load_training(parts[2], Path(saved) / f"{kind}-{way}")
            steps(*parts, STEPS // 2, STEPS, **own)
            found[f"{kind}-{way}"] = outcome(*parts[:2])
    return found


def dying(folder):
    """Rank 1 ends without a word while the others wait for it."""
    if dist.get_rank() == 1:
        os._exit(3)
    Ranks().mean(1.0)


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
