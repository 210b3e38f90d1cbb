"""A run of a study in memory: one network, epochs that can be resumed bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from fgmanifolds.data import Batches, ImageData
from fgmanifolds.data.parts import ImagePart
from fgmanifolds.experiments.angles import StepAngles
from fgmanifolds.experiments.precision import autocast
from fgmanifolds.experiments.session import augmentation_of, evaluate
from fgmanifolds.experiments.study.arm import Arm
from fgmanifolds.experiments.study.optimizers import Rates, make_optimizers
from fgmanifolds.experiments.study.sections import Budget, Data, Model
from fgmanifolds.models import build_model

__all__ = ["RunOptions", "StudySession", "cosine"]

#: A gradient of a larger norm has diverged: no step rule can use it.
LARGEST_GRADIENT = 1e15


@dataclass(frozen=True)
class RunOptions:
    """All that a run follows from.

    Attributes
    ----------
    data, model, budget : Data, Model, Budget
    arm : Arm
    rates : Rates
    seed : int
        Of weights, sets, order and augmentation.
    """

    data: Data
    model: Model
    budget: Budget
    arm: Arm
    rates: Rates
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and checkpoints; what an arm is called is left out."""
        arm = {k: v for k, v in self.arm.to_dict().items() if k not in ("name", "title")}
        sections = {k: asdict(getattr(self, k)) for k in ("data", "model", "budget", "rates")}
        return {**sections, "arm": arm, "seed": self.seed}


