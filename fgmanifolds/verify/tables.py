"""Statements on norms and generalization: Tables I, II, IV and VI, Proposition 1, Bai-Yin."""

from __future__ import annotations

import numpy as np
import torch

from fgmanifolds.capacity.bounds import generalization_bounds
from fgmanifolds.capacity.groups import proposition1_norms
from fgmanifolds.capacity.networks import layer_norms
from fgmanifolds.capacity.norms import bai_yin, concatenated_norms, table2, top_singular_value
from fgmanifolds.capacity.shapes import ARCHITECTURES
from fgmanifolds.geometry import Component, Oblique, Sphere, Stiefel
from fgmanifolds.models import build_model
from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify.finding import Finding

__all__ = ["bai_yin_law", "norms_of_groups", "proposition1", "table1_and_6", "table2_and_4"]

#: Kernels of the paper's networks, and a larger matrix.
SHAPES = ((3, 3), (7, 7), (12, 5))


def table1_and_6(*, seed: int = 0) -> Finding:
    """Check Tables I and VI on a ResNet-20: products over groups in the place of layer norms.

    A bound of the table stands on an upper bound of the norm of each layer. The
    product of the norms of a layer's groups is none: groups with norms below 1 make
    it fall without limit, while the norm of the layer is the root of the sum of
    squares.
    """
    torch.manual_seed(seed)
    model = build_model("resnet20", 10)
    adapter = POMAdapter(model, "pio", ("sphere", "oblique", "stiefel"), seed=seed).initialize_()
    layers = layer_norms(model, adapter)
    bounds = generalization_bounds(layers, 50_000)
    logs = [
        (float(np.log10(layer.groups.frobenius).sum()), float(np.log10(layer.whole.frobenius[0])))
        for layer in layers
    ]
    squares = [
        abs(np.sum(layer.groups.frobenius**2) / layer.whole.frobenius[0] ** 2 - 1)
        for layer in layers
    ]
    measured = {
        f"log10, {name}, from {column}": float(bounds.loc[name, column])
        for name in bounds.index
        for column in bounds.columns
    }
    below = [product < whole - 1e-12 for product, whole in logs]
    measured["share of layers whose product is below their norm"] = float(np.mean(below))
    measured["sum of squares over groups against the layer's, worst"] = float(max(squares))
    worst = layers[int(np.argmin([product - whole for product, whole in logs]))]
    return Finding(
        "Tables I, VI",
        "Products of the groups' norms stand for the layer's norm in three generalization bounds.",
        "fails" if any(below) else "holds",
        measured,
        "The product over groups is below the layer's norm, so that the theorems cited say nothing "
        "of it. From the layers' norms, whose squares are the sums over the groups, the bounds "
        "are the original ones.",
        worst if any(below) else None,
    )


def table2_and_4(*, seed: int = 0) -> Finding:
    """Check Tables II and IV on random points and at the ends of the tight ranges."""
    measured: dict[str, float] = {}
    sound, printed = True, {"spectral": True, "frobenius": True, "rows": True}
    for kind in (Sphere, Oblique, Stiefel):
        for a, b in SHAPES:
            component: Component = kind(a, b)
            table = table2(component, rng=seed)
            inside = (table["lowest measured"] > table["lowest"] - 1e-9) & (
                table["highest measured"] < table["highest"] + 1e-9
            )
            sound &= bool(inside.all())
            for name in printed:
                printed[name] &= bool(table.loc[name, "holds"])
            if (a, b) == SHAPES[0]:
                row = table.loc["rows"].to_dict()
                measured[f"{component}: printed row sum"] = float(row["printed"])
                measured[f"{component}: least row sum measured"] = float(row["lowest measured"])
    right = sound and printed["spectral"] and printed["frobenius"]
    return Finding(
        "Tables II, IV",
        "Norms of weights on the sphere, the Stiefel and the oblique manifold.",
        "holds" if right and printed["rows"] else "holds as corrected" if right else "fails",
        measured,
        "Frobenius and spectral norms are right. The row sum is not a number but a range: sphere "
        "[1, A^(1/2)], oblique [B^(1/2), (AB)^(1/2)], Stiefel [B, (AB)^(1/2)].",
    )


