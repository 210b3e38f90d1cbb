"""Manifolds and their maps: Tables V, VII and VIII, (32), (33), Appendix C.A."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from fgmanifolds.geometry import Component, Oblique, Sphere, Stiefel
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify import reference
from fgmanifolds.verify.claim import CORRECTED, FAILS, HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, RIGHT, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, instead, scaled, with_argument
from fgmanifolds.verify.finding import Finding

__all__ = ["ENTRIES", "complexity_projection", "eq32", "eq33", "table5", "table7", "table8"]

#: One of each curved class, at unit radius and at another one.
CURVED: tuple[Component, ...] = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3))
RADIUS = 0.7


def _norm(x: Array) -> float:
    return float(np.linalg.norm(x))


# Table V ----------------------------------------


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


# Table VII ----------------------------------------


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
        off = _norm(printed_projection(kind, w, mu) - exact)
        text = f"{name}: printed projection off by"
        if kind == "sphere":  # the projection of vectors, not of matrices
            found.above(RIGHT, text, off, 0.1)
        else:
            found.below(RIGHT, text, off, 1e-12)
        scaled_up = component.with_radius(RADIUS)
        off = max(
            _norm(component.projection(w, mu) - exact),
            _norm(scaled_up.projection(RADIUS * w, mu) - exact),
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


# Table VIII ----------------------------------------


def printed_exp(kind: str, w: Array, v: Array) -> Array:
    """Exponential maps as printed in Table VIII."""
    if kind != "stiefel":
        size = np.linalg.norm(v) if kind == "sphere" else np.linalg.norm(v, axis=0)
        with np.errstate(invalid="ignore"):
            return w * np.cos(size) + v * (np.sin(size) / size)
    a, columns = w.T @ v, w.shape[1]
    block = np.block([[a, -v.T @ v], [np.eye(columns), a]])
    return np.hstack([w, v]) @ expm(block)[:, :columns] @ expm(-a)


def printed_retraction(kind: str, w: Array, v: Array) -> Array:
    """Retractions as printed in Table VIII: the Q factor of any QR decomposition."""
    if kind == "stiefel":
        return np.asarray(np.linalg.qr(w + v)[0])
    return reference.nearest(kind, w + v)


def table8(*, seed: int = 0) -> Finding:
    """Check Table VIII: exponential maps against the geodesic equation, and retractions."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    for component in CURVED:
        kind, name = component.kind, type(component).__name__
        w = component.random_point(rng)
        v = 1.2 * component.random_tangent_vector(w, rng)
        exact = reference.geodesic(kind, w, v, np.array([0.5, 1.0]))[-1]
        off = _norm(printed_exp(kind, w, v) - exact)
        found.below(RIGHT, f"{name}: printed exp off the geodesic", off, 1e-7)
        still = printed_exp(kind, w, 0 * v) - w
        defined = float(np.all(np.isfinite(still)))
        if kind == "stiefel":
            found.near(RIGHT, f"{name}: printed exp is defined at 0", defined, 1, 0)
            turned = _norm(printed_retraction(kind, w, 0 * v) - w)
            found.below(PRINTED, f"{name}: printed retraction of 0 off by", turned, 1e-12)
            found.above(RIGHT, f"{name}: that of numpy's Q", turned, 0.1)
        else:
            found.near(PRINTED, f"{name}: printed exp is defined at 0", defined, 1, 0)
        large = component.with_radius(RADIUS)
        off = _norm(component.exp(w, v) - exact)
        off = max(off, _norm(large.exp(RADIUS * w, RADIUS * v) - RADIUS * exact))
        found.below(CODE, f"{name}: our exp off the geodesic", off, 1e-7)
        normalised = reference.nearest(kind, w + v)
        off = _norm(component.retraction(w, v) - normalised)
        off = max(off, _norm(large.retraction(RADIUS * w, RADIUS * v) - RADIUS * normalised))
        found.below(CODE, f"{name}: our retraction off by", off, 1e-12)
        gap = _norm(reference.nearest(kind, w + 1e-3 * v) - component.exp(w, 1e-3 * v))
        found.below(RIGHT, f"{name}: retraction off the geodesic, over t^2", gap / 1e-6, 1.5)
        found.below(CODE, f"{name}: exp(0) off by", _norm(component.exp(w, 0 * v) - w), 1e-12)
    return found.finding(
        "Table VIII",
        "Exponential maps and retractions.",
        "The printed maps of sphere and oblique manifold are 0 / 0 for the zero vector, and the Q "
        "factor needs a positive diagonal of R, or the retraction of 0 is another point; the "
        "Stiefel map is the geodesic of the embedded metric.",
        corrected=True,
    )


