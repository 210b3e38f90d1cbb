"""An explorer of products: sliders for radii and components, curvature, geodesics in 3D."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgmanifolds.geometry import Component, ScaledProductManifold
from fgmanifolds.plot.explorer_data import (
    TwoSphere,
    as_product,
    curvatures,
    histogram,
    resized,
    two_sphere_paths,
)
from fgmanifolds.validation import check_integer

__all__ = ["Explorer", "explore", "radius_slider", "save_page"]

#: Radii that the sliders reach.
SMALLEST, LARGEST = 0.25, 4.0
#: Of the two pictures in Jupyter, side by side.
WIDTHS = (480, 420)
#: How often a component may stand in the product.
MOST = 8
NOW, BEFORE, RANGE, PATH, ARROW = "#1f77b4", "#b0b0b0", "#d62728", "#1f77b4", "#ff7f0e"
#: Where titles stand.
_TOP: dict[str, Any] = {"y": 0.93, "yanchor": "top", "font": {"size": 15}}


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{module} is needed: pip install "fgmanifolds[explore]" ({error})'
        ) from error


def _bars(product: ScaledProductManifold, samples: int, seed: int) -> dict[str, Any]:
    """Histogram of the curvatures of random planes, and the range of all."""
    low, high = product.sectional_curvature_bounds
    middles, shares = histogram(curvatures(product, samples, seed), low, high)
    return {"x": middles, "y": shares, "low": low, "high": high}


def _title(product: ScaledProductManifold, low: float, high: float) -> str:
    return f"dimension {product.dim}, curvature in [{low:.3g}, {high:.3g}]"


def _flat_traces(bars: dict[str, Any]) -> list[Any]:
    go = _needed("plotly.graph_objects")
    x, y = bars["x"], bars["y"]
    return [
        go.Scatter(x=x, y=0 * y, mode="lines", line_color=BEFORE, name="before", hoverinfo="skip"),
        go.Bar(x=x, y=y, marker_color=NOW, name="random planes"),
        go.Scatter(**_ends(bars), mode="lines", line_color=RANGE, name="range of all planes"),
    ]


def _ends(bars: dict[str, Any]) -> dict[str, Any]:
    """The range as two upright lines, with a gap between."""
    top = 1.05 * float(np.max(bars["y"]))
    x = [bars["low"], bars["low"], None, bars["high"], bars["high"]]
    return {"x": x, "y": [0, top, None, 0, top]}


def _space_traces(spheres: Sequence[TwoSphere]) -> list[Any]:
    go = _needed("plotly.graph_objects")
    traces: list[Any] = []
    for number, sphere in enumerate(spheres):
        x, y, z = sphere.shell
        traces += [
            go.Surface(
                x=x, y=y, z=z, opacity=0.35, showscale=False, hoverinfo="skip",
                colorscale=[[0, "#dbe9f6"], [1, "#dbe9f6"]],
            ),
            go.Scatter3d(
                **_curve(sphere), mode="lines", line={"color": PATH, "width": 6},
                name="geodesic of length 4", showlegend=number == 0,
            ),
            go.Scatter3d(
                **_arrows(sphere), mode="lines", line={"color": ARROW, "width": 5},
                name="vector carried along it", showlegend=number == 0,
            ),
        ]  # fmt: skip
    return traces


def _curve(sphere: TwoSphere) -> dict[str, Any]:
    return dict(zip("xyz", sphere.path.T, strict=True))


def _arrows(sphere: TwoSphere) -> dict[str, Any]:
    """Feet and tips as one line with gaps."""
    gaps = np.full((len(sphere.arrows), 1, 3), np.nan)
    points = np.concatenate([sphere.arrows, gaps], axis=1).reshape(-1, 3)
    return dict(zip("xyz", points.T, strict=True))


def _layout(columns: bool) -> dict[str, Any]:
    scene = {
        "aspectmode": "data",
        **{f"{a}axis": {"visible": False} for a in "xyz"},
        "camera": {"eye": {"x": 2.0, "y": 0.0, "z": 0.6}},
    }
    layout: dict[str, Any] = {
        "scene": scene,
        "template": "plotly_white",
        "margin": {"l": 40, "r": 10, "t": 90, "b": 40},
        "legend": {"orientation": "h", "y": 1.0, "yanchor": "bottom"},
        "bargap": 0.0,
        "title": _TOP,
        "height": 430,
    }
    if columns:
        layout["xaxis"] = {"domain": [0.0, 0.47], "title": {"text": "sectional curvature"}}
        layout["scene"]["domain"] = {"x": [0.53, 1.0], "y": [0.0, 1.0]}
    return layout


class Explorer:
    """Sliders and pictures of a product, for Jupyter; made by :func:`explore`.

    Attributes
    ----------
    product : ScaledProductManifold
        At the present radii.
    radii, copies : list of slider
        One for each component; set their ``value`` to move them.
    flat, space : plotly FigureWidget
        The histogram, and the spheres.
    widget : ipywidgets.VBox
    """

    def __init__(self, product: ScaledProductManifold, samples: int, seed: int) -> None:
        widgets, go = _needed("ipywidgets"), _needed("plotly.graph_objects")
        _needed("anywidget")
        self._given, self._samples, self._seed = product, samples, seed
        self.radii = [_radius_slider_widget(widgets, part) for part in product.components]
        self.copies = [
            widgets.IntSlider(1, min=1, max=MOST, description="times", continuous_update=False)
            for _ in product.components
        ]
        for slider in (*self.radii, *self.copies):
            slider.observe(self._moved, names="value")
        self.product = self._present()
        bars = _bars(self.product, samples, seed)
        self.flat = go.FigureWidget(_flat_traces(bars), _layout(False))
        self.flat.update_layout(title_text=_title(self.product, bars["low"], bars["high"]))
        self.flat.update_layout(width=WIDTHS[0])
        self.flat.update_xaxes(title_text="sectional curvature")
        self.space = go.FigureWidget(
            _space_traces(two_sphere_paths(self._two_radii())), _layout(False)
        )
        self.space.update_layout(title_text="two-spheres of these radii", width=WIDTHS[1])
        rows = [
            widgets.HBox([widgets.Label(str(part), layout={"width": "16em"}), *pair])
            for part, *pair in zip(product.components, self.radii, self.copies, strict=True)
        ]
        pictures = widgets.HBox([self.flat, self.space])
        self.widget = widgets.VBox([*rows, pictures])

    def _present(self) -> ScaledProductManifold:
        return resized(self._given, [s.value for s in self.radii], [s.value for s in self.copies])

    def _two_radii(self) -> list[float]:
        return [slider.value for slider in self.radii[:2]]

    def _moved(self, change: Any) -> None:
        """Draw anew; what was there stays as a grey line."""
        self.product = self._present()
        bars = _bars(self.product, self._samples, self._seed)
        before, now, ends = self.flat.data
        with self.flat.batch_update():
            before.x, before.y = now.x, now.y
            now.x, now.y = bars["x"], bars["y"]
            ends.update(_ends(bars))
            self.flat.layout.title.text = _title(self.product, bars["low"], bars["high"])
        spheres = two_sphere_paths(self._two_radii())
        with self.space.batch_update():
            for trace, new in zip(self.space.data, _space_traces(spheres), strict=True):
                trace.update(x=new.x, y=new.y, z=new.z)

    def _ipython_display_(self) -> None:
        _needed("IPython.display").display(self.widget)


def _radius_slider_widget(widgets: Any, part: Component) -> Any:
    radius = float(np.clip(part.radii.flat[0], SMALLEST, LARGEST))
    return widgets.FloatLogSlider(
        radius, base=10, min=np.log10(SMALLEST), max=np.log10(LARGEST), step=0.01,
        description="radius", readout_format=".2f", continuous_update=False,
    )  # fmt: skip


def explore(
    product: Component | ScaledProductManifold, *, samples: int = 1000, seed: int = 0
) -> Explorer:
    """Look at a product in Jupyter: sliders for the radius and the number of each component.

    A histogram of the curvatures of random planes with the range of all planes, the
    state before the last move in grey, and beside it, on two-spheres of the radii of the
    first two components, a geodesic of length 4 and a vector carried along it.

    Parameters
    ----------
    product : Component or ScaledProductManifold
        Of dimension 2 at least; the radius of a component with several is that of its first copy.
    samples : int
        Number of random planes, at least 1.
    seed : int
        Of the point and the planes.

    Returns
    -------
    Explorer
        The last line of a cell shows it.

    Raises
    ------
    ImportError
        If ipywidgets, plotly or anywidget is not installed (extra ``explore``).
    TypeError
        If `product` is no component or product of this package.
    ValueError
        If it has no plane, or a number is out of range.
    """
    check_integer("samples", samples, low=1)
    check_integer("seed", seed, low=0)
    return Explorer(as_product(product), samples, seed)


def radius_slider(
    product: Component | ScaledProductManifold,
    component: int = 0,
    *,
    radii: Sequence[float] = tuple(np.geomspace(0.4, 2.5, 11)),
    samples: int = 1000,
    seed: int = 0,
) -> Any:
    """The explorer's picture with one slider that needs no kernel: for a page, or an e-mail.

    Parameters
    ----------
    product : Component or ScaledProductManifold
    component : int
        Number of the component whose radius the slider changes.
    radii : sequence of float
        The slider's places, above 0; it begins at the first.
    samples, seed : int
        As :func:`explore` takes them.

    Returns
    -------
    plotly Figure
        With a frame for each radius; :func:`save_page` writes it.

    Raises
    ------
    ImportError
        If plotly is not installed (extra ``explore``).
    ValueError
        If there is no such component, `radii` is empty, or as :func:`explore`.
    """
    go = _needed("plotly.graph_objects")
    given = as_product(product)
    check_integer("samples", samples, low=1)
    check_integer("seed", seed, low=0)
    check_integer("component", component, low=0)
    if component >= len(given.components):
        raise ValueError(f"component={component}: the product has {len(given.components)}.")
    if not len(radii):
        raise ValueError("radii is empty; give at least one.")
    frames = [_frame(given, component, float(radius), samples, seed) for radius in radii]
    figure = go.Figure(frames[0].data, {**_layout(True), **frames[0].layout.to_plotly_json()})
    figure.frames = frames
    figure.update_layout(sliders=[_slider(given, component, frames)], height=520)
    return figure


def _frame(
    product: ScaledProductManifold, component: int, radius: float, samples: int, seed: int
) -> Any:
    go = _needed("plotly.graph_objects")
    sizes = [float(part.radii.flat[0]) for part in product.components]
    sizes[component] = radius
    there = resized(product, sizes, [1] * len(sizes))
    bars = _bars(there, samples, seed)
    return go.Frame(
        data=_flat_traces(bars)[1:] + _space_traces(two_sphere_paths(sizes[:2])),
        layout={
            "title": {"text": _title(there, bars["low"], bars["high"]), **_TOP},
            "xaxis": {"range": _shown(bars), "title": {"text": "sectional curvature"},
                      "domain": [0.0, 0.47]},
            "yaxis": {"range": [0, 1.1 * float(np.max(bars["y"]))]},
        },
        name=f"{radius:.2f}",
    )  # fmt: skip


def _shown(bars: dict[str, Any]) -> list[float]:
    room = float(bars["x"][-1] - bars["x"][0])
    return [float(bars["x"][0]) - 0.03 * room, float(bars["x"][-1]) + 0.03 * room]


def _slider(product: ScaledProductManifold, component: int, frames: Sequence[Any]) -> Any:
    how = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}}
    return {
        "pad": {"t": 45},
        "currentvalue": {"prefix": f"radius of {product.components[component]}: "},
        "steps": [
            {"method": "animate", "label": frame.name, "args": [[frame.name], how]}
            for frame in frames
        ],
    }


def save_page(figure: Any, path: str | Path) -> None:
    """Write a picture with its slider as one HTML file that loads nothing from a network.

    Parameters
    ----------
    figure : plotly Figure
        As :func:`radius_slider` gives it.
    path : path
    """
    figure.write_html(path, include_plotlyjs=True, full_html=True, auto_play=False)
