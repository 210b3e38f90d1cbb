"""Time of an optimizer step and of a training iteration, beside SGD, geoopt and POGO.

``python benchmarks/steps.py`` (part of ``make bench``) writes ``runs/benchmarks/steps.md`` and
``steps.json``. All methods of a table take turns in one process, so that a disturbed machine
disturbs them alike; the figures are medians over the rounds, and what counts are their ratios.
Work A: the 3 x 3 kernels of a ResNet-44 of widths 24, 48, 96. Work B: those of a ResNet-18 of
widths 72, 72, 144, 288, 576. float32, momentum 0.9, the rule of Corollary 2.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import nn

from fgmanifolds.experiments.peers import geoopt_optimizers, pogo_optimizers
from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, POMAdapter

PIO = ("sphere", "oblique", "stiefel", "euclidean")
Step = Callable[[], object]


def work_a() -> nn.Module:
    """163,656 kernels, those of the stem included."""
    return nn.ModuleList(
        [m for m in build_model("resnet44", 3, 10).modules() if isinstance(m, nn.Conv2d)]
    )


def work_b() -> nn.Module:
    """The 3 x 3 convolutions of a ResNet-18 of the paper's widths."""
    widths = [(72, 72, 4), (72, 144, 1), (144, 144, 3), (144, 288, 1), (288, 288, 3)]
    widths += [(288, 576, 1), (576, 576, 3)]
    return nn.ModuleList(
        nn.Conv2d(inputs, outputs, 3, bias=False)
        for inputs, outputs, count in widths
        for _ in range(count)
    )


def with_gradients(model: nn.Module) -> nn.Module:
    """Small random gradients, the same at every step."""
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.randn_like(parameter)
    return model


def sgd(model: nn.Module, **options: bool) -> Step:
    """A variant of torch's SGD, which must be named: the default differs by device."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, **options).step


def ours(model: nn.Module, scheme: str, manifolds: tuple[str, ...], native: bool) -> Step:
    """FGSGD, in C++ or through torch."""
    adapter = POMAdapter(model, scheme, manifolds).initialize_()
    return FGSGD(adapter, lr=0.01, momentum=0.9, native=native).step


def peer(make: Callable, model: nn.Module) -> Step:
    """The optimizer of another package on Stiefel manifolds."""
    (optimizer, *_) = make(model, 0.01, 0.9, 0.0)
    with_gradients(model)
    return optimizer.step


def methods(work: Callable[[], nn.Module]) -> dict[str, Step]:
    """One step of each method, on a model of its own."""

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return with_gradients(work())

    return {
        "torch SGD, fused": sgd(fresh(), fused=True),
        "torch SGD, foreach": sgd(fresh(), foreach=True),
        "FGSGD, PIO of four, C++": ours(fresh(), "pio", PIO, True),
        "FGSGD, PIO of four, torch": ours(fresh(), "pio", PIO, False),
        "FGSGD, sphere, C++": ours(fresh(), "layer", ("sphere",), True),
        "FGSGD, Stiefel, C++": ours(fresh(), "layer", ("stiefel",), True),
        "FGSGD, Stiefel, torch": ours(fresh(), "layer", ("stiefel",), False),
        "geoopt RiemannianSGD, Stiefel": peer(geoopt_optimizers, fresh()),
        "POGO (SGD base), Stiefel": peer(pogo_optimizers, fresh()),
    }


def interleaved(steps: dict[str, Step], rounds: int, title: str) -> pd.Series:
    """Median milliseconds of each, in turns."""
    for step in steps.values():
        step(), step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in track(range(rounds), description=title):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    return pd.DataFrame(times).median()


def step_table(work: Callable[[], nn.Module], rounds: int, title: str) -> pd.DataFrame:
    """Milliseconds of a step, and ratios to fused SGD and to the other packages."""
    medians = interleaved(methods(work), rounds, title)
    table = pd.DataFrame({"ms": medians})
    table["over SGD fused"] = medians / medians["torch SGD, fused"]
    for name in ("geoopt RiemannianSGD, Stiefel", "POGO (SGD base), Stiefel"):
        table[f"{name.split()[0]} over it"] = medians[name] / medians
    return table


def iteration(kind: str) -> Step:
    """A whole training iteration of ResNet-44 on a batch of 128 images of 32 x 32."""
    torch.manual_seed(0)
    model = build_model("resnet44", 3, 10)
    if kind == "SGD foreach":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)
    else:
        adapter = POMAdapter(model, "pio", PIO, exclude=("classifier",)).initialize_()
        optimizer = FGSGD(adapter, lr=0.01, momentum=0.9, native=kind == "FGSGD, C++")
    images, labels = torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,))

    def run() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return run


def iteration_table(rounds: int) -> pd.DataFrame:
    """Seconds of an iteration, with the feature spreads measured."""
    steps = {kind: iteration(kind) for kind in ("SGD foreach", "FGSGD, C++", "FGSGD, torch")}
    medians = interleaved(steps, rounds, "training iterations")
    return pd.DataFrame({"ms": medians, "over SGD": medians / medians["SGD foreach"]})


def growth_table(rounds: int) -> pd.DataFrame:
    """Time of a step by the number of kernels."""
    rows = []
    for channels in (100, 316, 1000):
        torch.manual_seed(0)
        model = with_gradients(nn.Sequential(nn.Conv2d(channels, channels, 3, bias=False)))
        kernels = channels**2
        steps = {"C++": ours(model, "pio", PIO, True)}
        median = interleaved(steps, rounds, f"{kernels:,} kernels")["C++"]
        rows.append({"kernels": kernels, "ms": median, "ns for each": 1e6 * median / kernels})
    return pd.DataFrame(rows).set_index("kernels")


def memory_table() -> pd.DataFrame:
    """Bytes kept for each byte of weights, beyond the momentum of SGD."""
    model = with_gradients(work_a())
    weights = sum(p.numel() * 4 for p in model.parameters())
    adapter = POMAdapter(model, "pio", PIO).initialize_()
    optimizer = FGSGD(adapter, lr=0.01, momentum=0.9, native=True)
    optimizer.step()
    state = sum(
        value.numel() * value.element_size()
        for entry in optimizer.state.values()
        for key, value in entry.items()
        if key != "momentum_buffer"
    )
    sets = sum(
        tensor.numel() * tensor.element_size()
        for layer in adapter.layers.values()
        for tensor in (layer.view.manifold, layer.view.pom, layer.radius)
    )
    rows = {"optimizer state": state, "sets and radii of the adapter": sets}
    return pd.DataFrame({"share of the weights": {k: v / weights for k, v in rows.items()}})


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tables = {
        "Work A, one step": step_table(work_a, options.rounds, "work A"),
        "Work B, one step": step_table(work_b, max(3, options.rounds // 3), "work B"),
        "ResNet-44, one iteration": iteration_table(max(3, options.rounds // 3)),
        "Growth": growth_table(options.rounds),
        "Memory": memory_table(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    head = f"torch {torch.__version__}, {platform.processor() or platform.machine()}, "
    head += f"{options.threads} threads, Python {platform.python_version()}"
    text = [f"# Speed\n\n{head}\n"]
    for title, table in tables.items():
        text.append(f"## {title}\n\n```\n{table.round(3).to_string()}\n```\n")
    (options.out / "steps.md").write_text("\n".join(text), encoding="utf-8")
    plain = {title: table.to_dict("index") for title, table in tables.items()}
    (options.out / "steps.json").write_text(json.dumps(plain, indent=2), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