# (32) and (33) ----------------------------------------


def printed_norm(radius: float) -> float:
    """Norm of a point by the printed definition, norm^2 = R."""
    return float(np.sqrt(radius))


def right_norm(radius: float) -> float:
    """Norm of a point of a sphere of a radius."""
    return radius


def _not_closed(w: Array, v: Array, radius: float) -> float:
    """Distance of a great circle's end from its start, after the length 2 pi R."""
    length = 2 * np.pi * radius
    return _norm(reference.geodesic("sphere", w, v, np.array([0.0, length]))[-1] - w)


def eq32(*, seed: int = 0) -> Finding:
    """Check (32): of the sphere of radius R, great circles have the length 2 pi R."""
    rng = np.random.default_rng(seed)
    radius, found = 3.0, Evidence()
    unit = reference.nearest("sphere", rng.standard_normal((3, 3)))
    v = reference.nearest("sphere", reference.tangent_part("sphere", unit, rng.random((3, 3))))
    for name, value in (("printed", printed_norm(radius)), ("right", right_norm(radius))):
        form = PRINTED if name == "printed" else RIGHT
        found.note(f"{name}: norm of a point", value)
        gap = _not_closed(value * unit, v, radius)
        found.below(form, f"{name}: gap of a great circle of length 2 pi R", gap, 1e-6)
    length = 2 * np.pi * printed_norm(radius)
    gap = _norm(
        reference.geodesic("sphere", printed_norm(radius) * unit, v, np.array([0.0, length]))[-1]
        - printed_norm(radius) * unit
    )
    found.below(RIGHT, "printed: gap after 2 pi R^(1/2)", gap, 1e-6)
    sphere = Sphere(3, 3, radius=radius)
    point = sphere.random_point(rng)
    x, y = (sphere.random_tangent_vector(point, rng) for _ in range(2))
    found.near(CODE, "norm of a point of Sphere", _norm(point), radius, 1e-12)
    curvature = sphere.sectional_curvature(point, x, y) * radius**2
    found.near(CODE, "curvature of Sphere times R^2", curvature, 1, 1e-9)
    half = float(sphere.dist(point, -point)) / (np.pi * radius)
    found.near(CODE, "distance of antipodes over pi R", half, 1, 1e-9)
    return found.finding(
        "(32)",
        "Weights are scaled to a sphere whose radius is R.",
        "norm^2 = R and 'R is the radius' exclude each other unless R = 1; the radius is R.",
        corrected=True,
    )


def printed_scaled_exp(w: Array, v: Array, radius: float) -> Array:
    """Eq. (33) as printed."""
    size = float(np.linalg.norm(v))
    return w * np.cos(size * radius) + radius * v / size * np.sin(size * radius)


def right_scaled_exp(w: Array, v: Array, radius: float) -> Array:
    """Exponential map of the sphere of a radius, by homothety."""
    size = float(np.linalg.norm(v))
    return w * np.cos(size / radius) + radius * v / size * np.sin(size / radius)


def printed_scaled_projection(w: Array, mu: Array, radius: float) -> Array:
    """The projection printed beside (33), (I R - w w^T) mu, for a column w."""
    return radius * mu - w @ (w.T @ mu)


