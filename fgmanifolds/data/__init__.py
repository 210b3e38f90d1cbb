"""Images: packaged, from official files, from folders; batches and augmentations."""

from fgmanifolds.data.augment import CropAugmentation, ShiftAugmentation
from fgmanifolds.data.batches import Augmentation, Batches
from fgmanifolds.data.dataset import ImageData, with_train_images
from fgmanifolds.data.download import download
from fgmanifolds.data.images import DATASETS, load_images
from fgmanifolds.data.packaged import PACKAGED
from fgmanifolds.data.parts import (
    EncodedPart,
    ImagePart,
    MemoryPart,
    Normalization,
    UnreadableImage,
)

__all__ = [
    "DATASETS",
    "PACKAGED",
    "Augmentation",
    "Batches",
    "CropAugmentation",
    "EncodedPart",
    "ImageData",
    "ImagePart",
    "MemoryPart",
    "Normalization",
    "ShiftAugmentation",
    "UnreadableImage",
    "download",
    "load_images",
    "with_train_images",
]
