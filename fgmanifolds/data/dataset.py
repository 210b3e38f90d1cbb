"""A data set in three parts, and how it is split."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from fgmanifolds.data.parts import ImagePart, MemoryPart, Normalization

__all__ = ["Arrays", "ImageData", "in_memory", "numbers", "set_aside", "split", "with_train_images"]

#: Share of an official training part that is set aside for validation.
SET_ASIDE = 0.1

#: Images as bytes ``[N, C, H, W]``, and labels.
Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class ImageData:
    """A data set in three parts.

    The images have mean 0 and standard deviation 1 over the training part. ``part[i]`` is
    an image ``[C, H, W]`` and its label, ``part.tensors`` are all of them.

    Attributes
    ----------
    name : str
    train, validation, test : ImagePart
        `validation` may be empty.
    channels, classes : int
    class_names : tuple of str
    skipped : list of str
        Images left out as they cannot be read.
    """

    name: str
    train: ImagePart
    validation: ImagePart
    test: ImagePart
    channels: int
    classes: int
    class_names: tuple[str, ...] = ()
    skipped: list[str] = field(default_factory=list)


def split(labels: NDArray[np.int64], share: float, seed: int, name: str) -> list[Indices]:
    """Indices of the larger and of the smaller part, stratified.

    Parameters
    ----------
    labels : array of int
    share : float
        In (0, 1).
    seed : int
    name : str
    """
    indices: Indices = np.arange(len(labels), dtype=np.int64)
    if share == 0:
        return [indices, indices[:0]]
    try:
        return train_test_split(indices, test_size=share, stratify=labels, random_state=seed)
    except ValueError as error:
        raise ValueError(
            f"data={name!r} cannot be split, validation={share:g}: {str(error).rstrip('.')}."
        ) from None


def numbers(labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Names of classes that are numbers."""
    return tuple(map(str, range(int(labels.max()) + 1)))


def in_memory(
    name: str,
    parts: list[Arrays],
    normalise: str | None,
    class_names: tuple[str, ...],
    skipped: list[str] | None = None,
) -> ImageData:
    """Three parts kept as bytes, normalised by the first; `normalise` as `load_images` takes it.

    Parameters
    ----------
    name : str
    parts : list of (array, array)
        Images as bytes [N, C, H, W] and labels: training, validation, test.
    normalise : {"all", "channel", "pixel"} or None
    class_names : tuple of str
    skipped : list of str, optional
    """
    channels = parts[0][0].shape[1]
    per = normalise or ("all" if channels == 1 else "pixel")
    normalization = Normalization.of(parts[0][0], per)
    made = [
        MemoryPart(_writable(images), torch.from_numpy(labels), normalization)
        for images, labels in parts
    ]
    train, held, test = made
    classes = len(class_names)
    return ImageData(name, train, held, test, channels, classes, class_names, skipped or [])


def _writable(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.require(images, requirements="W"))


def set_aside(name: str, training: Arrays, share: float | None, seed: int) -> list[Arrays]:
    """Training part without, and with, the `share` that is set aside for validation.

    Parameters
    ----------
    name : str
    training : (array, array)
        Images as bytes [N, C, H, W], and labels.
    share : float
        In (0, 1).
    seed : int
    """
    images, labels = training
    share = SET_ASIDE if share is None else share
    return [(images[i], labels[i]) for i in split(labels, share, seed, name)]


def with_train_images(data: ImageData, count: int, seed: int) -> ImageData:
    """The same data with `count` images of the training part, stratified by class.

    All parts stay normalised by the whole training part.

    Parameters
    ----------
    data : ImageData
    count : int
    seed : int
        Of the choice.

    Raises
    ------
    ValueError
        If `count` does not leave an image of each class, both in and out.
    """
    labels = data.train.labels.numpy()
    low, high = data.classes, len(labels) - data.classes
    if not low <= count <= high:
        raise ValueError(
            f"train_images={count} must be between {low} and {high}: the training part of "
            f"data={data.name!r} has {len(labels)} images in {data.classes} classes."
        )
    indices: Indices = np.arange(len(labels), dtype=np.int64)
    chosen, _ = train_test_split(indices, train_size=count, stratify=labels, random_state=seed)
    return replace(data, train=data.train.subset(chosen))
