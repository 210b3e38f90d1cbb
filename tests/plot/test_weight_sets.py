"""Figures 1 and 2: what is drawn are the sets, each kernel once, in its place."""

from collections import Counter

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch, Rectangle

from fgmanifolds.plot import scheme_sets, weight_sets
from fgmanifolds.plot.weight_sets import FACES, OUTLINES

TWO = ("sphere", "stiefel")
#: Example 1: POMs by number of kernels and manifold.
EXAMPLE_1 = {
    "pi": {(3, "sphere"): 4, (3, "stiefel"): 4},
    "po": {(2, "sphere"): 6, (2, "stiefel"): 6},
    "pio": {(3, "sphere"): 2, (3, "stiefel"): 2, (2, "sphere"): 3, (2, "stiefel"): 3},
}


def kernels(ax):
    """Centres and colours of the kernels of a panel."""
    found = [p for p in ax.patches if isinstance(p, Rectangle)]
    return {
        tuple(np.round([p.get_x() + p.get_width() / 2, p.get_y() + p.get_height() / 2], 6)): to_hex(
            p.get_facecolor()
        )
        for p in found
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scheme", EXAMPLE_1)
def test_example_1(scheme, seed):
    sets = scheme_sets(4, 6, scheme, TWO, seed)
    assert Counter((len(k), m) for m, k in sets) == EXAMPLE_1[scheme]
    grid, boxes = weight_sets(sets).axes
    expected = {(float(d), float(c)): FACES[m] for m, k in sets for d, c in k}
    assert len(expected) == 24
    assert kernels(grid) == expected
    drawn = [p for p in boxes.patches if isinstance(p, FancyBboxPatch)]
    assert len(drawn) == len(sets)
    blue = [to_hex(p.get_edgecolor()) for p in drawn].count(OUTLINES["input"])
    assert blue == {"pi": 8, "po": 0, "pio": 4}[scheme]
    assert sum(isinstance(p, Rectangle) for p in boxes.patches) == 24
    labels = sorted(text.get_text() for text in boxes.texts)
    assert labels == sorted(f"{c + 1},{d + 1}" for d in range(6) for c in range(4))


def test_boxes_hold_their_kernels_and_do_not_overlap():
    sets = scheme_sets(6, 9, "pio", (*TWO, "oblique", "euclidean"))
    _, ax = weight_sets(sets).axes
    boxes = [p.get_bbox() for p in ax.patches if isinstance(p, FancyBboxPatch)]
    inside = [
        [face for (x, y), face in kernels(ax).items() if b.x0 < x < b.x1 and b.y0 < y < b.y1]
        for b in boxes
    ]
    assert inside == [[FACES[m]] * len(k) for m, k in sets]


def test_several_layers_stand_side_by_side():
    layers = {s: scheme_sets(4, 6, s, TWO) for s in ("pi", "po", "pio")}
    figure = weight_sets(layers)
    assert [ax.get_title() for ax in figure.axes[:3]] == ["pi", "po", "pio"]
    assert figure.axes[3].get_title() == "4 POMs of 3 Sp, 4 POMs of 3 St"
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert texts == {"sphere", "stiefel", "POM of one input", "POM of one output"}


def test_a_whole_layer_is_one_box_without_lines():
    figure = weight_sets(scheme_sets(4, 6, "layer", ("oblique",)))
    grid, boxes = figure.axes
    assert len(kernels(grid)) == 24
    assert not [line for line in grid.lines if to_hex(line.get_color()) == OUTLINES["both"]]
    assert sum(isinstance(p, FancyBboxPatch) for p in boxes.patches) == 1


@pytest.mark.parametrize(
    ("sets", "shape", "message"),
    [
        ([], None, "sets is empty"),
        ({}, None, "sets is empty"),
        ([("torus", [(0, 0)])], None, "manifold='torus' is unknown"),
        ([("sphere", [(0, 0)]), ("stiefel", [(0, 0)])], None, r"\(0, 0\) is in two sets"),
        ([("sphere", [(3, 0)])], (2, 2), r"shape=\(2, 2\) has no room"),
        ([("sphere", [(0, -1)])], (2, 2), r"shape=\(2, 2\) has no room"),
    ],
)
def test_sets_that_cannot_be_drawn_are_refused(sets, shape, message):
    with pytest.raises(ValueError, match=message):
        weight_sets(sets, shape)


def test_bad_arguments_of_sets():
    with pytest.raises(ValueError, match="inputs=0"):
        scheme_sets(0, 6, "pi", TWO)
    with pytest.raises(ValueError, match="scheme='pa'"):
        scheme_sets(4, 6, "pa", TWO)
    with pytest.raises(ValueError, match="manifolds='torus'"):
        scheme_sets(4, 6, "pi", ("torus",))
