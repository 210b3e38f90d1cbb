"""How components are shown to people."""

from __future__ import annotations

import contextlib
import html
from typing import Any

__all__ = ["component_name", "component_table", "product_table"]


def component_name(component: Any) -> str:
    """``Sphere(3, 3, k=2, radius=1..2)``; what is as by default is left out."""
    rows, columns = component.shape
    extras = [f", k={component.k}"] if component.k > 1 else []
    radii = component.radii
    if radii.min() != radii.max():
        extras.append(f", radius={radii.min():.4g}..{radii.max():.4g}")
    elif radii[0] != 1.0:
        extras.append(f", radius={radii[0]:.4g}")
    return f"{type(component).__name__}({rows}, {columns}{''.join(extras)})"


def component_table(component: Any) -> str:
    """Table of sizes in HTML, for notebooks; what is not known is left out."""
    radii = component.radii
    uniform = radii.min() == radii.max()
    rows = {
        "points": " x ".join(map(str, component.point_shape)),
        "dimension": component.dim,
        "radius": f"{radii[0]:.4g}" if uniform else f"{radii.min():.4g} to {radii.max():.4g}",
    }
    with contextlib.suppress(NotImplementedError):
        low, high = component.sectional_curvature_bounds
        rows["sectional curvature"] = f"[{low:.4g}, {high:.4g}]"
    with contextlib.suppress(NotImplementedError):
        rows["injectivity radius"] = f"{component.injectivity_radius:.4g}"
    cells = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{html.escape(repr(component))}</caption>{cells}</table>"


def product_table(product: Any) -> str:
    """Table of a product's components in HTML; the range of the curvature where it is known."""
    rows = "".join(
        f"<tr><td>{position}</td><td>{type(c).__name__}</td>"
        f"<td>{' x '.join(map(str, c.shape))}</td><td>{c.k}</td>"
        f"<td>{_radius_text(c)}</td><td>{c.dim}</td></tr>"
        for position, c in enumerate(product.components)
    )
    try:
        low, high = product.sectional_curvature_bounds
        curvature = f", sectional curvature in [{low:.4g}, {high:.4g}]"
    except NotImplementedError:
        curvature = ""
    return (
        f"<table><caption>Product of dimension {product.dim}{curvature}</caption>"
        "<tr><th></th><th>component</th><th>shape</th><th>copies</th><th>radius</th>"
        f"<th>dimension</th></tr>{rows}</table>"
    )


def _radius_text(component: Any) -> str:
    low, high = component.radii.min(), component.radii.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
