"""Images per second of the loader alone, and its share of a training epoch.

    python benchmarks/loading.py --data fashion-mnist --data-dir ../shared/data
    python benchmarks/loading.py --data zip:imagenette4k.zip --data-dir ../shared/data --side 112

Without data, it takes the digits that come with scikit-learn.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from fgmanifolds.data import Batches, CropAugmentation, ShiftAugmentation, load_images
from fgmanifolds.experiments.run_config import row_config
from fgmanifolds.experiments.session import Session
from fgmanifolds.experiments.table import load_table


def alone(batches: Batches, epoch: int) -> float:
    """Images per second."""
    start, images = time.perf_counter(), 0
    for _, labels in batches.epoch(epoch):
        images += len(labels)
    return images / (time.perf_counter() - start)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--data-dir")
    parser.add_argument("--side", type=int)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="resnet20", help="network of the epoch; '' for none")
    parser.add_argument("--steps", type=int, help="steps of the epoch at most")
    options = parser.parse_args()
    start = time.perf_counter()
    data = load_images(options.data, data_dir=options.data_dir, side=options.side)
    seconds = time.perf_counter() - start
    print(f"{options.data}: {len(data.train)} training images, loaded in {seconds:.2f} s")
    for name, augmentation in (
        ("as they are", None),
        ("shift and flip", ShiftAugmentation()),
        ("crop and colour", CropAugmentation()),
    ):
        rates = []
        for ahead in (0, 2):
            batches = Batches(data.train, options.batch, 0, augmentation, ahead=ahead)
            rates.append(statistics.median(alone(batches, i) for i in range(options.rounds)))
        print(f"{name:16} {rates[0]:10.0f} images/s, {rates[1]:10.0f} with a thread ahead")
    if options.model:
        row = load_table("XII").select(["resnet44/with/euclidean"])[0]
        config = row_config(
            row,
            0,
            1,
            model=options.model,
            data=options.data,
            batch_size=options.batch,
            steps=options.steps,
        )
        epoch = Session(config, data).run_epoch()
        share = 100 * epoch["seconds_waited"] / epoch["seconds"]
        threads = torch.get_num_threads()
        print(
            f"an epoch of {options.model} on {threads} threads: {epoch['seconds']:.1f} s, "
            f"{share:.2f}% of them waiting for images"
        )


if __name__ == "__main__":
    main()
