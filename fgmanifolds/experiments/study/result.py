"""How a run of a study ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["Result"]

#: Attributes that are whole numbers, truth values or texts; all others are numbers.
KINDS: dict[str, type] = {
    "arm": str,
    "stage": str,
    "trial": int,
    "seed": int,
    "diverged": bool,
    "epochs": int,
    "steps": int,
    "commit": str,
    "version": str,
    "torch": str,
    "device": str,
    "finished": str,
    "message": str,
}


@dataclass(frozen=True)
class Result:
    """How a run ended; a row of ``runs.csv``.

    Attributes
    ----------
    arm, stage : str
    trial, seed : int
    commit, version, torch : str
        What it was run with: commit of the code ("-dirty" if files differed from it), or
        empty, and versions.
    lr, lr_euclidean, weight_decay : float
    diverged : bool
        Whether a loss or a gradient stopped being finite; its errors are then those of
        guessing, and its losses nan.
    validation_error, test_error : float
        In percent; the test part is touched by runs of the stage "test" only, else nan.
    validation_loss, train_loss : float
        The latter over the steps since the evaluation before the last.
    epochs, steps : int
        Epochs done, and steps.
    seconds_per_epoch, cpu_seconds_per_epoch : float
        Of training alone, on the clock and of the process.
    residual : float
        Largest relative distance from the manifolds at the end; nan without POMs.
    device, finished, message : str
    """

    arm: str
    stage: str
    trial: int
    seed: int
    commit: str
    version: str
    torch: str
    lr: float
    lr_euclidean: float
    weight_decay: float
    diverged: bool
    validation_error: float
    validation_loss: float
    train_loss: float
    test_error: float
    epochs: int
    steps: int
    seconds_per_epoch: float
    cpu_seconds_per_epoch: float
    residual: float
    device: str
    finished: str
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON, which has no nan: None."""
        plain = asdict(self)
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in plain.items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Result:
        """Read plain data; ``ValueError`` if an entry is missing or of another kind."""
        names = [field.name for field in fields(cls)]
        if set(stored) != set(names):
            raise ValueError(f"its entries are not {', '.join(names)}.")
        values = {name: _entry(name, stored[name]) for name in names}
        for name in ("validation_error", "test_error"):
            if not (math.isnan(values[name]) or 0 <= values[name] <= 100):
                raise ValueError(f"{name}={values[name]!r} is no percentage.")
        return cls(**values)


def _entry(name: str, value: Any) -> Any:
    kind = KINDS.get(name)
    if kind is None:
        number = math.nan if value is None else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{name}={value!r} is not a number.")
        return float(number)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name}={value!r} is not of type {kind.__name__}.")
    return value
