"""Image folders and zip files of them, in ImageNet's layout: PART/CLASS/IMAGE."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fgmanifolds.data.parts import UnreadableImage, decode

__all__ = ["ImageTree", "decode_all", "read_tree"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
TRAINING, OTHERS = "train", ("val", "validation", "test")

#: Bytes of an encoded image that are read at most.
LARGEST = 64 << 20
#: Bytes of the decoded images of a part that are kept in memory at most.
IN_MEMORY = 8 << 30

Reader = Callable[[], bytes]


@dataclass(frozen=True)
class ImageTree:
    """Names, readers and labels of the images of each part, and the names of the classes."""

    parts: dict[str, tuple[list[tuple[str, Reader]], NDArray[np.int64]]]
    class_names: tuple[str, ...]


def read_tree(path: Path, *, zipped: bool) -> ImageTree:
    """List the images below ``PATH/train/CLASS`` and ``PATH/val/CLASS`` (or ``test``).

    Parameters
    ----------
    path : Path
        A folder, or a zip file whose parts may lie below one more folder.
    zipped : bool

    Raises
    ------
    ValueError
        If there is no such folder or file, the zip file is cut, a part is missing, a
        class is missing from a part, or a class has no images.
    """
    found = list(_zipped(path) if zipped else _files(path))
    parts = {part for part, _, _, _ in found}
    if TRAINING not in parts or not parts & set(OTHERS):
        raise ValueError(
            f"{str(path)!r} needs images in {TRAINING}/CLASS/ and in one of "
            f"{', '.join(f'{other}/CLASS/' for other in OTHERS)}; it has parts {sorted(parts)}."
        )
    classes = sorted({label for part, label, _, _ in found if part == TRAINING})
    if len(classes) < 2:
        raise ValueError(f"{str(path)!r} has one class only, {classes[0]!r}, in {TRAINING}/.")
    tree = {}
    for part in sorted(parts):
        mine = sorted((e for e in found if e[0] == part), key=lambda e: (e[1], e[2]))
        _check_classes(path, part, {label for _, label, _, _ in mine}, classes)
        labels = np.array([classes.index(label) for _, label, _, _ in mine], dtype=np.int64)
        tree[part] = ([(name, reader) for _, _, name, reader in mine], labels)
    return ImageTree(tree, tuple(classes))


def _check_classes(path: Path, part: str, there: set[str], classes: list[str]) -> None:
    missing, new = sorted(set(classes) - there), sorted(there - set(classes))
    if missing:
        raise ValueError(
            f"{str(path)!r} has no images of class {missing[0]!r} in {part}/"
            + (f" (nor of {len(missing) - 1} others)." if len(missing) > 1 else ".")
        )
    if new:
        raise ValueError(f"{str(path)!r} has a class {new[0]!r} in {part}/ but not in {TRAINING}/.")


Entry = tuple[str, str, str, Reader]


def _files(path: Path) -> Iterator[Entry]:
    if not path.is_dir():
        raise ValueError(f"{str(path)!r} is not a folder.")
    for part in (TRAINING, *OTHERS):
        folders = sorted(f for f in (path / part).glob("*") if f.is_dir())
        for folder in folders:
            images = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES]
            if not images:
                raise ValueError(f"{str(folder)!r} has no images ({', '.join(SUFFIXES)}).")
            for file in images:
                yield part, folder.name, str(file), _file_reader(file)


def _file_reader(file: Path) -> Reader:
    def read() -> bytes:
        try:
            return file.read_bytes()
        except OSError as error:
            raise UnreadableImage(
                f"the image {str(file)!r} cannot be read: {error.strerror}."
            ) from None

    return read


def _zipped(path: Path) -> Iterator[Entry]:
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file.")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{str(path)!r} is cut, damaged or no zip file: {error}.") from None
    for info in archive.infolist():
        steps = PurePosixPath(info.filename).parts
        place = next((i for i, s in enumerate(steps[:2]) if s in (TRAINING, *OTHERS)), None)
        if place is None or len(steps) != place + 3:
            continue
        if PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
            yield steps[place], steps[place + 1], info.filename, _zip_reader(archive, info)


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Reader:
    def read() -> bytes:
        name = f"{archive.filename}:{info.filename}"
        if info.file_size > LARGEST:
            raise UnreadableImage(f"the image {name!r} is too large: {info.file_size} bytes.")
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise UnreadableImage(f"the image {name!r} cannot be read: {error}.") from None
        except Exception as error:  # zlib.error has no base class of its own
            raise UnreadableImage(f"the image {name!r} cannot be read: {error}.") from None

    return read


def decode_all(
    readers: list[tuple[str, Reader]], labels: NDArray[np.int64], *, skip: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Decode images of one size to bytes ``[N, 3, H, W]``.

    Parameters
    ----------
    readers : list of (str, callable)
        Name of each file, and what gives its bytes.
    labels : array of int
    skip : bool
        Whether to leave out what cannot be read.

    Returns
    -------
    images, labels, skipped
        `skipped` are the names of the images that cannot be read, if `skip`.

    Raises
    ------
    ValueError
        If an image cannot be read and is not to be skipped, two differ in size, or all
        take more than 8 GB.
    """
    arrays: list[NDArray[np.uint8]] = []
    kept: list[np.int64] = []
    skipped: list[str] = []
    first = ""
    for (name, read), label in zip(readers, labels, strict=True):
        try:
            array = np.asarray(decode(name, read()))
        except UnreadableImage:
            if not skip:
                raise
            skipped.append(name)
            continue
        first = first or name
        size = array.nbytes * len(readers)
        if not arrays and size > IN_MEMORY:
            raise ValueError(
                f"{len(readers)} images such as {name!r} take {size / 1e9:.0f} GB in memory, more "
                f"than {IN_MEMORY / 1e9:.0f}; give side=, which decodes them when asked for."
            )
        if arrays and array.shape != arrays[0].shape:
            raise ValueError(
                f"the images {first!r} and {name!r} differ in size: {arrays[0].shape[:2]} and "
                f"{array.shape[:2]}; give side=, to which all are cut."
            )
        arrays.append(array)
        kept.append(label)
    if not arrays:
        raise UnreadableImage("none of the images can be read.")
    images = np.ascontiguousarray(np.stack(arrays).transpose(0, 3, 1, 2))
    return images, np.array(kept, dtype=np.int64), skipped
