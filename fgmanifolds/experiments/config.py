"""What a training run is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch

from fgmanifolds.data import PACKAGED
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.models import MODELS
from fgmanifolds.steps import GRADIENT_NORMS, RULES
from fgmanifolds.torch.scaling import FAN_OUT
from fgmanifolds.torch.schemes import SCHEMES
from fgmanifolds.validation import (
    check_bool,
    check_choice,
    check_choices,
    check_integer,
    check_number,
)

__all__ = ["OPTIMIZERS", "TrainConfig"]

OPTIMIZERS = ("fgsgd", "sgd", "geoopt", "pogo")

#: Labels of the optimizers without a collection of POMs.
PLAIN_LABELS = {"sgd": "SGD", "geoopt": "RSGD of geoopt (St)", "pogo": "POGO (St)"}

#: Labels of the schemes that are not those of the paper's names.
SCHEME_LABELS = {"kernel": "each weight by itself", "layer": "one POM a layer"}


@dataclass(frozen=True)
class TrainConfig:
    """Options of a training run; every one is checked when it is made.

    Attributes
    ----------
    data, model, optimizer : str
        Names of a data set, a model, and ``"fgsgd"``, ``"sgd"``, or with the extra
        'peers' ``"geoopt"`` or ``"pogo"`` (kernels on unit Stiefel manifolds).
    scheme, manifolds, exclude, fan_out, rule, gradient_norm
        For ``"fgsgd"``, as :class:`~fgmanifolds.torch.POMAdapter` and
        :class:`~fgmanifolds.torch.FGSGD` take them. The classifier is left out
        by default: inside the unit ball its scores are bounded, and the
        cross-entropy could not fall far.
    epochs, batch_size : int
    lr, momentum, weight_decay : float
        The learning rate falls to 0 along a cosine over the epochs.
    seed : int
        Of the initial weights, the sets and the order of the images. The split
        of the data does not depend on it.
    device : str
    amp : bool
        Whether forward passes of training run under bfloat16 autocast; weights,
        steps and evaluation stay in float32.
    """

    data: str = "digits"
    model: str = "cnn"
    optimizer: str = "fgsgd"
    scheme: str = "pio"
    manifolds: tuple[str, ...] = ("sphere", "oblique", "stiefel", "euclidean")
    exclude: tuple[str, ...] = ("classifier",)
    fan_out: str = "none"
    rule: str | None = "corollary2"
    gradient_norm: str = "past"
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    device: str = "cpu"
    amp: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (
            ("data", PACKAGED),
            ("model", MODELS),
            ("optimizer", OPTIMIZERS),
            ("scheme", SCHEMES),
            ("fan_out", FAN_OUT),
            ("rule", RULES),
            ("gradient_norm", GRADIENT_NORMS),
        ):
            check_choice(name, getattr(self, name), allowed)
        object.__setattr__(self, "manifolds", tuple(self.manifolds))
        object.__setattr__(self, "exclude", tuple(self.exclude))
        check_choices("manifolds", self.manifolds, COMPONENTS)
        check_integer("epochs", self.epochs, low=1)
        check_integer("batch_size", self.batch_size, low=2)
        check_integer("seed", self.seed, low=0)
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("momentum", self.momentum, low=0, high=1)
        check_number("weight_decay", self.weight_decay, low=0)
        check_bool("amp", self.amp)
        check_device(self.device)

    @property
    def label(self) -> str:
        """Short name of the method, as in the paper's tables."""
        if self.optimizer in PLAIN_LABELS:
            return PLAIN_LABELS[self.optimizer]
        short = {"sphere": "Sp", "oblique": "Ob", "stiefel": "St", "euclidean": "Euc"}
        names = "+".join(short[name] for name in self.manifolds)
        return f"FG-SGD {SCHEME_LABELS.get(self.scheme, self.scheme.upper())} ({names})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and checkpoints."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def check_same(self, stored: dict[str, Any]) -> None:
        """Raise ``ValueError`` naming the first option in which a stored run differs."""
        mine = self.to_dict()
        for field in fields(self):
            if stored.get(field.name) != mine[field.name]:
                raise ValueError(
                    f"the run to resume has {field.name}={stored.get(field.name)!r}, "
                    f"but {field.name}={mine[field.name]!r} was asked for."
                )


def check_device(device: str) -> None:
    """Raise ``ValueError`` unless torch knows the device and sees one of its kind."""
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ValueError(f"device={device!r} is unknown; 'cpu' or 'cuda', say.") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r} was asked for, but torch sees no CUDA device here.")
