"""Sphinx configuration."""

from pathlib import Path

import fgmanifolds
from fgmanifolds.verify import claims_table, verify

project = "fgmanifolds"
author = "The fgmanifolds developers"
copyright = "2026, the fgmanifolds developers"
release = version = fgmanifolds.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "fgmanifolds"


def write_claims(app):
    """Run the checks of the paper's statements and write the list that paper.md includes."""
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    entries = [claim_text(row) for _, row in claims_table(verify()).iterrows()]
    (folder / "claims.md").write_text("\n".join(entries), encoding="utf-8")


def claim_text(row):
    """An entry of a definition list."""
    code = ", ".join(f"`{name}`" for name in row["code"].split(", "))
    lines = [
        f"{row['paper']}: **{row['verdict']}**",
        f": Printed: {row['printed']}",
        *([f"  Right: {row['right']}"] if row["right"] != "as printed" else []),
        *([f"  Measured: {row['measured']}."] if row["measured"] else []),
        f"  Code: {code}.",
    ]
    return "\n".join(lines) + "\n"


def setup(app):
    """Register what runs before the pages are read."""
    app.connect("builder-inited", write_claims)
