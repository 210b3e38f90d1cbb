"""How the paper's systems are trained: recipes of their sources, read from a file."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from fgmanifolds.validation import check_bool, check_choice, check_integer, check_number

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Recipe", "read_toml", "recipe"]


@dataclass(frozen=True)
class Recipe:
    """A schedule and its optimizer.

    Attributes
    ----------
    source : str
        Where it is from.
    optimizer : {"sgd", "rmsprop"}
        Of the rows without manifolds.
    lr, momentum, weight_decay : float
    batch_size, epochs : int
    nesterov : bool
    milestones : tuple of float
        Shares of the length after which the rate is multiplied by `factor`.
    factor : float
    decay : float
        The rate is multiplied by it in each of `epochs` epochs; a shorter run falls as far.
    validation : float
        Share of the training part that is set aside.
    report : {"last", "best"}
        Whether the network of the last or of the best validation epoch is tested.
    zero_gradients : bool
        Whether gradients are set to zero rather than to None, so that weights without a
        gradient in a step still move by momentum and weight decay.
    fg_lr : float or None
        Rate of FG-SGD; None: `lr`.
    """

    source: str
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    batch_size: int
    epochs: int
    nesterov: bool = False
    milestones: tuple[float, ...] = ()
    factor: float = 0.1
    decay: float = 1.0
    validation: float = 0.1
    report: str = "last"
    zero_gradients: bool = False
    fg_lr: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        check_choice("optimizer", self.optimizer, ("sgd", "rmsprop"))
        check_choice("report", self.report, ("last", "best"))
        for name in ("lr", "factor", "decay"):
            check_number(name, getattr(self, name), low=0, open_low=True)
        check_number("momentum", self.momentum, low=0, high=1)
        check_number("weight_decay", self.weight_decay, low=0)
        check_number("validation", self.validation, low=0, high=0.99)
        check_integer("batch_size", self.batch_size, low=2)
        check_integer("epochs", self.epochs, low=1)
        for name in ("nesterov", "zero_gradients"):
            check_bool(name, getattr(self, name))
        for share in self.milestones:
            check_number("milestones", share, low=0, high=1)
        if self.report == "best" and self.validation == 0:
            raise ValueError("report='best' needs a validation part, but validation=0.")

    def rate(self, epoch: int, epochs: int) -> float:
        """What the rate is multiplied by in epoch `epoch` (from 0) of `epochs`.

        Parameters
        ----------
        epoch, epochs : int
        """
        passed = sum(epoch >= round(share * epochs) for share in self.milestones)
        return self.factor**passed * self.decay ** (epoch * self.epochs / epochs)


def read_toml(name: str) -> dict[str, Any]:
    """Read a file of the folder ``experiments/tables``."""
    text = (files("fgmanifolds.experiments") / "tables" / name).read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def _recipes() -> dict[str, Recipe]:
    return {name: Recipe(**entries) for name, entries in read_toml("recipes.toml").items()}


def recipe(name: str) -> Recipe:
    """The recipe called `name`; ``ValueError`` if there is none."""
    check_choice("recipe", name, _recipes())
    return _recipes()[name]
