"""For sphinx-gallery: figures that pyplot does not know, and the order of the sections."""

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper


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
    return known + figure_rst(paths, gallery_conf["src_dir"])


#: Folders of examples/gallery, in this order.
SECTIONS = ("geometry", "paper", "training", "networks")


def section_order(folder):
    """Place of a folder of examples."""
    return SECTIONS.index(Path(folder).name)
