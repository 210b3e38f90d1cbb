"""Formulas as MathML, which browsers draw by themselves: pages load nothing from a network."""

import re

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.errors import ExtensionError

#: Commands that docutils knows by another name.
OTHER_NAMES = {r"\dots": r"\ldots"}


def _markup(node, *, display):
    formula = re.sub(r"\\[A-Za-z]+", lambda m: OTHER_NAMES.get(m[0], m[0]), node.astext())
    try:
        return latex2mathml.tex2mathml(formula, as_block=display)
    except MathError as error:
        raise ExtensionError(f"{node.astext()!r} is beyond docutils' MathML: {error}") from error


def _inline(writer, node):
    writer.body.append(_markup(node, display=False))
    raise nodes.SkipNode


def _block(writer, node):
    writer.body.append(f'<div class="math">{_markup(node, display=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True}
