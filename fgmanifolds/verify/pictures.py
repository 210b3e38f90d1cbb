"""Pictures of the statements that matter most, one function a statement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fgmanifolds import capacity
from fgmanifolds.geometry import ScaledProductManifold, Sphere
from fgmanifolds.validation import check_choice
from fgmanifolds.verify import reference
from fgmanifolds.verify.charted import default_product
from fgmanifolds.verify.replicates import noisy_pulls
from fgmanifolds.verify.statements import (
    bias,
    collections,
    corollary2,
    remark1,
    spheres,
    spherestep,
    theorem1,
    theorem2,
)

__all__ = ["PICTURES", "caption", "picture"]

COLORS = ("#1f77b4", "#d62728", "#2ca02c")


def _figure(columns: int = 1, width: float = 7.0, height: float = 3.2) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def _lemma1(seed: int) -> Figure:
    """Sectional curvatures of random planes on one two-sphere and on a product of two."""
    rng = np.random.default_rng(seed)
    figure, (axes,) = _figure()
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)])
    point = product.random_point(rng)
    values, across = [], []
    for _ in range(1500):
        u, v = (product.random_tangent_vector(point, rng) for _ in range(2))
        values.append(product.sectional_curvature(point, u, v))
        mixed = product.sectional_curvature(point, [u[0], 0 * u[1]], [0 * v[0], v[1]])
        across.append(mixed)
    axes.hist(values, bins=50, color=COLORS[0], label="random planes of the product")
    axes.axvline(float(np.max(np.abs(across))), color=COLORS[1], label="all planes across the two")
    axes.axvline(1.0, color=COLORS[2], label="all planes of a single sphere")
    axes.set_xlabel("sectional curvature")
    axes.set_yticks([])
    axes.legend()
    return figure


def _theorem1(seed: int) -> Figure:
    """Slopes of a loss in a plane of directions that holds the gradient, against a cosine."""
    rng = np.random.default_rng(seed)
    product = default_product()
    loss, gradient = theorem1.random_quartic(product, rng)
    point = product.random_point(rng)
    steepest = product.euclidean_to_riemannian_gradient(point, gradient(point))
    norm = float(product.norm(point, steepest))
    first = steepest / norm
    other = product.random_tangent_vector(point, rng)
    other = other - float(product.inner_product(point, other, first)) * first
    second = other / float(product.norm(point, other))
    angles = np.linspace(-np.pi, np.pi, 41)
    slopes = [
        theorem1.slope_along(product, loss, point, np.cos(a) * first + np.sin(a) * second, 1e-4)
        for a in angles
    ]
    figure, (axes,) = _figure()
    fine = np.linspace(-np.pi, np.pi, 400)
    root = theorem1.printed_root(
        [float(c.norm(w, g)) for c, w, g in zip(product.components, point, steepest, strict=True)]
    )
    axes.plot(fine, root * np.cos(fine), color=COLORS[0], label="root of the sum (17), times cos")
    axes.plot(angles, slopes, "o", ms=4, color=COLORS[1], label="slope of the loss, measured")
    axes.set_xlabel("angle between the direction and the gradient")
    axes.legend(loc="lower center")
    return figure


def _remark1(seed: int) -> Figure:
    """Lowest sectional curvature of each class of component."""
    finding = remark1.remark1(samples=50, seed=seed)
    bars = {
        name.removeprefix("lowest curvature on "): value
        for name, value in finding.measured.items()
        if name.startswith("lowest curvature on ")
    }
    figure, (axes,) = _figure()
    colors = [COLORS[1] if value < 0 else COLORS[0] for value in bars.values()]
    axes.barh(list(bars), list(bars.values()), color=colors)
    axes.axvline(0, color="black", lw=1)
    axes.set_xlabel("lowest sectional curvature; printed: at least 0")
    return figure


def _eq5(seed: int) -> Figure:
    """Expected step at each angle, for three choices of the norm in g."""
    figure, (axes,) = _figure()
    angles = np.linspace(0.2, 70, 60)
    rows = (
        ("norm of the same sample, as printed", bias.printed_gain),
        ("norms of past samples, bounded", bias.bounded_gain),
        ("norms of past samples alone", bias.past_gain),
    )
    for color, (label, gain) in zip(COLORS[1::-1] + COLORS[2:], rows, strict=True):
        drift = [bias.expected_drift(gain, np.radians(a), seed, 4000) for a in angles]
        scaled = np.array(drift) / np.max(np.abs(drift))
        axes.plot(angles, scaled, color=color, label=label)
    axes.axhline(0, color="black", lw=1)
    axes.axvline(np.degrees(np.arctan(0.9)), color="gray", ls=":", label="minimum of the loss")
    axes.set_xlabel("angle from e1 in degrees")
    axes.set_ylabel("expected step (scaled)")
    axes.legend()
    return figure


def _eq7(seed: int) -> Figure:
    """Change of the squared distance in one step, over r(t), for spheres of all radii."""
    figure, (axes,) = _figure()
    radii, norm = np.geomspace(0.1, 10, 60), 0.4
    for color, label, formula in (
        (COLORS[1], "(7) as printed", spherestep.printed_denominator),
        (COLORS[0], "with the radius in the place of 1", bias.right_denominator),
    ):
        changes = [2 * r * norm / float(formula(norm, r)) for r in radii]
        axes.loglog(radii, changes, color=color, label=label)
    axes.axhline(1, color="black", lw=1, ls=":", label="what (25) allows")
    axes.set_xlabel("radius of the sphere, at R = 0.4")
    axes.set_ylabel("change of rho^2 over r(t)")
    axes.legend()
    return figure


def _eq33(seed: int) -> Figure:
    """The circle that a vector leads along, by (33) as printed and as it is right."""
    radius, length = 2.0, 1.0
    w, v = radius * np.eye(2, 1), length * np.eye(2, 1, -1)
    figure, (axes,) = _figure(width=4.2, height=4.2)
    around = np.linspace(0, 2 * np.pi, 200)
    axes.plot(radius * np.cos(around), radius * np.sin(around), color="lightgray")
    times = np.linspace(1e-9, 1, 100)
    for color, label, formula, width in (
        (COLORS[1], "printed, four times as far", spheres.printed_scaled_exp, 2),
        (COLORS[0], "right", spheres.right_scaled_exp, 5),
    ):
        points = np.array([formula(w, t * v, radius)[:, 0] for t in times])
        axes.plot(*points.T, color=color, lw=width, label=label)
    exact = reference.geodesic("sphere", w, v, np.array([0.0, 1.0]))[-1]
    axes.plot(*exact[:, 0], "ko", label="end of the geodesic")
    axes.set_aspect("equal")
    axes.legend(loc="lower left")
    axes.set_title("radius 2, vector of length 1", fontsize=10)
    return figure


def _theorem2(seed: int) -> Figure:
    """Squared distances to the minimum under rates that satisfy and that violate (4)."""
    figure, (axes,) = _figure()
    rows = (
        ("(4) satisfied", theorem2.good_rates),
        ("constant rate", theorem2.steady_rates),
        ("finite sum of rates", theorem2.hasty_rates),
    )
    for color, (label, rates) in zip(COLORS, rows, strict=True):
        path = noisy_pulls(rates(), runs=40, steps=1500, seed=seed).path
        axes.loglog(list(path), list(path.values()), color=color, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared distance, 40 runs")
    axes.legend()
    return figure


def _corollary2(seed: int) -> Figure:
    """Share of random pairs within the distance of Corollary 2, on spheres of all radii."""
    figure, (axes,) = _figure()
    radii = np.geomspace(0.3, 3, 60)
    for color, label, distance in (
        (COLORS[1], "within 1 / c, as printed", corollary2.printed_distance),
        (COLORS[0], "within c^(-1/2)", corollary2.right_distance),
    ):
        angles = [min(distance(1 / r**2) / r, np.pi) for r in radii]
        shares = [corollary2.exact_share(float(angle)) for angle in angles]
        axes.semilogx(radii, shares, color=color, label=label)
    axes.set_xlabel("radius of the sphere")
    axes.set_ylabel("share of pairs of points of S^8")
    axes.legend()
    return figure


def _proposition1(seed: int) -> Figure:
    """Largest norms of groups of the paper's networks, by scheme."""
    figure, panels = _figure(2, width=9, height=3.6)
    names = list(capacity.ARCHITECTURES)
    for axes, norm in zip(panels, ("frobenius", "rows"), strict=True):
        for i, scheme in enumerate(("pi", "po", "pio")):
            values = [
                float(capacity.proposition1_norms(name, scheme=scheme, seed=seed)[norm].max())
                for name in names
            ]
            places = np.arange(len(names)) + 0.25 * (i - 1)
            axes.barh(places, values, 0.25, color=COLORS[i], label=scheme.upper())
        axes.axvline(1, color="black", lw=1)
        axes.set_yticks(range(len(names)), names)
        axes.set_xscale("log")
        axes.set_xlim(left=0.1 if norm == "frobenius" else 0.5)
        axes.set_xlabel("largest Frobenius norm" if norm == "frobenius" else "largest row sum")
    panels[1].set_yticklabels([])
    panels[0].legend(loc="lower left")
    return figure


