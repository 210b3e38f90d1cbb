"""One process at a time works in a folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
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

    The lock is the operating system's, and ends with the process, however that ends.

    Raises
    ------
    ValueError
        If the folder cannot be written to, or another process holds it; the message names it.
    """
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
        lock.release()


def _holder(folder: Path) -> str:
    try:
        name = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {name['process']} on {name['host']} since {name['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # which has not written its name yet
