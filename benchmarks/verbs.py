"""Which verb answers on which manifold, in fgmanifolds, geomstats and pymanopt: each cell tried.

``python benchmarks/verbs.py`` prints the table of docs/verbs.md. F, G and P stand for the
three packages; a letter is there where the call gave finite numbers. Manifolds in
geomstats: Hypersphere, Stiefel (canonical metric), Grassmannian, Hyperboloid, Euclidean and a
product of two hyperspheres; in pymanopt: Sphere, Oblique, Stiefel (embedded metric),
Grassmann, PoincareBall, Euclidean and Product.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pymanopt.manifolds as pm
from geomstats.geometry.euclidean import Euclidean as GsEuclidean
from geomstats.geometry.grassmannian import Grassmannian
from geomstats.geometry.hyperboloid import Hyperboloid
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.product_manifold import ProductManifold
from geomstats.geometry.stiefel import Stiefel as GsStiefel
from geomstats.learning.frechet_mean import FrechetMean
from geomstats.learning.geometric_median import GeometricMedian

import fgmanifolds as fg

OURS: dict[str, Any] = {
    "sphere": fg.Sphere(3, 1),
    "oblique": fg.Oblique(3, 2),
    "Stiefel, embedded": fg.Stiefel(4, 2),
    "Stiefel, canonical": fg.Stiefel(4, 2, metric="canonical"),
    "Grassmann": fg.Grassmann(4, 2),
    "hyperbolic": fg.Hyperbolic(3, 1),
    "Euclidean": fg.Euclidean(3, 2),
    "product": fg.ScaledProductManifold([fg.Sphere(3, 1), fg.Stiefel(4, 2)], scales=[2, 0.5]),
}
GEOMSTATS: dict[str, Callable[[], Any]] = {
    "sphere": lambda: Hypersphere(2),
    "Stiefel, canonical": lambda: GsStiefel(4, 2),
    "Grassmann": lambda: Grassmannian(4, 2),
    "hyperbolic": lambda: Hyperboloid(2),
    "Euclidean": lambda: GsEuclidean(6),
    "product": lambda: ProductManifold([Hypersphere(2), Hypersphere(2)]),
}
PYMANOPT: dict[str, Any] = {
    "sphere": pm.Sphere(3, 1),
    "oblique": pm.Oblique(3, 2),
    "Stiefel, embedded": pm.Stiefel(4, 2),
    "Grassmann": pm.Grassmann(4, 2),
    "hyperbolic": pm.PoincareBall(2),
    "Euclidean": pm.Euclidean(3, 2),
    "product": pm.Product([pm.Sphere(3, 1), pm.Stiefel(4, 2)]),
}

Case = dict[str, Any]
#: For each verb: ours, geomstats', pymanopt's, of a case with points x, y and vectors u, v.
VERBS: dict[str, tuple[Callable[[Case], Any] | None, ...]] = {
    "exponential map": (
        lambda c: c["m"].exp(c["x"], c["u"]),
        lambda c: c["g"].exp(c["u"], c["x"]),
        lambda c: c["m"].exp(c["x"], c["u"]),
    ),
    "logarithm": (
        lambda c: c["m"].log(c["x"], c["y"]),
        lambda c: c["g"].log(c["y"], c["x"]),
        lambda c: c["m"].log(c["x"], c["y"]),
    ),
    "distance": (
        lambda c: c["m"].dist(c["x"], c["y"]),
        lambda c: c["g"].dist(c["x"], c["y"]),
        lambda c: c["m"].dist(c["x"], c["y"]),
    ),
    "geodesic at many times": (
        lambda c: c["m"].geodesic(c["x"], c["u"], [0, 0.5, 1]),
        lambda c: c["g"].geodesic(c["x"], initial_tangent_vec=c["u"])(np.array([0, 0.5, 1])),
        None,
    ),
    "projection on tangent spaces": (
        lambda c: c["m"].projection(c["x"], c["u"]),
        lambda c: c["m"].to_tangent(c["u"], c["x"]),
        lambda c: c["m"].projection(c["x"], c["u"]),
    ),
    "nearest point": (
        lambda c: c["m"].nearest_point(c["x"]),
        lambda c: c["m"].projection(c["x"]),
        None,
    ),
    "retraction": (
        lambda c: c["m"].retraction(c["x"], c["u"]),
        None,
        lambda c: c["m"].retraction(c["x"], c["u"]),
    ),
    "inverse retraction": (lambda c: c["m"].inverse_retraction(c["x"], c["y"]), None, None),
    "parallel transport": (
        lambda c: c["m"].parallel_transport(c["x"], c["v"], c["u"]),
        lambda c: c["g"].parallel_transport(c["u"], c["x"], direction=c["v"]),
        None,
    ),
    "vector transport": (
        lambda c: c["m"].transport(c["x"], c["y"], c["u"]),
        None,
        lambda c: c["m"].transport(c["x"], c["y"], c["u"]),
    ),
    "Hessians": (
        lambda c: c["m"].euclidean_to_riemannian_hessian(c["x"], c["u"], c["v"], c["u"]),
        None,
        lambda c: c["m"].euclidean_to_riemannian_hessian(c["x"], c["u"], c["v"], c["u"]),
    ),
    "mean": (
        lambda c: c["m"].mean(c["points"]).point,
        lambda c: FrechetMean(c["m"]).fit(c["points"]).estimate_,
        None,
    ),
    "median": (
        lambda c: c["m"].median(c["points"]).point,
        lambda c: GeometricMedian(c["m"]).fit(c["points"]).estimate_,
        None,
    ),
    "coordinates in an orthonormal basis": (
        lambda c: c["m"].coordinates(c["x"], c["u"]),
        None,
        None,
    ),
    "metric matrix": (
        lambda c: c["m"].metric_matrix(c["x"]),
        lambda c: c["g"].metric_matrix(c["x"]),
        None,
    ),
    "Riemann tensor": (
        lambda c: c["m"].riemann_tensor(c["x"], c["u"], c["v"], c["v"]),
        lambda c: c["g"].curvature(c["u"], c["v"], c["v"], c["x"]),
        None,
    ),
    "sectional curvature": (
        lambda c: c["m"].sectional_curvature(c["x"], c["u"], c["v"]),
        lambda c: c["g"].sectional_curvature(c["u"], c["v"], c["x"]),
        None,
    ),
    "Ricci curvature": (
        lambda c: c["m"].ricci_curvature(c["x"], c["u"], c["v"]),
        lambda c: c["g"].ricci_tensor(c["x"]),
        None,
    ),
    "scalar curvature": (
        lambda c: c["m"].scalar_curvature(c["x"]),
        lambda c: c["g"].scalar_curvature(c["x"]),
        None,
    ),
    "derivative of the curvature": (
        lambda c: c["m"].curvature_derivative(c["x"], c["u"], c["v"], c["u"], c["v"]),
        lambda c: c["g"].curvature_derivative(c["u"], c["v"], c["u"], c["v"], c["x"]),
        None,
    ),
    "second fundamental form": (
        lambda c: c["m"].second_fundamental_form(c["x"], c["u"], c["v"]),
        None,
        None,
    ),
    "Weingarten map": (
        lambda c: c["m"].weingarten(c["x"], c["u"], c["x"]),
        None,
        lambda c: c["m"].weingarten(c["x"], c["u"], c["x"]),
    ),
    "bounds of the curvature": (lambda c: c["m"].sectional_curvature_bounds, None, None),
    "injectivity radius": (
        lambda c: [c["m"].injectivity_radius > 0],
        lambda c: [c["g"].injectivity_radius(c["x"]) > 0],
        None,
    ),
}


def our_case(name: str) -> Case:
    """Points and vectors of a manifold of this package."""
    m = OURS[name]
    x = m.random_point(0)
    u, v = (m._scaled(m.random_tangent_vector(x, seed), 0.5) for seed in (1, 2))
    vectors = m._scaled(m.random_tangent_vector(x, 3, n=5), np.full(5, 0.3))
    return {"m": m, "x": x, "u": u, "v": v, "y": m.exp(x, u), "points": m.exp(x, vectors)}


def geomstats_case(name: str) -> Case:
    """Points and vectors of a space of geomstats."""
    m = GEOMSTATS[name]()
    x = m.random_point()
    u, v = (0.5 * m.random_tangent_vec(x) for _ in range(2))
    points = m.metric.exp(0.3 * m.random_tangent_vec(x, n_samples=5), x)
    return {
        "m": m,
        "g": m.metric,
        "x": x,
        "u": u,
        "v": v,
        "y": m.metric.exp(u, x),
        "points": points,
    }


def pymanopt_case(name: str) -> Case:
    """Points and vectors of a manifold of pymanopt."""
    m = PYMANOPT[name]
    x = m.random_point()
    u, v = (0.5 * m.random_tangent_vector(x) for _ in range(2))
    return {"m": m, "x": x, "u": u, "v": v, "y": m.retraction(x, 0.5 * u)}


def answers(call: Callable[[Case], Any] | None, case: Case) -> bool:
    """Whether the call gives finite numbers."""
    if call is None:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = call(case)
        parts = value if isinstance(value, list) else [value]
        return all(bool(np.all(np.isfinite(np.asarray(part, dtype=float)))) for part in parts)
    except Exception:  # whatever a package raises where it has no answer
        return False


def tried(packages: str = "FGP") -> dict[str, dict[str, str]]:
    """Letters of the packages that answer, by verb and manifold."""
    makers = {
        "F": (OURS, our_case),
        "G": (GEOMSTATS, geomstats_case),
        "P": (PYMANOPT, pymanopt_case),
    }
    table = {verb: dict.fromkeys(OURS, "") for verb in VERBS}
    for position, letter in enumerate("FGP"):
        if letter not in packages:
            continue
        names, make = makers[letter]
        for name in names:
            case = make(name)
            for verb, calls in VERBS.items():
                table[verb][name] += letter if answers(calls[position], case) else ""
    return table


def markdown(table: dict[str, dict[str, str]]) -> str:
    """The table of docs/verbs.md."""
    lines = [f"| | {' | '.join(OURS)} |", "|---" * (len(OURS) + 1) + "|"]
    lines += [f"| {verb} | {' | '.join(row.values())} |" for verb, row in table.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    np.random.seed(0)  # noqa: NPY002
    print(markdown(tried()))
