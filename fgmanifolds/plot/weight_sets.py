"""Pictures of weight sets: which kernels of a layer share a POM (Figures 1 and 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle

from fgmanifolds.geometry import COMPONENTS
from fgmanifolds.torch.schemes import kernel_sets
from fgmanifolds.validation import check_choice, check_choices, check_integer

__all__ = ["scheme_sets", "weight_sets"]

#: A set: the name of its manifold, and its kernels as (output, input).
WeightSet = tuple[str, Sequence[tuple[int, int]]]

SHORT = {"sphere": "Sp", "oblique": "Ob", "stiefel": "St", "euclidean": "Euc."}
FACES = {"sphere": "#f2b544", "oblique": "#6fb36f", "stiefel": "#7a78c4", "euclidean": "#b9b9b9"}
#: Outlines of sets of one input, of one output and of several of both, as in Example 1.
OUTLINES = {"input": "#4ba3d8", "output": "#d0342c", "both": "#333333"}
#: Side of a kernel, where the distance of two is 1 in the grid and STEP in a box.
SIDE, STEP = 0.66, 0.76
#: Kernels in a line of the lower picture.
LINE = 13


def scheme_sets(
    inputs: int, outputs: int, scheme: str, manifolds: Sequence[str], seed: int = 0
) -> list[WeightSet]:
    """Draw the sets of a layer of kernels, as :class:`~fgmanifolds.torch.POMAdapter` does.

    Parameters
    ----------
    inputs, outputs : int
        Numbers C and D of channels.
    scheme : {"pi", "po", "pio", "layer", "kernel"}
    manifolds : sequence of str
    seed : int

    Returns
    -------
    list of (str, list of (int, int))
        For each POM its manifold, and its kernels as (output, input).
    """
    check_integer("inputs", inputs, low=1)
    check_integer("outputs", outputs, low=1)
    check_integer("seed", seed, low=0)
    check_choices("manifolds", manifolds, COMPONENTS)
    rng = np.random.default_rng(seed)
    drawn = kernel_sets((outputs, inputs), scheme, len(manifolds), rng)
    found: list[WeightSet] = []
    for pom in range(int(drawn.pom.max()) + 1):
        places = np.argwhere(drawn.pom == pom)
        owner = int(drawn.manifold[tuple(places[0])])
        found.append((manifolds[owner], [(int(d), int(c)) for d, c in places]))
    return found


def weight_sets(
    sets: Sequence[WeightSet] | Mapping[str, Sequence[WeightSet]],
    shape: tuple[int, int] | None = None,
) -> Figure:
    """Draw the sets of a layer: in the grid of its kernels, and set by set.

    Above, as in Figure 2, kernels stand at their input and output, joined where they
    share a POM; below, as in Figure 1, each POM is a box. The colour of a kernel is
    its manifold; outlines are light blue for kernels of one input, red
    for those of one output, dark for others.

    Parameters
    ----------
    sets : sequence of (str, sequence of (int, int)), or mapping of titles to them
        For each POM its manifold and its kernels as (output, input): of
        :func:`scheme_sets`, or ``adapter.weight_sets(name)``.
    shape : (int, int), optional
        Numbers of inputs and outputs; by default as many as the sets have.

    Returns
    -------
    Figure
        Two panels for each layer.

    Raises
    ------
    ValueError
        If there are no sets, a manifold is unknown, or a kernel is in two sets or
        outside of `shape`.
    """
    named = dict(sets) if isinstance(sets, Mapping) else {"": list(sets)}
    if not named:
        raise ValueError("sets is empty; give at least one layer's.")
    shapes = {title: _checked(layer, shape) for title, layer in named.items()}
    tallest = max(inputs for inputs, _ in shapes.values())
    boxes = {title: _places(layer) for title, layer in named.items()}
    deepest = max(line for places in boxes.values() for _, line in places) + 1
    figure = Figure(
        figsize=(0.6 + 4.6 * len(named), 1.6 + 0.36 * (tallest + 1.25 * deepest)),
        layout="constrained",
    )
    axes = figure.subplots(
        2, len(named), squeeze=False, height_ratios=[tallest + 1, 1.25 * deepest + 0.5]
    )
    for column, (title, layer) in enumerate(named.items()):
        _draw_grid(axes[0, column], layer, shapes[title], title)
        _draw_boxes(axes[1, column], layer, boxes[title])
    _legend(figure, [one for layer in named.values() for one in layer])
    return figure


def _checked(layer: Sequence[WeightSet], shape: tuple[int, int] | None) -> tuple[int, int]:
    """Numbers of inputs and outputs."""
    if not layer:
        raise ValueError("sets is empty; give at least one POM.")
    seen: set[tuple[int, int]] = set()
    for manifold, kernels in layer:
        check_choice("manifold", manifold, COMPONENTS)
        for kernel in kernels:
            if kernel in seen:
                raise ValueError(f"the kernel of output, input {kernel} is in two sets.")
            seen.add(kernel)
    outputs, inputs = (1 + max(kernel[i] for kernel in seen) for i in (0, 1))
    if shape is None:
        return inputs, outputs
    if inputs > shape[0] or outputs > shape[1] or min(map(min, seen)) < 0:
        raise ValueError(
            f"shape={shape} has no room for sets of {inputs} inputs, {outputs} outputs."
        )
    return shape


def _kind(kernels: Sequence[tuple[int, int]]) -> str:
    if len({c for _, c in kernels}) == 1:
        return "input"
    return "output" if len({d for d, _ in kernels}) == 1 else "both"


def _kernel(ax: Axes, x: float, y: float, manifold: str) -> None:
    """A kernel as a square of 3 x 3 cells around (x, y)."""
    low, left = y - SIDE / 2, x - SIDE / 2
    ax.add_patch(
        Rectangle((left, low), SIDE, SIDE, facecolor=FACES[manifold], edgecolor="white", zorder=2)
    )
    for third in (1, 2):
        step = SIDE * third / 3
        ax.plot([left + step] * 2, [low, low + SIDE], color="white", linewidth=0.6, zorder=3)
        ax.plot([left, left + SIDE], [low + step] * 2, color="white", linewidth=0.6, zorder=3)


def _draw_grid(ax: Axes, layer: Sequence[WeightSet], shape: tuple[int, int], title: str) -> None:
    inputs, outputs = shape
    for number, (manifold, kernels) in enumerate(layer):
        ordered = sorted(kernels)
        xs, ys = np.array([d for d, _ in ordered], float), np.array([c for _, c in ordered], float)
        for d, c in kernels:
            _kernel(ax, d, c, manifold)
        kind = _kind(kernels)
        if kind == "both":
            continue
        # Sets of one channel run beside each other, not on top of each other.
        shift = 0.13 * (number % 2 * 2 - 1)
        xs, ys = (xs, ys + shift) if kind == "input" else (xs + shift, ys)
        ax.plot(xs, ys, color=OUTLINES[kind], linewidth=2.2, zorder=1, solid_capstyle="round")
        ax.plot(xs, ys, "o", color=OUTLINES[kind], markersize=3.5, zorder=4)
    ax.set(
        xlim=(-0.7, outputs - 0.3),
        ylim=(inputs - 0.3, -0.7),
        aspect="equal",
        xlabel="output channel d",
        ylabel="input channel c",
    )
    ax.set_xticks(range(outputs), [str(d + 1) for d in range(outputs)])
    ax.set_yticks(range(inputs), [str(c + 1) for c in range(inputs)])
    ax.set_title(title)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def _places(layer: Sequence[WeightSet]) -> list[tuple[float, int]]:
    """Where each set's box begins: its place in its line, and its line."""
    places, x, line = [], 0.0, 0
    for _, kernels in layer:
        width = len(kernels) * STEP + 0.45
        if x > 0 and x + width > LINE * STEP:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += width
    return places


