"""By what angle steps turn the weights of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

__all__ = ["StepAngles", "turned"]


def turned(before: Tensor, after: Tensor) -> float:
    """Mean angle in radians between the filters of two weights ``[outputs, ...]``.

    From the chord of unit vectors, which is exact for small angles too; filters that are 0
    are left out, and the mean of none is nan.

    Parameters
    ----------
    before : Tensor
    after : Tensor
    """
    old, new = before.double().flatten(1), after.double().flatten(1)
    lengths = old.norm(dim=1), new.norm(dim=1)
    kept = (lengths[0] > 0) & (lengths[1] > 0)
    chord = (old[kept] / lengths[0][kept, None] - new[kept] / lengths[1][kept, None]).norm(dim=1)
    return float((2 * (chord / 2).clamp(max=1).asin()).mean())


class StepAngles:
    """Angles of single steps, for each weight of two or more axes, as its layer uses it.

    Parameters
    ----------
    model : nn.Module

    Attributes
    ----------
    rows : list of dict
        For each step looked at and each layer: step, layer, angle (radians, mean over the
        filters of its outputs).
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights: Mapping[str, Callable[[], Tensor]] = dict(_weights(model))
        self._before: dict[str, Tensor] = {}
        self.rows: list[dict[str, int | float | str]] = []

    def before(self) -> None:
        """Keep the weights of just before a step."""
        with torch.no_grad():
            self._before = {name: look().clone() for name, look in self._weights.items()}

    def after(self, step: int) -> None:
        """Add the angles of step number `step`, which has just been made."""
        with torch.no_grad():
            for name, old in self._before.items():
                angle = turned(old, self._weights[name]())
                self.rows.append({"step": step, "layer": name, "angle": angle})
        self._before = {}

    def means(self) -> dict[str, float]:
        """Mean angle of each layer over the steps looked at, as ``angle_LAYER``."""
        found: dict[str, list[float]] = {}
        for row in self.rows:
            found.setdefault(f"angle_{row['layer']}", []).append(float(row["angle"]))
        return {name: math.fsum(angles) / len(angles) for name, angles in found.items()}


def _weights(model: nn.Module) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Names of layers, with functions that give the weights that they use at present."""
    for name, parameter in model.named_parameters():
        path, inside, rest = name.partition("parametrizations.")
        if not inside and parameter.ndim > 1:
            yield name.removesuffix(".weight"), parameter.detach
        attribute, _, part = rest.rpartition(".")
        if part in ("original", "original0") and parameter.ndim > 1:
            owner = path.removesuffix(".")
            full = f"{path}{attribute}".removesuffix(".weight")
            yield full, partial(getattr, model.get_submodule(owner), attribute)