def cosine(step: int, steps: int) -> float:
    """Factor of the rates at a step (from 0) of `steps`: from 1 to 0 along a cosine.

    Parameters
    ----------
    step : int
    steps : int
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


class StudySession:
    """A run in memory.

    Parameters
    ----------
    options : RunOptions
    data : ImageData
    device : str

    Attributes
    ----------
    model : nn.Module
    adapter : POMAdapter or None
    optimizers : list of Optimizer
    history : list of dict
        A row for each evaluation on the validation part.
    epoch : int
        Number of epochs done.
    angles : StepAngles
    """

    def __init__(self, options: RunOptions, data: ImageData, device: str = "cpu") -> None:
        self.options, self.data, self.device = options, data, device
        budget, model = options.budget, options.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            made = build_model(model.name, data.classes, in_channels=data.channels, **model.options)
        layout = torch.channels_last if budget.channels_last else torch.contiguous_format
        self.model: nn.Module = made.to(device)
        self.model.to(memory_format=layout)  # type: ignore[call-overload]
        self.adapter, self.optimizers = make_optimizers(
            options.arm, self.model, options.rates, options.seed
        )
        augmentation = augmentation_of(options.data.augmentation)
        self.batches = Batches(data.train, budget.batch_size, options.seed, augmentation, ahead=1)
        self.steps = min(len(self.batches), budget.steps or len(self.batches))
        factor = _schedule(self.steps * budget.epochs)
        self._schedulers = [LambdaLR(optimizer, factor) for optimizer in self.optimizers]
        self.angles = StepAngles(self.model)
        self.history: list[dict[str, float]] = []
        self.epoch = 0

    def run_epoch(self) -> None:
        """Update the radii, train for one epoch, evaluate as often as the budget says.

        Radii follow the spreads between epochs, so that weights are evaluated as they were
        trained, with normalisation layers that have seen them so.

        Raises
        ------
        FloatingPointError
            If a loss or a gradient is not finite, or the gradient beyond use.
        """
        if self.adapter is not None and self.epoch and self.options.arm.radii == "spreads":
            self.adapter.update_scales_()
        self.model.train()
        looked, evaluated = self._places()
        record = _Record()
        batches = self.batches.epoch(self.epoch)
        try:
            for number in range(1, self.steps + 1):
                pixels, labels = next(batches)
                record.start()
                self._step(pixels, labels, record, number in looked)
                record.stop()
                if number in evaluated:
                    self._evaluate(self.epoch * self.steps + number, record)
                    record = _Record()
        finally:
            batches.close()  # type: ignore[attr-defined]
        self.epoch += 1

    def _places(self) -> tuple[set[int], set[int]]:
        """Steps of an epoch, from 1, whose angles are looked at, and after which is evaluated."""
        budget, n = self.options.budget, self.steps
        looked = {1 + int(n * (i + 0.5) / budget.angles) for i in range(budget.angles)}
        shares = range(1, budget.evaluations + 1)
        return looked, {max(1, round(n * i / budget.evaluations)) for i in shares}

    def _step(self, pixels: Tensor, labels: Tensor, record: _Record, look: bool) -> None:
        budget = self.options.budget
        pixels, labels = pixels.to(self.device), labels.to(self.device)
        if budget.channels_last:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with autocast(self.device, budget.amp):
            scores = self.model(pixels)
            loss = F.cross_entropy(scores, labels)
        loss.backward()
        value = float(loss.detach())
        self._check_finite(value)
        if look:
            self.angles.before()
        for optimizer in self.optimizers:
            optimizer.step()
        if look:
            self.angles.after(self._schedulers[0].last_epoch + 1)
        for scheduler in self._schedulers:
            scheduler.step()
        record.add(value, scores.detach(), labels)

    def _check_finite(self, loss: float) -> None:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        for what, value in (("loss", loss), ("norm of the gradient", norm)):
            if not abs(value) < LARGEST_GRADIENT:
                raise FloatingPointError(f"the {what} became {value} in epoch {self.epoch + 1}.")

    def _evaluate(self, step: int, record: _Record) -> None:
        loss, error = self.measure(self.data.validation)
        row = {
            "epoch": step / self.steps,
            "step": float(step),
            "lr": float(self.optimizers[0].param_groups[0]["lr"]),
            **record.means(),
            "validation_loss": loss,
            "validation_error": error,
        }
        self.history.append(row)
        self.model.train()

    def measure(self, part: ImagePart) -> tuple[float, float]:
        """Mean cross-entropy and error in percent on a part of the data."""
        limit = self.options.budget.steps
        scores, labels = evaluate(self.model, part, self.device, steps=limit)
        loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels))
        return float(loss), 100.0 * float(np.mean(scores.argmax(1) != labels))

    # Checkpoints ---------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, as plain data and tensors."""
        return {
            "config": self.options.to_dict(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "adapter": None if self.adapter is None else self.adapter.state_dict(),
            "history": self.history,
            "angles": self.angles.rows,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; ``ValueError`` if it is of a run with other options."""
        if state["config"] != self.options.to_dict():
            raise ValueError("the checkpoint is of a run with other options.")
        self.model.load_state_dict(state["model"])
        if self.adapter is not None:
            self.adapter.load_state_dict(state["adapter"])
        for name, mine in (("optimizers", self.optimizers), ("schedulers", self._schedulers)):
            for part, stored in zip(mine, state[name], strict=True):
                part.load_state_dict(stored)  # type: ignore[attr-defined]
        self.history = [dict(row) for row in state["history"]]
        self.angles.rows = [dict(row) for row in state["angles"]]
        self.epoch = state["epoch"]


def _schedule(steps: int) -> Callable[[int], float]:
    return lambda step: cosine(step, steps)


class _Record:
    """Loss, error and time of the steps since the last evaluation."""

    def __init__(self) -> None:
        self._loss = self._wrong = self._images = self._seconds = self._cpu = 0.0

    def start(self) -> None:
        self._clock = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self._seconds += time.perf_counter() - self._clock[0]
        self._cpu += time.process_time() - self._clock[1]

    def add(self, loss: float, scores: Tensor, labels: Tensor) -> None:
        self._loss += loss * len(labels)
        self._wrong += float((scores.argmax(1) != labels).sum())
        self._images += len(labels)

    def means(self) -> dict[str, float]:
        return {
            "train_loss": self._loss / self._images,
            "train_error": 100.0 * self._wrong / self._images,
            "seconds": self._seconds,
            "cpu_seconds": self._cpu,
        }