def eq33(*, seed: int = 0) -> Finding:
    """Check (33), the exponential map at radius R, against the geodesic equation."""
    rng = np.random.default_rng(seed)
    found = Evidence()
    worst = dict.fromkeys(("printed", "power", "right", "code", "unit"), 0.0)
    for radius in (2.0, 0.5):
        sphere = Sphere(5, 1, radius=radius)
        w = radius * reference.nearest("sphere", rng.standard_normal((5, 1)))
        v = 0.9 * sphere.random_tangent_vector(w, rng)
        exact = reference.geodesic("sphere", w, v, np.array([0.0, 1.0]))[-1]
        off = {
            "printed": printed_scaled_exp(w, v, radius) - exact,
            "power": printed_scaled_exp(w, v, radius) - right_scaled_exp(w, radius**2 * v, radius),
            "right": right_scaled_exp(w, v, radius) - exact,
            "code": sphere.exp(w, v) - exact,
            "unit": printed_scaled_exp(w / radius, v, 1.0) - Sphere(5, 1).exp(w / radius, v),
        }
        worst = {key: max(value, _norm(off[key])) for key, value in worst.items()}
    found.below(PRINTED, "printed: off the geodesic", worst["printed"], 1e-7)
    found.below(RIGHT, "printed: off Exp(R^2 v)", worst["power"], 1e-9)
    found.below(RIGHT, "printed: off the geodesic at R = 1", worst["unit"], 1e-9)
    found.below(RIGHT, "corrected: off the geodesic", worst["right"], 1e-7)
    found.below(CODE, "Sphere.exp: off the geodesic", worst["code"], 1e-7)
    mu = rng.standard_normal((5, 1))
    tangent = reference.tangent_part("sphere", w, mu)
    off_printed = _norm(printed_scaled_projection(w, mu, radius) - tangent)
    found.above(RIGHT, "printed projection (I R - w w^T) mu: off by", off_printed, 0.1)
    return found.finding(
        "(33)",
        "The exponential map of the scaled sphere.",
        "The printed map stays on the sphere of radius R but is Exp(R^2 v); right is "
        "w cos(|v| / R) + R v / |v| sin(|v| / R). Its projection (I R - w w^T) is wrong as well.",
        corrected=True,
    )


# Appendix C.A ----------------------------------------


def printed_complexity_projection(w: Array, mu: Array) -> Array:
    """The projection on the sphere printed in Appendix C.A."""
    return (1 - np.linalg.norm(w) ** 2) * mu


def complexity_projection(*, seed: int = 0) -> Finding:
    """Check the projection on the sphere of Appendix C.A, (1 - norm(w)^2) mu."""
    rng = np.random.default_rng(seed)
    sphere, found = Sphere(3, 3), Evidence()
    w, mu = reference.nearest("sphere", rng.standard_normal((3, 3))), rng.random((3, 3)) + 1.0
    exact = reference.tangent_part("sphere", w, mu)
    printed = printed_complexity_projection(w, mu)
    found.below(PRINTED, "printed: off by", _norm(printed - exact), 1e-9)
    found.below(RIGHT, "norm of the printed projection", _norm(printed), 1e-9)
    right = mu - w * np.sum(w * mu)
    found.below(RIGHT, "mu - w <w, mu>: off by", _norm(right - exact), 1e-12)
    found.below(CODE, "Sphere.projection: off by", _norm(sphere.projection(w, mu) - exact), 1e-12)
    return found.finding(
        "C.A, projection on the sphere",
        "Gradients are projected by (1 - norm(w)^2) mu.",
        "It is zero for every gradient.",
        (w, mu),
        beyond_repair=True,
    )


# Entries ----------------------------------------

_HERE = "fgmanifolds.verify.statements.maps"
_GEOMETRY = "fgmanifolds.geometry"

