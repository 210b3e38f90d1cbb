"""Time of the ten commonest calls, beside pymanopt's and geomstats', in one interleaved run.

``python benchmarks/calls.py`` prints the tables of docs/verbs.md: the median over rounds, each
of which times every call of every package once. geomstats' Stiefel manifold has the
canonical metric only, and is compared with ours of that metric.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pymanopt.manifolds as theirs
from geomstats.geometry.hypersphere import Hypersphere
from geomstats.geometry.stiefel import Stiefel as GeomstatsStiefel

from fgmanifolds import Sphere, Stiefel

ROUNDS = 200
Calls = dict[str, dict[str, Callable[[], object]]]


def sphere_calls(n: int) -> Calls:
    """Calls on the sphere in R^n."""
    ours, pm, gs = Sphere(n, 1), theirs.Sphere(n, 1), Hypersphere(n - 1)
    x, y = ours.random_point(0), ours.random_point(1)
    u, v, g = ours.random_tangent_vector(x, 0), ours.random_tangent_vector(x, 1), x + y
    a, b, p, q, h = x[:, 0], y[:, 0], u[:, 0], v[:, 0], g[:, 0]
    m = gs.metric
    return {
        "projection": {
            "fgmanifolds": lambda: ours.projection(x, g),
            "pymanopt": lambda: pm.projection(x, g),
            "geomstats": lambda: gs.to_tangent(h, a),
        },
        "inner product": {
            "fgmanifolds": lambda: ours.inner_product(x, u, v),
            "pymanopt": lambda: pm.inner_product(x, u, v),
            "geomstats": lambda: m.inner_product(p, q, a),
        },
        "norm": {
            "fgmanifolds": lambda: ours.norm(x, u),
            "pymanopt": lambda: pm.norm(x, u),
            "geomstats": lambda: m.norm(p, a),
        },
        "exp": {
            "fgmanifolds": lambda: ours.exp(x, u),
            "pymanopt": lambda: pm.exp(x, u),
            "geomstats": lambda: m.exp(p, a),
        },
        "retraction": {
            "fgmanifolds": lambda: ours.retraction(x, u),
            "pymanopt": lambda: pm.retraction(x, u),
        },
        "log": {
            "fgmanifolds": lambda: ours.log(x, y),
            "pymanopt": lambda: pm.log(x, y),
            "geomstats": lambda: m.log(b, a),
        },
        "dist": {
            "fgmanifolds": lambda: ours.dist(x, y),
            "pymanopt": lambda: pm.dist(x, y),
            "geomstats": lambda: m.dist(b, a),
        },
        "transport": {
            "fgmanifolds": lambda: ours.transport(x, y, u),
            "pymanopt": lambda: pm.transport(x, y, u),
        },
        "parallel transport": {
            "fgmanifolds": lambda: ours.parallel_transport(x, v, u),
            "geomstats": lambda: m.parallel_transport(p, a, direction=q),
        },
        "sectional curvature": {
            "fgmanifolds": lambda: ours.sectional_curvature(x, u, v),
            "geomstats": lambda: m.sectional_curvature(p, q, a),
        },
    }


def stiefel_calls(rows: int, columns: int) -> Calls:
    """Calls on a Stiefel manifold; geomstats beside the canonical metric."""
    ours, pm = Stiefel(rows, columns), theirs.Stiefel(rows, columns)
    canonical, gs = Stiefel(rows, columns, metric="canonical"), GeomstatsStiefel(rows, columns)
    x = ours.random_point(0)
    u, v = ours.random_tangent_vector(x, 0), ours.random_tangent_vector(x, 1)
    y = ours.exp(x, 0.5 * u)
    m = gs.metric
    calls: Calls = {}
    for name in ("projection", "exp", "retraction"):
        calls[name] = {
            "fgmanifolds": lambda name=name: getattr(ours, name)(x, u),
            "pymanopt": lambda name=name: getattr(pm, name)(x, u),
        }
    calls["inner product"] = {
        "fgmanifolds": lambda: ours.inner_product(x, u, v),
        "pymanopt": lambda: pm.inner_product(x, u, v),
    }
    calls["norm"] = {
        "fgmanifolds": lambda: ours.norm(x, u),
        "pymanopt": lambda: pm.norm(x, u),
    }
    calls["transport"] = {
        "fgmanifolds": lambda: ours.transport(x, y, u),
        "pymanopt": lambda: pm.transport(x, y, u),
    }
    calls["canonical inner product"] = {
        "fgmanifolds": lambda: canonical.inner_product(x, u, v),
        "geomstats": lambda: m.inner_product(u, v, x),
    }
    calls["canonical exp"] = {
        "fgmanifolds": lambda: canonical.exp(x, u),
        "geomstats": lambda: m.exp(u, x),
    }
    calls["canonical log"] = {
        "fgmanifolds": lambda: canonical.log(x, y),
        "geomstats": lambda: m.log(y, x),
    }
    calls["canonical dist"] = {
        "fgmanifolds": lambda: canonical.dist(x, y),
        "geomstats": lambda: m.dist(x, y),
    }
    return calls


def measured(calls: Calls, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """Median time of each call in microseconds."""
    times: dict[str, dict[str, list[float]]] = {
        verb: {package: [] for package in packages} for verb, packages in calls.items()
    }
    for _ in range(rounds):
        for verb, packages in calls.items():
            for package, call in packages.items():
                start = time.perf_counter()
                call()
                times[verb][package].append(time.perf_counter() - start)
    return {
        verb: {package: 1e6 * float(np.median(t)) for package, t in packages.items()}
        for verb, packages in times.items()
    }


def table(title: str, figures: dict[str, dict[str, float]]) -> str:
    """Markdown table, with the ratio to the faster of the other two."""
    packages = ("fgmanifolds", "pymanopt", "geomstats")
    lines = [f"| {title}, microseconds | {' | '.join(packages)} | ratio |", "|---|---|---|---|---|"]
    for verb, row in figures.items():
        cells = [f"{row[p]:.0f}" if p in row else "" for p in packages]
        fastest = min(value for p, value in row.items() if p != "fgmanifolds")
        lines.append(f"| {verb} | {' | '.join(cells)} | {row['fgmanifolds'] / fastest:.2g} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for title, calls in (
            ("sphere in R^3", sphere_calls(3)),
            ("sphere in R^1000", sphere_calls(1000)),
            ("St(10, 4)", stiefel_calls(10, 4)),
        ):
            print(table(title, measured(calls)), end="\n\n")
