"""Gradients of components and of networks, (6) and (18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from fgmanifolds.geometry import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import FGSGD, POMAdapter
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements import theorem1
from fgmanifolds.verify.statements.theorem1 import (
    GRADIENT_SIGN,
    NO_ROOT,
    OF_PRODUCT,
    PRODUCT,
    TOLERANCE,
    WHY,
    Loss,
    random_quartic,
    slope_along,
)

__all__ = ["ENTRIES", "eq6", "eq18"]

_HERE = "fgmanifolds.verify.statements.gradients"


def eq18(*, seed: int = 0) -> Finding:
    """Check (18): part i of the gradient is that of the loss as a function of component i alone.

    The slopes are taken along curves that move one component and know its constraint only.
    """
    rng = np.random.default_rng(seed)
    product = ScaledProductManifold([Sphere(3, 2), Oblique(3, 2), Stiefel(3, 2)], [1.0, 0.8, 1.3])
    point = product.random_point(rng)
    loss, gradient = random_quartic(product, rng)
    ours = product.euclidean_to_riemannian_gradient(point, gradient(point))
    found = Evidence()
    for i, component in enumerate(product.components):
        radius = float(component.radii[0])
        basis = reference.tangent_rows(component.kind, point[i]).reshape(-1, *component.shape)
        alone = printed_part(_slopes_alone(loss, point, i, component.kind, radius, basis), basis)
        size = float(np.linalg.norm(alone))
        name = type(component).__name__
        normal = ours[i] - reference.tangent_part(component.kind, point[i], ours[i])
        off = float(np.linalg.norm(ours[i] - alone)) / size
        found.below(CODE, f"{name}: part of the gradient off its own by", off, TOLERANCE)
        left = float(np.linalg.norm(normal)) / size
        found.below(CODE, f"{name}: normal part", left, 1e-10)
        # One geodesic in the direction of that gradient: the slope is its norm.
        h = 1e-4 * radius
        direction = [alone / size if j == i else 0 * w for j, w in enumerate(point)]
        slope = slope_along(product, loss, point, direction, h)
        found.near(PRINTED, f"{name}: slope over norm", slope / size, 1, TOLERANCE)
    return found.finding(
        "(18)", "The gradient on a product is the tuple of the components' gradients."
    )


def printed_part(slopes: Array, basis: Array) -> Array:
    """(18): one component's gradient, from the slopes in an orthonormal basis."""
    return np.asarray(np.tensordot(slopes, basis, axes=1))


def _slopes_alone(
    loss: Loss, point: Sequence[Array], i: int, kind: str, radius: float, basis: Array
) -> Array:
    h = 1e-4 * radius

    def at(move: Array) -> float:
        moved = list(point)
        moved[i] = reference.nearest(kind, point[i] + move, radius)
        return loss(moved)

    steps = np.array([[at(t * h * e) for t in (-2, -1, 1, 2)] for e in basis])
    return np.asarray((steps @ [1, -8, 8, -1]) / (12 * h))


