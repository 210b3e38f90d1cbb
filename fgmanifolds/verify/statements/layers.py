"""Generalization bounds: Tables I and VI."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fgmanifolds import capacity
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify.claim import FAILS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "cited_bounds", "table1_and_6"]

_HERE = "fgmanifolds.verify.statements.layers"


KINDS = ("sphere", "oblique", "stiefel")


def matrix_norms(matrix: Array) -> dict[str, float]:
    """The three norms of a matrix, by their definitions."""
    return {
        "frobenius": float(np.linalg.norm(matrix)),
        "spectral": float(np.linalg.svd(matrix, compute_uv=False)[0]),
        "rows": float(np.linalg.norm(matrix, axis=1).sum()),
    }


def printed_layer(groups: Sequence[float]) -> float:
    """The layer's Frobenius norm that the tables have: a product over its groups."""
    return float(np.prod(groups))


def right_layer(groups: Sequence[float]) -> float:
    """The layer's Frobenius norm: the root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(groups))))


def cited_bounds(layers: Sequence[dict[str, float]], width: int, samples: int) -> dict[str, float]:
    """The three bounds of Tables I and VI from norms of layers, in the decimal logarithm.

    Parameters
    ----------
    layers : sequence of dict
        Norms of each layer: frobenius, spectral, rows.
    width, samples : int
    """
    frobenius, spectral, rows = (
        np.array([layer[key] for layer in layers]) for key in ("frobenius", "spectral", "rows")
    )
    depth, root = len(layers), math.sqrt(samples)
    bartlett = np.sum((rows / spectral) ** (2 / 3)) ** 1.5
    stable = math.sqrt(depth**2 * width * np.sum(frobenius**2 / spectral**2))
    return {
        "Neyshabur 2015": math.log10(2**depth * np.prod(frobenius) / root),
        "Bartlett 2017": math.log10(np.prod(spectral) * bartlett / root),
        "Neyshabur 2018": math.log10(np.prod(spectral) * stable / root),
    }


def table1_and_6(*, seed: int = 0) -> Finding:
    """Check Tables I and VI on a network: products over groups in the place of layer norms.

    A bound of the table stands on an upper bound of the norm of each layer. The
    product of the norms of a layer's groups is none: groups with norms below 1 make
    it fall without limit, while the norm of the layer is the root of the sum of
    squares.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential()
        for inputs, outputs in ((3, 8), (8, 12), (12, 6)):
            model.append(nn.Conv2d(inputs, outputs, 3))
            model.append(nn.BatchNorm2d(outputs))
        adapter = POMAdapter(model, "pio", KINDS, seed=seed, fan_out="glorot").initialize_()
    found = Evidence()
    direct, wrong, off = [], [], 0.0
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        weight = module.weight.detach().double().numpy()
        layer = matrix_norms(weight.reshape(len(weight), -1))
        groups = [
            float(np.sqrt(sum(np.sum(np.square(part)) for part in adapter.point(name, pom))))
            for pom in range(len(adapter.pom_names(name)))
        ]
        wrong.append(printed_layer(groups) / layer["frobenius"])
        off = max(off, abs(right_layer(groups) / layer["frobenius"] - 1))
        direct.append(layer)
    found.above(PRINTED, "least product of groups' norms over the layer's", min(wrong), 1 - 1e-9)
    found.below(RIGHT, "root of the sum of squares off the layer's norm by", off, 1e-6)
    bounds = capacity.generalization_bounds(capacity.layer_norms(model, adapter), 50_000)
    for name, value in cited_bounds(direct, 12, 50_000).items():
        ours = float(bounds["layers"][name])
        found.near(CODE, f"log10, {name}, from layers", ours, value, 1e-5)
        groups_bound = float(bounds["groups"][name])
        found.note(f"log10, {name}, from groups", groups_bound)
    _lipschitz(found, direct, model, seed)
    return found.finding(
        "Tables I, VI",
        "Products of the groups' norms stand for the layer's norm in three generalization bounds.",
        "The product over groups is below the layer's norm, so that the theorems cited say nothing "
        "of it. From the layers' norms, whose squares are the sums over the groups, the bounds "
        "are the original ones.",
        direct[int(np.argmin(wrong))],
        beyond_repair=True,
    )


def _lipschitz(
    found: Evidence, layers: Sequence[dict[str, float]], model: nn.Module, seed: int
) -> None:
    """What the theorems need: the product of layer norms bounds how matrices stretch vectors."""
    rng = np.random.default_rng(seed)
    stretch = []
    convolutions = [module for module in model.children() if isinstance(module, nn.Conv2d)]
    for layer, module in zip(layers, convolutions, strict=True):
        matrix = module.weight.detach().double().numpy()
        matrix = matrix.reshape(len(matrix), -1)
        x = rng.standard_normal(matrix.shape[1])
        for _ in range(50):  # power iteration: the stretch that is the largest
            x = matrix.T @ (matrix @ x)
            x /= np.linalg.norm(x)
        stretch.append(float(np.linalg.norm(matrix @ x)) / layer["spectral"])
    found.between(RIGHT, "largest stretch over the spectral norm", max(stretch), 0.99, 1 + 1e-9)


_BOUNDS = Fault(
    "bounds-double",
    PACKAGE,
    "generalization_bounds is one decimal too large",
    "fgmanifolds.capacity:generalization_bounds",
    lambda f: lambda *args, **options: f(*args, **options) + 1.0,
)


_TABLE1 = (
    Fault(
        "table1-printed-right",
        FORMULA,
        "the printed product replaced by the root of the sum of squares",
        f"{_HERE}:printed_layer",
        lambda f: lambda groups: 1.0000001 * right_layer(groups),
    ),
    Fault(
        "table1-right-sum",
        FORMULA,
        "the right layer norm as the sum of the groups' norms",
        f"{_HERE}:right_layer",
        instead(lambda groups: float(np.sum(groups))),
    ),
    Fault(
        "table1-no-depth",
        FORMULA,
        "Neyshabur's first bound without 2^L",
        f"{_HERE}:cited_bounds",
        lambda f: (
            lambda layers, width, samples: {
                name: value - (name == "Neyshabur 2015") * len(layers) * math.log10(2)
                for name, value in f(layers, width, samples).items()
            }
        ),
    ),
    _BOUNDS,
)


_WHY_LAYER = (
    "The three theorems bound the error by products over layers of norms of whole matrices, with "
    "which one bounds how a network stretches differences. Squared Frobenius norms of blocks add "
    "up. Their product has nothing to do with that: with 50 groups of norm 0.3 it is 10^-26."
)


def _table1(name: str, where: str, printed: str, right: str) -> Claim:
    code = "fgmanifolds.capacity.generalization_bounds"
    return Claim(name, where, printed, right, code, table1_and_6, FAILS, _WHY_LAYER, _TABLE1)


ENTRIES = (
    _table1(
        "table1",
        "Table I",
        "Three bounds with products of the groups' norms.",
        "A layer's squared Frobenius norm is the sum over its groups; the bounds are of layers.",
    ),
    _table1("table6", "Table VI", "As Table I.", "As Table I."),
)
