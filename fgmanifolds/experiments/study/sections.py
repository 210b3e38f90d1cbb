"""The sections of a protocol, each checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fgmanifolds.data import DATASETS
from fgmanifolds.experiments.table import AUGMENTATIONS
from fgmanifolds.models import MODELS
from fgmanifolds.validation import check_bool, check_choice, check_integer, check_number

__all__ = ["Analysis", "Budget", "Data", "Model", "Search", "Test"]

Contrast = tuple[str, str]


@dataclass(frozen=True)
class Data:
    """Data of a study.

    Attributes
    ----------
    name : str
        As :func:`~fgmanifolds.data.load_images` takes it.
    validation : float
        Share of the training part that is set aside, in (0, 0.9].
    augmentation : {"without", "with", "imagenet"}
        As the paper's tables call them: none; shifts and flips; crops.
    seed : int
        Of the split, the same in all runs.
    normalise : {"all", "channel", "pixel"} or None
    train_images : int or None
        Images of the training part that are trained on, the same in all runs; all of them.
    """

    name: str
    validation: float = 0.1
    augmentation: str = "without"
    seed: int = 0
    normalise: str | None = None
    train_images: int | None = None

    def __post_init__(self) -> None:
        if not self.name.startswith(("folder:", "zip:")):
            check_choice("name", self.name, (*DATASETS, "folder:PATH", "zip:PATH"))
        check_number("validation", self.validation, low=0, high=0.9, open_low=True)
        check_choice("augmentation", self.augmentation, AUGMENTATIONS)
        check_integer("seed", self.seed, low=0)
        if self.normalise is not None:
            check_choice("normalise", self.normalise, ("all", "channel", "pixel"))
        if self.train_images is not None:
            check_integer("train_images", self.train_images, low=2)


@dataclass(frozen=True)
class Model:
    """Network of a study.

    Attributes
    ----------
    name : str
    options : dict
        Of :func:`~fgmanifolds.models.build_model`.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("name", self.name, MODELS)


@dataclass(frozen=True)
class Budget:
    """What every run may use; the rates fall to 0 along a cosine over its steps.

    Attributes
    ----------
    epochs, batch_size : int
    evaluations : int
        On the validation part, in each epoch, the last after its last step.
    angles : int
        Steps of an epoch whose angles are measured.
    amp : bool
        Whether forward passes of training run under bfloat16 autocast.
    channels_last : bool
        Whether weights and images lie in memory with their channels last.
    threads : int
        Of each worker.
    steps : int or None
        Steps of an epoch at most, and batches that are evaluated (a smoke test).
    """

    epochs: int
    batch_size: int
    evaluations: int = 1
    angles: int = 4
    amp: bool = False
    channels_last: bool = False
    threads: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        check_integer("batch_size", self.batch_size, low=2)
        check_integer("angles", self.angles, low=0)
        for name in ("epochs", "evaluations", "threads"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("amp", "channels_last"):
            check_bool(name, getattr(self, name))
        if self.steps is not None:
            check_integer("steps", self.steps, low=1)


@dataclass(frozen=True)
class Search:
    """The search of each arm's rates, at the same points of a Halton sequence.

    Attributes
    ----------
    trials : int
        Points that are tried.
    best : int
        Points of the smallest validation error that are run again.
    reruns : int
        Seeds that each of them is run again with.
    seed : int
        Of all trials; reruns take the seeds after it.
    """

    trials: int
    best: int = 3
    reruns: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("trials", "best"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("reruns", "seed"):
            check_integer(name, getattr(self, name), low=0)
        if self.best > self.trials:
            raise ValueError(f"best={self.best} is more than trials={self.trials}.")


@dataclass(frozen=True)
class Test:
    """The runs that are tested.

    Attributes
    ----------
    seeds : int
        Number of seeds of each arm.
    first_seed : int
    """

    __test__ = False  # not for pytest

    seeds: int
    first_seed: int = 1000

    def __post_init__(self) -> None:
        check_integer("seeds", self.seeds, low=2)
        check_integer("first_seed", self.first_seed, low=0)


@dataclass(frozen=True)
class Analysis:
    """What is asked of the results.

    Attributes
    ----------
    primary : (str, str)
        The two arms of the primary contrast; differences are first minus second.
    secondary : list of (str, str)
        Further contrasts, held together by Holm's procedure.
    alpha : float
        Level of the primary contrast, of the secondary ones together, and of each
        equivalence test.
    margin : float
        Differences of less than it, in points of test error, count as none.
    target : float
        Validation error in percent; steps until a run reaches it are compared.
    paired : bool
        Whether differences are taken seed by seed, or by Welch's method.
    deviation, difference, power : float
        Standard deviation of the test error over seeds that is expected, the difference that
        is to be found, and how surely.
    """

    primary: Contrast
    margin: float
    target: float
    deviation: float
    difference: float
    secondary: tuple[Contrast, ...] = ()
    alpha: float = 0.05
    power: float = 0.8
    paired: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "primary", _contrast("primary", self.primary))
        contrasts = tuple(_contrast("secondary", pair) for pair in self.secondary)
        object.__setattr__(self, "secondary", contrasts)
        for pair in contrasts:
            if contrasts.count(pair) > 1 or set(pair) == set(self.primary):
                raise ValueError(f"secondary={list(pair)!r} is named twice, or is the primary one.")
        for name in ("margin", "target", "deviation", "difference"):
            check_number(name, getattr(self, name), low=0, high=100, open_low=True)
        check_number("alpha", self.alpha, low=0, high=0.5, open_low=True)
        check_number("power", self.power, low=0.5, high=0.999)
        check_bool("paired", self.paired)

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """The primary contrast, then the secondary ones."""
        return (self.primary, *self.secondary)


def _contrast(name: str, pair: Any) -> Contrast:
    if not isinstance(pair, list | tuple) or len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(f"{name}={pair!r} must name two arms, such as ['pio4', 'sgd'].")
    return str(pair[0]), str(pair[1])
