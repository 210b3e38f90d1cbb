"""Draw any component at any radius, with any number of copies."""

import numpy as np
from hypothesis import strategies as st

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel

CURVED = (Sphere, Oblique, Stiefel)
ALL = (*CURVED, Euclidean)

seeds = st.integers(0, 2**32 - 1)


@st.composite
def components(draw, classes=ALL, max_k=3, radii=(1e-3, 1e3), canonical=False):
    cls = draw(st.sampled_from(classes))
    columns = draw(st.integers(1, 4))
    rows = draw(st.integers(max(columns, 2), 6))
    k = draw(st.integers(1, max_k))
    exponents = st.floats(np.log10(radii[0]), np.log10(radii[1]))
    if draw(st.booleans()):
        radius = 10 ** draw(exponents)
    else:
        radius = [10 ** draw(exponents) for _ in range(k)] if k > 1 else 10 ** draw(exponents)
    options = {}
    if cls is Stiefel:
        options["retraction"] = draw(st.sampled_from(["qr", "polar"]))
        if canonical and draw(st.booleans()):
            options["metric"] = "canonical"
    return cls(rows, columns, k=k, radius=radius, **options)


@st.composite
def products(draw, classes=ALL):
    parts = draw(st.lists(components(classes), min_size=1, max_size=4))
    return ScaledProductManifold(parts)


def tangents(component, point, seed, n):
    """n random tangent vectors, each of the size of the component's radii."""
    rng = np.random.default_rng([seed, 2])
    size = component._r if hasattr(component, "_r") else 1.0
    draws = size * rng.standard_normal((n, *component.point_shape))
    return [component.projection(point, draw) for draw in draws]
