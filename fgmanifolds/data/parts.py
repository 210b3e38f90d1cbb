"""Parts of a data set: bytes in memory, or encoded images that are decoded when asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset

__all__ = ["EncodedPart", "ImagePart", "MemoryPart", "Normalization", "UnreadableImage", "decode"]


class UnreadableImage(ValueError):
    """An image that cannot be decoded; the message names it."""


@dataclass(frozen=True)
class Normalization:
    """Subtract a mean and divide by a standard deviation, both in units of pixel values.

    Attributes
    ----------
    mean : float64 array of shape (C, 1, 1) or (C, H, W)
        Of each channel, or of each pixel.
    std : float64 array of shape (1, 1, 1) or (C, 1, 1)
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, images: NDArray[np.uint8], per: str) -> Normalization:
        """Measure images ``[N, C, H, W]``; see :func:`fgmanifolds.data.load_images`.

        Parameters
        ----------
        images : array of shape [N, C, H, W]
            Bytes.
        per : {"all", "channel", "pixel"}
        """
        total = np.zeros(images.shape[1:], np.float64)
        squares = np.zeros_like(total)
        for start in range(0, len(images), 1000):
            some = images[start : start + 1000].astype(np.float64)
            total += some.sum(0)
            squares += (some**2).sum(0)
        mean, second = total / len(images), squares / len(images)
        if per == "pixel":
            residual = second - mean**2
            return cls(mean, np.sqrt(residual.mean(keepdims=True)).clip(1e-12))
        axes = (1, 2) if per == "channel" else (0, 1, 2)
        centre = mean.mean(axes, keepdims=True)
        std = np.sqrt((second.mean(axes, keepdims=True) - centre**2).clip(0)).clip(1e-12)
        return cls(np.broadcast_to(centre, (len(mean), 1, 1)).copy(), std)

    @cached_property
    def _table(self) -> Tensor | None:
        """The 256 values of a grey image, exact to the last bit; None for others."""
        if self.mean.size != 1:
            return None
        values = (np.arange(256) - self.mean.item()) / self.std.item()
        return torch.from_numpy(values.astype(np.float32))

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        mean = torch.from_numpy(self.mean.astype(np.float32))
        return mean, torch.from_numpy(1.0 / self.std).float()

    def __call__(self, images: Tensor) -> Tensor:
        """Map bytes ``[N, C, H, W]`` to float32."""
        if self._table is not None and images.dtype == torch.uint8:
            return self._table[images.int()]
        mean, factor = self._tensors
        return images.float().sub_(mean).mul_(factor)


class ImagePart(Dataset[tuple[Tensor, Tensor]]):
    """A part of a data set: item i is a normalised image ``[C, H, W]`` and its label.

    Indexed with a list, it gives a batch.

    Attributes
    ----------
    labels : int64 tensor of shape [N]
    normalization : Normalization
    """

    labels: Tensor
    normalization: Normalization

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        """One normalised image and its label, or those of a list of indices."""
        many = np.atleast_1d(np.asarray(index, dtype=np.int64))
        images, labels = self.batch(many)
        return (images[0], labels[0]) if np.ndim(index) == 0 else (images, labels)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Items of a list of indices, made together; torch's loaders ask for them so."""
        return list(zip(*self.batch(np.asarray(indices, dtype=np.int64)), strict=True))

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Normalised images and labels, as they are evaluated."""
        raise NotImplementedError

    def subset(self, indices: NDArray[np.int64]) -> ImagePart:
        """The same part with these images only, normalised as before."""
        raise NotImplementedError

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """All normalised images, as float32, and all labels."""
        return self.batch(np.arange(len(self)))


@dataclass
class MemoryPart(ImagePart):
    """Images of one size, as bytes ``[N, C, H, W]`` in memory."""

    images: Tensor
    labels: Tensor
    normalization: Normalization

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """See :class:`ImagePart`."""
        chosen = torch.from_numpy(indices)
        return self.normalization(self.images[chosen]), self.labels[chosen]

    def subset(self, indices: NDArray[np.int64]) -> MemoryPart:
        """See :class:`ImagePart`."""
        chosen = torch.from_numpy(indices)
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


@dataclass
class EncodedPart(ImagePart):
    """Images of any size, decoded by two threads when they are asked for.

    Attributes
    ----------
    readers : sequence of (str, callable)
        Name of each image, and what gives its encoded bytes.
    side : int
        Height and width of what is given: the centre of the image after its short side
        is resized to 8 / 7 of it (256 for 224).
    skip : bool
        Whether images that cannot be decoded are left out of their batch, and their
        names kept in `skipped`, rather than an error.
    """

    readers: Sequence[tuple[str, Callable[[], bytes]]]
    labels: Tensor
    normalization: Normalization
    side: int
    skip: bool = False
    skipped: set[str] = field(default_factory=set)

    def image(self, index: int) -> Image.Image | None:
        """Decode one image to RGB; None if it cannot be and is to be skipped."""
        name, read = self.readers[index]
        try:
            return decode(name, read())
        except UnreadableImage:
            if not self.skip:
                raise
            self.skipped.add(name)
            return None

    def stack(
        self,
        indices: NDArray[np.int64],
        view: Callable[[Image.Image, int], Image.Image],
    ) -> tuple[Tensor, Tensor]:
        """Bytes ``[n, 3, side, side]`` and labels; `view` is given each image and its index.

        Parameters
        ----------
        indices : array of int
        view : callable
            Of an image and its index, gives an image at the part's side.
        """

        def one(index: int) -> NDArray[np.uint8] | None:
            image = self.image(index)
            return None if image is None else np.asarray(view(image, index))

        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(one, indices.tolist()))
        kept = [array for array in found if array is not None]
        if not kept:
            raise UnreadableImage("none of the images of a batch can be read.")
        chosen = torch.tensor([array is not None for array in found])
        images = torch.from_numpy(np.stack(kept)).permute(0, 3, 1, 2).contiguous()
        return images, self.labels[torch.from_numpy(indices)][chosen]

    def centre(self, image: Image.Image, index: int = 0) -> Image.Image:
        """The centre of an image at the part's side.

        Parameters
        ----------
        image : PIL image
        index : int
        """
        factor = round(self.side * 8 / 7) / min(image.size)
        width, height = (max(self.side, round(length * factor)) for length in image.size)
        left, top = (width - self.side) / 2 / factor, (height - self.side) / 2 / factor
        extent = self.side / factor
        box = (left, top, min(left + extent, image.width), min(top + extent, image.height))
        return image.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box)

    def batch(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """See :class:`ImagePart`."""
        images, labels = self.stack(indices, self.centre)
        return self.normalization(images), labels

    def subset(self, indices: NDArray[np.int64]) -> EncodedPart:
        """See :class:`ImagePart`."""
        readers = [self.readers[i] for i in indices.tolist()]
        labels = self.labels[torch.from_numpy(indices)]
        return replace(self, readers=readers, labels=labels, skipped=set())


def decode(name: str, content: bytes) -> Image.Image:
    """Decode an image to RGB; :class:`UnreadableImage` names it if that fails.

    Parameters
    ----------
    name : str
        Of the file, for the error.
    content : bytes
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        reason = "no image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnreadableImage(f"the image {name!r} cannot be read: {reason}.") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImage(f"the image {name!r} is too large: {error}") from None
