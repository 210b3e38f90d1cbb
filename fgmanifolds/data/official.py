"""Data sets that are read from their official files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgmanifolds.data.checksums import verify_checksum
from fgmanifolds.data.cifar import read_cifar
from fgmanifolds.data.dataset import Arrays, ImageData, in_memory, numbers, set_aside
from fgmanifolds.data.download import download as download_files
from fgmanifolds.data.idx import read_idx
from fgmanifolds.data.sources import SOURCES

__all__ = ["load_official"]


def load_official(
    name: str,
    seed: int,
    data_dir: str | Path | None,
    validation: float | None,
    normalise: str | None,
    download: bool,
) -> ImageData:
    """Read official files, checksums first; see :func:`fgmanifolds.data.load_images`.

    Parameters
    ----------
    name : str
    seed : int
    data_dir : path, optional
    validation : float, optional
        Share that is set aside.
    normalise : {"all", "channel", "pixel"} or None
    download : bool
    """
    files = _official_files(name, data_dir, download)
    if name.startswith("cifar"):
        training, test, class_names = read_cifar(files[0], name)
    else:
        training, test = _read_pair(files[0], files[1]), _read_pair(files[2], files[3])
        class_names = numbers(training[1])
        if training[0].shape[2:] != test[0].shape[2:] or test[1].max(initial=0) >= len(class_names):
            raise ValueError(f"training and test files of data={name!r} do not belong together.")
    parts = [*set_aside(name, training, validation, seed), test]
    return in_memory(name, parts, normalise, class_names)


def _official_files(name: str, data_dir: str | Path | None, download: bool) -> list[Path]:
    needed = SOURCES[name]
    if data_dir is None:
        raise ValueError(
            f"data={name!r} needs data_dir=, a folder with {', '.join(f.name for f in needed)}; "
            "download=True fetches them into it."
        )
    if download:
        download_files(name, data_dir)
    found = []
    for file in needed:
        places = [Path(data_dir) / name / file.name, Path(data_dir) / file.name]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise ValueError(
                f"data_dir={str(data_dir)!r} has no file {file.name!r}, which data={name!r} needs; "
                f"download=True fetches it from {file.address}."
            )
        verify_checksum(path, file.sha256)
        found.append(path)
    return found


def _read_pair(images_file: Path, labels_file: Path) -> Arrays:
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels) or not len(labels):
        raise ValueError(
            f"{str(images_file)!r} has {len(images)} images, {str(labels_file)!r} {len(labels)} "
            "labels; they do not belong together."
        )
    return images[:, None], labels.astype(np.int64)
