"""Image data sets by name, split and normalised."""

from __future__ import annotations

from pathlib import Path

from fgmanifolds.data.dataset import ImageData
from fgmanifolds.data.official import load_official
from fgmanifolds.data.packaged import PACKAGED, load_packaged
from fgmanifolds.data.sources import SOURCES
from fgmanifolds.data.trees import load_tree
from fgmanifolds.validation import check_bool, check_choice, check_number

__all__ = ["DATASETS", "load_images"]

NORMALISE = ("all", "channel", "pixel")

#: Data sets by name; ``folder:PATH`` and ``zip:PATH`` name one's own.
DATASETS = (*PACKAGED, *SOURCES)


def load_images(
    name: str,
    seed: int = 0,
    *,
    data_dir: str | Path | None = None,
    validation: float | None = None,
    normalise: str | None = None,
    side: int | None = None,
    unreadable: str = "error",
    download: bool = False,
) -> ImageData:
    """Load a data set in three parts.

    Parameters
    ----------
    name : str
        ``"digits"`` and ``"mnist5k"`` come with packages; ``"mnist"`` and
        ``"fashion-mnist"`` are read from the official IDX files, ``"cifar10"`` and
        ``"cifar100"`` from the official python archives; ``"folder:PATH"`` and
        ``"zip:PATH"`` hold ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE`` (or ``test``).
        A relative PATH that does not exist is looked for below `data_dir`.
    seed : int
        Of the split, which is stratified by class.
    data_dir : path, optional
        Folder of the official files, which may lie below a folder of the data set's
        name. Their checksums are compared before they are read: with a file
        ``SHA256SUMS`` there or one folder above, else with the official ones.
    validation : float, optional
        Share of the training part that is set aside, in [0, 1). Default: 0.1, or
        none where there are folders for both validation and test; of
        digits and mnist5k, which have no official split, 60% are
        for training and 20% each for validation and test.
    normalise : {"all", "channel", "pixel"}, optional
        Whether one mean and standard deviation are taken, those of each channel, or the
        mean of each pixel with one standard deviation. Default: "all" for grey images,
        "pixel" for colour (the paper's), "channel" if `side` is given.
    side : int, optional
        For folders: cut all images to this height and width, from the decoded
        image each time. Default: images of one size, kept in memory as bytes.
    unreadable : {"error", "skip"}
        What to do with an image that cannot be read; ``ImageData.skipped`` names
        those skipped (``part.skipped`` if `side` is given).
    download : bool
        Whether official files that are missing are downloaded to `data_dir`.

    Raises
    ------
    ValueError
        If there is no such data set, a file is missing, or its content is not what it
        should be: cut, damaged, another archive, a class without images.
    ImportError
        If the package that ships the data is not installed.
    """
    kind, _, path = name.partition(":")
    check_choice("unreadable", unreadable, ("error", "skip"))
    check_bool("download", download)
    if normalise is not None:
        check_choice("normalise", normalise, NORMALISE)
    if validation is not None:
        check_number("validation", validation, low=0.0, high=0.99)
    if kind in ("folder", "zip") and path:
        place = _existing(Path(path), data_dir)
        return load_tree(name, place, kind, seed, validation, normalise, side, unreadable)
    check_choice("data", name, (*DATASETS, "folder:PATH", "zip:PATH"))
    if side is not None:
        raise ValueError(f"side={side} is for folders and zip files; data={name!r} has a size.")
    if name in PACKAGED:
        return load_packaged(name, seed, validation, normalise)
    return load_official(name, seed, data_dir, validation, normalise, download)


def _existing(path: Path, data_dir: str | Path | None) -> Path:
    if not path.exists() and not path.is_absolute() and data_dir is not None:
        return Path(data_dir) / path
    return path
