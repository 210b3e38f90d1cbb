"""Checksums of data files, compared before anything in them is read."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["listed_checksum", "sha256_of", "verify_checksum"]

SUMS = "SHA256SUMS"


def sha256_of(path: Path) -> str:
    """SHA-256 checksum of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def listed_checksum(path: Path) -> str | None:
    """Checksum that a file ``SHA256SUMS`` beside `path`, or one folder above, has for it.

    Its lines are ``CHECKSUM  NAME``, as ``sha256sum`` writes them, with names
    relative to its folder. None if there is no such line.
    """
    path = path.resolve()
    for folder in (path.parent, path.parent.parent):
        sums = folder / SUMS
        if not sums.is_file():
            continue
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.strip().partition(" ")
            if name.strip().lstrip("*") == path.relative_to(folder).as_posix():
                return digest.lower()
    return None


def verify_checksum(path: Path, official: str | None = None) -> None:
    """Compare a file's checksum with that of ``SHA256SUMS`` beside it, else the official one.

    Parameters
    ----------
    path : Path
    official : str, optional
        SHA-256 of the official release. Without it and without a ``SHA256SUMS``
        that lists the file, nothing is compared.

    Raises
    ------
    ValueError
        If they differ.
    """
    listed = listed_checksum(path)
    expected = listed or official
    if expected is None:
        return
    found = sha256_of(path)
    if found != expected:
        whose = f"that of {SUMS} beside it" if listed else "that of the official release"
        raise ValueError(
            f"{str(path)!r} has the SHA-256 checksum {found}, not {whose}, {expected}: it is cut, "
            f"damaged or another file. (If it is meant to differ, list it in a file {SUMS}.)"
        )
