"""For sphinx-gallery: figures that pyplot does not know, and the order of the sections."""

from pathlib import Path

import matplotlib.pyplot as plt
import plotly.graph_objects as go
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

SCRIPT = "plotly.min.js"


def figures(block, block_vars, gallery_conf):
    """Save pyplot's figures, and those that only a variable of the script holds."""
    names, seen = block_vars["example_globals"], block_vars.setdefault("seen_figures", set())
    seen |= {id(plt.figure(number)) for number in plt.get_fignums()}
    known = matplotlib_scraper(block, block_vars, gallery_conf)
    found = (thing for thing in names.values() if isinstance(thing, Figure))
    new = [figure for figure in found if id(figure) not in seen]
    paths = []
    for figure, path in zip(new, block_vars["image_path_iterator"], strict=False):
        figure.savefig(path, dpi=100)
        paths.append(str(path))
        seen.add(id(figure))
    live = [thing for thing in names.values() if isinstance(thing, go.Figure)]
    fragments = [live_rst(thing) for thing in live if id(thing) not in seen]
    seen |= {id(thing) for thing in live}
    return known + figure_rst(paths, gallery_conf["src_dir"]) + "".join(fragments)


def live_rst(figure):
    """A picture that is alive without a kernel; plotly's script lies beside the pages, once."""
    markup = figure.to_html(include_plotlyjs=False, full_html=False, auto_play=False)
    lines = [f'<script src="../../_static/{SCRIPT}"></script>', *markup.splitlines()]
    return "\n.. raw:: html\n\n" + "".join(f"    {line}\n" for line in lines)


def write_script(folder):
    """Put plotly's script where static files are taken from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SCRIPT).write_text(get_plotlyjs(), encoding="utf-8")


#: Folders of examples/gallery, in this order.
SECTIONS = ("geometry", "paper", "training", "networks")


def section_order(folder):
    """Place of a folder of examples."""
    return SECTIONS.index(Path(folder).name)
