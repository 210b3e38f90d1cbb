"""The types that the package ships, as a user's type checker sees them from outside."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fgmanifolds

EXAMPLE = Path(__file__).with_name("typed_example.py")
PACKAGE = Path(fgmanifolds.__file__).parent
WRONG = "\nbad: str = product.dim\nFGSGD(adapter, lr='fast', momentun=0.9)\nadapter.residuel()\n"


@pytest.fixture
def outside(tmp_path):
    """A folder without the repository: the example, a wrong one, and the package beside them."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/fgmanifolds").symlink_to(PACKAGE)
    (tmp_path / "right.py").write_text(EXAMPLE.read_text())
    (tmp_path / "wrong.py").write_text(EXAMPLE.read_text() + WRONG)
    return tmp_path


def check(outside, *command):
    run = subprocess.run(
        [sys.executable, "-m", *command], cwd=outside, capture_output=True, text=True, timeout=300
    )
    return run.stdout + run.stderr


@pytest.mark.slow
def test_mypy(outside, monkeypatch):
    pytest.importorskip("mypy", reason="mypy is not installed")
    monkeypatch.setenv("MYPYPATH", str(outside / "site"))
    options = ("--strict", "--follow-imports=silent", "--cache-dir", str(outside / "cache"))
    assert "Success" in (out := check(outside, "mypy", *options, "right.py")), out
    out = check(outside, "mypy", *options, "wrong.py")
    assert out.count("error:") >= 2, out
    assert "residuel" in out


@pytest.mark.slow
def test_pyright(outside):
    pytest.importorskip("pyright", reason="pyright is not installed")
    if shutil.which("node") is None:
        pytest.skip("pyright needs node, which is not on this machine")
    if "pyright" not in check(outside, "pyright", "--version"):
        pytest.skip("pyright could not be fetched")
    (outside / "pyrightconfig.json").write_text('{"extraPaths": ["site"]}')
    python = ("--pythonpath", sys.executable)
    out = check(outside, "pyright", *python, "right.py")
    assert "0 errors" in out, out
    out = check(outside, "pyright", *python, "wrong.py")
    assert "residuel" in out, out
