"""Batches and augmentations: what they do to images, and that they can be resumed."""

import threading
import time

import numpy as np
import pytest
import torch

from fgmanifolds.data import (
    Batches,
    CropAugmentation,
    EncodedPart,
    MemoryPart,
    Normalization,
    ShiftAugmentation,
    load_images,
)
from tests.data import archives

UNIT = Normalization(np.full((3, 1, 1), 0.0), np.full((1, 1, 1), 1.0))


def memory(n=20, side=8, channels=3):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(1, 256, (n, channels, side, side), dtype=np.uint8))
    unit = Normalization(np.zeros((channels, 1, 1)), np.ones((1, 1, 1)))
    return MemoryPart(images, torch.arange(n) % 3, unit)


def encoded(n=12, side=8):
    readers = [(f"image {i}", lambda i=i: archives.png(i, 16, 24)[0]) for i in range(n)]
    return EncodedPart(readers, torch.arange(n) % 3, UNIT, side)


def shifted(image, down, across, mirrored, shift):
    """By loops: what an augmented image must be."""
    side = image.shape[-1]
    out = torch.zeros_like(image)
    for i in range(side):
        for j in range(side):
            a, b = i + down - shift, (side - 1 - j if mirrored else j) + across - shift
            if 0 <= a < side and 0 <= b < side:
                out[:, i, j] = image[:, a, b]
    return out


