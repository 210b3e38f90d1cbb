"""Everything public is documented, and the snippets of README and docs run as printed."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import fgmanifolds

ROOT = Path(fgmanifolds.__file__).parents[1]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(fgmanifolds.__path__, "fgmanifolds.")
    if not module.name.endswith("__main__")
]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = {page.name: re.findall(r"```python\n(.*?)```", page.read_text(), re.S) for page in PAGES}


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{public}"


@pytest.mark.parametrize("page", [name for name, snippets in SNIPPETS.items() if snippets])
def test_snippets_run(page, tmp_path, monkeypatch):
    """In order: those of one page build on each other."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in SNIPPETS[page]:
        exec(compile(code, page, "exec"), names)


def test_every_component_is_in_the_reference():
    page = (ROOT / "docs/api.md").read_text()
    for module in ("geometry.component", "geometry.product", "torch.adapter", "torch.optim"):
        assert f"fgmanifolds.{module}" in page
