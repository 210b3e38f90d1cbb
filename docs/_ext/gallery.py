"""For sphinx-gallery: figures that pyplot does not know, and the order of the sections."""

from pathlib import Path

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper


def figures(block, block_vars, gallery_conf):
    """Save pyplot's figures, and those that only a variable of the script holds."""
    known = matplotlib_scraper(block, block_vars, gallery_conf)
    names, seen = block_vars["example_globals"], block_vars.setdefault("seen_figures", set())
    new = [
        thing
        for thing in names.values()
        if isinstance(thing, Figure) and thing.canvas.manager is None and id(thing) not in seen
    ]
    paths = []
    for figure, path in zip(new, block_vars["image_path_iterator"], strict=False):
        figure.savefig(path, dpi=100)
        paths.append(Path(path))
        seen.add(id(figure))
    folder = gallery_conf["src_dir"]
    return known + figure_rst([str(path) for path in paths], folder)


#: Folders of examples/gallery, in this order.
SECTIONS = ("geometry", "paper", "training", "networks")


def section_order(folder):
    """Place of a folder of examples."""
    return SECTIONS.index(Path(folder).name)
