"""Files that are written whole or not at all, and read only if they are whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "clear_drafts",
    "read_checkpoint",
    "write_json",
    "write_state",
    "write_text",
    "write_whole",
]

#: What stands before the hash in the comment at a checkpoint's end, and their lengths.
MARK = b"sha256:"
COMMENT = len(MARK) + 64
#: The record that ends a zip file without a comment.
END, END_SIZE = b"PK\x05\x06", 22


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whatever ends the process or fills the disk.

    Parameters
    ----------
    path : path
    content : bytes

    Raises
    ------
    OSError
        If it cannot be written; what was there before is still there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as error:
        text = f"{str(path)!r} cannot be written ({error.strerror}); what was there is kept"
        raise OSError(error.errno, text) from None
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """See that a new name outlives a loss of power, where folders can be synchronised."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clear_drafts(folder: Path) -> None:
    """Remove what killed processes have left half-written in a folder that is locked."""
    for draft in folder.glob("*.draft"):
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Parameters
    ----------
    path : path
    text : str
    """
    write_whole(path, text.encode("utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, whole or not at all.

    Parameters
    ----------
    path : path
    data : object
        Plain: mappings, lists, strings, numbers.
    """
    write_text(path, json.dumps(data, indent=2) + "\n")


def write_state(path: Path, state: Any) -> None:
    """Write a state dict with its hash, whole or not at all; ``torch.load`` reads it, too.

    Parameters
    ----------
    path : path
    state : object
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, sealed(buffer.getvalue()))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state dict of plain data.

    Raises
    ------
    ValueError
        If the file is none, or has changed since it was written.
    """
    try:
        content = path.read_bytes()
        check_seal(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run: {error}") from None
    if not isinstance(state, dict) or "config" not in state:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run.")
    return state


# Hashes: in the comment that a zip file may have at its end --------------------------------


def sealed(content: bytes) -> bytes:
    """Give a zip file's bytes with their hash as its comment."""
    digest = MARK + hashlib.sha256(content).hexdigest().encode()
    return content[:-2] + len(digest).to_bytes(2, "little") + digest


def check_seal(content: bytes) -> None:
    """Raise ``ValueError`` if a file has changed since :func:`sealed`.

    Files without a hash (of older versions, or saved by others) are held against the
    check sums that zip files have of each of their records.
    """
    end = len(content) - END_SIZE - COMMENT
    if end >= 0 and content[end : end + 4] == END:
        body, comment = content[:-COMMENT], content[-COMMENT:]
        if sealed(body[:-2] + b"\0\0") != body + comment:
            raise ValueError("its bytes are not those that were written.")
        return
    if content[-END_SIZE : -END_SIZE + 4] != END or content[-2:] != b"\0\0":
        raise ValueError("its end is missing or damaged.")
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        damaged = file.testzip()
    if damaged is not None:
        raise ValueError(f"its record {damaged!r} is damaged.")
