"""Time of a step on whole networks of the paper, beside SGD, Muon and the spreads' own time.

``python benchmarks/networks.py`` (part of ``make bench``) writes ``runs/benchmarks/networks.md``.
All methods of a row take turns in one process; the figures are medians, and what counts are their
ratios. All weights but the classifier's are on POMs; float32, momentum 0.9, the default rule.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from rich.progress import track
from steps import PIO, Step, interleaved, write
from torch import nn

from fgmanifolds.experiments.precision import is_emulated
from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, FGAdam, POMAdapter

#: Networks, their classes, and what is measured beside PIO of four manifolds.
NETWORKS = {
    "resnet50": (1000, ("layer", "FGAdam", "Muon")),
    "mobilenet_v2": (1000, ("FGAdam",)),
    "resnet18": (1000, ("FGAdam",)),
    "resnet44": (10, ("FGAdam",)),
}
CONV_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def with_gradients(name: str, classes: int) -> nn.Module:
    """A network with small random gradients, the same at every step."""
    torch.manual_seed(0)
    model = build_model(name, classes)
    for parameter in model.parameters():
        parameter.grad = 1e-3 * torch.randn_like(parameter)
    return model


def ours(
    model: nn.Module,
    scheme: str,
    manifolds: Sequence[str],
    make: Callable = FGSGD,
    **options: object,
) -> Step:
    """A step of ours, with all weights but the classifier's on POMs."""
    adapter = POMAdapter(model, scheme, manifolds, exclude=("classifier",)).initialize_()
    return make(adapter, lr=0.01, **options).step


def muon(model: nn.Module) -> Step:
    """Torch's Muon on the linear layers and flattened 1 x 1 convolutions, which it takes alone."""
    shapes = [m.weight.flatten(1).shape for m in model.modules() if isinstance(m, CONV_TYPES)]
    matrices = [nn.Parameter(torch.randn(shape) / shape[1] ** 0.5) for shape in shapes]
    for matrix in matrices:
        matrix.grad = 1e-3 * torch.randn_like(matrix)
    return torch.optim.Muon(matrices, lr=0.01).step


def step_table(rounds: int) -> pd.DataFrame:
    """Milliseconds of a step of each network and method, and ratios to SGD."""
    rows = []
    for name, (classes, others) in NETWORKS.items():
        fresh = lambda name=name, classes=classes: with_gradients(name, classes)  # noqa: E731
        sgd = {"lr": 0.01, "momentum": 0.9}
        steps = {
            "SGD foreach": torch.optim.SGD(fresh().parameters(), foreach=True, **sgd).step,
            "SGD fused": torch.optim.SGD(fresh().parameters(), fused=True, **sgd).step,
            "FGSGD, PIO of four": ours(fresh(), "pio", PIO, momentum=0.9),
            "FGSGD, PIO of four, torch": ours(fresh(), "pio", PIO, momentum=0.9, native=False),
        }
        if "FGAdam" in others:
            fresh_adam = torch.optim.Adam(fresh().parameters(), lr=1e-3, foreach=True)
            steps["Adam foreach"] = fresh_adam.step
            steps["FGAdam, PIO of four"] = ours(fresh(), "pio", PIO, FGAdam)
            steps["FGAdam, PIO of four, torch"] = ours(fresh(), "pio", PIO, FGAdam, native=False)
        if "layer" in others:
            steps["FGSGD, a Stiefel POM a layer"] = ours(
                fresh(), "layer", ("stiefel",), momentum=0.9
            )
        # Torch's Muon computes in bfloat16: where that is emulated, a step takes two minutes.
        if "Muon" in others and hasattr(torch.optim, "Muon") and not is_emulated("cpu"):
            steps["Muon, all matrices"] = muon(fresh())
        medians = interleaved(steps, rounds, name)
        rows += [
            {
                "what": f"{name}: {method}",
                "ms": value,
                "over SGD foreach": value / medians["SGD foreach"],
                "over SGD fused": value / medians["SGD fused"],
            }
            for method, value in medians.items()
        ]
    return pd.DataFrame(rows).set_index("what")


