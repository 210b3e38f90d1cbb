"""Statements on collections of POMs and on Algorithm 1, (1) to (4) and (31)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from fgmanifolds.capacity.groups import gamma
from fgmanifolds.capacity.shapes import LayerShape
from fgmanifolds.geometry import Sphere
from fgmanifolds.models import build_model
from fgmanifolds.solver import check_schedule, robbins_monro
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.torch.schemes import kernel_sets
from fgmanifolds.verify.finding import Finding

__all__ = ["algorithm1", "definition1", "eq1", "eq2", "eq4", "example1", "sign_of_the_step"]


def eq1(*, seed: int = 0) -> Finding:
    """Check (1): a network is the composition of its layers' functions."""
    torch.manual_seed(seed)
    model = build_model("cnn", 10, in_channels=1).eval()
    images = torch.randn(4, 1, 8, 8)
    with torch.no_grad():
        whole, step = model(images), images
        for layer in model.children():
            step = layer(step)
    deviation = float((whole - step).abs().max())
    return Finding(
        "(1)",
        "A network is the composition of its layers.",
        "holds" if deviation == 0 else "fails",
        {"deviation of the composition": deviation},
        "The printed formula applies f_l to the input and to f_{l-1}; read as a definition of the "
        "network up to layer l.",
    )


def eq2() -> Finding:
    """Compute (2), the geometric scaling, with both readings of b-hat."""
    layer = LayerShape("an example", 48, 96, 3, 8)
    measured = {f"gamma, {name}": gamma(layer, name) for name in ("glorot", "feature_map")}
    expected = {
        "gamma, glorot": (9 * 48 + 9 * 96) ** -0.5,
        "gamma, feature_map": (9 * 48 + 64 * 96) ** -0.5,
    }
    same = all(math.isclose(measured[name], value) for name, value in expected.items())
    measured["columns times gamma^2"] = 3 * measured["gamma, glorot"] ** 2
    return Finding(
        "(2)",
        "gamma = (b + b-hat)^(-1/2), and B gamma^2 <= 1.",
        "holds as corrected" if same and measured["columns times gamma^2"] <= 1 else "fails",
        measured,
        "b-hat is 'the dimension of output feature maps times output channels' in the text; the "
        "scheme that it generalises (Glorot & Bengio 2010) has the receptive field there. The main "
        "text's gamma^2 < B is not what is needed; B gamma^2 <= 1 is.",
    )


def sign_of_the_step(*, seed: int = 0) -> Finding:
    """Check the signs of (3), (30) and (31): printed together, they ascend."""
    sphere = Sphere(5, 1)
    matrix = np.diag(np.arange(1.0, 6.0))
    start = sphere.random_point(seed)

    def run(sign_of_momentum: float) -> float:
        w, mu = start, np.zeros_like(start)
        for _ in range(200):
            gradient = sphere.projection(w, 2 * matrix @ w)
            mu = 0.9 * mu + sign_of_momentum * 0.1 * gradient
            w = sphere.retraction(w, -0.05 * sphere.projection(w, mu))
        return float(np.vdot(w, matrix @ w))

    measured = {
        "cost at the start": float(np.vdot(start, matrix @ start)),
        "cost with (31) as printed": run(-1.0),
        "cost with mu = theta_mu mu + theta_E grad": run(1.0),
        "lowest cost": 1.0,
    }
    holds = measured["cost with mu = theta_mu mu + theta_E grad"] < 1.01
    return Finding(
        "(3), (30), (31)",
        "The step is -(r(t) / g) times the momentum theta_mu mu - theta_E grad.",
        "holds as corrected" if holds else "fails",
        measured,
        "Both have a minus sign; together they climb. Right is mu = theta_mu mu + theta_E grad.",
    )


def eq4() -> Finding:
    """Check (4) on the default schedule: its sum grows, the sum of its squares does not."""
    schedule = check_schedule(robbins_monro())
    values = np.array([schedule(t) for t in range(2**20)])
    halves = (values[: 2**10].sum(), values.sum())
    squares = ((values[: 2**10] ** 2).sum(), (values**2).sum())
    measured = {
        "sum to 2^10": halves[0],
        "sum to 2^20": halves[1],
        "sum of squares to 2^10": squares[0],
        "sum of squares to 2^20": squares[1],
        "largest r(t)": values.max(),
    }
    holds = halves[1] > 4 * halves[0] and squares[1] < 1.2 * squares[0]
    return Finding(
        "(4)",
        "Learning rates with an infinite sum and a finite sum of squares.",
        "holds as corrected" if holds and measured["largest r(t)"] <= 1 else "fails",
        {name: float(value) for name, value in measured.items()},
        "The proof of Theorem 2 also needs r(t) <= 1. Constant rates, steps and cosines break (4).",
    )