_SPHERE_PROJECTION = Fault(
    "sphere-projection",
    PACKAGE,
    "Sphere.projection takes away half of the normal part",
    f"{_GEOMETRY}:Sphere.projection",
    lambda f: lambda self, w, u: 0.5 * (u + f(self, w, u)),
)
_SPHERE_EXP = Fault(
    "sphere-exp-backwards",
    PACKAGE,
    "Sphere.exp runs backwards",
    f"{_GEOMETRY}:Sphere.exp",
    with_argument(2, np.negative),
)
_SPHERE_POINT = Fault(
    "sphere-radius",
    PACKAGE,
    "points of Sphere have 1.1 times its radius",
    f"{_GEOMETRY}:Sphere.random_point",
    scaled(1.1),
)
_STIEFEL_RETRACTION = Fault(
    "stiefel-retraction",
    PACKAGE,
    "Stiefel.retraction leaves out the orthonormalisation",
    f"{_GEOMETRY}:Stiefel.retraction",
    instead(lambda self, w, v: w + v),
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
            _SPHERE_POINT,
            _STIEFEL_RETRACTION,
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
            _SPHERE_PROJECTION,
        ),
    ),
    Claim(
        "table8",
        "Table VIII",
        "Exponential maps and retractions.",
        "With a positive diagonal of R in the QR decomposition.",
        "fgmanifolds.geometry.Component.exp",
        table8,
        CORRECTED,
        "Geodesics of an embedded manifold have no tangent acceleration. The constraint "
        "$q(w, w) = c$ differentiated twice gives $q(w, \\ddot w) = -q(\\dot w, \\dot w)$, an "
        "ordinary differential equation that the maps must solve. A retraction must give w for "
        "v = 0 and agree with the geodesic to first order.",
        (
            Fault(
                "table8-stiefel-sign",
                FORMULA,
                "the printed Stiefel map with the other sign of v",
                f"{_HERE}:printed_exp",
                lambda f: lambda kind, w, v: f(kind, w, -v if kind == "stiefel" else v),
            ),
            Fault(
                "table8-positive-diagonal",
                FORMULA,
                "the printed QR decomposition with a positive diagonal",
                f"{_HERE}:printed_retraction",
                lambda f: lambda kind, w, v: reference.nearest(kind, w + v),
            ),
            _SPHERE_EXP,
            _STIEFEL_RETRACTION,
        ),
    ),
    Claim(
        "eq32",
        "(32)",
        "The sphere with |w|^2 = R, of radius R.",
        "|w| = R.",
        "fgmanifolds.geometry.Sphere",
        eq32,
        CORRECTED,
        "A great circle of a sphere of radius R closes after the length $2 \\pi R$. On the set "
        "$\\|w\\|^2 = R$ it closes after $2 \\pi \\sqrt R$: the radius of that set is its root.",
        (
            Fault(
                "eq32-printed-right",
                FORMULA,
                "the printed definition replaced by the right one",
                f"{_HERE}:printed_norm",
                instead(lambda radius: radius),
            ),
            Fault(
                "eq32-right-square",
                FORMULA,
                "the right norm squared",
                f"{_HERE}:right_norm",
                instead(lambda radius: radius**2),
            ),
            _SPHERE_POINT,
        ),
    ),
    Claim(
        "eq33",
        "(33)",
        "Exponential map of the scaled sphere.",
        "w cos(|v| / R) + R v / |v| sin(|v| / R).",
        "fgmanifolds.geometry.Sphere.exp",
        eq33,
        CORRECTED,
        "By homothety $\\exp_w(v) = R \\exp_{w/R}(v/R)$ with the map of the unit sphere. The "
        "printed map has the angle $\\|v\\| R$ in place of $\\|v\\| / R$: R^2 times the speed.",
        (
            Fault(
                "eq33-printed-sign",
                FORMULA,
                "the printed map with a minus before its second term",
                f"{_HERE}:printed_scaled_exp",
                with_argument(1, np.negative),
            ),
            Fault(
                "eq33-printed-right",
                FORMULA,
                "the printed map replaced by the right one",
                f"{_HERE}:printed_scaled_exp",
                lambda f: right_scaled_exp,
            ),
            Fault(
                "eq33-right-sign",
                FORMULA,
                "the right map with a minus before its second term",
                f"{_HERE}:right_scaled_exp",
                with_argument(1, np.negative),
            ),
            _SPHERE_EXP,
        ),
    ),
    Claim(
        "c-a-projection",
        "Appendix C.A",
        "Gradients on the sphere are projected by (1 - |w|^2) mu.",
        "mu - w <w, mu>.",
        "fgmanifolds.geometry.Sphere.projection",
        complexity_projection,
        FAILS,
        "On the unit sphere $1 - \\|w\\|^2 = 0$, so that nothing is left of any gradient.",
        (
            Fault(
                "c-a-printed-right",
                FORMULA,
                "the printed projection replaced by the right one",
                f"{_HERE}:printed_complexity_projection",
                instead(lambda w, mu: mu - w * np.sum(w * mu)),
            ),
            Fault(
                "c-a-printed-half",
                FORMULA,
                "the printed factor 1 - norm(w)^2 / 2",
                f"{_HERE}:printed_complexity_projection",
                lambda f: lambda w, mu: f(w / 2**0.5, mu),
            ),
            _SPHERE_PROJECTION,
        ),
    ),
)
