"""Compile C++ functions, once on each machine, and load them."""

from __future__ import annotations

import _ctypes
import atexit
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "NativeBuildError",
    "available",
    "load",
    "load_blocks",
    "load_moments",
    "loads_or_warns",
]

#: Not -ffast-math: a library that is linked with it makes the whole process flush subnormal
#: numbers to zero as soon as it is loaded.
FLAGS = (
    *("-O3", "-march=native", "-std=c++17"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)

#: The files that are compiled, each with what it includes.
STEP, BLOCKS, MOMENTS = ("step.cpp", "planes.hpp"), ("blocks.cpp",), ("moments.cpp",)

#: Set to 0, it turns the C++ way off.
SWITCH = "FGMANIFOLDS_NATIVE"

#: Tells ctypes what is in a library; raises where it is not what it should be.
Declare = Callable[[ctypes.CDLL], None]

logger = logging.getLogger("fgmanifolds")


class NativeBuildError(RuntimeError):
    """The C++ step could not be compiled or loaded; the message says why."""


def _compiler() -> list[str] | None:
    """The compiler with its arguments: that of the variable CXX, or ``c++``."""
    words = shlex.split(os.environ.get("CXX", "") or "c++")
    path = shutil.which(words[0]) if words else None
    return None if path is None else [path, *words[1:]]


def available() -> bool:
    """Whether there is a C++ compiler, and ``FGMANIFOLDS_NATIVE=0`` does not forbid its use."""
    return os.environ.get(SWITCH, "1") != "0" and _compiler() is not None


def loads_or_warns(load: Callable[[], Any], what: str, *, stacklevel: int) -> bool:
    """Whether compiled functions could be loaded; with a warning if not.

    Parameters
    ----------
    load : callable
    what : str
        Who goes through torch then: the subject of the warning, with its verb.
    stacklevel : int
        As of ``warnings.warn`` in the caller.
    """
    try:
        load()
    except NativeBuildError as error:
        warnings.warn(
            f"{what} through torch, since the C++ functions cannot be built: {error}",
            RuntimeWarning,
            stacklevel=stacklevel + 1,
        )
        return False
    return True


# Where libraries lie ---------------------------------------------------------------------


def _is_ours(path: Path) -> bool:
    """Whether a file or folder is the user's, and nobody else can write to it."""
    if not hasattr(os, "getuid"):
        return True
    status = os.stat(path, follow_symlinks=False)
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid == os.getuid() and not others and not stat.S_ISLNK(status.st_mode)


@functools.cache
def _folder_of_process() -> Path:
    """A folder of this process alone, for where no cache can be used."""
    folder = Path(tempfile.mkdtemp(prefix="fgmanifolds-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _folder() -> Path:
    """Folder of the compiled libraries: the user's cache, if nobody else can write there."""
    try:
        root = os.environ.get("XDG_CACHE_HOME")
        folder = (Path(root) if root else Path.home() / ".cache") / "fgmanifolds"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
        reason = "belongs to, or can be written to by, somebody else"
    except (OSError, RuntimeError) as error:
        folder, reason = Path("the cache"), str(error)
    logger.info("%s cannot be used (%s): the C++ step is compiled for this process", folder, reason)
    return _folder_of_process()


def _key(command: list[str], sources: dict[str, str]) -> str:
    """Of the source, the options and the processor, as the code is for this one alone."""
    cpu = f"{platform.machine()} {platform.processor()} {torch.backends.cpu.get_cpu_capability()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu += "".join(sorted({x for x in lines if x.startswith(("flags", "model name"))}))
    except OSError:
        pass
    return hashlib.sha256("\0".join([cpu, *command, *sources.values()]).encode()).hexdigest()[:24]


# Loading ---------------------------------------------------------------------------------


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
    defines = [f"-DROWS={rows}", f"-DCOLUMNS={columns}", *(["-DWIDE"] if wide else [])]
    return _library(f"step-{rows}x{columns}", STEP, defines, declare_step)


@functools.cache
def load_blocks() -> ctypes.CDLL:
    """Give the compiled functions for blocks of matrices.

    Raises
    ------
    NativeBuildError
        If there is no compiler, or it fails.
    """
    return _library("blocks", BLOCKS, [], declare_blocks)


@functools.cache
def load_moments() -> ctypes.CDLL:
    """Give the compiled function for the moments of features.

    Raises
    ------
    NativeBuildError
        If there is no compiler, or it fails.
    """
    return _library("moments", MOMENTS, [], declare_moments)


def _library(
    name: str, files_of: tuple[str, ...], defines: list[str], declare: Declare
) -> ctypes.CDLL:
    compiler = _compiler()
    if compiler is None:
        raise NativeBuildError("there is no C++ compiler: set CXX, or install c++.")
    folder = files("fgmanifolds.torch.ops.native")
    sources = {source: folder.joinpath(source).read_text() for source in files_of}
    command = [*compiler, *FLAGS, *defines]
    path = _folder() / f"{name}-{_key(command, sources)}.so"
    kept = _opened(path, declare)
    if kept is None:
        _build(command, sources, path)
        logger.info("compiled the C++ functions %s: %s", name, path)
        kept = _opened(path, declare)
    if kept is None:
        raise NativeBuildError(f"{path} was compiled, but cannot be loaded.")
    return kept


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _opened(path: Path, declare: Declare) -> ctypes.CDLL | None:
    """Give a library that is whole and ours; None if it must be built anew."""
    note = path.with_suffix(".sha256")
    try:
        if not (_is_ours(path) and _is_ours(note) and note.read_text() == _digest(path)):
            return None
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    try:
        declare(library)
    except (AttributeError, ValueError):
        # Or the library that is built in its place would be taken for it.
        getattr(_ctypes, "dlclose", int)(library._handle)
        return None
    return library


def declare_step(library: ctypes.CDLL) -> None:
    """Tell ctypes the types of step.cpp's functions, and see that both sides mean the same.

    Raises
    ------
    AttributeError
        If a function is missing.
    ValueError
        If the library speaks another version, or its structures have other sizes.
    """
    from fgmanifolds.torch.ops.native.step import INTERFACE

    number, whole, pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
    library.fgsgd_interface.argtypes = []
    library.fgsgd_interface.restype = whole
    library.fgsgd_squares.argtypes = [pointer, number, number, pointer, whole, number]
    library.fgsgd_squares.restype = None
    library.fgsgd_step.argtypes = [pointer, number, pointer, pointer, pointer, whole, number]
    library.fgsgd_step.restype = None
    _check_interface(library.fgsgd_interface(), INTERFACE)


def declare_blocks(library: ctypes.CDLL) -> None:
    """As :func:`declare_step`, of blocks.cpp."""
    from fgmanifolds.torch.ops.native.blocks import INTERFACE

    number, whole, pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
    real = ctypes.c_float
    library.fgblocks_interface.argtypes = []
    library.fgblocks_interface.restype = whole
    library.fgblocks_project.argtypes = [pointer, number, *[pointer] * 4, number]
    library.fgblocks_move.argtypes = [pointer, number, *[pointer] * 4, number]
    library.fgblocks_average.argtypes = [
        pointer,
        number,
        pointer,
        pointer,
        real,
        pointer,
        pointer,
        number,
    ]
    library.fgblocks_copy.argtypes = [pointer, whole, *[pointer] * 4, *[whole] * 3, *[number] * 3]
    library.fgrows_adam.argtypes = [pointer, number, number]
    library.fgrows_factors.argtypes = [pointer, number, pointer, whole, number]
    library.fgrows_scale.argtypes = [pointer, whole, whole, *[pointer] * 3, number]
    library.fgblocks_project.restype = library.fgblocks_copy.restype = None
    library.fgblocks_average.restype = None
    library.fgrows_adam.restype = library.fgrows_scale.restype = None
    library.fgrows_factors.restype = None
    library.fgblocks_move.restype = number
    _check_interface(library.fgblocks_interface(), INTERFACE)


def declare_moments(library: ctypes.CDLL) -> None:
    """As :func:`declare_step`, of moments.cpp."""
    from fgmanifolds.torch.ops.native.moments import INTERFACE

    library.fgmoments_interface.argtypes = []
    library.fgmoments_interface.restype = ctypes.c_int64
    library.fgmoments_add.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.fgmoments_add.restype = ctypes.c_int32
    _check_interface(library.fgmoments_interface(), INTERFACE)


def _check_interface(found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"the library speaks interface {found}, not {expected}.")


def _clear_drafts(folder: Path) -> None:
    """Take away what processes left that were killed while they compiled."""
    for draft in folder.glob("build-*"):
        try:
            os.kill(int(draft.name.split("-")[1]), 0)
        except (ProcessLookupError, ValueError):
            shutil.rmtree(draft, ignore_errors=True)
        except OSError:
            continue


def _build(command: list[str], sources: dict[str, str], path: Path) -> None:
    """Compile to a draft and move it into place, so that nobody loads half a file."""
    folder = path.parent
    _clear_drafts(folder)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f"build-{os.getpid()}-") as name:
            code, draft = Path(name) / next(iter(sources)), Path(name) / "draft.so"
            for source, text in sources.items():
                (Path(name) / source).write_text(text)
            for openmp in (["-fopenmp"], []):
                full = [*command, *openmp, "-shared", "-fPIC", str(code), "-o", str(draft)]
                done = subprocess.run(full, capture_output=True, text=True, timeout=120)
                if done.returncode == 0 and draft.exists():
                    if not openmp:
                        logger.info("%s uses one thread: there is no OpenMP", path.name)
                    draft.chmod(0o700)
                    note = Path(name) / "draft.sha256"
                    note.write_text(_digest(draft))
                    note.chmod(0o600)
                    os.replace(draft, path)
                    os.replace(note, path.with_suffix(".sha256"))
                    return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeBuildError(str(error)) from None
    said = done.stderr.strip().splitlines()[-3:]
    code_of = f"{Path(command[0]).name} failed with status {done.returncode}"
    raise NativeBuildError(": ".join([code_of, *said]))