def test_shifts_and_flips_by_loops():
    part, shift = memory(40), 3
    images, labels = ShiftAugmentation(shift).batch(part, np.arange(40), (1, 2, 3))
    assert torch.equal(labels, part.labels)
    seen = set()
    for before, after in zip(part.images.float(), images):
        matches = [
            (d, a, m)
            for d in range(2 * shift + 1)
            for a in range(2 * shift + 1)
            for m in (False, True)
            if torch.equal(shifted(before, d, a, m, shift), after)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20
    assert 5 < sum(m for _, _, m in seen) < len(seen) - 5


def test_no_shift_and_no_flip_change_nothing():
    part = memory()
    images, _ = ShiftAugmentation(0, flip=False).batch(part, np.arange(20), (0,))
    assert torch.equal(images, part.images.float())


@pytest.mark.parametrize("make", [memory, encoded])
def test_crops_lie_within_the_image(make):
    part = make()
    plain = CropAugmentation((0.3, 1.0), photometric=0.0, colour=0.0)
    images, labels = plain.batch(part, np.arange(12), (5,))
    assert images.shape == (12, 3, 8, 8)
    assert torch.equal(labels, part.labels[:12])
    assert float(images.min()) >= 0
    assert float(images.max()) <= 255
    again, _ = plain.batch(part, np.arange(12), (5,))
    other, _ = plain.batch(part, np.arange(12), (6,))
    assert torch.equal(images, again)
    assert not torch.equal(images, other)


def test_the_whole_area_is_the_image_itself():
    part = memory()
    crop = CropAugmentation((1.0, 1.0), 1.0, flip=False, photometric=0.0, colour=0.0)
    assert torch.equal(crop.batch(part, np.arange(9), (0,))[0], part.images[:9].float())


def test_areas_and_aspects_of_crops():
    rng = np.random.default_rng(0)
    image = archives.Image.new("RGB", (60, 40))
    crop = CropAugmentation((0.2, 0.5), 1.5)
    boxes = np.array([crop._box(image, rng) for _ in range(500)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, aspect = width * height / 2400, width / height
    assert (boxes >= 0).all()
    assert (boxes[:, 2] <= 60).all()
    assert (boxes[:, 3] <= 40).all()
    assert 0.2 <= area.min() < 0.22 < 0.48 < area.max() <= 0.5 + 1e-9
    assert 1 / 1.5 - 1e-9 <= aspect.min() < 0.7 < 1.4 < aspect.max() <= 1.5 + 1e-9


def test_colour_shifts_are_one_a_channel_and_photometric_ones_are_bounded():
    part = memory()
    options = {"area": (1.0, 1.0), "aspect": 1.0, "flip": False}
    images, _ = CropAugmentation(**options, photometric=0.0).batch(part, np.arange(20), (1,))
    shift = (images - part.images.float()).flatten(2)
    assert float((shift - shift[:, :, :1]).abs().max()) < 1e-4
    assert 1 < float(shift[:, :, 0].std()) < 40
    images, _ = CropAugmentation(**options, colour=0.0).batch(part, np.arange(20), (1,))
    change = images.mean((1, 2, 3)) / part.images.float().mean((1, 2, 3))
    assert float((change - 1).abs().max()) < 0.45
    assert float(change.std()) > 0.05


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("augmentation", [None, ShiftAugmentation(2), CropAugmentation()])
def test_epochs_follow_from_seed_and_number_alone(ahead, augmentation):
    part = memory()
    first = Batches(part, 6, 7, augmentation, ahead=ahead)
    epochs = [list(first.epoch(i)) for i in range(3)]
    resumed = list(Batches(part, 6, 7, augmentation).epoch(2))
    for (x, y), (u, v) in zip(epochs[2], resumed, strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)
    assert [len(y) for _, y in resumed] == [6, 6, 6, 2]
    assert not torch.equal(epochs[0][0][1], epochs[1][0][1])
    other = list(Batches(part, 6, 8, augmentation).epoch(2))
    assert not torch.equal(other[0][0], resumed[0][0])


def test_every_image_comes_once_but_a_single_last_one():
    batches = Batches(memory(13), 4, 0)
    assert len(batches) == 3
    chosen = np.concatenate(batches.indices(0))
    assert len(np.unique(chosen)) == 12
    assert sorted(np.concatenate(Batches(memory(14), 4, 0).indices(5))) == list(range(14))


def test_errors_of_the_thread_are_raised_and_threads_end():
    part = encoded()
    part.readers[5] = ("image 5", lambda: b"nonsense")
    with pytest.raises(ValueError, match="image 'image 5' cannot be read"):
        list(Batches(part, 4, 0).epoch(0))
    for _ in Batches(memory(), 2, 0).epoch(0):
        break
    deadline = time.monotonic() + 5
    while any(t.name == "batches" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(t.name == "batches" for t in threading.enumerate())


def test_unreadable_images_are_left_out_and_counted():
    part = encoded()
    part.readers[5] = ("image 5", lambda: b"nonsense")
    part.skip = True
    labels = torch.cat([y for _, y in Batches(part, 4, 0, CropAugmentation()).epoch(0)])
    assert len(labels) == 11
    assert part.skipped == {"image 5"}


def test_loaders_of_torch_give_the_same_images():
    for part in (memory(), encoded()):
        loader = torch.utils.data.DataLoader(part, batch_size=5, generator=torch.Generator())
        images, labels = (torch.cat(both) for both in zip(*loader))
        assert torch.equal(images, part.tensors[0])
        assert torch.equal(labels, part.tensors[1])
        assert torch.equal(part[3][0], images[3])


def test_random_states_are_left_alone():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for augmentation in (ShiftAugmentation(), CropAugmentation()):
        list(Batches(memory(), 6, 0, augmentation).epoch(0))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_grey_images_take_all_augmentations():
    data = load_images("digits")
    for augmentation in (ShiftAugmentation(1), CropAugmentation()):
        images, _ = next(Batches(data.train, 5, 0, augmentation, ahead=0).epoch(0))
        assert images.shape == (5, 1, 8, 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShiftAugmentation(-1), "shift=-1"),
        (lambda: CropAugmentation((0.0, 1.0)), "area=0.0"),
        (lambda: CropAugmentation((0.5, 0.2)), "area=0.5"),
        (lambda: CropAugmentation(aspect=0.5), "aspect=0.5"),
        (lambda: CropAugmentation(photometric=2.0), "photometric=2.0"),
        (lambda: Batches(memory(), 1, 0), "batch_size=1"),
        (lambda: Batches(memory(1), 2, 0), "part has 1 images"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
