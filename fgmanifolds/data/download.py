"""Download of official files by pooch: checked, with progress, and resumed where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pooch
import requests

from fgmanifolds.data.sources import SOURCES, SourceFile
from fgmanifolds.validation import check_choice

__all__ = ["ResumingDownloader", "download"]

#: Called with the name of the file, the bytes that are there, and the bytes in all (or 0).
Progress = Callable[[str, int, int], None]


class ResumingDownloader:
    """A downloader for pooch that keeps what has arrived in a file ``NAME.part``.

    Parameters
    ----------
    part : Path
        File of what has arrived; a later call goes on after it.
    on_progress : callable, optional
    timeout : float
        Seconds without an answer after which the download stops.
    """

    def __init__(
        self, part: Path, on_progress: Progress | None = None, timeout: float = 30.0
    ) -> None:
        self.part, self.on_progress, self.timeout = part, on_progress, timeout

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download `url` to `output_file`, as pooch asks for it."""
        there = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={there}-"} if there else {}
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            if answer.status_code != 416:
                answer.raise_for_status()
                if answer.status_code != 206:
                    there = 0
                self._store(answer, there)
        os.replace(self.part, output_file)

    def _store(self, answer: requests.Response, there: int) -> None:
        total = there + int(answer.headers.get("Content-Length", 0))
        with self.part.open("ab" if there else "wb") as file:
            for block in answer.iter_content(1 << 16):
                file.write(block)
                there += len(block)
                if self.on_progress is not None:
                    self.on_progress(self.part.stem, there, total)
        if there < total:
            raise OSError(f"{self.part.stem}: the connection ended after {there} of {total} bytes.")


def download(name: str, data_dir: str | Path, on_progress: Progress | None = None) -> list[Path]:
    """Download the official files of a data set that are not in a folder yet.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "cifar10", "cifar100"}
    data_dir : path
    on_progress : callable, optional
        Called with a file's name, the bytes that are there and the bytes in all.

    Returns
    -------
    list of Path
        The files, with the checksums of the official release.

    Raises
    ------
    OSError
        If a download fails; what has arrived stays in a file ``NAME.part`` and the
        next call goes on from there.
    ValueError
        If a file that has arrived has another checksum.
    """
    check_choice("name", name, SOURCES)
    folder = Path(data_dir) / name if len(SOURCES[name]) > 1 else Path(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return [_fetch(file, folder, on_progress) for file in SOURCES[name]]


def _fetch(file: SourceFile, folder: Path, on_progress: Progress | None) -> Path:
    downloader = ResumingDownloader(folder / f"{file.name}.part", on_progress)
    found = pooch.retrieve(
        file.address,
        f"sha256:{file.sha256}",
        fname=file.name,
        path=folder,
        downloader=downloader,
    )
    return Path(found)