def _draw_boxes(ax: Axes, layer: Sequence[WeightSet], places: list[tuple[float, int]]) -> None:
    widest = LINE * STEP
    for (manifold, kernels), (x, line) in zip(layer, places, strict=True):
        y, width = 1.25 * line, len(kernels) * STEP + 0.1
        box = FancyBboxPatch(
            (x, y - SIDE / 2 - 0.1),
            width,
            SIDE + 0.2,
            boxstyle="round,pad=0.02,rounding_size=0.1",
            facecolor="none",
            edgecolor=OUTLINES[_kind(kernels)],
            linewidth=1.8,
        )
        ax.add_patch(box)
        for number, (d, c) in enumerate(sorted(kernels)):
            middle = x + 0.05 + STEP * (number + 0.5)
            _kernel(ax, middle, y, manifold)
            ax.text(middle, y + SIDE / 2 + 0.14, f"{c + 1},{d + 1}", fontsize=5.5, ha="center",
                    va="top")  # fmt: skip
        widest = max(widest, x + width)
    last = max(line for _, line in places)
    ax.set(xlim=(-0.2, widest + 0.1), ylim=(1.25 * last + 0.85, -0.75), aspect="equal")
    ax.set_title(_counts(layer), fontsize=9)
    ax.axis("off")


def _counts(layer: Sequence[WeightSet]) -> str:
    """Such as "4 POMs of 3 Sp, 4 POMs of 3 St"."""
    counted = Counter((SHORT[manifold], len(kernels)) for manifold, kernels in layer)
    texts = [
        f"{many} POM{'s' if many > 1 else ''} of {size} {name}"
        for (name, size), many in sorted(counted.items(), key=lambda e: (e[0][1], e[0][0]))
    ]
    lines = [", ".join(texts[i : i + 2]) for i in range(0, len(texts), 2)]
    return "\n".join(lines[:4] + (["and others"] if len(lines) > 4 else []))


def _legend(figure: Figure, sets: Sequence[WeightSet]) -> None:
    manifolds = list(dict.fromkeys(manifold for manifold, _ in sets))
    kinds = list(dict.fromkeys(_kind(kernels) for _, kernels in sets))
    names = {"input": "POM of one input", "output": "POM of one output", "both": "POM of several"}
    handles = [Patch(facecolor=FACES[name], label=name) for name in manifolds]
    handles += [
        Patch(facecolor="none", edgecolor=OUTLINES[kind], linewidth=1.8, label=names[kind])
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=8)
