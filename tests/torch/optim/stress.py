"""Numbers under stress: python -m tests.torch.optim.stress [STEPS [WAY ...]] prints a table.

One network has a layer for each manifold and shape. Each step gives each layer a gradient of
a kind drawn anew; now and then one cannot be used, and then nothing may change.
"""

import math
import sys
import warnings

import torch
from torch import nn

from fgmanifolds.torch import FGSGD, POMAdapter

MANIFOLDS = ("sphere", "oblique", "stiefel", "euclidean")
SMALL = [(1, 2), (2, 1), (2, 2), (3, 1), (3, 3), (5, 2), (7, 7), (8, 8)]
LARGE = [(16, 4), (5, 33), (32, 32), (64, 64)]
WAYS = {
    "native": {"native": True},
    "eager": {"native": False},
    "compiled": {"native": False, "compile": True},
}
TYPES = ("float32", "float64", "bfloat16 autocast", "float16 scaled")
RULES = ("corollary2", None)
#: Largest gradients that each type's step takes.
USABLE = {"float32": 1e14, "float64": 1e30, "bfloat16 autocast": 1e14, "float16 scaled": 1e3}
KINDS = ("normal", "tiny", "small", "large", "huge", "rank one", "parallel", "zero")
BAD = ("nan", "inf", "too large")


class Layers(nn.Module):
    """Layers side by side, each applied to features of its own."""

    def __init__(self, shapes):
        super().__init__()
        self.layers = nn.ModuleDict()
        for manifold in MANIFOLDS:
            for rows, columns in shapes:
                name = f"{manifold}-{rows}x{columns}"
                if (rows, columns) in SMALL:
                    self.layers[name] = nn.Conv2d(3, 4, (rows, columns), bias=False)
                else:
                    self.layers[name] = nn.Linear(columns, rows, bias=False)


def gradient(kind, weight, largest, generator):
    """A gradient of a kind at a weight."""
    noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    if kind == "rank one":
        flat = noise.flatten(1) if weight.dim() == 2 else noise.flatten(2).flatten(0, 1)
        return (flat[:, :1] * flat[:1]).reshape(weight.shape)
    if kind == "parallel":
        return weight.detach() / weight.detach().norm() * noise.flatten()[0]
    sizes = {"normal": 1, "tiny": 1e-30, "small": 1e-8, "large": largest**0.5, "huge": largest}
    return noise * sizes.get(kind, 0.0)


def spoil(grads, kind, generator):
    """Make one entry of one gradient such that the step cannot take it."""
    which = int(torch.randint(len(grads), (), generator=generator))
    values = {"nan": math.nan, "inf": -math.inf}
    largest = torch.finfo(grads[which].dtype).max
    grads[which].view(-1)[-1] = values.get(kind, largest)


def kept(optimizer):
    """Everything that a step changes."""
    tensors = [p.detach() for group in optimizer.param_groups for p in group["params"]]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    return [tensor.clone() for tensor in tensors]


class Attack:
    """A network under attack.

    Parameters
    ----------
    way, kind, rule
        Of WAYS, TYPES and RULES.
    shapes : sequence of (int, int)
    seed : int
    """

    def __init__(self, way, kind, rule, shapes, seed=0):
        torch.manual_seed(seed)
        net = Layers(shapes)
        if kind == "float64":
            net.double()
        overrides = {
            f"layers.{name}": {
                "manifolds": (name.split("-")[0],),
                "scheme": "kernel" if layer.weight.dim() == 4 else "tensor",
            }
            for name, layer in net.layers.items()
        }
        adapter = POMAdapter(net, "kernel", ("sphere",), overrides=overrides, radius=0.5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adapter.initialize_()
        options = {"lr": 0.1, "momentum": 0.9, "rule": rule, "skip_nonfinite": True}
        self.optimizer = FGSGD(adapter, **options, **WAYS[way])
        self.net, self.adapter, self.kind = net, adapter, kind
        self.scaler = torch.amp.GradScaler("cpu", enabled=kind == "float16 scaled")
        self.generator = torch.Generator().manual_seed(seed)
        self.worst, self.refused = 0.0, 0

    def draw(self, names):
        return names[int(torch.randint(len(names), (), generator=self.generator))]

    def backward(self, grads):
        """Bring gradients about by a backward pass, in the type under test."""
        half = {"bfloat16 autocast": torch.bfloat16, "float16 scaled": torch.float16}
        with torch.autocast("cpu", half.get(self.kind, torch.bfloat16), enabled=self.kind in half):
            loss = 0.0
            for layer, x in zip(self.net.layers.values(), grads):
                # Products of matrices are what autocast lowers.
                one = x.reshape(1, -1) @ layer.weight.reshape(-1, 1)
                loss = loss + one.double().sum() if self.kind == "float64" else loss + one.sum()
        self.scaler.scale(loss).backward()

    def step(self, bad=None):
        """Take a step; gives whether anything changed."""
        weights = [layer.weight for layer in self.net.layers.values()]
        largest = USABLE[self.kind]
        grads = [gradient(self.draw(KINDS), w, largest, self.generator) for w in weights]
        if bad is not None:
            spoil(grads, bad, self.generator)
        self.optimizer.zero_grad()
        self.backward(grads)
        before = kept(self.optimizer) if bad is not None else None
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if before is None:
            return True
        same = all(map(torch.equal, before, kept(self.optimizer)))
        self.refused += same
        return not same

    def run(self, steps, *, every=100):
        """Attack for some steps; the worst residual and what is not finite are kept."""
        for number in range(steps):
            bad = self.draw(BAD) if number % 37 == 36 else None
            changed = self.step(bad)
            assert not (bad and changed), f"step {number} was half taken ({bad})"
            if number % every == every - 1 or number == steps - 1:
                self.worst = max(self.worst, self.adapter.residual())
                assert all(bool(t.isfinite().all()) for t in kept(self.optimizer)), number
        return self


def main():
    """Print the table of docs/robustness.md."""
    small = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    warnings.simplefilter("ignore")
    print("| way | type | rule | shapes | steps | of these taken | largest residual |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for shapes, steps, name in (
        (SMALL, small, "1x2 to 8x8"),
        (LARGE, small // 10, "16x4 to 64x64"),
    ):
        for way in sys.argv[2:] or WAYS:
            for kind in TYPES:
                if (way == "compiled" and shapes is LARGE) or (way, kind) == ("native", "float64"):
                    continue  # compiled are small kernels alone, and C++ takes float32
                for rule in RULES:
                    one = Attack(way, kind, rule, shapes).run(steps)
                    worst = f"{one.worst:.1e}"
                    cells = (way, kind, rule, name, steps, one.optimizer.steps, worst)
                    print("|", " | ".join(map(str, cells)), "|", flush=True)


if __name__ == "__main__":
    main()
