"""Cost of the paper's systems at their full size: one training step of FG-SGD, PIO of four.

    python benchmarks/systems.py [--batch 8] [--only resnet50 ...] [--json]

Each system runs in a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

SYSTEMS = {
    "resnet44": (32, 10),
    "rcd110": (32, 100),
    "rsd110": (32, 100),
    "resnet18": (224, 1000),
    "resnet50": (224, 1000),
    "resnet101": (224, 1000),
    "se_resnet50": (224, 1000),
    "se_resnet101": (224, 1000),
    "resnext50_32x4d": (224, 1000),
    "mobilenet_v2": (224, 1000),
    "deeproots50": (224, 1000),
}
MANIFOLDS = ("sphere", "oblique", "stiefel", "euclidean")


def measure(name: str, batch: int) -> dict[str, object]:
    """Seconds and bytes of adapter, initialisation and the second of two steps."""
    import torch
    import torch.nn.functional as F

    from fgmanifolds.models import build_model, describe
    from fgmanifolds.torch import FGSGD, POMAdapter

    side, classes = SYSTEMS[name]
    parameters, multiply_adds = describe(name, side, classes)
    torch.manual_seed(0)
    model = build_model(name, classes)
    start = time.perf_counter()
    adapter = POMAdapter(model, "pio", MANIFOLDS, exclude=("classifier",)).initialize_()
    ready = time.perf_counter() - start
    optimizer = FGSGD(adapter, lr=0.1, momentum=0.9, dampening=0.1)
    images, labels = torch.randn(batch, 3, side, side), torch.arange(batch) % classes
    for _ in range(2):
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        middle = time.perf_counter()
        optimizer.step()
        seconds = time.perf_counter() - start
    return {
        "system": name,
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "adapter_seconds": ready,
        "step_seconds": seconds,
        "optimizer_seconds": start + seconds - middle,
        # In kilobytes on Linux.
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    """Measure, and print a table or JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--only", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.only[0], options.batch)))
        return
    if not options.json:
        print(f"batch {options.batch}; s = seconds, on one machine")
        print(
            f"{'system':16} {'parameters':>11} {'MACs/image':>12} {'adapter s':>9} {'step s':>7} "
            f"{'of it FG-SGD':>12} {'peak GB':>7}"
        )
    for name in options.only:
        command = [sys.executable, __file__, "--here", "--batch", str(options.batch)]
        done = subprocess.run(
            [*command, "--only", name], capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        if options.json:
            print(json.dumps(found), flush=True)
            continue
        print(
            f"{name:16} {found['parameters']:11,} {found['multiply_adds']:12,} "
            f"{found['adapter_seconds']:9.2f} {found['step_seconds']:7.2f} "
            f"{found['optimizer_seconds']:12.2f} {found['peak_bytes'] / 1e9:7.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
