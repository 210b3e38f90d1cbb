"""What imports what: the arrows of the design, and the cost of ``import fgmanifolds``."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fgmanifolds

PACKAGE = Path(fgmanifolds.__file__).parent
#: Each part may import those before it, and itself.
ORDER = ["validation", "geometry", "interop", "testing", "steps", "solver", "torch", "models"]
ORDER += ["data", "capacity", "verify", "plot", "experiments", "cli", "__main__"]
MODULES = sorted(p.relative_to(PACKAGE) for p in PACKAGE.rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_arrows_point_down(path):
    part = path.parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for name in imports(path):
        words = name.split(".")
        if words[0] == "fgmanifolds" and len(words) > 1 and words[1] in ORDER:
            assert ORDER.index(words[1]) <= ORDER.index(part), f"{path} imports {name}"


@pytest.mark.parametrize(
    "part", ["geometry", "interop", "testing", "steps", "solver", "validation.py"]
)
def test_the_numpy_side_does_not_name_torch(part):
    for path in MODULES:
        if path.parts[0] == part:
            assert not any(name.split(".")[0] == "torch" for name in imports(path))


def test_import_does_not_import_torch():
    code = "import sys, fgmanifolds; print('torch' in sys.modules, 'pymanopt' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_public_names_are_there():
    for name in fgmanifolds.__all__:
        assert getattr(fgmanifolds, name) is not None
    assert set(dir(fgmanifolds)) == set(fgmanifolds.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Spher'"):
        _ = fgmanifolds.Spher