def _example1(seed: int) -> Figure:
    """The POMs of a 3 x 3 x 4 x 6 tensor: numbers are POMs, colors manifolds."""
    figure, panels = _figure(3, width=9, height=3.6)
    for axes, scheme in zip(panels, ("pi", "po", "pio"), strict=True):
        adapter = collections.example_adapter(4, 6, scheme, seed)
        grid = np.zeros((6, 4))
        for number, kernels in enumerate(collections.sets_of(adapter)):
            kind = adapter.manifold("0", number).components[0].kind
            for d, c in kernels:
                grid[d, c] = kind == "stiefel"
                axes.text(c, d, str(number), ha="center", va="center")
        axes.imshow(grid, cmap="Pastel1", vmin=0, vmax=8)
        axes.set_title(scheme.upper())
        axes.set_xlabel("input channel")
        axes.set_xticks(range(4))
    panels[0].set_ylabel("output channel")
    return figure


#: The statements that have a picture.
PICTURES: dict[str, Callable[[int], Figure]] = {
    "lemma1": _lemma1,
    "theorem1": _theorem1,
    "remark1": _remark1,
    "eq5": _eq5,
    "eq7": _eq7,
    "eq33": _eq33,
    "theorem2": _theorem2,
    "corollary2": _corollary2,
    "proposition1": _proposition1,
    "example1": _example1,
}


def picture(name: str, *, seed: int = 0) -> Figure:
    """Draw a statement.

    Parameters
    ----------
    name : str
        In :data:`PICTURES`.
    seed : int
        Of what is drawn at random.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the statement has no picture.
    """
    check_choice("name", name, PICTURES)
    return PICTURES[name](seed)


def caption(name: str) -> str:
    """One line on what a picture shows."""
    check_choice("name", name, PICTURES)
    return (PICTURES[name].__doc__ or "").strip()
