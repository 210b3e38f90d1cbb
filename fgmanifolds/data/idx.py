"""The IDX format of MNIST and Fashion-MNIST (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_idx"]

#: Entries that a file may have, as a guard against damaged headers.
LARGEST = 1 << 31


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read an array of bytes from an IDX file.

    Parameters
    ----------
    path : Path
        Packed by gzip if its name ends in ``.gz``.
    axes : int
        Number of axes it must have: 3 for images, 1 for labels.

    Raises
    ------
    ValueError
        If the file is cut, damaged, or has something else in it.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            return _parse(path, file.read(), axes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is cut or damaged: {error}.") from None


def _parse(path: Path, content: bytes, axes: int) -> NDArray[np.uint8]:
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{str(path)!r} is not an IDX file: it does not begin with two zeros.")
    kind, found = content[2], content[3]
    if kind != 8 or found != axes:
        raise ValueError(
            f"{str(path)!r} holds an array of type {kind} with {found} axes; type 8 (bytes) with "
            f"{axes} is needed. Are images and labels swapped?"
        )
    start = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", content[4:start]) if len(content) >= start else ()
    size = math.prod(shape) if shape else -1
    if not 0 <= size <= LARGEST or len(content) - start != size:
        raise ValueError(
            f"{str(path)!r} is cut or damaged: it holds {max(0, len(content) - start)} entries in "
            f"place of those of an array of shape {shape}."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
