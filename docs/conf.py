"""Sphinx configuration."""

import sys
from pathlib import Path

import fgmanifolds
from fgmanifolds.verify import claims_table, verify
from fgmanifolds.verify.pictures import PICTURES, caption, picture

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import gallery  # noqa: E402
import manifold_pictures  # noqa: E402
import reference  # noqa: E402

project = "fgmanifolds"
author = "The fgmanifolds developers"
copyright = "2026, the fgmanifolds developers"
release = version = fgmanifolds.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]
templates_path = ["_templates"]
autosummary_generate = True
autosummary_context = {"excluded": reference.EXCLUDED}

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples/gallery"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "image_scrapers": ("gallery.figures",),
    "capture_repr": (),
    "subsection_order": "gallery.section_order",
    "within_subsection_order": "FileNameSortKey",
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 30,
    "plot_gallery": "True",
    "write_computation_times": False,
    "abort_on_example_error": True,
    "copyfile_regex": "",
    "nested_sections": True,
}

gallery.write_script(Path(__file__).parent / "_generated/static")

html_theme = "furo"
html_static_path = ["_static", "_generated/static"]
html_css_files = ["pages.css"]
html_title = "fgmanifolds"


def write_claims(app):
    """Draw the manifolds, run the checks of the paper's statements, write what pages include."""
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    manifold_pictures.write(folder)
    found = verify()
    for kind in ("statement", "text"):
        chosen = [one for one in found if one.claim.kind == kind]
        entries = [claim_text(row) for _, row in claims_table(chosen).iterrows()]
        name = "claims.md" if kind == "statement" else "texts.md"
        (folder / name).write_text("\n".join(entries), encoding="utf-8")
    sections = [statement_text(one, folder) for one in found if one.claim.name in PICTURES]
    (folder / "statements.md").write_text("\n".join(sections), encoding="utf-8")


def statement_text(one, folder):
    """A section of statements.md, with its picture."""
    claim, finding = one.claim, one.finding
    picture(claim.name).savefig(folder / f"{claim.name}.svg", metadata={"Date": None})
    figures = [
        f"| {key.replace('|', '&#124;')} | {value:.4g} | {finding.demands.get(key, '')} |"
        for key, value in list(finding.measured.items())[:12]
    ]
    faults = [f"- {fault.what} ({fault.side})" for fault in claim.faults]
    lines = [
        f"## {claim.where}: {finding.verdict}",
        f"**Printed.** {claim.printed}",
        *([f"**Right.** {claim.right}"] if claim.right else []),
        claim.why,
        f"![{claim.where}](_generated/{claim.name}.svg)",
        f"*{caption(claim.name)}*",
        "\n".join(["| measured | value | demanded |", "|---|---|---|", *figures]),
        finding.note,
        "The check notices:",
        "\n".join(faults),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


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


# Attributes of one name in several classes ("point") are no faults of a page.
suppress_warnings = ["ref.python"]
