"""Every script of the gallery runs, and draws one picture that is not empty."""

import re
import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

GALLERY = Path(__file__).parents[1] / "examples/gallery"
SCRIPTS = sorted(GALLERY.glob("*/plot_*.py"))


def pictures(names):
    """Figures that a script leaves, in pyplot or in a variable."""
    found = {id(thing): thing for thing in names.values() if isinstance(thing, Figure)}
    found |= {id(plt.figure(n)): plt.figure(n) for n in plt.get_fignums()}
    return list(found.values())


def test_at_least_25_in_four_groups():
    assert len(SCRIPTS) >= 25
    assert {path.parent.name for path in SCRIPTS} == {"geometry", "paper", "training", "networks"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_begins_with_a_title_and_a_reason(path):
    title, line, reason = re.match(r'"""\n(.+)\n(=+)\n\n(.+?)"""', path.read_text(), re.S).groups()
    assert len(title) == len(line)
    assert len(reason) > 80


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.filterwarnings("ignore:initialize_ changes the norm")
def test_runs_and_draws(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("Agg")
    plt.close("all")
    try:
        drawn = pictures(runpy.run_path(str(path)))
    finally:
        plt.close("all")
    assert drawn
    for figure in drawn:
        figure.savefig(tmp_path / "picture.png")
        pixels = plt.imread(tmp_path / "picture.png")[..., :3]
        assert np.mean(np.abs(pixels - 1).max(-1) > 0.1) > 0.01
        texts = [text for ax in figure.axes for text in ax.get_children()]
        assert len(texts) > 10
