"""One process at a time works in a folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fgmanifolds.experiments.storage import clear_drafts, write_json

__all__ = ["locked"]

LOCK, HOLDER = ".lock", ".holder.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if need be, for this process alone.

    The lock is the operating system's, and ends with the process, however that ends. Folders
    that were made for it and got nothing put into them are taken away again.

    Raises
    ------
    ValueError
        If the folder cannot be written to, or another process holds it; the message names it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"out={str(folder)!r} is in use by {_holder(folder)}; wait for its end, or name "
            "another folder."
        ) from None
    except OSError as error:
        raise ValueError(f"out={str(folder)!r} cannot be written to: {error.strerror}.") from None
    try:
        clear_drafts(folder)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        name = {"process": os.getpid(), "host": socket.gethostname(), "since": now}
        write_json(folder / HOLDER, name)
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        if [one.name for one in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(missing)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Take away folders, the innermost first, up to one that something is in."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def _holder(folder: Path) -> str:
    try:
        name = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {name['process']} on {name['host']} since {name['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # which has not written its name yet
