"""The training loop: one model, one optimizer, epochs that can be resumed bit for bit."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

from fgmanifolds.capacity import BoundRecorder
from fgmanifolds.data import ImageData, ImagePart, load_images
from fgmanifolds.experiments.angles import StepAngles
from fgmanifolds.experiments.checks import (
    check_generator,
    check_history,
    check_keys,
    check_optimizer,
    check_scheduler,
    check_weights,
)
from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.metrics import StepRecord, collection_metrics
from fgmanifolds.experiments.peers import PEERS
from fgmanifolds.experiments.precision import autocast
from fgmanifolds.models import build_model
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.validation import damage_refused

__all__ = ["Trainer", "evaluate"]

#: Steps of an epoch whose angles are measured.
LOOKED_AT = 2
#: What a checkpoint holds.
KEYS = ("config", "model", "optimizers", "adapter", "schedulers", "order", "history")


@torch.no_grad()
def evaluate(model: nn.Module, part: ImagePart, device: str) -> tuple[float, float]:
    """Mean cross-entropy and error (in percent) of `model` on a part of the data.

    Parameters
    ----------
    model : nn.Module
    part : ImagePart
    device : str
    """
    model.eval()
    loss, wrong = 0.0, 0
    for start in range(0, len(part), 500):
        images, labels = part.batch(np.arange(start, min(start + 500, len(part))))
        scores = model(images.to(device)).cpu()
        loss += float(F.cross_entropy(scores, labels, reduction="sum"))
        wrong += int((scores.argmax(1) != labels).sum())
    return loss / len(part), 100.0 * wrong / len(part)


class Trainer:
    """A training run in memory.

    Parameters
    ----------
    config : TrainConfig

    Attributes
    ----------
    model : nn.Module
    adapter : POMAdapter or None
        None when the optimizer is plain SGD.
    optimizers : list of torch.optim.Optimizer
        One, but for POGO, which leaves the other parameters to SGD.
    history : list of dict
        One row of metrics for each epoch done.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.data: ImageData = load_images(config.data)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            model = build_model(config.model, self.data.classes, in_channels=self.data.channels)
        self.model = model.to(config.device)
        self.adapter, self.optimizers = self._make_optimizers()
        self._schedulers = [CosineAnnealingLR(o, config.epochs) for o in self.optimizers]
        self._order = torch.Generator().manual_seed(config.seed)
        images = self.data.train.tensors[0]
        largest = float(images.flatten(1).norm(dim=1).max())
        self._bounds = BoundRecorder(self.model, len(images), self.adapter, input_norm=largest)
        self.history: list[dict[str, float]] = []

    def _make_optimizers(self) -> tuple[POMAdapter | None, list[torch.optim.Optimizer]]:
        c = self.config
        if c.optimizer in PEERS:
            with torch.random.fork_rng():
                torch.manual_seed(c.seed)
                make = PEERS[c.optimizer]
                return None, make(self.model, c.lr, c.momentum, c.weight_decay)
        if c.optimizer == "sgd":
            parameters = self.model.parameters()
            sgd = torch.optim.SGD(
                parameters, lr=c.lr, momentum=c.momentum, weight_decay=c.weight_decay, foreach=True
            )
            return None, [sgd]
        adapter = POMAdapter(
            self.model,
            c.scheme,
            c.manifolds,
            c.seed,
            exclude=c.exclude,
            fan_out=c.fan_out,
            example=self.data.train.tensors[0][:2].to(c.device),
        )
        adapter.initialize_()
        optimizer = FGSGD(
            adapter,
            lr=c.lr,
            momentum=c.momentum,
            weight_decay=c.weight_decay,
            rule=c.rule,
            gradient_norm=c.gradient_norm,
        )
        return adapter, [optimizer]

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    def _batches(self) -> DataLoader[tuple[Tensor, ...]]:
        part = self.data.train
        order = RandomSampler(part, generator=self._order)
        # A last batch of one image has no spread for batch normalisation.
        drop_last = len(part) % self.config.batch_size == 1
        batches = BatchSampler(order, self.config.batch_size, drop_last=drop_last)
        return DataLoader(part, sampler=batches, batch_size=None, generator=self._order)

    def run_epoch(self) -> dict[str, float]:
        """Train for one epoch, update the radii, and measure; returns the row of metrics."""
        start, lr = time.perf_counter(), float(self._schedulers[0].get_last_lr()[0])
        record, angles, batches = StepRecord(), StepAngles(self.model), self._batches()
        looked = {int(len(batches) * (i + 0.5) / LOOKED_AT) for i in range(LOOKED_AT)}
        self.model.train()
        for number, (images, labels) in enumerate(batches):
            if number in looked:
                angles.before()
            self._step(images.to(self.config.device), labels.to(self.config.device), record)
            if number in looked:
                angles.after(number)
        for scheduler in self._schedulers:
            scheduler.step()
        if self.adapter is not None:
            self.adapter.update_scales_()
        seconds = time.perf_counter() - start
        loss, error = evaluate(self.model, self.data.validation, self.config.device)
        row = {
            "epoch": float(self.epoch + 1),
            "lr": lr,
            **record.means(),
            "validation_loss": loss,
            "validation_error": error,
            **collection_metrics(self.adapter),
            **angles.means(),
            **self._bounds(record.margin()),
            "seconds": seconds,
        }
        self.history.append(row)
        return row

    def _step(self, images: Tensor, labels: Tensor, record: StepRecord) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        with autocast(self.config.device, self.config.amp):
            scores = self.model(images)
            loss = F.cross_entropy(scores, labels)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the training loss became {loss.item()} in epoch {self.epoch + 1}; "
                f"a smaller lr than {self.config.lr} may help."
            )
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        record.add(scores.detach(), labels, loss.detach(), self.model, self.optimizers[0])

    def test_error(self) -> float:
        """Error on the test part, in percent. Meant to be called once, at the end."""
        return evaluate(self.model, self.data.test, self.config.device)[1]

    # Checkpoints ---------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on bit for bit, as plain data and tensors."""
        return {
            "config": self.config.to_dict(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "adapter": None if self.adapter is None else self.adapter.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
            "order": self._order.get_state(),
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        ValueError
            If it is of a run with other options, or damaged; nothing is changed then.
        """
        self.check_state(state)
        self.model.load_state_dict(state["model"])
        if self.adapter is not None:
            self.adapter.load_state_dict(state["adapter"])
        for part, stored in zip(self.optimizers, state["optimizers"], strict=True):
            part.load_state_dict(stored)
        for scheduler, stored in zip(self._schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(stored)
        self._order.set_state(state["order"])
        self.history = [dict(row) for row in state["history"]]

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise ``ValueError`` unless a state can be loaded; nothing changes."""
        with damage_refused("checkpoint"):
            self._check_state(state)

    def _check_state(self, state: dict[str, Any]) -> None:
        check_keys(state, list(KEYS))
        self.config.check_same(state["config"])
        check_history(state["history"], self.config.epochs)
        check_weights(state["model"], self.model.state_dict())
        if (state["adapter"] is None) != (self.adapter is None):
            raise ValueError("checkpoint is damaged: it is of another optimizer.")
        if self.adapter is not None:
            self.adapter.check_state(state["adapter"])
        for part, stored in zip(self.optimizers, state["optimizers"], strict=True):
            check_optimizer(stored, part)
        for scheduler, stored in zip(self._schedulers, state["schedulers"], strict=True):
            check_scheduler(stored, scheduler.state_dict(), len(state["history"]))
        check_generator(state["order"], self._order)
