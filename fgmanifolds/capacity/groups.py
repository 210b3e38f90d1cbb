"""Proposition 1: norms of concatenated groups under the radii R = gamma / lambda."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fgmanifolds.capacity.shapes import ARCHITECTURES, LayerShape
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch.scaling import FAN_OUT, geometric_scaling
from fgmanifolds.torch.schemes import SCHEMES, block_sets, kernel_sets
from fgmanifolds.validation import check_choice, check_choices, check_number

__all__ = ["group_norms", "proposition1_norms"]


def proposition1_norms(
    architecture: str | Sequence[LayerShape],
    *,
    scheme: str = "pio",
    manifolds: Sequence[str] = ("sphere", "oblique", "stiefel"),
    fan_out: str = "glorot",
    spread: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Norms of all groups of a network whose components have radius gamma / lambda.

    The Frobenius norm of a group is fixed by its components. The row-sum norm is
    the largest possible one, ``sqrt(A)`` times that; the spectral norm is at
    most the Frobenius norm. Euclidean components are left out.

    Parameters
    ----------
    architecture : str or sequence of LayerShape
        A name in :data:`fgmanifolds.verify.ARCHITECTURES`, or the layers, as
        :func:`fgmanifolds.verify.layer_shapes` takes them from a model.
    scheme : {"pi", "po", "pio", "layer", "kernel"}
    manifolds : sequence of str
        One for the last two schemes.
    fan_out : {"glorot", "feature_map", "none"}
        b-hat of eq. (2): A B D, the number of outputs H W D, or 0, the default of
        :class:`fgmanifolds.torch.POMAdapter`.
    spread : float
        Lambda, the standard deviation of the features.
    seed : int
        Of the sets.

    Returns
    -------
    DataFrame
        A row for each layer: number of groups, largest Frobenius and row-sum norm, and
        the shares of groups in which they are at most 1.
    """
    if isinstance(architecture, str):
        check_choice("architecture", architecture, ARCHITECTURES)
        architecture = ARCHITECTURES[architecture]
    check_choice("scheme", scheme, SCHEMES)
    check_choices("manifolds", manifolds, COMPONENTS)
    check_choice("fan_out", fan_out, FAN_OUT)
    check_number("spread", spread, low=0.0, open_low=True)
    rows = []
    for layer in architecture:
        frobenius, row_sums = group_norms(layer, scheme, tuple(manifolds), fan_out, seed)
        frobenius, row_sums = frobenius / spread, row_sums / spread
        rows.append(
            {
                "layer": layer.name,
                "groups": len(frobenius),
                "frobenius": float(frobenius.max(initial=0.0)),
                "rows": float(row_sums.max(initial=0.0)),
                "share frobenius <= 1": float(np.mean(frobenius <= 1 + 1e-12)),
                "share rows <= 1": float(np.mean(row_sums <= 1 + 1e-12)),
            }
        )
    return pd.DataFrame(rows).set_index("layer")


def gamma(layer: LayerShape, fan_out: str) -> float:
    """Geometric scaling of a layer, eq. (2)."""
    receptive = layer.kernel**2
    per_channel = {"glorot": receptive, "feature_map": layer.size**2, "none": 0}[fan_out]
    return geometric_scaling(receptive * layer.inputs, per_channel * layer.outputs)


def group_norms(
    layer: LayerShape, scheme: str, manifolds: tuple[str, ...], fan_out: str, seed: int
) -> tuple[Array, Array]:
    """Frobenius norm and largest row-sum norm of each group of a layer at lambda = 1.

    Parameters
    ----------
    layer : LayerShape
    scheme : {"pi", "po", "pio", "layer", "kernel"}
    manifolds : sequence of str
    fan_out : {"glorot", "feature_map", "none"}
    seed : int
    """
    squares, rows = _unit_squares(
        layer.inputs, layer.outputs, layer.kernel, scheme, manifolds, seed
    )
    frobenius = gamma(layer, fan_out) * np.sqrt(squares)
    return frobenius, np.sqrt(rows) * frobenius


@functools.lru_cache(maxsize=256)
def _unit_squares(
    inputs: int, outputs: int, kernel: int, scheme: str, manifolds: tuple[str, ...], seed: int
) -> tuple[Array, Array]:
    """Squared Frobenius norm at unit radii, and number of rows, of each group."""
    rng = np.random.default_rng(seed)
    if kernel == 1:
        found = []
        (blocks,) = block_sets((outputs, inputs), scheme, len(manifolds), rng)
        for block in blocks:
            sides = sorted((len(block.outputs), len(block.inputs)))
            square = _square(manifolds[block.manifold], sides[0])
            found.append((square, sides[1]))
        return _columns([entry for entry in found if entry[0] > 0])
    sets = kernel_sets((outputs, inputs), scheme, len(manifolds), rng)
    each = np.array([_square(name, kernel) for name in manifolds])[sets.manifold]
    squares = np.bincount(sets.pom.ravel(), weights=each.ravel())
    return _columns([(square, kernel) for square in squares if square > 0])


def _square(manifold: str, columns: int) -> float:
    """Squared Frobenius norm of a point of unit radius; 0 for Euclidean ones, which have none."""
    return {"sphere": 1.0, "euclidean": 0.0}.get(manifold, float(columns))


def _columns(entries: Sequence[tuple[float, int]]) -> tuple[Array, Array]:
    table = np.array(entries, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]