def definition1(*, seed: int = 0) -> Finding:
    """Check Definition 1: a collection of POMs holds every weight exactly once."""
    torch.manual_seed(seed)
    convolution = nn.Conv2d(6, 10, 3)
    model = nn.Sequential(convolution)
    repeated = 0.0
    for scheme in ("pi", "po", "pio"):
        adapter = POMAdapter(model, scheme, ("sphere", "oblique"), seed=seed).initialize_()
        entries = [
            part.ravel()
            for number in range(len(adapter.pom_names("0")))
            for part in adapter.point("0", number)
        ]
        collected = np.sort(np.concatenate(entries))
        weight = np.sort(convolution.weight.detach().double().numpy().ravel())
        same = collected.shape == weight.shape and np.array_equal(collected, weight)
        repeated = max(repeated, 0.0 if same else 1.0)
    return Finding(
        "Definition 1",
        "The weights of a layer are points of a collection of POMs.",
        "holds" if repeated == 0 else "fails",
        {"schemes whose POMs do not hold each weight once": repeated},
    )


def example1(*, seed: int = 0) -> Finding:
    """Check Example 1: the sets of a 3 x 3 x 4 x 6 tensor with Sp and St."""
    wanted = {
        "pi": {("Sp", 3): 4, ("St", 3): 4},
        "po": {("Sp", 2): 6, ("St", 2): 6},
        "pio": {("Sp", 3): 2, ("St", 3): 2, ("Sp", 2): 3, ("St", 2): 3},
    }
    measured, holds = {}, True
    for scheme, expected in wanted.items():
        sets = kernel_sets((6, 4), scheme, 2, np.random.default_rng(seed))
        found: dict[tuple[str, int], int] = {}
        for number in range(len(sets.labels)):
            inside = sets.pom == number
            kind = ("Sp", "St")[int(sets.manifold[inside][0])]
            key = (kind, int(inside.sum()))
            found[key] = found.get(key, 0) + 1
        holds &= found == expected
        for (kind, size), count in sorted(found.items()):
            measured[f"{scheme.upper()}: POMs of {size} {kind}"] = float(count)
    return Finding(
        "Example 1",
        "PI gives 4 + 4 POMs of 3, PO 6 + 6 of 2, PIO 10 POMs: 2 + 2 of 3 and 3 + 3 of 2.",
        "holds" if holds else "fails",
        measured,
        "PIO is reconstructed from this example; its set-builder formulas do not define it.",
    )


def algorithm1(*, seed: int = 0) -> Finding:
    """Check Algorithm 1: a step of the torch optimizer against lines 5 to 7 in NumPy."""
    torch.manual_seed(seed)
    convolution = nn.Conv2d(4, 6, 3, bias=False).double()
    model = nn.Sequential(convolution)
    adapter = POMAdapter(model, "pio", ("sphere", "oblique", "stiefel"), seed=seed).initialize_()
    poms = range(len(adapter.pom_names("0")))
    before = [adapter.point("0", pom) for pom in poms]
    weight = convolution.weight
    gradient = torch.randn(weight.shape, dtype=torch.float64)
    euclidean = _on_poms(adapter, gradient, len(poms))
    weight.grad = gradient.clone()
    FGSGD(adapter, lr=0.3, momentum=0.0).step()
    worst = 0.0
    for pom in poms:
        manifold = adapter.manifold("0", pom)
        tangent = manifold.projection(before[pom], euclidean[pom])  # line 5
        norm = float(manifold.norm(before[pom], tangent))
        rho = manifold.sectional_curvature_bounds[1] ** -0.5
        g = max(1.0, norm**2 * max((2 * rho + norm) ** 2, 1.0)) ** 0.5
        moved = manifold.retraction(before[pom], (-0.3 / g) * tangent)  # lines 6 and 7
        after = adapter.point("0", pom)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(moved, after, strict=True)))
    return Finding(
        "Algorithm 1",
        "Project the gradient of each POM, scale the step, and retract on the POM.",
        "holds as corrected" if worst < 1e-10 else "fails",
        {"largest difference of a weight": worst, "residual": adapter.residual()},
        "Line 3 reads 'each layer l = 1..T'; it is each step t = 1..T.",
    )


def _on_poms(adapter: POMAdapter, values: torch.Tensor, poms: int) -> list[list[np.ndarray]]:
    """`values` of the shape of the weight, as the POMs' points are."""
    weight = adapter.layers["0"].weight
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(values)
        found = [adapter.point("0", pom) for pom in range(poms)]
        weight.copy_(kept)
    return found
