"""Norms and generalization bounds: Tables I, II, IV and VI, Proposition 1, Bai-Yin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fgmanifolds import capacity
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled
from fgmanifolds.verify.finding import Finding

__all__ = [
    "ENTRIES",
    "bai_yin_law",
    "norms_of_groups",
    "proposition1",
    "table1_and_6",
    "table2_and_4",
]

KINDS = ("sphere", "oblique", "stiefel")

#: Kernels of the paper's networks, and a larger matrix.
SHAPES = ((3, 3), (7, 7), (12, 5))


def _norms(matrix: Array) -> dict[str, float]:
    """The three norms of a matrix, by their definitions."""
    return {
        "frobenius": float(np.linalg.norm(matrix)),
        "spectral": float(np.linalg.svd(matrix, compute_uv=False)[0]),
        "rows": float(np.linalg.norm(matrix, axis=1).sum()),
    }


# Tables I and VI ----------------------------------------


def printed_layer(groups: Sequence[float]) -> float:
    """The layer's Frobenius norm that the tables have: a product over its groups."""
    return float(np.prod(groups))


def right_layer(groups: Sequence[float]) -> float:
    """The layer's Frobenius norm: the root of the sum of squares."""
    return float(np.sqrt(np.sum(np.square(groups))))


def cited_bounds(layers: Sequence[dict[str, float]], width: int, samples: int) -> dict[str, float]:
    """The three bounds of Tables I and VI from norms of layers, in the decimal logarithm."""
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
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3), nn.Conv2d(12, 6, 3))
        adapter = POMAdapter(model, "pio", KINDS, seed=seed).initialize_()
    found = Evidence()
    direct, wrong, off = [], [], 0.0
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        weight = module.weight.detach().double().numpy()
        layer = _norms(weight.reshape(len(weight), -1))
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
    for layer, module in zip(layers, model.children(), strict=True):
        assert isinstance(module, nn.Conv2d)
        matrix = module.weight.detach().double().numpy()
        matrix = matrix.reshape(len(matrix), -1)
        x = rng.standard_normal(matrix.shape[1])
        for _ in range(50):  # power iteration: the stretch that is the largest
            x = matrix.T @ (matrix @ x)
            x /= np.linalg.norm(x)
        stretch.append(float(np.linalg.norm(matrix @ x)) / layer["spectral"])
    found.between(RIGHT, "largest stretch over the spectral norm", max(stretch), 0.99, 1 + 1e-9)


# Tables II and IV ----------------------------------------


def printed_norms(kind: str, columns: int) -> dict[str, float | None]:
    """Entries of Table II; None for the top singular value of the weight, which says nothing."""
    fourth, root = columns**0.25, columns**0.5
    return {
        "sphere": {"spectral": None, "frobenius": 1.0, "rows": 1.0},
        "stiefel": {"spectral": 1.0, "frobenius": root, "rows": fourth},
        "oblique": {"spectral": None, "frobenius": root, "rows": fourth},
    }[kind]


def right_rows(kind: str, a: int, b: int) -> tuple[float, float]:
    """Range of the row-sum norm over each manifold."""
    highest = {"sphere": a**0.5}.get(kind, (a * b) ** 0.5)
    return {"sphere": 1.0, "oblique": b**0.5, "stiefel": float(b)}[kind], highest