def depth_table(rounds: int) -> pd.DataFrame:
    """The optimizer's step after passes of constant and of stochastic depth, 110 layers."""
    turns, times = {}, {}
    for name in ("rcd110", "rsd110"):
        torch.manual_seed(0)
        model = build_model(name, 10).train()
        adapter = POMAdapter(model, "pio", PIO, exclude=("classifier",)).initialize_()
        optimizer = FGSGD(adapter, lr=0.01, momentum=0.9)
        times[name] = []

        def turn(
            model: nn.Module = model, optimizer: FGSGD = optimizer, own: list = times[name]
        ) -> None:
            optimizer.zero_grad()
            images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
            F.cross_entropy(model(images), labels).backward()
            start = time.perf_counter()
            optimizer.step()
            own.append(1e3 * (time.perf_counter() - start))

        turns[name] = turn
    for _ in track(range(rounds + 3), description="depth"):
        for turn in turns.values():
            turn()
    medians = pd.DataFrame(times)[3:].median()
    return pd.DataFrame({"ms": medians, "over RCD-110": medians / medians["rcd110"]})


def share_table(rounds: int) -> pd.DataFrame:
    """What FG-SGD adds to an iteration: its step less SGD's, and the time of the spreads."""
    rows = {}
    for name, batch in (("resnet50", 32), ("mobilenet_v2", 64)):
        rows[f"{name}, batch {batch}, 112 pixels"] = share_of(name, batch, rounds)
    return pd.DataFrame(rows).T


def share_of(name: str, batch: int, rounds: int) -> dict[str, float]:
    """Medians in ms, one network after the other in turns."""
    images, labels = torch.randn(batch, 3, 112, 112), torch.randint(0, 1000, (batch,))
    torch.manual_seed(0)
    plain, model = build_model(name, 1000), build_model(name, 1000)
    adapter = POMAdapter(model, "pio", PIO, exclude=("classifier",)).initialize_()
    sgd = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9, foreach=True)
    fgsgd = FGSGD(adapter, lr=0.01, momentum=0.9)
    spent: dict[str, list[float]] = {"pass": [], "SGD": [], "FGSGD": [], "spreads": []}
    observed = list(adapter.collection.spreads)
    for _ in track(range(rounds), description=name):
        start = time.perf_counter()
        F.cross_entropy(plain(images), labels).backward()
        middle = time.perf_counter()
        sgd.step()
        end = time.perf_counter()
        spent["pass"].append(middle - start)
        spent["SGD"].append(end - middle)
        sgd.zero_grad()
        with timed_spreads(observed) as seconds:
            F.cross_entropy(model(images), labels).backward()
        spent["spreads"].append(seconds[0])
        start = time.perf_counter()
        fgsgd.step()
        spent["FGSGD"].append(time.perf_counter() - start)
        fgsgd.zero_grad()
    found = {f"ms, {key}": 1e3 * value for key, value in pd.DataFrame(spent)[1:].median().items()}
    added = found["ms, FGSGD"] - found["ms, SGD"] + found["ms, spreads"]
    return {**found, "share added": added / (found["ms, pass"] + found["ms, SGD"])}


class timed_spreads:
    """Add up the seconds that the hooks of the spreads take."""

    def __init__(self, spreads: Sequence) -> None:
        self._spreads, self._seconds = spreads, [0.0]

    def __enter__(self) -> list[float]:
        """Put a clock around each."""
        for spread in self._spreads:
            original = spread._take

            def clocked(*args: object, original: Callable = original) -> None:
                start = time.perf_counter()
                original(*args)
                self._seconds[0] += time.perf_counter() - start

            spread._take = clocked
        return self._seconds

    def __exit__(self, *_: object) -> None:
        """Take the clocks off."""
        for spread in self._spreads:
            del spread._take


def setup_table(rounds: int) -> pd.DataFrame:
    """Seconds until ResNet-101 is ready for its first step, and of update_scales_ of an epoch."""
    seconds: dict[str, list[float]] = {}
    images = torch.randn(2, 3, 64, 64)

    def clocked(what: str, work: Callable) -> object:
        start = time.perf_counter()
        found = work()
        seconds.setdefault(f"resnet101: {what}", []).append(time.perf_counter() - start)
        return found

    for _ in track(range(rounds), description="setup"):
        model = build_model("resnet101", 1000).train()
        adapter = clocked(
            "adapter and initialize_",
            lambda model=model: POMAdapter(
                model, "pio", PIO, exclude=("classifier",)
            ).initialize_(),
        )
        for _ in range(4):
            with torch.no_grad():
                model(images)
            clocked("update_scales_", adapter.update_scales_)
    return pd.DataFrame({"s": {what: pd.Series(own).median() for what, own in seconds.items()}})


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tables = {
        "A step of whole networks": step_table(options.rounds),
        "Stochastic depth": depth_table(2 * options.rounds),
        "What FG-SGD adds to an iteration": share_table(max(4, options.rounds // 2)),
        "Setting up": setup_table(max(2, options.rounds // 3)),
    }
    write(tables, options.out, "networks")


if __name__ == "__main__":
    main()
