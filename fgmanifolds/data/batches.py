"""Batches of an epoch, the same in every run of the same seed, made ahead of training."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fgmanifolds.data.parts import ImagePart
from fgmanifolds.validation import check_integer

__all__ = ["Augmentation", "Batches"]

Batch = tuple[Tensor, Tensor]


class Augmentation(Protocol):
    """What makes a batch from a part of the data and a seed."""

    def batch(
        self, part: ImagePart, indices: NDArray[np.int64], seed: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Normalised images and labels.

        Parameters
        ----------
        part : ImagePart
        indices : array of int
        seed : tuple of int
            Of what is drawn.
        """
        ...


class Batches:
    """Shuffled batches of a part, epoch by epoch.

    Order and augmentation of an epoch follow from the seed and its number alone, so
    that a run that goes on after an epoch sees what it would have seen.

    Parameters
    ----------
    part : ImagePart
    batch_size : int
        A last batch of one image is left out, as it has no spread for batch normalisation.
    seed : int
    augmentation : Augmentation, optional
        Default: images as they are.
    ahead : int
        Batches that a thread makes ahead of those asked for; 0: none.
    """

    def __init__(
        self,
        part: ImagePart,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        ahead: int = 2,
    ) -> None:
        check_integer("batch_size", batch_size, low=2)
        check_integer("seed", seed, low=0)
        check_integer("ahead", ahead, low=0)
        if len(part) < 2:
            raise ValueError(f"part has {len(part)} images; two are needed.")
        self.part, self.batch_size, self.seed = part, batch_size, seed
        self.augmentation, self.ahead = augmentation, ahead

    def __len__(self) -> int:
        """Number of batches of an epoch."""
        full, rest = divmod(len(self.part), self.batch_size)
        return full + (rest > 1)

    def indices(self, epoch: int) -> list[NDArray[np.int64]]:
        """Images of each batch of an epoch, counted from 0."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.part))
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]

    def epoch(self, number: int) -> Iterator[Batch]:
        """Images ``[n, C, H, W]`` and labels of each batch of epoch `number`, from 0."""
        chosen = self.indices(number)
        if self.ahead == 0:
            yield from (self._make(number, i, indices) for i, indices in enumerate(chosen))
            return
        yield from self._made_ahead(number, chosen)

    def _make(self, epoch: int, number: int, indices: NDArray[np.int64]) -> Batch:
        if self.augmentation is None:
            return self.part.batch(indices)
        return self.augmentation.batch(self.part, indices, (self.seed, epoch, number))

    def _made_ahead(self, epoch: int, chosen: list[NDArray[np.int64]]) -> Iterator[Batch]:
        made: queue.Queue[Batch | BaseException] = queue.Queue(self.ahead)
        stopped = threading.Event()

        def work() -> None:
            for number, indices in enumerate(chosen):
                try:
                    found: Batch | BaseException = self._make(epoch, number, indices)
                except BaseException as error:
                    found = error
                while not stopped.is_set():
                    try:
                        made.put(found, timeout=0.1)
                        break
                    except queue.Full:
                        continue
                if stopped.is_set() or isinstance(found, BaseException):
                    return

        worker = threading.Thread(target=work, name="batches", daemon=True)
        worker.start()
        try:
            for _ in chosen:
                found = made.get()
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            stopped.set()
            worker.join()
