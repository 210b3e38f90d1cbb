"""The suite with the oldest and the newest versions that pyproject.toml allows: make test-versions.

``nox -s oldest``, say, runs one of them; arguments after ``--`` go to pytest.
"""

import re
import sys
from pathlib import Path

import nox

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent
#: Extras of the suite; the others are looked for and left out where they are missing.
EXTRAS = ("test",)
nox.options.sessions = ["oldest", "newest"]
nox.options.error_on_missing_interpreters = False


def oldest_versions():
    """Each requirement at the lower end of its range, as pip's constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = list(project["dependencies"])
    for extra in EXTRAS:
        needed += project["optional-dependencies"][extra]
    found = []
    for one in needed:
        match = re.match(r"([A-Za-z0-9_-]+)>=([0-9.]+)", one)
        if match:
            marker = one.partition(";")[2]
            found.append(f"{match[1]}=={match[2]}" + (f" ; {marker.strip()}" if marker else ""))
    return found


def run_suite(session):
    """Say which versions are there, and test."""
    show = "import numpy, torch, pymanopt, geomstats, sys; print(sys.version.split()[0], *("
    show += "f'{m.__name__} {m.__version__}' for m in (numpy, torch, geomstats)))"
    session.run("python", "-c", show)
    session.run("python", "-m", "pytest", *(session.posargs or ["-m", "not slow"]))


@nox.session(python="3.10")
def oldest(session):
    """The lower end of every range, on the oldest Python."""
    constraints = Path(session.create_tmp()) / "oldest.txt"
    constraints.write_text("\n".join(oldest_versions()) + "\n")
    session.install("--constraint", str(constraints), "--editable", ".[test]")
    run_suite(session)


@nox.session(python="3.13")
def newest(session):
    """Whatever is newest and fits, on the newest Python."""
    session.install("--editable", ".[test]")
    run_suite(session)
