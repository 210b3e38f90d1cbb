"""Generalization bounds of Tables I and VI, in the logarithm.

Up to constants and logarithms, as the table has them: with layers l = 1..L, width
w, N samples, margin m and norm x of the inputs,

- Neyshabur, Tomioka & Srebro (2015): ``2^L x prod ||W_l||_F / (m sqrt(N))``;
- Bartlett, Foster & Telgarsky (2017):
  ``x prod ||W_l||_2 (sum (||W_l||_{2->1} / ||W_l||_2)^(2/3))^(3/2) / (m sqrt(N))``;
- Neyshabur, Bhojanapalli & Srebro (2018):
  ``x prod ||W_l||_2 sqrt(L^2 w sum ||W_l||_F^2 / ||W_l||_2^2) / (m sqrt(N))``.

The paper puts products over the groups of a layer in the place of the layer's
norms. The original theorems are about the layer's whole matrix. Both are given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from fgmanifolds.capacity.norms import Norms
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.validation import check_integer, check_number

__all__ = ["BOUNDS", "LayerNorms", "generalization_bounds"]


@dataclass(frozen=True)
class LayerNorms:
    """Norms of one layer's weight: of its groups, and of its whole matrix.

    Attributes
    ----------
    name : str
    groups : Norms
        One entry for each group.
    whole : Norms
        One entry: the layer's matrix of outputs x inputs.
    width : int
        Number of outputs.
    """

    name: str
    groups: Norms
    whole: Norms
    width: int


@dataclass(frozen=True)
class _Logs:
    """Logarithms of the factors of each layer, shape (L,)."""

    frobenius: Array
    spectral: Array
    rows: Array


def _logs(layers: Sequence[LayerNorms], which: str) -> _Logs:
    def total(name: str) -> Array:
        return np.array([np.log(getattr(getattr(layer, which), name)).sum() for layer in layers])

    return _Logs(total("frobenius"), total("spectral"), total("rows"))


def _neyshabur2015(logs: _Logs, width: int) -> float:
    return float(logs.frobenius.sum() + len(logs.frobenius) * math.log(2))


def _bartlett2017(logs: _Logs, width: int) -> float:
    terms = 2 / 3 * (logs.rows - logs.spectral)
    return float(logs.spectral.sum() + 1.5 * logsumexp(terms))


def _neyshabur2018(logs: _Logs, width: int) -> float:
    terms = 2 * (logs.frobenius - logs.spectral)
    depth = 2 * math.log(len(terms)) + math.log(width)
    return float(logs.spectral.sum() + 0.5 * (depth + logsumexp(terms)))


#: The bounds by name: functions of the layers' logarithms and the width.
BOUNDS: dict[str, Callable[[_Logs, int], float]] = {
    "Neyshabur 2015": _neyshabur2015,
    "Bartlett 2017": _bartlett2017,
    "Neyshabur 2018": _neyshabur2018,
}


def generalization_bounds(
    layers: Sequence[LayerNorms],
    n_samples: int,
    *,
    margin: float = 1.0,
    input_norm: float = 1.0,
) -> pd.DataFrame:
    """Compute the three bounds, from the norms of groups and from those of layers.

    Parameters
    ----------
    layers : sequence of LayerNorms
        As :func:`fgmanifolds.verify.layer_norms` takes them from a model.
    n_samples : int
        Number N of training samples.
    margin : float
        Margin of the training samples' scores.
    input_norm : float
        Largest Euclidean norm of an input.

    Returns
    -------
    DataFrame
        Decimal logarithms: a row for each bound, a column ``groups`` as in the
        paper, and ``layers`` as in the original theorems.

    Raises
    ------
    ValueError
        If there is no layer, a norm is zero, or a number is not positive.
    """
    check_integer("n_samples", n_samples, low=1)
    check_number("margin", margin, low=0.0, open_low=True)
    check_number("input_norm", input_norm, low=0.0, open_low=True)
    layers = list(layers)
    if not layers:
        raise ValueError("layers is empty: the model has no weight matrices.")
    for layer in layers:
        if min(layer.groups.frobenius.min(), layer.whole.frobenius.min()) <= 0:
            raise ValueError(f"layer {layer.name!r} has a weight that is zero: no bound exists.")
    width = max(layer.width for layer in layers)
    scale = math.log(input_norm) - math.log(margin) - 0.5 * math.log(n_samples)
    table = {
        column: {
            name: (bound(_logs(layers, which), width) + scale) / math.log(10)
            for name, bound in BOUNDS.items()
        }
        for column, which in (("groups", "groups"), ("layers", "whole"))
    }
    return pd.DataFrame(table).rename_axis("log10 of the bound")
