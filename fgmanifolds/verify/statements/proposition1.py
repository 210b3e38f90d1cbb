"""Proposition 1 and the law of Bai and Yin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fgmanifolds import capacity
from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch import POMAdapter
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, FAILS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.layers import KINDS, matrix_norms

__all__ = ["ENTRIES", "bai_yin_law", "proposition1"]

_HERE = "fgmanifolds.verify.statements.proposition1"


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
        conv = nn.Conv2d(inputs, outputs, 3, bias=False, dtype=torch.float64)
        model = nn.Sequential(conv, nn.BatchNorm2d(outputs))
        adapter = POMAdapter(model, scheme, KINDS, seed=seed, fan_out="glorot").initialize_()
    gamma = (9 * (inputs + outputs)) ** -0.5
    worst, off, rows = 0.0, 0.0, 0.0
    for pom in range(0, len(adapter.pom_names("0")), 7):
        kind = adapter.manifold("0", pom).components[0].kind
        parts = np.concatenate([np.reshape(p, (-1, 3, 3)) for p in adapter.point("0", pom)])
        norms = matrix_norms(np.hstack(list(parts)))
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
            values = [matrix_norms(w)["spectral"] for w in points]
            mean, name = float(np.mean(values)), f"{kind} {a} x {b}"
            law = printed_law(a, b, kind)
            if (a, b) == (100, 50):  # large enough for the law
                found.near(RIGHT, f"{name}: law over mean", law / mean, 1, 0.05)
            else:
                found.note(f"{name}: law over mean", law / mean)
            top = matrix_norms(reference.nearest(kind, np.ones((a, b))))["spectral"]
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


RADII = Fault(
    "adapter-radii",
    PACKAGE,
    "POMAdapter.initialize_ leaves weights 1.1 times as large as their radii",
    "fgmanifolds.torch:POMAdapter.initialize_",
    lambda f: lambda self, **options: _enlarge(f(self, **options)),
)


def _enlarge(adapter: POMAdapter) -> POMAdapter:
    with torch.no_grad():
        for layer in adapter.layers.values():
            layer.weight.mul_(1.1)
    return adapter


ENTRIES = (
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
)
