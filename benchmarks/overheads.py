"""What a step is made of: Python's share of it, operators of torch, and passes over the weights.

``python benchmarks/overheads.py`` (part of ``make bench``) writes
``runs/benchmarks/overheads.md``. All weights but the classifier's are on POMs; float32, momentum
0.9, the default rule.

Without C++: FGSGD with functions in place of the C++ ones that do nothing, so that what is left is
Python and small operators of torch; one thread, networks of 3 x 3 kernels, each beside a whole
step of SGD, in turns. Calls are of Python's functions and of built-in ones, counted by a profiler.

Passes: the bytes that the operators of torch in a step read and write, over those of all
parameters, without views. They are counted through torch (``native=False``), where each pass is
an operator; a dispatch mode sees them.
"""

import argparse
import ctypes
import sys
from pathlib import Path
from types import FrameType
from unittest import mock

import pandas as pd
import torch
from networks import ours, with_gradients
from steps import PIO, Step, interleaved, write
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fgmanifolds.torch import FGSGD, FGAdam
from fgmanifolds.torch.ops.native import step as native_step

#: Operators that move nothing.
VIEWS = {
    *("alias", "as_strided", "chunk", "detach", "diagonal", "expand", "lift_fresh", "permute"),
    *("reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose"),
    *("unbind", "unfold", "unsqueeze", "view", "_unsafe_view"),
    *("empty", "empty_like", "empty_strided"),
}
#: Squared norms that leave denominators at 1, as those of the gradients here do.
SMALL = torch.full((1 << 17,), 1e-6, dtype=torch.float64)
OPTIMIZERS = {"FGSGD": (FGSGD, {"momentum": 0.9}), "FGAdam": (FGAdam, {})}


class EmptyFunctions:
    """A library whose functions do nothing but give squared norms, for one thread.

    Roots of zeros would take longer than those of other numbers.
    """

    def fgsgd_squares(self, _rows, _n, _each, sums: int, poms: int, _threads) -> None:
        """Of the gradients."""
        ctypes.memmove(sums, SMALL.data_ptr(), SMALL.element_size() * poms)

    def fgsgd_step(self, _rows, _n, _options, _factor, sums: int, poms: int, _threads) -> None:
        """Of projected directions, and of the directions."""
        ctypes.memmove(sums, SMALL.data_ptr(), SMALL.element_size() * 2 * poms)


def python_table(rounds: int) -> pd.DataFrame:
    """Milliseconds of steps whose C++ functions do nothing, and what Python calls in them."""
    torch.set_num_threads(1)
    rows = {}
    for name in ("rcd110", "resnet44"):
        empty = EmptyFunctions()
        with mock.patch.object(native_step, "load", lambda *_, empty=empty: empty):
            without = ours(with_gradients(name, 10), "pio", PIO, momentum=0.9)
        model = with_gradients(name, 10)
        sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)
        steps = {
            "ms, FGSGD without C++": without,
            "ms, FGSGD": ours(with_gradients(name, 10), "pio", PIO, momentum=0.9),
            "ms, SGD foreach": sgd.step,
        }
        rows[name] = {
            **interleaved(steps, rounds, name),
            "parameters": len(list(model.parameters())),
            "calls": calls_of(steps["ms, FGSGD"]),
            "calls, SGD foreach": calls_of(sgd.step),
        }
    return pd.DataFrame(rows).T


def calls_table() -> pd.DataFrame:
    """What Python calls in a step, blocks of 1 x 1 convolutions included."""
    rows = {}
    for name, classes in (("rcd110", 10), ("resnet44", 10), ("mobilenet_v2", 1000)):
        rows[name] = {
            title: calls_of(ours(with_gradients(name, classes), "pio", PIO, make, **options))
            for title, (make, options) in OPTIMIZERS.items()
        }
    return pd.DataFrame(rows).T


def calls_of(step: Step) -> int:
    """Number of functions that a step calls once it is warm, Python's and built-in ones."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    for _ in range(3):
        step()
    sys.setprofile(note)
    try:
        step()
    finally:
        sys.setprofile(None)
    return count


class Passes(TorchDispatchMode):
    """Counts operators that move something, and the bytes that they move."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operator, and count it."""
        out = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::").split(".")[0]
        if name not in VIEWS:
            self.operators += 1
            # An operator in place, or on a list, gives its targets, or nothing: they are written.
            written = tree_leaves(out) if out is not None else tree_leaves(args[0])
            for x in [*tree_leaves((args, kwargs)), *written]:
                if isinstance(x, Tensor):
                    self.bytes += x.numel() * x.element_size()
        return out


def passes_table() -> pd.DataFrame:
    """Operators, and passes over the parameters' bytes, of a step through torch."""
    rows = {}
    for name, classes in (("resnet50", 1000), ("mobilenet_v2", 1000), ("resnet44", 10)):
        for title, (make, options) in OPTIMIZERS.items():
            model = with_gradients(name, classes)
            step = ours(model, "pio", PIO, make, native=False, **options)
            rows[f"{name}: {title} through torch"] = passes_of(step, model)
        model = with_gradients(name, classes)
        sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)
        rows[f"{name}: SGD foreach"] = passes_of(sgd.step, model)
    return pd.DataFrame(rows).T


def passes_of(step: Step, model: nn.Module) -> dict[str, float]:
    """Of the fourth step."""
    for _ in range(3):
        step()
    with Passes() as found:
        step()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"operators": found.operators, "passes": found.bytes / size}


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    tables = {
        "A step without its C++ functions": python_table(options.rounds),
        "Calls of a step": calls_table(),
        "Passes over the weights": passes_table(),
    }
    write(tables, options.out, "overheads")


if __name__ == "__main__":
    main()
