"""Everything public is documented, and the snippets of README and docs run as printed."""

import doctest
import importlib
import inspect
import json
import pkgutil
import re
import typing
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
PAGES += sorted((ROOT / "docs/manifolds").glob("*.md"))
#: Code, and what stands below it as its output.
SNIPPETS = {
    str(page.relative_to(ROOT)): re.findall(
        r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text(), re.S
    )
    for page in PAGES
}
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def same_output(printed, shown):
    """Whether words agree, and numbers up to a factor of three or 0.05, as machines differ."""
    if NUMBER.sub("#", printed.strip()) != NUMBER.sub("#", shown.strip()):
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(
        abs(a - b) <= 0.05 or abs(b) / 3 <= abs(a) <= 3 * abs(b)
        for a, b in (map(float, pair) for pair in pairs)
    )


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        thing = getattr(module, public)
        alias = typing.get_origin(thing) is not None  # on Python 3.10 a class, too
        if not alias and (inspect.isclass(thing) or inspect.isfunction(thing)):
            assert inspect.getdoc(thing), f"{name}.{public}"


def public_functions(module):
    """Functions of a module's public names, and public methods of its classes."""
    for name in getattr(module, "__all__", []):
        thing = getattr(module, name)
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for key, value in vars(thing).items():
                function = getattr(value, "__func__", value)
                if inspect.isfunction(function) and not key.startswith("_"):
                    yield f"{name}.{key}", function


def lacks_parameters(function):
    """Whether it takes two arguments or more, and neither lists them nor says "As :meth:`...`"."""
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    text = inspect.getdoc(function) or ""
    elsewhere = re.match(r"(As|See) :(meth|func|class):`[\w.~]+`( says)?\.$", text)
    return len(names) >= 2 and "Parameters\n----------" not in text and not elsewhere


@pytest.mark.parametrize("name", MODULES)
def test_arguments_are_documented(name):
    module = importlib.import_module(name)
    assert [key for key, f in public_functions(module) if lacks_parameters(f)] == []


@pytest.mark.parametrize("name", MODULES)
def test_documented_arguments_exist(name):
    """A Parameters section names every argument in order; behind `**options`, what they are."""
    for key, function in public_functions(importlib.import_module(name)):
        text = inspect.getdoc(function) or ""
        if "Parameters\n----------" not in text:
            continue
        section = text.split("Parameters\n----------\n")[1].split("\n\n")[0]
        section = re.split(r"\n\w[\w ]*\n---", section)[0]
        heads = [line.split(" :")[0] for line in section.splitlines() if line[:1].strip()]
        listed = [one.strip().lstrip("*\\") for head in heads for one in head.split(",")]
        parameters = inspect.signature(function).parameters.values()
        options = any(one.kind is one.VAR_KEYWORD for one in parameters)
        given = [one.name for one in parameters if one.name not in ("self", "cls", "_")]
        if options and listed[-1] != given[-1]:
            given.pop()
            listed = listed[: len(given)]
        assert listed == given, f"{name}.{key}"


@pytest.mark.parametrize("page", [name for name, snippets in SNIPPETS.items() if snippets])
def test_snippets_run(page, tmp_path, monkeypatch, capsys):
    """In order: those of one page build on each other, and print what the page says."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, shown in SNIPPETS[page]:
        capsys.readouterr()
        exec(compile(code, page, "exec"), names)
        printed = capsys.readouterr().out
        assert not shown or same_output(printed, shown), printed


def test_examples_in_docstrings():
    """Doctests, of which there are some."""
    found = [doctest.testmod(importlib.import_module(name)) for name in MODULES]
    assert sum(one.attempted for one in found) > 5
    assert sum(one.failed for one in found) == 0


@pytest.mark.parametrize("printed", ["loss 0.9", "los 0.3", "loss 0.3 and 1", ""])
def test_other_output_is_seen(printed):
    assert same_output("loss 0.31", "loss 0.3")
    assert not same_output(printed, "loss 0.28")


def test_every_component_is_in_the_reference():
    page = (ROOT / "docs/api.md").read_text()
    for module in ("geometry.component", "geometry.product", "torch.adapter", "torch.optim"):
        assert f"fgmanifolds.{module}" in page


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_carry_no_outputs(path):
    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
