"""IDX files and CIFAR archives: what was written is read, and what is wrong is named."""

import gzip
import os
import pickle
import re

import numpy as np
import pytest
import torch

from fgmanifolds.data import load_images
from fgmanifolds.data.cifar import ArrayUnpickler
from tests.data import archives


def as_bytes(part):
    """All images of a part, and labels, sorted by pixels."""
    pairs = sorted((i.numpy().tobytes(), int(y)) for i, y in zip(part.images, part.labels))
    return pairs


@pytest.mark.parametrize("below", ["", "fashion-mnist", "mnist"])
def test_idx_files_are_read_as_written(tmp_path, below):
    name = below or "mnist"
    parts = archives.write_mnist(tmp_path / below)
    data = load_images(name, data_dir=tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 9)
    assert (data.channels, data.classes, data.class_names) == (1, 3, ("0", "1", "2"))
    written = [sorted((i.tobytes(), int(y)) for i, y in zip(*part)) for part in parts]
    assert sorted(as_bytes(data.train) + as_bytes(data.validation)) == written[0]
    assert as_bytes(data.test) == written[1]
    assert np.bincount(data.validation.labels).tolist() == [1, 1, 1]
    images, labels = data.train.tensors
    assert images.dtype == torch.float32
    assert float(images.mean()) == pytest.approx(0, abs=1e-5)
    assert float(images.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert torch.equal(data.train[[3, 1]][0], images[[3, 1]])
    assert data.train[4][1] == labels[4]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_archives_are_read_as_written(tmp_path, name, protocol):
    files = archives.cifar_files(name, protocol=protocol)
    archives.write_cifar(tmp_path, name, files)
    data = load_images(name, data_dir=tmp_path, validation=0.0)
    batches = [pickle.loads(content) for content in files.values()]
    training = [b for b in batches if b"data" in b][:-1]
    pixels = np.concatenate([b[b"data"] for b in training])
    assert (data.train.images.numpy().reshape(len(pixels), -1) == pixels).all()
    assert (data.test.images.numpy().reshape(-1, 3072) == batches[-2][b"data"]).all()
    assert data.classes == {"cifar10": 5, "cifar100": 6}[name]
    assert data.class_names[0] == "class 0"
    assert len(data.validation) == 0
    images = data.train.tensors[0]
    torch.testing.assert_close(images.mean(0), torch.zeros(3, 32, 32), atol=1e-5, rtol=0)
    assert float(images.std(correction=0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("normalise", ["all", "channel", "pixel"])
def test_normalisation_by_hand(tmp_path, normalise):
    archives.write_cifar(tmp_path)
    data = load_images("cifar10", data_dir=tmp_path, normalise=normalise)
    raw = data.train.images.double()
    if normalise == "pixel":
        expected = raw - raw.mean(0)
        expected = expected / expected.std(correction=0)
    else:
        axes = (0, 2, 3) if normalise == "channel" else (0, 1, 2, 3)
        mean, std = raw.mean(axes, keepdim=True), raw.std(axes, correction=0, keepdim=True)
        expected = (raw - mean) / std
    torch.testing.assert_close(data.train.tensors[0], expected.float(), atol=1e-5, rtol=1e-5)


def bump(path, place=-20):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def test_checksums_come_before_reading(tmp_path):
    path = archives.write_cifar(tmp_path)
    bump(path)
    with pytest.raises(ValueError, match=r"cifar-10-python.tar.gz'.*not that of SHA256SUMS"):
        load_images("cifar10", data_dir=tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(ValueError, match="not that of the official release, 6d958be07"):
        load_images("cifar10", data_dir=tmp_path)


def test_sums_may_lie_one_folder_above(tmp_path):
    archives.write_mnist(tmp_path / "mnist")
    inner = tmp_path / "mnist" / "SHA256SUMS"
    lines = [line.replace("  ", "  mnist/") for line in inner.read_text().splitlines(True)]
    inner.unlink()
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    assert len(load_images("mnist", data_dir=tmp_path).test) == 9
    (tmp_path / "SHA256SUMS").write_text("".join(lines).replace(lines[0][:8], "00000000"))
    with pytest.raises(ValueError, match="SHA-256"):
        load_images("mnist", data_dir=tmp_path)


def rewrite(path, content):
    with gzip.open(path, "wb") as file:
        file.write(content)


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: os.truncate(d / IMAGES, 200), "is cut or damaged"),
        (lambda d: (d / IMAGES).write_bytes(b"nonsense"), "is cut or damaged: Not a gzipped"),
        (lambda d: rewrite(d / IMAGES, b"nonsense"), "is not an IDX file"),
        (lambda d: rewrite(d / IMAGES, archives.idx(archives.grey(0, 5)[0])[:-1]), "is cut or"),
        (lambda d: rewrite(d / IMAGES, archives.idx(archives.grey(0, 30)[0]) + b"x"), "is cut or"),
        (lambda d: rewrite(d / IMAGES, b"\0\0\x08\x03" + b"\xff" * 12), "is cut or damaged"),
        (lambda d: rewrite(d / IMAGES, b"\0\0\x0d\x03" + b"\0" * 12), "of type 13 with 3 axes"),
        (lambda d: rewrite(d / IMAGES, b"\0\0\x08\x03\0"), "is cut or damaged"),
        (lambda d: os.replace(d / LABELS, d / IMAGES), "no file 'train-labels"),
        (lambda d: (d / IMAGES).write_bytes((d / LABELS).read_bytes()), "labels swapped"),
        (lambda d: archives.write_idx(d, *archives.grey(0, 6), prefix="t10k") or rewrite(
            d / LABELS, archives.idx(np.zeros(4, np.uint8))), "30 images, .* 4 labels"),
        (lambda d: archives.write_idx(d, *archives.grey(0, 6, side=5), prefix="t10k"),
         "do not belong together"),
    ],
)  # fmt: skip
def test_damaged_idx_files_are_named(tmp_path, damage, message):
    folder = tmp_path / "mnist"
    archives.write_mnist(folder)
    damage(folder)
    archives.list_sums(folder, *(f.name for f in sorted(folder.glob("*.gz"))))
    with pytest.raises(ValueError, match=message):
        load_images("mnist", data_dir=tmp_path)


class Evil:
    """A pickle that would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def changed(**changes):
    """Members of CIFAR-10 with changes in the first batch."""
    files = archives.cifar_files()
    batch = pickle.loads(files["cifar-10-batches-py/data_batch_1"])
    batch.update({key.encode(): value for key, value in changes.items()})
    files["cifar-10-batches-py/data_batch_1"] = pickle.dumps(batch, protocol=2)
    return files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (changed(data=np.zeros((10, 3071), np.uint8)), r"images of shape \(10, 3071\)"),
        (changed(data=np.zeros((9, 3072), np.uint8)), r"labels of shape \(10,\)"),
        (changed(data=[1, 2]), "must be a matrix of bytes"),
        (changed(data=np.zeros((10, 3072))), "holds no images: arrays of type 'f8'"),
        (changed(labels=[7] * 10), "holds labels from 7 to 7; classes=5"),
        (changed(labels=[-1] * 10), "holds labels from -1"),
        (changed(labels=["x"] * 10), "labels of shape"),
        ({**archives.cifar_files(), "cifar-10-batches-py/test_batch": b"nonsense"}, "no images"),
        ({**archives.cifar_files(), "cifar-10-batches-py/test_batch": pickle.dumps([1])}, "a list"),
        (archives.cifar_files("cifar100"), "has no file 'cifar-10-batches-py/batches.meta'"),
        ({**archives.cifar_files(), "cifar-10-batches-py/batches.meta": pickle.dumps({})},
         "no names of classes"),
    ],
)  # fmt: skip
def test_wrong_archives_are_named(tmp_path, files, message):
    archives.write_cifar(tmp_path, files=files)
    with pytest.raises(ValueError, match=message) as error:
        load_images("cifar10", data_dir=tmp_path)
    assert "cifar-10-python.tar.gz" in str(error.value)


def test_cut_archives_are_named(tmp_path):
    path = archives.write_cifar(tmp_path)
    for size in (0, 100, path.stat().st_size - 60):
        os.truncate(path, size)
        archives.list_sums(tmp_path, path.name)
        with pytest.raises(ValueError, match=r"is cut, damaged or no archive"):
            load_images("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_archives_cannot_run_code(tmp_path, protocol):
    made = tmp_path / "made"
    files = archives.cifar_files()
    files["cifar-10-batches-py/data_batch_1"] = pickle.dumps(Evil(made), protocol=protocol)
    archives.write_cifar(tmp_path, files=files)
    with pytest.raises(ValueError, match=r"it asks for (posix|nt|os).mkdir"):
        load_images("cifar10", data_dir=tmp_path)
    assert not made.exists()


@pytest.mark.parametrize(
    "thing",
    [np.matrix([[1]]), np.array([{}], dtype=object), np.array(1.5), {1, 2}, 3 + 4j, bytearray(b"x"),
     np.zeros(1, [("a", "u1")])],
)  # fmt: skip
def test_the_unpickler_builds_arrays_of_integers_and_nothing_else(tmp_path, thing):
    import io

    with pytest.raises(Exception, match=r"asks for|arrays of type|only plain") as error:
        ArrayUnpickler(io.BytesIO(pickle.dumps(thing, protocol=2)), encoding="bytes").load()
    assert isinstance(error.value, pickle.UnpicklingError)


def test_pickles_of_huge_arrays_are_not_built():
    import io

    # _reconstruct(ndarray, (2 ** 60,), b'b') by hand, as a pickle of protocol 0.
    text = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    text += b"(L1152921504606846976L\ntS'b'\ntR."
    found = ArrayUnpickler(io.BytesIO(text), encoding="bytes").load()
    assert found.size == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cifar10"}, "data='cifar10' needs data_dir=, a folder with cifar-10-python"),
        ({"name": "cifar10", "data_dir": "/nowhere"}, "has no file 'cifar-10-python.tar.gz'"),
        ({"name": "cifar11"}, "data='cifar11' is unknown.*Did you mean 'cifar10'"),
        ({"name": "digits", "side": 8}, "side=8 is for folders"),
        ({"name": "digits", "validation": 1.0}, "validation=1.0"),
        ({"name": "digits", "normalise": "image"}, "normalise='image' is unknown"),
        ({"name": "digits", "unreadable": "ignore"}, "unreadable='ignore' is unknown"),
        ({"name": "folder:/nowhere"}, "'/nowhere' is not a folder"),
        ({"name": "zip:/nowhere.zip"}, "'/nowhere.zip' is not a file"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_images(**arguments)


def test_the_real_fashion_mnist():
    """Mean and standard deviation of the training part, as published."""
    archives.real("fashion-mnist")
    data = load_images("fashion-mnist", data_dir=archives.REAL, validation=0.0)
    assert (len(data.train), len(data.test), data.classes) == (60_000, 10_000, 10)
    assert data.train.normalization.mean.item() == pytest.approx(72.94, abs=0.005)
    assert data.train.normalization.std.item() == pytest.approx(90.02, abs=0.005)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10


def test_messages_say_what_the_sums_are_for(tmp_path):
    path = archives.write_cifar(tmp_path)
    bump(path)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_images("cifar10", data_dir=tmp_path)
    assert re.search(r"list it in a file SHA256SUMS", str(error.value))