def norms_of_groups(*, seed: int = 0) -> Finding:
    """Check that the norms of a group are at least the geometric means of its components'."""
    rng = np.random.default_rng(seed)
    lowest = np.inf
    for kind in (Sphere, Oblique, Stiefel):
        for a, b in SHAPES:
            for size in (2, 5, 40):
                component: Component = kind(a, b, k=size, radius=rng.uniform(0.1, 2, size))
                points = component.random_point(rng)
                single = concatenated_norms(points)
                group = concatenated_norms(points, np.zeros(size, dtype=int))
                for name in ("frobenius", "spectral", "rows"):
                    mean = np.exp(np.mean(np.log(getattr(single, name))))
                    lowest = min(lowest, float(getattr(group, name)[0] / mean))
    return Finding(
        "Table II, caption",
        "Norms of a group are at least the geometric means of the norms of its components.",
        "holds" if lowest >= 1 - 1e-12 else "fails",
        {"smallest quotient of the two": lowest},
        "An upper bound is what Proposition 1 needs: the root of the sum of squares.",
    )


def bai_yin_law(*, seed: int = 0) -> Finding:
    """Compare the Bai-Yin estimate of the top singular value with random points."""
    measured: dict[str, float] = {}
    bounded = True
    for kind in (Sphere, Oblique):
        for a, b in ((3, 3), (7, 7), (100, 50)):
            component: Component = kind(a, b)
            found = top_singular_value(component, samples=200, rng=seed)
            measured[f"{component}: estimate over mean measured"] = bai_yin(component) / found
            bounded &= found <= np.sqrt(b)
    near = abs(measured["Sphere(100, 50): estimate over mean measured"] - 1) < 0.05
    return Finding(
        "Proposition 1, Bai-Yin",
        "The top singular value of a component is at most 1 / gamma, by the Bai-Yin law.",
        "holds as corrected" if bounded and near else "fails",
        measured,
        "The law is one for large matrices and on average; for 3 x 3 kernels it is off. It is not "
        "needed: the top singular value is at most B^(1/2), and B gamma^2 <= 1.",
    )


def proposition1(*, seed: int = 0) -> Finding:
    """Check Proposition 1 on all layers of the paper's networks, at lambda = 1."""
    measured: dict[str, float] = {}
    worst_rows = (0.0, "")
    for name in ARCHITECTURES:
        for scheme in ("pi", "pio"):
            table = proposition1_norms(name, scheme=scheme, seed=seed)
            measured[f"{name}, {scheme}: largest Frobenius norm"] = float(table["frobenius"].max())
            measured[f"{name}, {scheme}: largest row sum"] = float(table["rows"].max())
            layer = str(table["rows"].idxmax())
            worst_rows = max(worst_rows, (float(table["rows"].max()), f"{name}, {scheme}, {layer}"))
    whole = proposition1_norms("ResNet-18", scheme="layer", manifolds=("oblique",), seed=seed)
    measured["ResNet-18, all kernels of a layer in one POM: Frobenius norm"] = float(
        whole["frobenius"].max()
    )
    frobenius = [value for key, value in measured.items() if key.endswith("largest Frobenius norm")]
    fails = worst_rows[0] > 1
    return Finding(
        "Proposition 1",
        "Frobenius, spectral and row-sum norms of all concatenated groups are at most 1.",
        "fails" if fails or max(frobenius) > 1 else "holds",
        measured,
        "With lambda >= 1 (the appendix prints <= 1). Frobenius and with them spectral norms are "
        "at most 1 for PI and PIO; row sums are not, and with all kernels of a layer in one POM "
        "no norm is. The sum over rows is taken at its largest over the manifold.",
        worst_rows[1] if fails else None,
    )
