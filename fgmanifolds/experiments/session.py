"""A training run of a row of a table: one network, epochs that can be resumed bit for bit."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fgmanifolds.data import Augmentation, Batches, CropAugmentation, ImageData, ShiftAugmentation
from fgmanifolds.data.parts import ImagePart
from fgmanifolds.experiments.checks import (
    check_history,
    check_keys,
    check_optimizer,
    check_weights,
)
from fgmanifolds.experiments.memory import guard_memory
from fgmanifolds.experiments.precision import autocast
from fgmanifolds.experiments.recipe import Recipe
from fgmanifolds.experiments.run_config import RunConfig
from fgmanifolds.experiments.table import Method
from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.validation import check_number, damage_refused

__all__ = ["Session", "evaluate"]

#: Theta_mu and 1 - theta_E of eq. (31), Appendix C.B: 0.9 each.
FG_MOMENTUM, FG_DAMPENING = 0.9, 0.1

#: What a checkpoint holds.
KEYS = ("config", "classes", "model", "optimizer", "adapter", "history", "best")


def augmentation_of(name: str) -> Augmentation | None:
    """Augmentation by the name that tables give it; shifts are 4 pixels (Appendix C.C)."""
    if name == "with":
        return ShiftAugmentation(4)
    return CropAugmentation() if name == "imagenet" else None


@torch.no_grad()
def evaluate(
    model: nn.Module, part: ImagePart, device: str, batch: int = 256, steps: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores ``[N, classes]`` of a part of the data in evaluation mode, and its labels.

    Parameters
    ----------
    model : nn.Module
    part : ImagePart
    device : str
    batch : int
        Images at a time.
    steps : int, optional
    """
    model.eval()
    scores, labels = [], []
    starts = range(0, len(part), batch)
    for start in itertools.islice(starts, steps):
        images, true = part.batch(np.arange(start, min(start + batch, len(part))))
        scores.append(model(images.to(device)).float().cpu().numpy())
        labels.append(true.numpy())
    return np.concatenate(scores), np.concatenate(labels)


