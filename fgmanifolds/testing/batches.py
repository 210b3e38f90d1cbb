"""Checks of batches, bases, radii, shapes, seeds and names."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np

from fgmanifolds.testing.case import Case, Check
from fgmanifolds.testing.verdict import Measured, worst

__all__ = ["CHECKS"]

#: Arguments of the verbs: x, y points; u, v, w, z tangent vectors at x.
VERBS = {
    "projection": "xu",
    "inner_product": "xuv",
    "norm": "xu",
    "exp": "xu",
    "retraction": "xu",
    "nearest_point": "x",
    "log": "xy",
    "dist": "xy",
    "geodesic_distance": "xy",
    "pair_mean": "xy",
    "inverse_retraction": "xy",
    "parallel_transport": "xuv",
    "transport": "xyu",
    "second_fundamental_form": "xuv",
    "riemann_tensor": "xuvw",
    "curvature_form": "xuvwz",
    "sectional_curvature": "xuv",
    "ricci_curvature": "xuv",
    "scalar_curvature": "x",
    "coordinates": "xu",
    "metric_matrix": "x",
    "residual": "x",
    "tangent_residual": "xu",
    "is_point": "x",
    "is_tangent": "xu",
}
#: Verbs whose values are relative already, and rounding where all is well.
RELATIVE = ("residual", "tangent_residual")
#: Leading axes of a batch.
BATCH = (2, 3)


def _entries(case: Case, value: Any) -> Any:
    """Flat entries of a point, or a number's or array's own."""
    parts = value if isinstance(value, list) else [value]
    return [np.asarray(part, dtype=float) for part in parts]


def _stacked(case: Case, values: list[Any]) -> Any:
    def stack(component: Any, *parts: Any) -> Any:
        return np.stack(parts).reshape(*BATCH, *component.point_shape)

    return case.each(stack, *values)


def one_value_each(case: Case) -> Measured:
    """Every verb gives for a batch what it gives for each of it."""
    m, n = case.manifold, int(np.prod(BATCH))
    points = [case.point] + [case.near(0.4) for _ in range(n - 1)]
    rows = [
        {
            "x": x,
            "y": m.exp(x, case.tangent(x, 0.3)),
            **{name: case.tangent(x, 1.0) for name in "uvwz"},
        }
        for x in points
    ]
    batch = {name: _stacked(case, [row[name] for row in rows]) for name in rows[0]}
    largest = 0.0
    for verb, names in VERBS.items():
        if verb == "sectional_curvature" and m.dim < 2:
            continue
        try:
            each = [getattr(m, verb)(*(row[name] for name in names)) for row in rows]
        except NotImplementedError:
            continue
        together = _entries(case, getattr(m, verb)(*(batch[name] for name in names)))
        alone = [_entries(case, value) for value in each]
        for position, part in enumerate(together):
            single = np.stack([value[position] for value in alone])
            expected = single.reshape(*BATCH, *single.shape[1:])
            if verb in RELATIVE and part.shape == BATCH:
                off = float(np.max(np.abs(part - expected)))
            else:
                off = case.unlike(part, expected)
            if not off <= 1e-8:
                raise AssertionError(f"{verb} of a batch is off by {off:.3g}")
            largest = max(largest, off)
    return Measured(largest, 1e-8)


def broadcasting(case: Case) -> Measured:
    """One point goes with a batch of vectors."""
    m = case.manifold
    vectors = [case.tangent(length=0.3) for _ in range(6)]
    batch = _stacked(case, vectors)
    ends = case.flat(m.exp(case.point, batch)).reshape(6, -1)
    single = np.stack([case.flat(m.exp(case.point, v)) for v in vectors])
    norms = np.asarray(m.norm(case.point, batch)).ravel()
    alone = np.array([m.norm(case.point, v) for v in vectors])
    return Measured(worst(float(np.max(np.abs(ends - single))), case.unlike(norms, alone)), 1e-11)


def bases(case: Case) -> Measured:
    """Coordinates are those of an orthonormal basis, and lead back to the vector."""
    m, x = case.manifold, case.point
    u, v = case.tangent(), case.tangent()
    a, b = m.coordinates(x, u), m.coordinates(x, v)
    if a.shape != (m.dim,):
        return Measured(float("inf"), 1e-10)
    product = m.inner_product(x, u, v)
    gram = m.metric_matrix(x)
    entries = [np.concatenate([p.ravel() for p in _entries(case, y)]) for y in (u, v)]
    off = [
        case.gap(m.vector(x, a), u),
        abs(a @ b - product) / case.scale**2,
        abs(entries[0] @ gram @ entries[1] - product) / case.scale**2,
    ]
    return Measured(worst(*off), 1e-10)


def homothety(case: Case) -> Measured:
    """At twice the radius all lengths are twice as long, curvatures a quarter."""
    m, factor = case.manifold, 2.0
    if hasattr(m, "with_scales"):
        big = m.with_scales([factor * scale for scale in m.scales])
    else:
        big = m.with_radius(factor * m.radius)
    x, v = case.point, case.tangent()
    y, u = case.combine((factor, x)), case.combine((factor, v))
    off = [case.gap(big.retraction(y, u), case.combine((factor, m.retraction(x, v))))]
    try:
        end = m.exp(x, v)
        off.append(case.gap(big.exp(y, u), case.combine((factor, end))))
        off.append(case.unlike(big.dist(y, big.exp(y, u)), factor * m.dist(x, end)))
        bounds = np.array(m.sectional_curvature_bounds)
        off.append(case.unlike(big.sectional_curvature_bounds, bounds / factor**2))
        radius = m.injectivity_radius
        off.append(0.0 if big.injectivity_radius == factor * radius else 1.0)
    except NotImplementedError:
        pass
    return Measured(worst(*off), 1e-9)


def shapes(case: Case) -> Measured:
    """What has not a point's shape is refused by the argument's name, and is no point."""
    m, u = case.manifold, case.tangent()
    wrong = case.each(lambda c, w: np.concatenate([w, w], axis=-1), case.point)
    short = case.each(lambda c, w: np.asarray(w)[..., :0], case.point)
    told = 0
    calls = [
        lambda: m.exp(case.point, wrong),
        lambda: m.projection(wrong, u),
        lambda: m.dist(case.point, short),
        lambda: m.sectional_curvature(case.point, u, short),
        lambda: m.check_point(wrong),
    ]
    for call in calls:
        try:
            call()
        except ValueError as error:
            told += "has shape" in str(error)
    silent = len(calls) - told + bool(m.is_point(wrong)) + bool(m.is_tangent(case.point, wrong))
    return Measured(float(silent), 0.0)


def seeds(case: Case) -> Measured:
    """The same seed gives the same points; nobody else's random state is touched."""
    m = case.manifold
    before = np.random.get_state(legacy=True)  # noqa: NPY002
    first, second, other = (m.random_point(rng=seed) for seed in (3, 3, 4))
    vectors = [m.random_tangent_vector(first, rng=seed) for seed in (3, 3)]
    many = case.flat(m.random_point(rng=3, n=4))
    distinct = len({row.tobytes() for row in many})
    faults = [
        case.gap(first, second) > 0,
        case.gap(vectors[0], vectors[1]) > 0,
        m.dim > 0 and case.gap(first, other) == 0,
        many.shape != (4, len(case.flat(first))),
        m.dim > 0 and distinct < 4,
        str(before) != str(np.random.get_state(legacy=True)),  # noqa: NPY002
    ]
    return Measured(float(sum(map(bool, faults))), 0.0)


def identity(case: Case) -> Measured:
    """Copies and pickles are equal, with equal hashes and names."""
    m = case.manifold
    copies = [copy.copy(m), copy.deepcopy(m)]
    if all(m._each(_importable)):
        copies.append(pickle.loads(pickle.dumps(m)))
    faults = [c != m or repr(c) != repr(m) or hash(c) != hash(m) for c in copies]
    return Measured(float(sum(faults)), 0.0)


def _importable(component: Any) -> bool:
    """Whether pickle can find the class: not so where it was made in a function."""
    cls = type(component)
    return getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls


CHECKS: dict[str, Check] = {
    "one value for each of a batch": one_value_each,
    "one point with many vectors": broadcasting,
    "bases": bases,
    "homothety": homothety,
    "shapes": shapes,
    "seeds": seeds,
    "identity": identity,
}
