"""Augmentations of the paper's experiments, each batch from a seed of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from fgmanifolds.data.parts import EncodedPart, ImagePart, MemoryPart
from fgmanifolds.validation import check_integer, check_number

__all__ = ["CropAugmentation", "ShiftAugmentation"]

#: Principal components of the colours of ImageNet and their standard deviations, in units
#: of [0, 1] (Krizhevsky et al. 2012; figures of fb.resnet.torch).
COLOUR_VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)
COLOUR_STDS = np.sqrt([0.2175, 0.0188, 0.0045])


@dataclass(frozen=True)
class ShiftAugmentation:
    """Shift by up to `shift` pixels each way, and flip: for CIFAR.

    The shift is after the mean is subtracted and fills with zeros (Huang et al. 2016).

    Attributes
    ----------
    shift : int
        Largest shift, 0 or more pixels.
    flip : bool
        Whether half of the images are mirrored.
    """

    shift: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        check_integer("shift", self.shift, low=0)

    def batch(
        self, part: ImagePart, indices: NDArray[np.int64], seed: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Normalised and augmented images ``[n, C, H, W]`` and their labels.

        Parameters
        ----------
        part : ImagePart
        indices : array of int
        seed : tuple of int
            Of what is drawn.
        """
        images, labels = part.batch(indices)
        rng, (n, channels, height, width) = np.random.default_rng(seed), images.shape
        down, across = rng.integers(0, 2 * self.shift + 1, (2, n))
        mirrored = rng.random(n) < 0.5 if self.flip else np.zeros(n, dtype=bool)
        rows = down[:, None] + np.arange(height)
        columns = across[:, None] + np.arange(width)
        columns[mirrored] = columns[mirrored, ::-1]
        padded = F.pad(images, (self.shift,) * 4)
        side = width + 2 * self.shift
        places = torch.from_numpy(rows[:, :, None] * side + columns[:, None, :]).view(n, 1, -1)
        flat = padded.view(n, channels, -1).gather(2, places.expand(n, channels, -1))
        return flat.view(n, channels, height, width), labels


@dataclass(frozen=True)
class CropAugmentation:
    """Random crops of scale and aspect ratio, flips, and changes of colour: for ImageNet.

    For images in memory, which have one size, crops are resized to that size.

    Attributes
    ----------
    area : (float, float)
        Range of the crop's share of the image (Szegedy et al. 2015).
    aspect : float
        Its largest ratio of width to height, or of height to width.
    flip : bool
    photometric : float
        Brightness, contrast and saturation are multiplied by factors in
        [1 - photometric, 1 + photometric], in random order (Howard 2013).
    colour : float
        Standard deviation of the shifts along the principal components of
        ImageNet's colours (Krizhevsky et al. 2012).
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: float = 4 / 3
    flip: bool = True
    photometric: float = 0.4
    colour: float = 0.1

    def __post_init__(self) -> None:
        check_number("area", self.area[0], low=0.0, high=self.area[1], open_low=True)
        check_number("area", self.area[1], low=self.area[0], high=1.0)
        check_number("aspect", self.aspect, low=1.0)
        check_number("photometric", self.photometric, low=0.0, high=1.0)
        check_number("colour", self.colour, low=0.0)

    def batch(
        self, part: ImagePart, indices: NDArray[np.int64], seed: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Normalised and augmented images ``[n, C, side, side]`` and their labels.

        Parameters
        ----------
        part : ImagePart
        indices : array of int
        seed : tuple of int
            Of what is drawn.
        """
        if isinstance(part, EncodedPart):
            side = part.side

            def view(image: Image.Image, index: int) -> Image.Image:
                return self._image(image, side, np.random.default_rng([*seed, index]))

            images, labels = part.stack(indices, view)
        else:
            assert isinstance(part, MemoryPart)
            images, labels = self._from_memory(part, indices, seed)
        pixels = images.float()
        if self.colour and pixels.shape[1] == 3:
            pixels += self._colours(len(pixels), np.random.default_rng(seed))
        return part.normalization(pixels), labels

    def _from_memory(
        self, part: MemoryPart, indices: NDArray[np.int64], seed: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        chosen = torch.from_numpy(indices)
        found = []
        for index in indices.tolist():
            pixels = part.images[index].permute(1, 2, 0).numpy()
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            rng = np.random.default_rng([*seed, index])
            array = np.asarray(self._image(image, image.height, rng))
            found.append(array.reshape(pixels.shape))
        images = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous()
        return images, part.labels[chosen]

    def _image(self, image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
        crop = image.resize((side, side), Image.Resampling.BILINEAR, box=self._box(image, rng))
        if self.flip and rng.random() < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.photometric == 0:
            return crop
        changes = [ImageEnhance.Brightness, ImageEnhance.Contrast]
        if crop.mode == "RGB":
            changes.append(ImageEnhance.Color)
        for number in rng.permutation(len(changes)):
            factor = 1 + self.photometric * rng.uniform(-1, 1)
            crop = changes[number](crop).enhance(factor)
        return crop

    def _box(
        self, image: Image.Image, rng: np.random.Generator
    ) -> tuple[float, float, float, float]:
        """A crop of random area and aspect; the largest centred square after ten misses."""
        width, height = image.size
        for _ in range(10):
            area = rng.uniform(*self.area) * width * height
            ratio = np.exp(rng.uniform(-np.log(self.aspect), np.log(self.aspect)))
            w, h = float(np.sqrt(area * ratio)), float(np.sqrt(area / ratio))
            if w <= width and h <= height:
                left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
                return left, top, left + w, top + h
        side = min(image.size)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def _colours(self, n: int, rng: np.random.Generator) -> Tensor:
        weights = rng.normal(0, self.colour, (n, 3)) * COLOUR_STDS
        shifts = 255 * weights @ COLOUR_VECTORS.T
        return torch.from_numpy(shifts).float()[:, :, None, None]
