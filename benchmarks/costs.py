"""What a step of FGSGD is made of: its parts, its memory, its growth, and compiling it.

``python benchmarks/costs.py`` (part of ``make bench``) writes ``costs.md``, ``costs.json`` and
``costs.png`` to ``runs/benchmarks``. The work is that of ``benchmarks/steps.py``: PIO of four
manifolds on the 3 x 3 kernels of a ResNet-44, but for growth.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from steps import PIO, interleaved, ours, with_gradients, work_a, write
from torch import nn
from torch.profiler import ProfilerActivity, profile

from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.ops import native, planes, planes_part, table
from fgmanifolds.torch.optim import guards, native_way, pom_steps


@contextmanager
def timed(places: dict[str, list[tuple[object, str]]]) -> Iterator[dict[str, float]]:
    """Add up the seconds spent in some functions, by names of their own."""
    spent: dict[str, float] = defaultdict(float)
    originals = [(owner, name, getattr(owner, name)) for p in places.values() for owner, name in p]

    def measured(label: str, function: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                spent[label] += time.perf_counter() - start

        return call

    for label, members in places.items():
        for owner, name in members:
            setattr(owner, name, measured(label, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


PARTS = {
    "C++": {
        "squares of gradients, which check and bound": [
            (native.NativeTable, "gradient_squares"),
        ],
        "the pass: momentum, projection, norms, step, retraction": [(native.NativeTable, "run")],
        "denominators": [(native_way.NativeWay, "_settled")],
        "norms kept": [(native_way.NativeWay, "remember"), (native_way.NativeWay, "past")],
    },
    "torch": {
        "check of gradients": [(guards.Guards, "unusable_gradients")],
        "momentum": [(FGSGD, "direction")],
        "to planes": [(planes_part.PlanesPart, "_read_")],
        "from planes": [(planes_part.PlanesPart, "_write_")],
        "projection": [(planes, "project_")],
        "retraction": [(planes, "retract_")],
        "sums over POMs": [(table.Unit, "sums")],
        "denominators": [(pom_steps, "chosen_denominator")],
        "norms kept": [(pom_steps.PomSteps, "_remember"), (pom_steps, "past_squares")],
    },
}


def anatomy(way: str, rounds: int) -> pd.DataFrame:
    """Milliseconds of the parts of a step."""
    torch.manual_seed(0)
    step = ours(with_gradients(work_a()), "pio", PIO, native=way == "C++")
    step(), step()
    with timed(PARTS[way]) as spent:
        start = time.perf_counter()
        for _ in range(rounds):
            step()
        total = time.perf_counter() - start
    rest = total - sum(spent.values())
    parts = {**spent, "all else": rest, "the step": total}
    found = pd.DataFrame({"ms": {name: 1e3 * value / rounds for name, value in parts.items()}})
    found["share"] = found["ms"] / found.loc["the step", "ms"]
    return found


def growth_table(rounds: int) -> pd.DataFrame:
    """Time of a step by the number of kernels."""
    rows = []
    for channels in (100, 316, 1000, 3162):
        torch.manual_seed(0)
        model = with_gradients(nn.Sequential(nn.Conv2d(channels, channels, 3, bias=False)))
        kernels, row = channels**2, {}
        for way, on in (("C++", True), ("torch", False)):
            step = ours(model, "pio", PIO, native=on)
            turns = max(3, rounds // (1 + kernels // 100_000))
            row[way] = interleaved({way: step}, turns, f"{kernels:,} kernels, {way}")[way]
        ns = {f"ns each, {way}": 1e6 * value / kernels for way, value in row.items()}
        rows.append({"kernels": kernels, **{f"ms, {way}": v for way, v in row.items()}, **ns})
    return pd.DataFrame(rows).set_index("kernels")


def matrix_table(rounds: int, largest: int = 8192) -> pd.DataFrame:
    """Time of a step on one square matrix, in blocks and as one, and memory beyond SGD's."""
    rows = []
    side = 256
    while side <= largest:
        row: dict[str, float] = {"rows": side}
        turns = max(3, rounds * 512**2 // side**2)
        for name, (scheme, manifolds) in {
            "PIO of four": ("pio", PIO),
            "one Stiefel": ("layer", ("stiefel",)),
            "one sphere": ("layer", ("sphere",)),
        }.items():
            if name == "one Stiefel" and side > 4096:
                continue
            torch.manual_seed(0)
            model = with_gradients(nn.Sequential(nn.Linear(side, side, bias=False)))
            step = ours(model, scheme, manifolds)
            row[f"ms, {name}"] = interleaved({name: step}, turns, f"{side} rows, {name}")[name]
            row[f"ns an entry, {name}"] = 1e6 * row[f"ms, {name}"] / side**2
            if name == "PIO of four":
                row["transient, over the weights"] = peak(step) / (4 * side**2)
        rows.append(row)
        side *= 2
    return pd.DataFrame(rows).set_index("rows")


def size(tensors: Iterator[torch.Tensor]) -> int:
    """Bytes of some tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def peak(step: Callable[[], object]) -> int:
    """Most bytes that a step holds beyond what was there before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = record.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = most = 0
    for _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most


def memory_table() -> pd.DataFrame:
    """Bytes for each byte of weights, beyond the momentum of SGD."""
    rows = {}
    for way, on in (("C++", True), ("torch", False)):
        model = with_gradients(work_a())
        weights = size(model.parameters())
        adapter = POMAdapter(model, "pio", PIO).initialize_()
        optimizer = FGSGD(adapter, lr=0.01, momentum=0.9, native=on)
        optimizer.step(), optimizer.step()
        state = size(
            value
            for entry in optimizer.state.values()
            for key, value in entry.items()
            if key != "momentum_buffer"
        )
        views = [layer.view for layer in adapter.layers.values()]
        sets = size(x for view in views for x in (view.manifold, view.pom, *view.reads))
        radii = size(layer.radius for layer in adapter.layers.values())
        rows[way] = {
            "optimizer state": state / weights,
            "sets and radii of the adapter": (sets + radii) / weights,
            "most held during a step": peak(optimizer.step) / weights,
        }
    return pd.DataFrame(rows)


FIRST_STEP = """
import sys, time
sys.path.insert(0, {folder!r})
from steps import *
step = ours(with_gradients(work_a()), "pio", PIO, **{options})
start = time.perf_counter()
step()
print(time.perf_counter() - start)
"""


def first_steps() -> pd.DataFrame:
    """Seconds of the first step of all, with empty caches, and of that of the next process."""
    rows = {}
    folder = str(Path(__file__).parent)
    for way, options in (("C++", {"native": True}), ("compiled", {"compile": True})):
        code = FIRST_STEP.format(folder=folder, options=options)
        with tempfile.TemporaryDirectory() as cache:
            caches = {"XDG_CACHE_HOME": cache, "TORCHINDUCTOR_CACHE_DIR": cache}
            rows[way] = {
                name: float(
                    subprocess.run(
                        [sys.executable, "-c", code],
                        env={**os.environ, **caches},
                        check=True,
                        capture_output=True,
                        text=True,
                    ).stdout.split()[-1]
                )
                for name in ("empty caches", "next process")
            }
    return pd.DataFrame(rows).T


COLORS = {"C++": "C0", "torch": "C1"}


def picture(parts: dict[str, pd.DataFrame], growth: pd.DataFrame, path: Path) -> None:
    """Bars of the parts of a step, and its time by the number of kernels."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for way, found in reversed(parts.items()):
        rows = found["ms"].drop("the step")[::-1]
        left.barh([f"{name.split(':')[0]} ({way})" for name in rows.index], rows, color=COLORS[way])
    left.set_xlabel("ms")
    left.set_title("parts of a step, 163,656 kernels")
    for way, marker in (("C++", "o"), ("torch", "s")):
        right.loglog(
            growth.index, growth[f"ms, {way}"], marker=marker, color=COLORS[way], label=way
        )
    line = growth["ms, C++"].iloc[-1] / growth.index[-1] * growth.index
    right.loglog(growth.index, line, ":", color="grey", label="in proportion")
    right.set_xlabel("kernels 3 x 3")
    right.set_ylabel("ms")
    right.set_title("time of a step")
    right.legend()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tables = {
        "Parts of a step in C++": anatomy("C++", options.rounds),
        "Parts of a step through torch": anatomy("torch", options.rounds),
        "Growth": growth_table(options.rounds),
        "Growth, matrices": matrix_table(options.rounds),
        "Memory, over that of the weights": memory_table(),
        "Seconds of the first step": first_steps(),
    }
    write(tables, options.out, "costs")
    parts = {"C++": "Parts of a step in C++", "torch": "Parts of a step through torch"}
    bars = {way: tables[title] for way, title in parts.items()}
    picture(bars, tables["Growth"], options.out / "costs.png")


if __name__ == "__main__":
    main()
