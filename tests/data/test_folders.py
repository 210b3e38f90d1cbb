"""Image folders and zip files."""

import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from fgmanifolds.data import folders, load_images, with_train_images
from tests.data import archives


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    return folder, archives.write_tree(folder)


@pytest.mark.parametrize("kind", ["folder", "zip", "zip below a folder"])
def test_images_are_read_as_written(tmp_path, tree, kind):
    folder, written = tree
    name = f"folder:{folder}"
    if kind != "folder":
        root = "photos/" if "below" in kind else ""
        name = f"zip:{archives.zip_tree(folder, tmp_path / 'a.zip', root)}"
    data = load_images(name, validation=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 6)
    assert data.class_names == ("ant", "bee")
    for part, label in (("val", 0), ("val", 1)):
        mine = [p for f, p in written.items() if f.parts[-3:-1] == (part, data.class_names[label])]
        chosen = data.test.images[data.test.labels == label].numpy().transpose(0, 2, 3, 1)
        assert sorted(p.tobytes() for p in mine) == sorted(p.tobytes() for p in chosen)


def test_relative_paths_are_looked_for_in_data_dir(tmp_path, tree):
    archives.zip_tree(tree[0], tmp_path / "a.zip")
    assert load_images("zip:a.zip", data_dir=tmp_path).classes == 2


def test_a_folder_of_validation_images_is_taken(tmp_path):
    folder = tmp_path / "tree"
    archives.write_tree(folder, parts=("train", "val", "test"))
    data = load_images(f"folder:{folder}")
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 6, 6)


def test_sides_cut_the_centre(tmp_path):
    folder = tmp_path / "tree"
    archives.write_tree(folder)
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 200
    for file in folder.rglob("*.png"):
        Image.fromarray(wide).save(file)
    data = load_images(f"folder:{folder}", side=14)
    image, label = data.test[0]
    assert image.shape == (3, 14, 14)
    assert int(label) == 0
    assert torch.allclose(image, image[0, 7, 7].expand_as(image))
    assert float(data.train[[0, 1]][0].mean()) == pytest.approx(0, abs=1e-4)


def test_fewer_images_that_are_decoded_when_asked_for(tree):
    data = load_images(f"folder:{tree[0]}", side=8, validation=0.2)
    less = with_train_images(data, 6, seed=0)
    names = [name for name, _ in data.train.readers]
    assert np.bincount(less.train.labels).tolist() == [3, 3]
    for number, (name, _) in enumerate(less.train.readers):
        image, label = data.train[names.index(name)]
        assert torch.equal(image, less.train[number][0])
        assert label == less.train[number][1]


@pytest.mark.parametrize("side", [None, 8])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_unreadable_images(tmp_path, tree, kind, side):
    folder, _ = tree
    bad = folder / "train" / "bee" / "3.png"
    os.truncate(bad, 60)
    name = f"folder:{folder}"
    if kind == "zip":
        name = f"zip:{archives.zip_tree(folder, tmp_path / 'a.zip')}"
    with pytest.raises(ValueError, match=r"image '.*train/bee/3.png' cannot be read"):
        load_images(name, side=side, validation=0.0)
    data = load_images(name, side=side, unreadable="skip", validation=0.0)
    _, labels = data.train.tensors
    assert np.bincount(labels).tolist() == [10, 9]
    skipped = data.skipped if side is None else sorted(data.train.skipped)
    assert len(skipped) == 1
    assert skipped[0].endswith("train/bee/3.png")


def test_damage_inside_of_a_zip_is_named(tmp_path, tree):
    path = archives.zip_tree(tree[0], tmp_path / "a.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("train/ant/2.png")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 60] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"a.zip:train/ant/2.png' cannot be read"):
        load_images(f"zip:{path}")
    os.truncate(path, 300)
    with pytest.raises(ValueError, match="is cut, damaged or no zip file"):
        load_images(f"zip:{path}")


def remove(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: remove(d / "val" / "bee"), "no images of class 'bee' in val/"),
        (lambda d: remove(d / "train" / "bee"), "has one class only, 'ant'"),
        (lambda d: [f.unlink() for f in (d / "train" / "bee").iterdir()], "bee' has no images"),
        (lambda d: (d / "val" / "bee").rename(d / "val" / "wasp"), "no images of class 'bee'"),
        (lambda d: archives.write_tree(d, ("cow",), parts=("val",)), "class 'cow' in val/ but not"),
        (lambda d: (d / "val").rename(d / "other"), "needs images in train/CLASS/ and in one"),
        (lambda d: (d / "val/ant/0.png").write_bytes(archives.png(0, 9)[0]), "differ in size"),
    ],
)
def test_wrong_folders_are_named(tree, damage, message):
    damage(tree[0])
    with pytest.raises(ValueError, match=message):
        load_images(f"folder:{tree[0]}")


def test_images_that_do_not_fit_in_memory_need_a_side(tree, monkeypatch):
    monkeypatch.setattr(folders, "IN_MEMORY", 19 * 8 * 8 * 3)
    with pytest.raises(ValueError, match=r"20 images such as .* GB in memory.*give side="):
        load_images(f"folder:{tree[0]}")
    assert len(load_images(f"folder:{tree[0]}", side=8).test) == 6


def test_too_few_images_to_split_are_named(tmp_path):
    archives.write_tree(tmp_path / "tree", each=1)
    with pytest.raises(ValueError, match=r"cannot be split, validation=0.1"):
        load_images(f"folder:{tmp_path / 'tree'}")


def test_sums_beside_a_zip_are_compared(tmp_path, tree):
    path = archives.zip_tree(tree[0], tmp_path / "a.zip")
    archives.list_sums(tmp_path, "a.zip")
    assert load_images(f"zip:{path}").classes == 2
    archives.zip_tree(tree[0], path, "x/")
    with pytest.raises(ValueError, match="SHA-256"):
        load_images(f"zip:{path}")


def test_the_real_photographs():
    path = archives.real("imagenette4k.zip")
    data = load_images(f"zip:{path}", side=64)
    assert (len(data.train), len(data.validation), len(data.test)) == (2700, 300, 1000)
    images, labels = data.test[[0, 500, 999]]
    assert images.shape == (3, 3, 64, 64)
    assert labels.tolist() == [0, 5, 9]