def _extremes(kind: str, a: int, b: int) -> tuple[Array, Array]:
    """Points of least and of largest row-sum norm."""
    first = np.zeros((a, b))
    first[0] = 1.0
    low = {"sphere": first / b**0.5, "oblique": first, "stiefel": np.eye(a, b)}[kind]
    if kind == "stiefel":  # columns of a real discrete Fourier basis: rows of nearly equal norm
        t = 2 * np.pi * np.outer(np.arange(a), np.arange(1, a // 2 + 1)) / a
        waves = np.stack([np.cos(t), np.sin(t)], axis=-1).reshape(a, -1)[:, : b - b % 2]
        high = np.hstack([waves, np.ones((a, b % 2))])
        return low, np.asarray(np.linalg.qr(high)[0] if a > b else np.linalg.qr(np.eye(a))[0])
    return low, reference.nearest(kind, np.ones((a, b)))


def table2_and_4(*, seed: int = 0) -> Finding:
    """Check Tables II and IV on random points, made without the package, and at the ends."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for kind in KINDS:
        for a, b in SHAPES:
            draws = [reference.nearest(kind, rng.standard_normal((a, b))) for _ in range(200)]
            norms = [_norms(w) for w in (*draws, *_extremes(kind, a, b))]
            name, printed = f"{kind} {a} x {b}", printed_norms(kind, b)
            for key in ("frobenius", "spectral"):
                value = printed[key]
                if value is not None:
                    off = max(abs(norm[key] - value) for norm in norms)
                    found.below(RIGHT, f"{name}: printed {key} norm off by", off, 1e-9)
            rows = [norm["rows"] for norm in norms]
            wanted = printed["rows"]
            assert wanted is not None
            off = max(abs(row - wanted) for row in rows)
            found.below(PRINTED, f"{name}: printed row sum off by", off, 1e-9)
            low, high = right_rows(kind, a, b)
            found.near(RIGHT, f"{name}: least row sum", min(rows), low, 1e-9)
            tight = 1e-9 if kind != "stiefel" or a == b else 1e-2 * high
            found.between(RIGHT, f"{name}: largest row sum", max(rows), high - tight, high + 1e-9)
            ranges = capacity.norm_ranges(COMPONENTS[kind](a, b))
            off = max(abs(ranges["rows"][0] - low), abs(ranges["rows"][1] - high))
            found.below(CODE, f"{name}: norm_ranges off by", off, 1e-9)
            ours = capacity.concatenated_norms(np.array(draws))
            off = max(
                abs(float(getattr(ours, key)[i]) - norms[i][key])
                for key in ("frobenius", "spectral", "rows")
                for i in range(len(draws))
            )
            found.below(CODE, f"{name}: concatenated_norms off by", off, 1e-7)
    return found.finding(
        "Tables II, IV",
        "Norms of weights on the sphere, the Stiefel and the oblique manifold.",
        "Frobenius and spectral norms are right. The row sum is not a number but a range: sphere "
        "[1, A^(1/2)], oblique [B^(1/2), (AB)^(1/2)], Stiefel [B, (AB)^(1/2)].",
        corrected=True,
    )


# Table II's caption ----------------------------------------


def printed_mean(norms: Sequence[float]) -> float:
    """The caption's lower bound: the geometric mean of the components' norms."""
    return float(np.prod(norms) ** (1 / len(norms)))


def norms_of_groups(*, seed: int = 0) -> Finding:
    """Check that the norms of a group are at least the geometric means of its components'.

    For the spectral norm with equality where ranges are orthogonal: two Stiefel blocks on
    different rows.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    lowest = dict.fromkeys(("frobenius", "spectral", "rows"), np.inf)
    off = 0.0
    for kind in KINDS:
        for a, b in SHAPES:
            for size in (1, 2, 5, 40):
                radii = rng.uniform(0.5, 2, size)
                parts = np.array(
                    [reference.nearest(kind, rng.standard_normal((a, b)), r) for r in radii]
                )
                off = max(off, _keep_lowest(lowest, parts))
    blocks = np.zeros((2, 6, 3))
    blocks[0, :3], blocks[1, 3:] = 2 * np.eye(3), 2 * np.eye(3)
    off = max(off, _keep_lowest(lowest, blocks))
    for key, value in lowest.items():
        found.between(PRINTED, f"{key}: least norm over geometric mean", value, 1 - 1e-9, 1 + 1e-9)
    found.below(CODE, "concatenated_norms off by", off, 1e-7)
    return found.finding(
        "Table II, caption",
        "Norms of a group are at least the geometric means of the norms of its components.",
        "An upper bound is what Proposition 1 needs: the root of the sum of squares.",
    )


def _keep_lowest(lowest: dict[str, float], parts: Array) -> float:
    """Take note of the quotients; how far the package is from the norms of the matrix."""
    whole, single = _norms(np.hstack(list(parts))), [_norms(part) for part in parts]
    ours = capacity.concatenated_norms(parts, np.zeros(len(parts), dtype=int))
    for key in lowest:
        mean = printed_mean([norm[key] for norm in single])
        lowest[key] = min(lowest[key], whole[key] / mean)
    return max(abs(float(getattr(ours, key)[0]) / whole[key] - 1) for key in lowest)


# Proposition 1 ----------------------------------------


def printed_bound(norm: str) -> float:
    """Proposition 1: all norms of all groups are at most this."""
    return 1.0


def right_frobenius(columns: Sequence[int], gamma: float) -> float:
    """Frobenius norm of a group: components have squared norms of gamma^2 times 1 or B."""
    return gamma * float(np.sqrt(np.sum(columns)))


def proposition1(*, seed: int = 0) -> Finding:
    """Check Proposition 1 on all layers of the paper's networks, at lambda = 1.

    For PI, PO and PIO. One layer is built as a module, and the norms of its groups are measured
    on random weights.
    """
    found = Evidence()
    worst_rows = (0.0, "")
    frobenius, spectral_rows = 0.0, 0.0
    for name in capacity.ARCHITECTURES:
        for scheme in ("pi", "po", "pio"):
            table = capacity.proposition1_norms(name, scheme=scheme, seed=seed)
            largest, rows = float(table["frobenius"].max()), float(table["rows"].max())
            found.note(f"{name}, {scheme}: largest Frobenius norm", largest)
            found.note(f"{name}, {scheme}: largest row sum", rows)
            frobenius = max(frobenius, largest)
            spectral_rows = max(spectral_rows, rows)
            layer = str(table["rows"].idxmax())
            worst_rows = max(worst_rows, (rows, f"{name}, {scheme}, {layer}"))
    found.below(PRINTED, "PI, PO, PIO: largest row sum", worst_rows[0], printed_bound("rows"))
    bound = printed_bound("frobenius")
    found.below(RIGHT, "PI, PO, PIO: largest Frobenius (and spectral) norm", frobenius, bound)
    whole = capacity.proposition1_norms(
        "ResNet-18", scheme="layer", manifolds=("oblique",), seed=seed
    )
    alone = float(whole["frobenius"].max())
    found.above(RIGHT, "ResNet-18, all kernels of a layer in one POM: Frobenius norm", alone, 1.0)
    for scheme in ("pi", "po", "pio"):
        _measured_groups(found, scheme, seed)
    return found.finding(
        "Proposition 1",
        "Frobenius, spectral and row-sum norms of all concatenated groups are at most 1.",
        "With lambda >= 1 (the appendix prints <= 1). Frobenius and with them spectral norms are "
        "at most 1 for PI, PO and PIO; row sums are not, and with all kernels of a layer in one "
        "POM no norm is. The sum over rows is taken at its largest over the manifold.",
        worst_rows[1],
        beyond_repair=True,
    )


def _measured_groups(found: Evidence, scheme: str, seed: int) -> None:
    """A layer of ResNet-18, 72 x 72: its groups on random weights, with the package's table."""
    inputs, outputs = 72, 72
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(inputs, outputs, 3, bias=False, dtype=torch.float64))
        adapter = POMAdapter(model, scheme, KINDS, seed=seed).initialize_()
    gamma = (9 * (inputs + outputs)) ** -0.5
    worst, off, rows = 0.0, 0.0, 0.0
    for pom in range(0, len(adapter.pom_names("0")), 7):
        kind = adapter.manifold("0", pom).components[0].kind
        parts = np.concatenate([np.reshape(p, (-1, 3, 3)) for p in adapter.point("0", pom)])
        norms = _norms(np.hstack(list(parts)))
        columns = [1 if kind == "sphere" else 3] * len(parts)
        off = max(off, abs(norms["frobenius"] / right_frobenius(columns, gamma) - 1))
        worst, rows = max(worst, norms["frobenius"]), max(rows, norms["rows"])
    found.below(CODE, f"{scheme}, a layer: Frobenius norm off its formula by", off, 1e-6)
    shape = capacity.LayerShape("a layer", inputs, outputs, 3, 56)
    table = capacity.proposition1_norms([shape], scheme=scheme, seed=seed)
    largest, bound = float(table["frobenius"].iloc[0]), float(table["rows"].iloc[0])
    found.between(
        CODE, f"{scheme}, a layer: measured over the table's", worst / largest, 0.9, 1.001
    )
    found.between(CODE, f"{scheme}, a layer: row sum over the table's", rows / bound, 0.5, 1.001)


# The law of Bai and Yin ----------------------------------------


def printed_law(a: int, b: int, kind: str) -> float:
    """Top singular value of a random point by the Bai-Yin law."""
    scale = (a * b) ** -0.5 if kind == "sphere" else a**-0.5
    return scale * (a**0.5 + b**0.5)


def right_top(a: int, b: int, kind: str) -> float:
    """What no top singular value exceeds: the root of B, and on the sphere 1."""
    return 1.0 if kind == "sphere" else b**0.5


def bai_yin_law(*, seed: int = 0) -> Finding:
    """Compare the Bai-Yin law with random points, and with the points of largest singular value.

    The law must not be exceeded for the proof; it is, by weights of rank one.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    for kind in ("sphere", "oblique"):
        for a, b in ((3, 3), (7, 7), (100, 50)):
            points = [reference.nearest(kind, rng.standard_normal((a, b))) for _ in range(60)]
            values = [_norms(w)["spectral"] for w in points]
            mean, name = float(np.mean(values)), f"{kind} {a} x {b}"
            law = printed_law(a, b, kind)
            if (a, b) == (100, 50):  # large enough for the law
                found.near(RIGHT, f"{name}: law over mean", law / mean, 1, 0.05)
            else:
                found.note(f"{name}: law over mean", law / mean)
            top = _norms(reference.nearest(kind, np.ones((a, b))))["spectral"]
            if (a, b) == (100, 50):
                found.below(PRINTED, f"{name}: a point of rank 1 over the law", top / law, 1.0)
            limit = right_top(a, b, kind)
            found.near(RIGHT, f"{name}: the same over its limit", top / limit, 1, 1e-9)
            gamma = (a * b * 2) ** -0.5  # one input and one output channel: the largest gamma
            found.below(RIGHT, f"{name}: limit times gamma", limit * gamma, 1.0)
            ours = capacity.bai_yin(COMPONENTS[kind](a, b))
            found.near(CODE, f"{name}: bai_yin over the law", ours / law, 1, 1e-9)
            measured = capacity.top_singular_value(COMPONENTS[kind](a, b), samples=100, rng=seed)
            found.near(CODE, f"{name}: top_singular_value over the mean", measured / mean, 1, 0.08)
    return found.finding(
        "Proposition 1, Bai-Yin",
        "The top singular value of a component is at most 1 / gamma, by the Bai-Yin law.",
        "The law is one for large matrices and on average: a weight of rank one exceeds it. It is "
        "not needed: the top singular value is at most B^(1/2), and B gamma^2 <= 1.",
        corrected=True,
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.norms"

_BOUNDS = Fault(
    "bounds-double",
    PACKAGE,
    "generalization_bounds is one decimal too large",
    "fgmanifolds.capacity:generalization_bounds",
    lambda f: lambda layers, samples: f(layers, samples) + 1.0,
)
_GROUP_NORMS = Fault(
    "norms-sum",
    PACKAGE,
    "concatenated_norms has 1.1 times the row sums",
    "fgmanifolds.capacity:concatenated_norms",
    lambda f: lambda *args: _with_rows(f(*args), 1.1),
)
_RANGES = Fault(
    "norm-ranges",
    PACKAGE,
    "norm_ranges has the printed row sums",
    "fgmanifolds.capacity:norm_ranges",
    lambda f: (
        lambda component: {
            **f(component),
            "rows": (component.shape[1] ** 0.25, component.shape[1] ** 0.25),
        }
    ),
)
RADII = Fault(
    "adapter-radii",
    PACKAGE,
    "POMAdapter.initialize_ leaves weights 1.1 times as large as their radii",
    "fgmanifolds.torch:POMAdapter.initialize_",
    lambda f: lambda self, **options: _enlarge(f(self, **options)),
)


def _with_rows(norms: capacity.Norms, factor: float) -> capacity.Norms:
    return capacity.Norms(norms.frobenius, norms.spectral, factor * norms.rows)


def _enlarge(adapter: POMAdapter) -> POMAdapter:
    with torch.no_grad():
        for layer in adapter.layers.values():
            layer.weight.mul_(1.1)
    return adapter


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
_TABLE2 = (
    Fault(
        "table2-frobenius",
        FORMULA,
        "the printed Frobenius norm B in place of its root",
        f"{_HERE}:printed_norms",
        lambda f: lambda kind, b: {**f(kind, b), "frobenius": 1.0 if kind == "sphere" else b},
    ),
    Fault(
        "table2-right-low",
        FORMULA,
        "the row sums of Stiefel from B^(1/2) on",
        f"{_HERE}:right_rows",
        lambda f: (
            lambda kind, a, b: (b**0.5 if kind == "stiefel" else f(kind, a, b)[0], f(kind, a, b)[1])
        ),
    ),
    _GROUP_NORMS,
    _RANGES,
)
_WHY_ROWS = (
    "The row-sum norm is $\\sum_i \\|w_{i\\cdot}\\|$ with squares that sum to the squared "
    "Frobenius norm: at most $\\sqrt A$ times that, for equal rows, and at least that, for one "
    "row. On a Stiefel manifold no row is longer than 1, so that it is at least B."
)
_WHY_LAYER = (
    "The three theorems bound the error by products over layers of norms of whole matrices, with "
    "which one bounds how a network stretches differences. Squared Frobenius norms of blocks add "
    "up. Their product has nothing to do with that: with 50 groups of norm 0.3 it is 10^-26."
)


def _table1(name: str, where: str, printed: str, right: str) -> Claim:
    code = "fgmanifolds.capacity.generalization_bounds"
    return Claim(name, where, printed, right, code, table1_and_6, FAILS, _WHY_LAYER, _TABLE1)


def _table2(name: str, where: str, printed: str, right: str) -> Claim:
    code = "fgmanifolds.capacity.norm_ranges"
    return Claim(name, where, printed, right, code, table2_and_4, CORRECTED, _WHY_ROWS, _TABLE2)


ENTRIES = (
    _table1(
        "table1",
        "Table I",
        "Three bounds with products of the groups' norms.",
        "A layer's squared Frobenius norm is the sum over its groups; the bounds are of layers.",
    ),
    _table2(
        "table2",
        "Table II",
        "Row-sum norms 1, B^(1/4), B^(1/4) of sphere, Stiefel and oblique manifold.",
        "Ranges: [1, A^(1/2)], [B, (AB)^(1/2)], [B^(1/2), (AB)^(1/2)].",
    ),
    Claim(
        "table2-caption",
        "Table II, caption",
        "Norms of a group are at least the geometric means of its components' norms.",
        "",
        "fgmanifolds.capacity.concatenated_norms",
        norms_of_groups,
        HOLDS,
        "A matrix has at least the norm of each of its blocks, hence at least the largest of "
        "them, and no mean exceeds that. Equality for one component, or for blocks of equal norm "
        "whose ranges are orthogonal in the spectral norm.",
        (
            Fault(
                "caption-no-root",
                FORMULA,
                "the product of the norms without its root",
                f"{_HERE}:printed_mean",
                instead(lambda norms: float(np.prod(norms))),
            ),
            Fault(
                "caption-low",
                FORMULA,
                "1% less than the geometric mean",
                f"{_HERE}:printed_mean",
                scaled(0.99),
            ),
            _GROUP_NORMS,
        ),
    ),
    Claim(
        "proposition1",
        "Proposition 1",
        "All norms of all concatenated groups are at most 1.",
        "Frobenius and spectral norms are, for PI, PO and PIO; row sums are not.",
        "fgmanifolds.capacity.proposition1_norms",
        proposition1,
        FAILS,
        "A group of n components of radius gamma has the squared Frobenius norm $\\gamma^2 \\sum "
        "\\|w_i\\|^2 \\le n B \\gamma^2$, and $\\gamma^2 = 1/(AB(C + D))$: at most 1 for n up to "
        "A(C + D). A PI group has at most D components, a PO group C; a whole layer has CD. Row "
        "sums are up to $\\sqrt A$ times as large for kernels, and for blocks of matrices A is "
        "the number of channels.",
        (
            Fault(
                "proposition1-three",
                FORMULA,
                "a bound of 100 for the row sums",
                f"{_HERE}:printed_bound",
                instead(lambda norm: 100.0 if norm == "rows" else 1.0),
            ),
            Fault(
                "proposition1-quarter",
                FORMULA,
                "a bound of 1/4 for the Frobenius norms",
                f"{_HERE}:printed_bound",
                scaled(0.25),
            ),
            Fault(
                "proposition1-half",
                FORMULA,
                "half of the Frobenius norm of a group",
                f"{_HERE}:right_frobenius",
                scaled(0.5),
            ),
            RADII,
        ),
    ),
    Claim(
        "bai-yin",
        "Proposition 1, proof",
        "Top singular values are at most 1 / gamma by the Bai-Yin law.",
        "They are at most B^(1/2) <= 1 / gamma, without the law.",
        "fgmanifolds.capacity.bai_yin",
        bai_yin_law,
        CORRECTED,
        "The law speaks of random matrices that grow, and of almost all of them. Training makes "
        "no random matrices. The largest singular value is at most the Frobenius norm, $\\sqrt B$ "
        "or 1, with equality for rank one; and $B\\gamma^2 \\le 1/(A(C + D)) \\le 1$.",
        (
            Fault(
                "bai-yin-loose",
                FORMULA,
                "the law with an estimate that is ten times as large",
                f"{_HERE}:printed_law",
                scaled(10.0),
            ),
            Fault(
                "bai-yin-limit",
                FORMULA,
                "a limit of twice the root of B",
                f"{_HERE}:right_top",
                scaled(2.0),
            ),
            Fault(
                "bai-yin-package",
                PACKAGE,
                "bai_yin is twice as large",
                "fgmanifolds.capacity:bai_yin",
                scaled(2.0),
            ),
        ),
    ),
    _table2("table4", "Table IV", "As Table II.", "As Table II."),
    _table1("table6", "Table VI", "As Table I.", "As Table I."),
)
