"""Manifolds and their tangent spaces: Tables V and VII."""

from __future__ import annotations

import numpy as np

from fgmanifolds.geometry import Component, Oblique, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "table5", "table7"]

_HERE = "fgmanifolds.verify.statements.manifolds"

#: One of each curved class, at unit radius and at another one.
CURVED: tuple[Component, ...] = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3))


RADIUS = 0.7


def size_of(x: Array) -> float:
    return float(np.linalg.norm(x))


def printed_set(kind: str, w: Array) -> Array:
    """What vanishes on the sets of Table V."""
    if kind == "sphere":
        return np.array([np.linalg.norm(w) - 1.0])
    if kind == "oblique":
        return np.linalg.norm(w, axis=0) - 1.0
    return w.T @ w - np.eye(w.shape[1])


def table5(*, seed: int = 0) -> Finding:
    """Check Table V: points, geodesics and retractions lie in the sets; nothing else does."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for component in CURVED:
        name = type(component).__name__
        w = component.random_point(rng)
        v = component.random_tangent_vector(w, rng)
        ours = [component.nearest_point(w + 0.5 * rng.standard_normal(w.shape))]
        ours += [w, component.exp(w, v), component.retraction(w, v)]
        off = max(float(np.abs(printed_set(component.kind, x)).max()) for x in ours)
        found.below(CODE, f"{name}: a point's distance from the set", off, 1e-12)
        # A point found without the package: norms divided out of a random matrix.
        other = reference.nearest(component.kind, rng.standard_normal(w.shape))
        off = float(np.abs(printed_set(component.kind, other)).max())
        found.below(PRINTED, f"{name}: a normalised matrix's distance from the set", off, 1e-12)
        found.below(CODE, f"{name}: its residual", component.residual(other), 1e-12)
        rank = np.linalg.matrix_rank(reference.normal_rows(component.kind, w))
        found.near(CODE, f"{name}: dimension", component.dim, w.size - rank, 0)
        moved = w + 1e-3 * rng.standard_normal(w.shape)
        found.above(CODE, f"{name}: residual of a disturbed point", component.residual(moved), 1e-4)
    return found.finding(
        "Table V",
        "The sphere, the oblique and the Stiefel manifold as sets of matrices.",
        "A point of the oblique manifold has columns of Euclidean norm 1.",
    )


def printed_tangent(kind: str, w: Array, u: Array) -> Array:
    """What vanishes on the tangent spaces as printed in Table VII."""
    gram = w.T @ u
    return np.diag(gram) if kind == "stiefel" else gram


def right_tangent(kind: str, w: Array, u: Array) -> Array:
    """What vanishes on the tangent spaces."""
    gram = w.T @ u
    if kind == "sphere":
        return np.array([np.trace(gram)])
    return np.diag(gram) if kind == "oblique" else 0.5 * (gram + gram.T)


def printed_projection(kind: str, w: Array, mu: Array) -> Array:
    """Projections as printed in Table VII."""
    if kind == "sphere":
        return mu - w @ w.T @ mu
    gram = w.T @ mu
    if kind == "oblique":
        return mu - w * np.diag(gram)
    return mu - w @ w.T @ mu + w @ (gram - 0.5 * (gram + gram.T))


def _null_dimension(kind: str, w: Array, right: bool) -> int:
    conditions = right_tangent if right else printed_tangent
    rows = [conditions(kind, w, e).ravel() for e in np.eye(w.size).reshape(-1, *w.shape)]
    return w.size - int(np.linalg.matrix_rank(np.array(rows)))


def table7(*, seed: int = 0) -> Finding:
    """Check Table VII: tangent spaces by their dimension, projections by the constraints."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for component in CURVED:
        kind, name = component.kind, type(component).__name__
        w, mu = component.random_point(rng), rng.standard_normal(component.shape)
        exact = reference.tangent_part(kind, w, mu)
        dimension = len(reference.tangent_rows(kind, w))
        found.note(f"{name}: dimension", dimension)
        printed = _null_dimension(kind, w, right=False)
        found.near(PRINTED, f"{name}: dimension of the printed space", printed, dimension, 0)
        right = _null_dimension(kind, w, right=True)
        found.near(RIGHT, f"{name}: dimension of the right space", right, dimension, 0)
        kept = float(np.abs(right_tangent(kind, w, exact)).max())
        found.below(RIGHT, f"{name}: conditions on a projected vector", kept, 1e-12)
        off = size_of(printed_projection(kind, w, mu) - exact)
        text = f"{name}: printed projection off by"
        if kind == "sphere":  # the projection of vectors, not of matrices
            found.above(RIGHT, text, off, 0.1)
        else:
            found.below(RIGHT, text, off, 1e-12)
        scaled_up = component.with_radius(RADIUS)
        off = max(
            size_of(component.projection(w, mu) - exact),
            size_of(scaled_up.projection(RADIUS * w, mu) - exact),
        )
        found.below(CODE, f"{name}: our projection off by, at two radii", off, 1e-12)
    return found.finding(
        "Table VII",
        "Tangent spaces and orthogonal projections.",
        "The printed tangent spaces are those of vectors, or too large, for matrices: sphere "
        "<w, u> = 0, oblique ddiag(w^T u) = 0, Stiefel sym(w^T u) = 0. The projection on the "
        "sphere's is mu - w <w, mu>; the other two projections are right if the bracket of the "
        "Stiefel row is read as the skew part.",
        corrected=True,
    )


