"""Norms of weights and of concatenated groups; Tables II and IV; the Bai-Yin estimate.

A group of components w_1, ..., w_k of shape A x B is concatenated to a matrix of
A rows and kB columns. All three norms follow from its Gram matrix
``sum_i w_i w_i^T``, of shape A x A, whatever the size of the group.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from fgmanifolds.geometry import Component
from fgmanifolds.geometry.arrays import Array, RandomState, transposed
from fgmanifolds.validation import check_integer

__all__ = [
    "Norms",
    "bai_yin",
    "concatenated_norms",
    "norm_ranges",
    "table2",
    "top_singular_value",
]


@dataclass(frozen=True)
class Norms:
    """Frobenius, spectral and row-sum norms of a set of matrices.

    Attributes
    ----------
    frobenius, spectral, rows : array of shape (n,)
        `rows` is the 2->1 norm: the sum of the Euclidean norms of the rows.
    """

    frobenius: Array
    spectral: Array
    rows: Array

    def __post_init__(self) -> None:
        for name in ("frobenius", "spectral", "rows"):
            values = np.asarray(getattr(self, name), dtype=float)
            if not np.all(np.isfinite(values)):
                raise ValueError(f"{name} norms are not finite: the weights are broken.")

    def __len__(self) -> int:
        return len(self.frobenius)


def concatenated_norms(components: Array, groups: ArrayLike | None = None) -> Norms:
    """Norms of groups of components, each group concatenated along its columns.

    Parameters
    ----------
    components : array of shape (n, A, B)
    groups : array of int, shape (n,), optional
        Number of the group of each component. Default: every one by itself.

    Returns
    -------
    Norms
        One entry for each group.

    Raises
    ------
    ValueError
        If the shapes do not fit, or an entry is not finite.
    """
    components = np.asarray(components, dtype=float)
    if components.ndim != 3 or not len(components):
        raise ValueError(f"components has shape {components.shape}; (n, A, B) is needed, n >= 1.")
    if not np.all(np.isfinite(components)):
        raise ValueError("components has entries that are not finite.")
    gram = components @ transposed(components)
    if groups is not None:
        index = np.asarray(groups)
        if index.shape != (len(components),):
            raise ValueError(f"groups has shape {index.shape}; ({len(components)},) is needed.")
        total = np.zeros((int(index.max()) + 1, *gram.shape[1:]))
        np.add.at(total, index, gram)
        gram = total
    return _norms_of_gram(gram)


def _norms_of_gram(gram: Array) -> Norms:
    squares = np.diagonal(gram, axis1=-2, axis2=-1).clip(min=0)
    largest = np.linalg.eigvalsh(gram)[..., -1].clip(min=0)
    return Norms(np.sqrt(squares.sum(-1)), np.sqrt(largest), np.sqrt(squares).sum(-1))


# Tables II and IV -----------------------------------------------------------------


def norm_ranges(component: Component) -> dict[str, tuple[float, float]]:
    """Tight ranges of the three norms over one copy of a component.

    Parameters
    ----------
    component : Component
        With one radius for all of its copies; all ranges are proportional to it.

    Returns
    -------
    dict
        ``{"frobenius": (low, high), "spectral": ..., "rows": ...}``.
    """
    radii = component.radii
    if np.ptp(radii) > 0:
        raise ValueError(f"{component} has copies of different radii; take one of them.")
    ranges = _UNIT_RANGES[component.kind](*component.shape)
    r = float(radii[0])
    return {name: (r * low, r * high) for name, (low, high) in ranges.items()}


Ranges = dict[str, tuple[float, float]]


def _sphere_ranges(a: int, b: int) -> Ranges:
    return {
        "frobenius": (1.0, 1.0),
        "spectral": (1 / math.sqrt(min(a, b)), 1.0),
        "rows": (1.0, math.sqrt(a)),
    }


def _oblique_ranges(a: int, b: int) -> Ranges:
    root = math.sqrt(b)
    return {
        "frobenius": (root, root),
        "spectral": (math.sqrt(max(1.0, b / a)), root),
        "rows": (root, math.sqrt(a * b)),
    }


def _stiefel_ranges(a: int, b: int) -> Ranges:
    return {
        "frobenius": (math.sqrt(b), math.sqrt(b)),
        "spectral": (1.0, 1.0),
        "rows": (float(b), math.sqrt(a * b)),
    }


def _euclidean_ranges(a: int, b: int) -> Ranges:
    return dict.fromkeys(("frobenius", "spectral", "rows"), (0.0, math.inf))


_UNIT_RANGES: dict[str, Callable[[int, int], Ranges]] = {
    "sphere": _sphere_ranges,
    "oblique": _oblique_ranges,
    "stiefel": _stiefel_ranges,
    "euclidean": _euclidean_ranges,
}


def _printed(kind: str, columns: int) -> dict[str, float | None]:
    """Entries of Table II; None for the top singular value of the weight, which says nothing."""
    fourth = columns**0.25
    return {
        "sphere": {"spectral": None, "frobenius": 1.0, "rows": 1.0},
        "stiefel": {"spectral": 1.0, "frobenius": columns**0.5, "rows": fourth},
        "oblique": {"spectral": None, "frobenius": columns**0.5, "rows": fourth},
    }[kind]


def table2(component: Component, *, samples: int = 2000, rng: RandomState = 0) -> pd.DataFrame:
    """Table II (and IV) for one component: printed, right, and measured on random points.

    Parameters
    ----------
    component : Component
        A sphere, an oblique or a Stiefel manifold, at unit radius.
    samples : int
        Number of random points.
    rng : Generator or int

    Returns
    -------
    DataFrame
        A row for each norm: the printed entry (nan where it is the top singular
        value itself), the tight range, the range over random points, and whether
        the printed entry is the norm of every point.

    Raises
    ------
    ValueError
        If the component is Euclidean, or its radius is not 1.
    """
    check_integer("samples", samples, low=1)
    if component.kind == "euclidean" or not np.all(component.radii == 1):
        raise ValueError(
            f"{component}: Table II has spheres, oblique and Stiefel manifolds of radius 1."
        )
    single = type(component)(*component.shape, k=max(samples, 2))
    points = single.random_point(rng)
    measured = concatenated_norms(points)
    printed, ranges = _printed(component.kind, component.shape[1]), norm_ranges(component)
    rows = []
    for name in ("spectral", "frobenius", "rows"):
        values, (low, high), entry = getattr(measured, name), ranges[name], printed[name]
        holds = entry is None or bool(np.allclose([low, high], entry))
        rows.append(
            {
                "norm": name,
                "printed": math.nan if entry is None else entry,
                "lowest": low,
                "highest": high,
                "lowest measured": float(values.min()),
                "highest measured": float(values.max()),
                "holds": holds,
            }
        )
    return pd.DataFrame(rows).set_index("norm")


# The law of Bai and Yin -------------------------------------------------------------


def bai_yin(component: Component) -> float:
    """Estimate of the top singular value of a random point, from the Bai-Yin law.

    A matrix of independent entries of variance s^2 has it near
    ``s (sqrt(A) + sqrt(B))``; s^2 is 1 / (AB) on a sphere and 1 / A on an oblique or
    Stiefel manifold. The law is one for large matrices, and independent entries.

    Parameters
    ----------
    component : Component
        With one radius. On a Stiefel manifold the entries are not independent, and
        the top singular value is the radius.

    Returns
    -------
    float
    """
    a, b = component.shape
    scale = {"sphere": (a * b) ** -0.5, "oblique": a**-0.5, "stiefel": a**-0.5, "euclidean": 1.0}
    return float(component.radii[0]) * scale[component.kind] * (math.sqrt(a) + math.sqrt(b))


def top_singular_value(component: Component, *, samples: int = 1000, rng: RandomState = 0) -> float:
    """Mean top singular value of random points of a component, measured.

    Parameters
    ----------
    component : Component
    samples : int
    rng : Generator or int
    """
    check_integer("samples", samples, low=1)
    copies = type(component)(*component.shape, k=max(2, samples), radius=component.radii[0])
    return float(np.linalg.norm(copies.random_point(rng), ord=2, axis=(-2, -1)).mean())
