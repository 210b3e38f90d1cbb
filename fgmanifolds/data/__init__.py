"""Real images that come with packages: nothing is downloaded."""

from fgmanifolds.data.images import DATASETS, ImageData, load_images

__all__ = ["DATASETS", "ImageData", "load_images"]