def eq6(*, seed: int = 0) -> Finding:
    """Check (6) and the R of FGSGD: the slope of a network's loss in the gradient's direction."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        convolution = nn.Conv2d(4, 6, 3, bias=False, dtype=torch.float64)
        model = nn.Sequential(convolution, nn.BatchNorm2d(6))
        adapter = POMAdapter(
            model, "pio", ("sphere", "oblique", "stiefel"), seed=seed, fan_out="glorot"
        )
        adapter.initialize_()
    target = torch.randn(convolution.weight.shape, generator=generator, dtype=torch.float64)

    def loss() -> torch.Tensor:
        return (convolution.weight * target).sum() + (convolution.weight * target).pow(3).sum()

    poms = [int(n) for n in rng.choice(len(adapter.pom_names("0")), 3, replace=False)]
    manifolds = {pom: adapter.manifold("0", pom) for pom in poms}
    points = {pom: adapter.point("0", pom) for pom in poms}
    loss().backward()
    gradients = {pom: _entries(adapter, convolution.weight, pom) for pom in poms}
    slopes, roots = {}, {}
    for pom in poms:
        tangent = [
            _tangent(component, w, g)
            for component, w, g in zip(
                manifolds[pom].components, points[pom], gradients[pom], strict=True
            )
        ]
        norms = [float(np.linalg.norm(x)) for part in tangent for x in np.atleast_3d(part)]
        roots[pom] = theorem1.printed_root(norms)
        slopes[pom] = _loss_slope(adapter, pom, manifolds[pom], points[pom], tangent, loss)
    optimizer = FGSGD(adapter, lr=1e-3, gradient_norm="current")
    optimizer.step()
    known = optimizer.pom_statistics()["0"][0].double().numpy()
    found = Evidence()
    off = max(abs(roots[pom] / slopes[pom] - 1) for pom in poms)
    found.below(PRINTED, "(6) off the slope of the network's loss by", off, TOLERANCE)
    off = max(abs(float(known[pom]) / slopes[pom] - 1) for pom in poms)
    found.below(CODE, "R of FGSGD off that slope by", off, TOLERANCE)
    return found.finding(
        "(6)", "The norm of a POM's gradient is the root of the sum over its components."
    )


def _entries(adapter: POMAdapter, weight: torch.Tensor, pom: int) -> list[Array]:
    """Entries of the weight's gradient that belong to a POM, in the order of its point."""
    assert weight.grad is not None
    kept = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(weight.grad)
        found = adapter.point("0", pom)
        weight.copy_(kept)
    return found


def _tangent(component: Sphere, w: Array, g: Array) -> Array:
    stack = (component.k, *component.shape)
    pairs = zip(np.reshape(w, stack), np.reshape(g, stack), strict=True)
    return np.array([reference.tangent_part(component.kind, a, b) for a, b in pairs])


def _loss_slope(
    adapter: POMAdapter,
    pom: int,
    manifold: ScaledProductManifold,
    point: list[Array],
    tangent: list[Array],
    loss: Callable[[], torch.Tensor],
) -> float:
    """Derivative of a network's loss in the direction of a POM's gradient, of length 1."""
    size = float(np.sqrt(sum(np.sum(part**2) for part in tangent)))
    h = 1e-4 * min(float(np.min(c.radii)) for c in manifold.components)
    values = []
    for t in (-2, -1, 1, 2):
        moved = []
        for component, w, part in zip(manifold.components, point, tangent, strict=True):
            stack = np.reshape(w, part.shape) + t * h * part / size
            pairs = zip(stack, component.radii, strict=True)
            near = np.array([reference.nearest(component.kind, x, r) for x, r in pairs])
            moved.append(near.reshape(np.shape(w)))
        adapter.load_point_("0", pom, moved)
        values.append(float(loss().detach()))
    adapter.load_point_("0", pom, point)
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)


_GRADIENT_NORMAL = Fault(
    "gradient-not-projected",
    PACKAGE,
    "Riemannian gradients on products keep their normal part",
    f"{OF_PRODUCT}.euclidean_to_riemannian_gradient",
    lambda f: lambda self, point, g: f(self, point, g) + [0.1 * w for w in point],
)


_R = Fault(
    "fgsgd-norm",
    PACKAGE,
    "FGSGD reports 1.1 times the norm of each POM",
    "fgmanifolds.torch:FGSGD.pom_statistics",
    lambda f: lambda self: {name: (1.1 * r, g) for name, (r, g) in f(self).items()},
)


ENTRIES = (
    Claim(
        "eq6",
        "(6)",
        "The norm of the gradient is the root of the sum over the components.",
        "",
        "fgmanifolds.torch.FGSGD.pom_statistics",
        eq6,
        HOLDS,
        WHY,
        (NO_ROOT, _R),
    ),
    Claim(
        "eq18",
        "(18)",
        "The gradient on a product is the tuple of the components' gradients.",
        "",
        f"{PRODUCT}.euclidean_to_riemannian_gradient",
        eq18,
        HOLDS,
        WHY,
        (
            Fault(
                "eq18-half",
                FORMULA,
                "a component's gradient with half of its slopes",
                f"{_HERE}:printed_part",
                scaled(0.5),
            ),
            GRADIENT_SIGN,
            _GRADIENT_NORMAL,
        ),
    ),
)
