"""Compile ``step.cpp`` for one shape of kernels, once on each machine, and load it."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

import torch

__all__ = ["NativeBuildError", "available", "load"]

#: Not -ffast-math: a library that is linked with it makes the whole process flush subnormal
#: numbers to zero as soon as it is loaded.
FLAGS = (
    *("-O3", "-march=native", "-std=c++17"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


#: The file that is compiled, and what it includes.
SOURCES = ("step.cpp", "planes.hpp")


class NativeBuildError(RuntimeError):
    """The C++ step could not be compiled or loaded; the message is the compiler's."""


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "c++"))


def available() -> bool:
    """Whether there is a C++ compiler: that of the variable CXX, or ``c++``."""
    return _compiler() is not None


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "fgmanifolds"


def _key(command: list[str], sources: dict[str, str]) -> str:
    """Of the source, the options and the processor, as the code is for this one alone."""
    cpu = f"{platform.machine()} {platform.processor()} {torch.backends.cpu.get_cpu_capability()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu += "".join(sorted({x for x in lines if x.startswith(("flags", "model name"))}))
    except OSError:
        pass
    return hashlib.sha256("\0".join([cpu, *command, *sources.values()]).encode()).hexdigest()[:24]


@functools.cache
def load(rows: int, columns: int, wide: bool) -> ctypes.CDLL:
    """Give the compiled step for kernels of a tall shape; compile it if need be, in a second.

    Parameters
    ----------
    rows, columns : int
        Tall shape A x B of the components.
    wide : bool
        Whether kernels are stored B x A.

    Raises
    ------
    NativeBuildError
        If there is no compiler, or it fails.
    """
    compiler = _compiler()
    if compiler is None:
        raise NativeBuildError("there is no C++ compiler: set CXX, or install c++.")
    folder = files("fgmanifolds.torch.ops.native")
    sources = {name: folder.joinpath(name).read_text() for name in SOURCES}
    command = [compiler, *FLAGS, f"-DROWS={rows}", f"-DCOLUMNS={columns}"]
    command += ["-DWIDE"] if wide else []
    path = _cache() / f"step-{rows}x{columns}-{_key(command, sources)}.so"
    if not path.exists():
        _build(command, sources, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeBuildError(str(error)) from None


def _build(command: list[str], sources: dict[str, str], path: Path) -> None:
    """Compile to a draft and move it into place, so that nobody loads half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            code, draft = Path(folder) / SOURCES[0], Path(folder) / "step.so"
            for name, text in sources.items():
                (Path(folder) / name).write_text(text)
            for openmp in (["-fopenmp"], []):
                full = [*command, *openmp, "-shared", "-fPIC", str(code), "-o", str(draft)]
                done = subprocess.run(full, capture_output=True, text=True, timeout=120)
                if done.returncode == 0:
                    os.replace(draft, path)
                    return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeBuildError(str(error)) from None
    raise NativeBuildError(done.stderr.strip() or f"{command[0]} failed")
