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

import geoopt
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
        [m for m in build_model("resnet44", 10).modules() if isinstance(m, nn.Conv2d)]
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


def ours(model: nn.Module, scheme: str, manifolds: tuple[str, ...], **options: bool) -> Step:
    """FGSGD: ``native=True`` in C++, ``native=False`` through torch, or ``compile=True``."""
    adapter = POMAdapter(model, scheme, manifolds).initialize_()
    return FGSGD(adapter, lr=0.01, momentum=0.9, **options).step


def peer(make: Callable, model: nn.Module) -> Step:
    """The optimizer of another package on Stiefel manifolds."""
    (optimizer, *_) = make(model, 0.01, 0.9, 0.0)
    with_gradients(model)
    return optimizer.step


def geoopt_sphere(model: nn.Module) -> Step:
    """RiemannianSGD of geoopt with every kernel on a sphere."""
    kernels = [
        geoopt.ManifoldParameter(p.detach().flatten(2), manifold=geoopt.Sphere())
        for p in model.parameters()
        if p.dim() == 4
    ]
    for kernel in kernels:
        kernel.data = F.normalize(kernel.data, dim=-1)
        kernel.grad = 1e-3 * torch.randn_like(kernel)
    return geoopt.optim.RiemannianSGD(kernels, lr=0.01, momentum=0.9).step


def copying(model: nn.Module) -> Step:
    """Move as many bytes as SGD with momentum: it reads three tensors and writes two."""
    entries = sum(p.numel() for p in model.parameters())
    source = torch.rand(5 * entries // 2)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def variants(fresh: Callable[[], nn.Module]) -> dict[str, Step]:
    """One step of SGD and of each way of FGSGD, on models of their own."""
    ways = {"C++": {"native": True}, "compiled": {"compile": True}, "torch": {"native": False}}
    collections = {
        "PIO of four": ("pio", PIO),
        "Stiefel": ("layer", ("stiefel",)),
        "sphere": ("layer", ("sphere",)),
    }
    return {
        "torch SGD, fused": sgd(fresh(), fused=True),
        "torch SGD, foreach": sgd(fresh(), foreach=True),
        **{
            f"FGSGD, {name}, {way}": ours(fresh(), *collection, **options)
            for name, collection in collections.items()
            for way, options in ways.items()
        },
    }


def fresh_model(work: Callable[[], nn.Module], layout: torch.memory_format) -> nn.Module:
    """A model with gradients in a layout of memory."""
    torch.manual_seed(0)
    return with_gradients(work().to(memory_format=layout))


def warm_up(step: Step, most: int = 60, seconds: float = 3.0) -> None:
    """Step until momenta, and with them the norms R, no longer grow, but not for ever."""
    start = time.perf_counter()
    for _ in range(most):
        step()
        if time.perf_counter() - start > seconds:
            return


def interleaved(steps: dict[str, Step], rounds: int, title: str) -> pd.Series:
    """Median milliseconds of each, in turns."""
    for step in steps.values():
        warm_up(step)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in track(range(rounds), description=title):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    return pd.DataFrame(times).median()


#: Steps that the others are compared with, by the heading of their ratios.
FASTER_THAN = {
    "than geoopt, Stiefel": "geoopt RiemannianSGD, Stiefel",
    "than geoopt, sphere": "geoopt RiemannianSGD, sphere",
    "than POGO": "POGO (SGD base), Stiefel",
}


def step_table(work: Callable[[], nn.Module], rounds: int, title: str) -> pd.DataFrame:
    """Milliseconds of a step, and ratios to fused SGD and to the other packages."""

    def fresh() -> nn.Module:
        return fresh_model(work, torch.contiguous_format)

    steps = {
        **variants(fresh),
        # As SGD does, without a look at the gradients.
        "FGSGD, PIO of four, C++, unchecked": ours(
            fresh(), "pio", PIO, native=True, capturable=True
        ),
        "geoopt RiemannianSGD, Stiefel": peer(geoopt_optimizers, fresh()),
        "geoopt RiemannianSGD, sphere": geoopt_sphere(fresh()),
        "POGO (SGD base), Stiefel": peer(pogo_optimizers, fresh()),
        "copying as many bytes as SGD moves": copying(fresh()),
    }
    medians = interleaved(steps, rounds, title)
    table = pd.DataFrame({"ms": medians, "over SGD fused": medians / medians["torch SGD, fused"]})
    table["over copying"] = medians / medians["copying as many bytes as SGD moves"]
    for heading, name in FASTER_THAN.items():
        table[heading] = medians[name] / medians
    return table


def channels_last_table(rounds: int) -> pd.DataFrame:
    """Work A with weights whose kernels are planes already."""
    steps = variants(lambda: fresh_model(work_a, torch.channels_last))
    medians = interleaved(steps, rounds, "channels_last")
    return pd.DataFrame(
        {"ms": medians, "over SGD foreach": medians / medians["torch SGD, foreach"]}
    )


def iteration(kind: str) -> Step:
    """A whole training iteration of ResNet-44 on a batch of 128 images of 32 x 32."""
    torch.manual_seed(0)
    model = build_model("resnet44", 10)
    if kind == "SGD foreach":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)
    else:
        adapter = POMAdapter(model, "pio", PIO, exclude=("classifier",)).initialize_()
        optimizer = FGSGD(
            adapter,
            lr=0.01,
            momentum=0.9,
            native=kind == "FGSGD, C++",
            compile=kind == "FGSGD, compiled",
        )
    images, labels = torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,))

    def run() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return run


def iteration_table(rounds: int) -> pd.DataFrame:
    """Seconds of an iteration, with the feature spreads measured."""
    steps = {
        kind: iteration(kind)
        for kind in ("SGD foreach", "FGSGD, C++", "FGSGD, compiled", "FGSGD, torch")
    }
    medians = interleaved(steps, rounds, "training iterations")
    return pd.DataFrame({"ms": medians, "over SGD": medians / medians["SGD foreach"]})


def machine() -> str:
    """Processor, threads and versions, for the head of a page."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return f"{cpu}, {torch.get_num_threads()} threads, {versions}"


def write(tables: dict[str, pd.DataFrame], out: Path, name: str) -> None:
    """Write tables to a Markdown and a JSON file, and to the screen."""
    out.mkdir(parents=True, exist_ok=True)
    text = [f"# Speed\n\n{machine()}\n"]
    for title, table in tables.items():
        text.append(f"## {title}\n\n```\n{table.round(3).to_string()}\n```\n")
    (out / f"{name}.md").write_text("\n".join(text), encoding="utf-8")
    plain = {title: table.to_dict("index") for title, table in tables.items()}
    found = {"machine": machine(), "tables": plain}
    (out / f"{name}.json").write_text(json.dumps(found, indent=2), encoding="utf-8")
    print("\n".join(text))


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
        "Work A in channels_last, one step": channels_last_table(options.rounds),
        "ResNet-44, one iteration": iteration_table(max(3, options.rounds // 3)),
    }
    write(tables, options.out, "steps")


if __name__ == "__main__":
    main()
