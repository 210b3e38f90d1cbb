"""Small archives and folders in the official formats."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgmanifolds.data import checksums

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("FGMANIFOLDS_DATA", ROOT.parent / "shared" / "data"))


def real(name):
    """A real file or folder; the test is skipped where it is not at hand."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not at hand; FGMANIFOLDS_DATA names the folder of real data")
    return path


def list_sums(folder, *names):
    """Write SHA256SUMS for files of a folder."""
    lines = [f"{checksums.sha256_of(folder / name)}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, images, labels, *, prefix="train"):
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        with gzip.open(folder / f"{prefix}-{kind}-ubyte.gz", "wb") as file:
            file.write(idx(array))


def grey(seed, n, classes=3, side=6):
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.uint8) % classes
    return rng.integers(0, 256, (n, side, side), dtype=np.uint8), labels


def write_mnist(folder, n=30, test=9):
    """Both parts, with their checksums; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = grey(0, n), grey(1, test)
    for prefix, (images, labels) in zip(("train", "t10k"), parts):
        write_idx(folder, images, labels, prefix=prefix)
    list_sums(folder, *(f.name for f in sorted(folder.glob("*.gz"))))
    return parts


def cifar_batch(seed, n, classes, key=b"labels"):
    rng = np.random.default_rng(seed)
    labels = [i % classes for i in range(n)]
    return {b"data": rng.integers(0, 256, (n, 3072), dtype=np.uint8), key: labels}


def cifar_files(name="cifar10", n=10, protocol=2):
    """Members of an archive by name, pickled."""
    if name == "cifar10":
        files = {f"data_batch_{i}": cifar_batch(i, n, 5) for i in range(1, 6)}
        files["test_batch"] = cifar_batch(9, n, 5)
        files["batches.meta"] = {b"label_names": [f"class {i}".encode() for i in range(5)]}
        folder = "cifar-10-batches-py"
    else:
        key = b"fine_labels"
        files = {"train": cifar_batch(1, 6 * n, 6, key), "test": cifar_batch(2, n, 6, key)}
        files["meta"] = {b"fine_label_names": [f"class {i}".encode() for i in range(6)]}
        folder = "cifar-100-python"
    return {f"{folder}/{k}": pickle.dumps(v, protocol=protocol) for k, v in files.items()}


def write_cifar(folder, name="cifar10", files=None):
    """An archive and its checksum."""
    path = (
        folder / {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}[name]
    )
    with tarfile.open(path, "w:gz") as archive:
        for member, content in (files or cifar_files(name)).items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    list_sums(folder, path.name)
    return path


def png(seed, side=8, width=None):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (side, width or side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), pixels


def write_tree(folder, classes=("ant", "bee"), each=10, parts=("train", "val"), side=8):
    """Folder of images; returns the pixels by file."""
    written, seed = {}, 0
    for part in parts:
        for label in classes:
            (folder / part / label).mkdir(parents=True)
            for number in range(each if part == "train" else 3):
                content, pixels = png(seed, side)
                path = folder / part / label / f"{number}.png"
                path.write_bytes(content)
                written[path], seed = pixels, seed + 1
    return written


def zip_tree(folder, path, root=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, root + str(file.relative_to(folder)))
    return path