class Session:
    """A run in memory.

    Parameters
    ----------
    config : RunConfig
    data : ImageData
    device : str

    Attributes
    ----------
    model : nn.Module
    adapter : POMAdapter or None
    history : list of dict
        A row for each epoch done.
    """

    def __init__(self, config: RunConfig, data: ImageData, device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data, device
        self.recipe, self.method = Recipe(**config.recipe), Method.parse(config.method)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            seeds = {"draw_seed": config.seed} if config.model == "rsd110" else {}
            model = build_model(
                config.model, data.classes, in_channels=data.channels, **config.options, **seeds
            )
        self.model = model.to(device)
        self.adapter, self.optimizer = self._make_optimizer()
        self.batches = Batches(
            data.train, config.batch_size, config.seed, augmentation_of(config.augmentation)
        )
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Any] | None = None

    def _make_optimizer(self) -> tuple[POMAdapter | None, torch.optim.Optimizer]:
        r = self.recipe
        decay = r.weight_decay
        if self.method.scheme == "euclidean":
            parameters = self.model.parameters()
            if r.optimizer == "rmsprop":
                # Decay of the squares and momentum 0.9, and the constant of Inception's recipe.
                rms = torch.optim.RMSprop(
                    parameters, r.lr, alpha=0.9, eps=1.0, weight_decay=decay, momentum=r.momentum
                )
                return None, rms
            return None, torch.optim.SGD(
                parameters, r.lr, r.momentum, weight_decay=decay, nesterov=r.nesterov
            )
        scheme, manifolds, seed = self.method.scheme, self.method.manifolds, self.config.seed
        adapter = POMAdapter(
            self.model, scheme, manifolds, seed, exclude=("classifier",), fan_out="glorot"
        )
        adapter.initialize_()
        lr = r.lr if r.fg_lr is None else r.fg_lr
        return adapter, FGSGD(
            adapter, lr=lr, momentum=FG_MOMENTUM, dampening=FG_DAMPENING, weight_decay=decay
        )

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    @property
    def base_lr(self) -> float:
        """The rate that the schedule multiplies."""
        r = self.recipe
        return r.lr if self.adapter is None or r.fg_lr is None else r.fg_lr

    def run_epoch(self) -> dict[str, float]:
        """Train for one epoch, update the radii, measure; returns the row of metrics.

        Raises
        ------
        FloatingPointError
            If the loss is not finite.
        MemoryError
            If a step does not fit; the message names a batch size that does.
        """
        start, epoch = time.perf_counter(), self.epoch
        lr = self.base_lr * self.recipe.rate(epoch, self.config.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.model.train()
        loss = wrong = images = waited = 0.0
        for (pixels, labels), seconds in self._timed(epoch):
            waited += seconds
            found, errors = self._step(pixels, labels)
            loss, wrong, images = loss + found * len(labels), wrong + errors, images + len(labels)
        if self.adapter is not None:
            self.adapter.update_scales_()
        seconds = time.perf_counter() - start
        row = {
            "epoch": float(epoch + 1),
            "lr": lr,
            "train_loss": loss / images,
            "train_error": 100.0 * wrong / images,
            **self._validate(),
            "seconds": seconds,
            "seconds_waited": waited,
        }
        self.history.append(row)
        self._keep_best(row["validation_error"])
        return row

    def _timed(self, epoch: int) -> Iterator[tuple[tuple[Tensor, Tensor], float]]:
        """Batches of an epoch, with the seconds that training waited for each."""
        batches = self.batches.epoch(epoch)
        for _ in range(min(len(self.batches), self.config.steps or len(self.batches))):
            start = time.perf_counter()
            batch = next(batches)
            yield batch, time.perf_counter() - start

    def _step(self, pixels: Tensor, labels: Tensor) -> tuple[float, int]:
        pixels, labels = pixels.to(self.device), labels.to(self.device)
        self.optimizer.zero_grad(set_to_none=not self.recipe.zero_gradients)
        with guard_memory(self.model, pixels, labels):
            with autocast(self.device, self.config.amp):
                scores = self.model(pixels)
                loss = F.cross_entropy(scores, labels)
            loss.backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the training loss became {value} in epoch {self.epoch + 1} at a base rate of "
                f"{self.base_lr:g}; a smaller lr may help."
            )
        self.optimizer.step()
        return value, int((scores.detach().argmax(1) != labels).sum())

    def _validate(self) -> dict[str, float]:
        part = self.data.validation
        if not len(part):
            return {"validation_loss": math.nan, "validation_error": math.nan}
        scores, labels = evaluate(self.model, part, self.device, steps=self.config.steps)
        loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(labels))
        error = 100.0 * float(np.mean(scores.argmax(1) != labels))
        return {"validation_loss": float(loss), "validation_error": error}

    def _keep_best(self, error: float) -> None:
        if self.recipe.report != "best":
            return
        if self.best is None or error < self.best["error"]:
            model = copy.deepcopy(self.model.state_dict())
            self.best = {"error": error, "epoch": self.epoch, "model": model}

    def test_scores(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores of the test part by the network that the recipe reports, and labels."""
        last = None
        if self.best is not None:
            last = copy.deepcopy(self.model.state_dict())
            self.model.load_state_dict(self.best["model"])
        found = evaluate(self.model, self.data.test, self.device, steps=self.config.steps)
        if last is not None:
            self.model.load_state_dict(last)
        return found

    def _zero_known_gradients(self) -> None:
        """Give weights that have had a gradient one of zero, as they have within a run."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if self.optimizer.state.get(parameter):
                    parameter.grad = torch.zeros_like(parameter)

    # Checkpoints ---------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, as plain data and tensors."""
        return {
            "config": self.config.to_dict(),
            "classes": list(self.data.class_names),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adapter": None if self.adapter is None else self.adapter.state_dict(),
            "history": self.history,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        ValueError
            If it is of another run, of other classes, or damaged; nothing is changed then.
        """
        self.check_state(state)
        self.model.load_state_dict(state["model"])
        if self.adapter is not None:
            self.adapter.load_state_dict(state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.recipe.zero_gradients:
            self._zero_known_gradients()
        self.history = [dict(row) for row in state["history"]]
        self.best = state["best"]

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise ``ValueError`` unless a state can be loaded; nothing changes."""
        with damage_refused("checkpoint"):
            self._check_state(state)

    def _check_state(self, state: dict[str, Any]) -> None:
        check_keys(state, list(KEYS))
        self.config.check_same(state["config"])
        theirs, mine = state["classes"], list(self.data.class_names)
        if theirs != mine:
            raise ValueError(
                f"the run to resume has {len(theirs)} classes ({', '.join(theirs[:3])}, ...), "
                f"data={self.config.data!r} has {len(mine)} ({', '.join(mine[:3])}, ...)."
            )
        check_history(state["history"], self.config.epochs)
        check_weights(state["model"], self.model.state_dict())
        if (state["adapter"] is None) != (self.adapter is None):
            raise ValueError("checkpoint is damaged: it is of another method.")
        if self.adapter is not None:
            self.adapter.check_state(state["adapter"])
        check_optimizer(state["optimizer"], self.optimizer)
        if state["best"] is not None:
            check_keys(state["best"], ["error", "epoch", "model"], "the best network")
            if not math.isnan(state["best"]["error"]):
                check_number("error", state["best"]["error"], low=0, high=100)
            check_weights(state["best"]["model"], self.model.state_dict(), "the best network")
            if not 0 < state["best"]["epoch"] <= len(state["history"]):
                raise ValueError("checkpoint is damaged: its best epoch is none of its own.")
