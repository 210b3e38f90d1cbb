"""Which code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path

import fgmanifolds

__all__ = ["code_commit"]


def code_commit() -> str:
    """Commit of the package's files, with "-dirty" if some differ from it.

    Empty where they are in no git repository (an installed package), or there is no git.
    """
    package = Path(fgmanifolds.__file__).resolve().parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return ""
    commit = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--untracked-files=no", ".")
    return "" if commit is None else commit + ("-dirty" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
