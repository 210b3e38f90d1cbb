"""Files that are written whole or not at all."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import torch

__all__ = ["read_checkpoint", "write_json", "write_state", "write_text", "write_whole"]


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
    except OSError as error:
        draft.unlink(missing_ok=True)
        text = f"{str(path)!r} cannot be written ({error.strerror}); what was there is kept"
        raise OSError(error.errno, text) from None


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
    """Write a state dict, whole or not at all.

    Parameters
    ----------
    path : path
    state : object
        What torch.save takes.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a state dict of plain data; ``ValueError`` if the file is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run: {error}") from None
    if not isinstance(state, dict) or "config" not in state:
        raise ValueError(f"{str(path)!r} is not a checkpoint of a run.")
    return state
