"""Data sets from image folders and zip files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fgmanifolds.data.checksums import verify_checksum
from fgmanifolds.data.dataset import SET_ASIDE, Arrays, ImageData, in_memory, set_aside, split
from fgmanifolds.data.folders import ImageTree, decode_all, read_tree
from fgmanifolds.data.parts import EncodedPart, Normalization
from fgmanifolds.validation import check_integer

__all__ = ["load_tree"]


def load_tree(
    name: str,
    path: Path,
    kind: str,
    seed: int,
    validation: float | None,
    normalise: str | None,
    side: int | None,
    unreadable: str,
) -> ImageData:
    """Read a folder or a zip file; see :func:`fgmanifolds.data.load_images`.

    Parameters
    ----------
    name : str
    path : path
    kind : {"folder", "zip"}
    seed : int
    validation : float, optional
        Share that is set aside.
    normalise : {"all", "channel", "pixel"} or None
    side : int, optional
    unreadable : {"error", "skip"}
    """
    if kind == "zip" and path.is_file():
        verify_checksum(path)
    tree = read_tree(path, zipped=kind == "zip")
    test = "test" if "test" in tree.parts else next(p for p in tree.parts if p != "train")
    held = next((p for p in tree.parts if p not in ("train", test)), None)
    skip = unreadable == "skip"
    if side is not None:
        check_integer("side", side, low=8)
        return _encoded(name, tree, test, held, seed, validation, normalise, side, skip)
    skipped: list[str] = []
    arrays: dict[str, Arrays] = {}
    for part, (readers, labels) in tree.parts.items():
        images, kept, left_out = decode_all(readers, labels, skip=skip)
        arrays[part] = images, kept
        skipped += left_out
    if len({images.shape[1:] for images, _ in arrays.values()}) > 1:
        raise ValueError(f"the parts of {str(path)!r} differ in the size of images; give side=.")
    if held is None or validation is not None:
        parts = [*set_aside(name, arrays["train"], validation, seed), arrays[test]]
    else:
        parts = [arrays["train"], arrays[held], arrays[test]]
    return in_memory(name, parts, normalise, tree.class_names, skipped)


#: Training images that the normalisation of images of any size is measured on.
MEASURED = 500


def _encoded(
    name: str,
    tree: ImageTree,
    test: str,
    held: str | None,
    seed: int,
    validation: float | None,
    normalise: str | None,
    side: int,
    skip: bool,
) -> ImageData:
    unit = Normalization(np.zeros((3, 1, 1)), np.ones((1, 1, 1)))

    def part(which: str, chosen: NDArray[np.int64] | None = None) -> EncodedPart:
        readers, labels = tree.parts[which]
        chosen = np.arange(len(labels)) if chosen is None else chosen
        few = [readers[i] for i in chosen]
        return EncodedPart(few, torch.from_numpy(labels[chosen]), unit, side, skip)

    if held is None or validation is not None:
        share = SET_ASIDE if validation is None else validation
        kept, aside = split(tree.parts["train"][1], share, seed, name)
        parts = [part("train", kept), part("train", aside), part(test)]
    else:
        parts = [part("train"), part(held), part(test)]
    some = np.random.default_rng(seed).permutation(len(parts[0]))[:MEASURED]
    sample = parts[0].stack(some, parts[0].centre)[0].numpy()
    normalization = Normalization.of(sample, normalise or "channel")
    for one in parts:
        one.normalization = normalization
    train, aside_part, test_part = parts
    names = tree.class_names
    return ImageData(name, train, aside_part, test_part, 3, len(names), names)
