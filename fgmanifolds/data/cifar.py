"""The official python archives of CIFAR-10 and CIFAR-100 (Krizhevsky 2009)."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayUnpickler", "read_cifar"]

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]

#: Folder in the archive, training files, test file, file of names, key of labels, key of names.
LAYOUTS: dict[str, tuple[str, tuple[str, ...], str, str, bytes, bytes]] = {
    "cifar10": (
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
        b"labels",
        b"label_names",
    ),
    "cifar100": (
        "cifar-100-python",
        ("train",),
        "test",
        "meta",
        b"fine_labels",
        b"fine_label_names",
    ),
}

#: Size of the largest file in an archive that is read, twice that of CIFAR-100's training part.
LARGEST = 320 << 20


def _empty_array(kind: type, shape: object, code: object) -> NDArray[Any]:
    """An array for ``__setstate__`` to fill; empty, whatever the pickle asks for."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError("only plain arrays are allowed")
    return np.ndarray((0,), np.uint8)


def _from_buffer(buffer: bytes, dtype: np.dtype[Any], shape: Any, order: Any) -> NDArray[Any]:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _dtype(*arguments: Any) -> np.dtype[Any]:
    code = arguments[0]
    text = code.decode("ascii") if isinstance(code, bytes) else code
    if text not in ("u1", "|u1", "uint8", "i8", "<i8", "int64", "i4", "<i4", "int32"):
        raise pickle.UnpicklingError(f"arrays of type {text!r}")
    # A copy, as the state that follows is written into it.
    return np.dtype(text, False, True)


class ArrayUnpickler(pickle.Unpickler):
    """Builds numbers, text, lists, dicts and arrays of integers, and nothing else."""

    ALLOWED = {  # noqa: RUF012
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): _dtype,
        ("_codecs", "encode"): _latin1,
        **{(f"numpy.{c}.multiarray", "_reconstruct"): _empty_array for c in ("core", "_core")},
        **{(f"numpy.{c}.numeric", "_frombuffer"): _from_buffer for c in ("core", "_core")},
    }

    def find_class(self, module: str, name: str) -> Any:
        """Give what is allowed; ``UnpicklingError`` for everything else.

        Parameters
        ----------
        module, name : str
        """
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _unpickle(path: Path, member: str, content: bytes) -> dict[bytes, Any]:
    try:
        found = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        raise ValueError(f"{member!r} in {str(path)!r} holds no images: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{member!r} in {str(path)!r} holds a {type(found).__name__}, not a dict.")
    return {k.encode() if isinstance(k, str) else k: v for k, v in found.items()}


def _members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """Read the files of the archive that are wanted; nothing is written to disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name not in wanted or not member.isfile() or member.size > LARGEST:
                    continue
                file = archive.extractfile(member)
                assert file is not None
                found[name] = file.read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is cut, damaged or no archive: {error}.") from None
    missing = sorted(wanted - set(found))
    if missing:
        raise ValueError(f"{str(path)!r} has no file {missing[0]!r}; is it another archive?")
    return found


def _batch(path: Path, member: str, content: bytes, key: bytes, classes: int) -> Arrays:
    batch = _unpickle(path, member, content)
    where = f"{member!r} in {str(path)!r}"
    images, labels = batch.get(b"data"), np.asarray(batch.get(key, ()))
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        raise ValueError(f"{where} holds no images: b'data' must be a matrix of bytes.")
    if images.shape[1] != 3072 or labels.shape != images.shape[:1] or labels.dtype.kind != "i":
        raise ValueError(
            f"{where} holds images of shape {images.shape} and labels of shape {labels.shape}; "
            "(N, 3072) and (N,) are needed."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"{where} holds labels from {labels.min()} to {labels.max()}; {classes=}.")
    return images.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def read_cifar(path: Path, name: str) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read an archive without unpacking it.

    Parameters
    ----------
    path : Path
    name : {"cifar10", "cifar100"}

    Returns
    -------
    training, test : (uint8 array of shape (N, 3, 32, 32), int64 array of shape (N,))
    class_names : tuple of str

    Raises
    ------
    ValueError
        If the archive is cut, damaged or another one, or asks for anything but arrays.
    """
    folder, training, test, meta, key, names_key = LAYOUTS[name]
    wanted = {f"{folder}/{file}" for file in (*training, test, meta)}
    found = _members(path, wanted)
    names = _unpickle(path, f"{folder}/{meta}", found[f"{folder}/{meta}"]).get(names_key)
    if not isinstance(names, list) or len(names) < 2:
        raise ValueError(f"{str(path)!r} has no names of classes in {meta!r}.")
    parts = [
        _batch(path, f"{folder}/{file}", found[f"{folder}/{file}"], key, len(names))
        for file in (*training, test)
    ]
    images = np.concatenate([part[0] for part in parts[:-1]])
    labels = np.concatenate([part[1] for part in parts[:-1]])
    texts = tuple(n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in names)
    return (images, labels), parts[-1], texts