GEOMETRY = "fgmanifolds.geometry"


SPHERE_PROJECTION = Fault(
    "sphere-projection",
    PACKAGE,
    "Sphere.projection takes away half of the normal part",
    f"{GEOMETRY}:Sphere.projection",
    lambda f: lambda self, w, u, **options: 0.5 * (u + f(self, w, u, **options)),
)


SPHERE_POINT = Fault(
    "sphere-radius",
    PACKAGE,
    "points of Sphere have 1.1 times its radius",
    f"{GEOMETRY}:Sphere.random_point",
    scaled(1.1),
)


STIEFEL_RETRACTION = Fault(
    "stiefel-retraction",
    PACKAGE,
    "Stiefel.retraction leaves out the orthonormalisation",
    f"{GEOMETRY}:Stiefel.retraction",
    instead(lambda self, w, v, **_: w + v),
)


ENTRIES = (
    Claim(
        "table5",
        "Table V",
        "The manifolds as sets of matrices.",
        "",
        "fgmanifolds.geometry.component",
        table5,
        HOLDS,
        "Each set is where a quadratic form has a constant value: the squared norm, the squared "
        "norms of the columns, the Gram matrix. The rank of its derivative gives the dimension.",
        (
            Fault(
                "table5-stiefel",
                FORMULA,
                "the Stiefel manifold as w^T w = 2 I",
                f"{_HERE}:printed_set",
                lambda f: lambda kind, w: f(kind, w) - (kind == "stiefel") * np.eye(w.shape[1]),
            ),
            SPHERE_POINT,
            STIEFEL_RETRACTION,
        ),
    ),
    Claim(
        "table7",
        "Table VII",
        "Tangent spaces and projections.",
        "For matrices: <w, u> = 0, ddiag(w^T u) = 0, sym(w^T u) = 0.",
        "fgmanifolds.geometry.Component.projection",
        table7,
        CORRECTED,
        "Differentiate the constraints of Table V along u: $\\langle w, u\\rangle = 0$ is one "
        "equation, $\\mathrm{ddiag}(w^T u) = 0$ are B, $\\mathrm{sym}(w^T u) = 0$ are B(B+1)/2. "
        "The printed $w^T u = 0$ are B^2 equations and leave a smaller space.",
        (
            Fault(
                "table7-sphere-row",
                FORMULA,
                "the printed projection on the sphere replaced by the right one",
                f"{_HERE}:printed_projection",
                lambda f: (
                    lambda kind, w, mu: (
                        mu - w * np.sum(w * mu) if kind == "sphere" else f(kind, w, mu)
                    )
                ),
            ),
            Fault(
                "table7-stiefel-row",
                FORMULA,
                "the right tangent space of Stiefel with the skew part",
                f"{_HERE}:right_tangent",
                lambda f: (
                    lambda kind, w, u: w.T @ u - u.T @ w if kind == "stiefel" else f(kind, w, u)
                ),
            ),
            SPHERE_PROJECTION,
        ),
    ),
)
