"""The sectional curvature: Definition 2, (8) and (11)."""

from __future__ import annotations

import numpy as np

from fgmanifolds.geometry import (
    Oblique,
    Sphere,
    Stiefel,
    curvature_form,
    sectional_curvature,
)
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.verify.chart import component_chart
from fgmanifolds.verify.charted import (
    form_of,
)
from fgmanifolds.verify.claim import HOLDS, Claim
from fgmanifolds.verify.evidence import CODE, PRINTED, Evidence
from fgmanifolds.verify.fault import FORMULA, PACKAGE, Fault, negated, scaled
from fgmanifolds.verify.finding import Finding
from fgmanifolds.verify.statements.lemma1 import ROUNDING

__all__ = ["ENTRIES", "definition2"]

_HERE = "fgmanifolds.verify.statements.sectional"


def printed_curvature(form: float, uu: float, vv: float, uv: float) -> float:
    """(8): the form over the squared area of the parallelogram."""
    return form / (uu * vv - uv**2)


def definition2(*, seed: int = 0) -> Finding:
    """Check Definition 2, (8), and (11): the form, and a number that is the plane's alone.

    Curvature forms come from charts. That (8) does not depend on the basis of the plane is
    what makes it a definition; its sign is that spheres have positive curvature.
    """
    rng = np.random.default_rng(seed)
    found = Evidence()
    basis = closed = form_off = 0.0
    components = (Sphere(4, 3), Oblique(4, 3), Stiefel(4, 3), Sphere(3, 2, radius=0.5))
    for component in components:
        point = component.random_point(rng)
        chart = component_chart(component, point)
        curvature, metric = chart.curvature(), chart.metric

        def sectional(u: Array, v: Array, c: Array = curvature, g: Array = metric) -> float:
            form = form_of(c, u, v, v, u)
            return printed_curvature(form, float(u @ g @ u), float(v @ g @ v), float(u @ g @ v))

        u, v, x, y = rng.standard_normal((4, chart.dim))
        a, b, c, d = rng.standard_normal(4)
        scale = max(map(abs, component.sectional_curvature_bounds))
        basis = max(basis, abs(sectional(u, v) - sectional(a * u + b * v, c * u + d * v)) / scale)
        vectors = [(chart.basis @ z).reshape(point.shape) for z in (u, v, x, y)]
        ours = float(sectional_curvature(component, point, *vectors[:2]))
        closed = max(closed, abs(sectional(u, v) - ours) / scale)
        sizes = float(np.prod([np.linalg.norm(z) for z in vectors]))
        ours = float(curvature_form(component, point, *vectors))
        form_off = max(form_off, abs(form_of(curvature, u, v, x, y) - ours) / sizes / scale)
        if component.kind == "sphere":
            value = sectional(u, v) * float(component.radii[0]) ** 2
            found.near(PRINTED, f"(8) on {component}, times r^2", value, 1, ROUNDING)
    found.below(PRINTED, "(8): largest change with the basis", basis, 1e-8)
    found.below(CODE, "(8): sectional_curvature off the charts by", closed, 1e-8)
    found.below(CODE, "(11): curvature_form off the charts by", form_off, 1e-8)
    return found.finding(
        "Definition 2, (8), (11)",
        "The sectional curvature of a plane, from the curvature form <C(X, Y) Y, X>.",
        "Positive on spheres with the sign of (8).",
    )


_COMPONENT_TENSOR = Fault(
    "component-curvature",
    PACKAGE,
    "the Riemann tensor of components is twice as large",
    "fgmanifolds.geometry:Component.riemann_tensor",
    scaled(2.0),
)


_AREA = Fault(
    "eq8-area",
    FORMULA,
    "(8) without the square of <X, Y> in its denominator",
    f"{_HERE}:printed_curvature",
    lambda f: lambda form, uu, vv, uv: form / (uu * vv),
)


_CURVATURE_SIGN = Fault(
    "eq8-sign",
    FORMULA,
    "(8) with the other sign of the form",
    f"{_HERE}:printed_curvature",
    negated,
)


_SECTIONAL = (_AREA, _CURVATURE_SIGN, _COMPONENT_TENSOR)


ENTRIES = (
    Claim(
        "definition2",
        "Definition 2",
        "The sectional curvature of a plane.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        definition2,
        HOLDS,
        "A change of basis multiplies the form and the squared area by the same squared "
        "determinant.",
        _SECTIONAL,
    ),
    Claim(
        "eq8",
        "(8)",
        "<C(X, Y) Y, X> over the squared area of X and Y.",
        "",
        "fgmanifolds.geometry.sectional_curvature",
        definition2,
        HOLDS,
        "See Definition 2.",
        _SECTIONAL,
    ),
    Claim(
        "eq11",
        "(11)",
        "The curvature form of a component, <C(U, V) X, Y>.",
        "",
        "fgmanifolds.geometry.curvature_form",
        definition2,
        HOLDS,
        "A tensor: its value at a point depends on the fields' values there only, which is why it "
        "can be computed from coordinates.",
        (_CURVATURE_SIGN, _COMPONENT_TENSOR),
    ),
)
