"""Which weights share a POM: the schemes PI, PO, PIO, layer, kernel and tensor.

Nothing here knows of torch. A layer is a grid of D x C kernels (outputs first), one for each
group of a grouped convolution, or one D x C matrix that is cut into blocks. The paper's
Appendix C.D describes the schemes; PIO is reconstructed from Example 1. What is left over
where numbers do not divide is dealt evenly over the whole layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fgmanifolds.validation import check_choice

__all__ = [
    "POM_MODES",
    "SCHEMES",
    "Block",
    "KernelSets",
    "Remainders",
    "biregular_half",
    "block_sets",
    "check_scheme",
    "deal",
    "kernel_sets",
    "split",
]

IntArray = NDArray[np.int64]

#: Schemes of Appendix C.D, the two baselines of its tables, and the whole weight as one matrix.
SCHEMES = ("pi", "po", "pio", "layer", "kernel", "tensor")

#: Schemes that put every weight of a layer on one manifold.
UNIFORM = ("layer", "kernel", "tensor")

#: What one POM is: a set of the scheme, or all sets of a layer on one manifold.
POM_MODES = ("set", "manifold")


@dataclass(frozen=True)
class KernelSets:
    """Assignment of the kernels of a layer.

    Attributes
    ----------
    manifold : int array of shape (D, C / groups)
        Number of each kernel's manifold, outputs first.
    pom : int array of shape (D, C / groups)
        Number of each kernel's POM, counted from 0.
    labels : list of str
        For each POM, the channel of the layer that it belongs to.
    """

    manifold: IntArray
    pom: IntArray
    labels: list[str]

    def gathered(self, pom: str, manifolds: int) -> KernelSets:
        """With each set as a POM, or all sets of one manifold; empty POMs are left out.

        Parameters
        ----------
        pom : {"set", "manifold"}
        manifolds : int
            Number of manifolds.
        """
        numbers, labels = self.pom, self.labels
        if pom == "manifold":
            numbers, labels = self.manifold, ["all sets of one manifold"] * manifolds
        used, places = np.unique(numbers, return_inverse=True)
        return KernelSets(self.manifold, places.reshape(numbers.shape), [labels[i] for i in used])


@dataclass(frozen=True)
class Block:
    """One block of a D x C matrix: `outputs` x `inputs`, on manifold number `manifold`."""

    outputs: IntArray
    inputs: IntArray
    manifold: int
    label: str


def split(items: IntArray, sizes: IntArray, rng: np.random.Generator) -> list[IntArray]:
    """Split `items` at random into parts of the given sizes.

    Parameters
    ----------
    items, sizes : arrays of int
    rng : Generator
    """
    pieces = np.split(rng.permutation(items), np.cumsum(sizes)[:-1])
    return [np.sort(piece) for piece in pieces]


class Remainders:
    """Sizes as equal as possible, the larger ones dealt evenly over all that is split."""

    def __init__(self, parts: int, rng: np.random.Generator) -> None:
        self._more = np.zeros(parts, dtype=np.int64)
        self._rng = rng

    def sizes(self, total: int) -> IntArray:
        """Sizes of the next split: those that had fewest of the larger ones come first."""
        parts = len(self._more)
        base, rest = divmod(total, parts)
        larger = np.lexsort((self._rng.random(parts), self._more))[:rest]
        self._more[larger] += 1
        sizes = np.full(parts, base, dtype=np.int64)
        sizes[larger] += 1
        return sizes


def deal(sets: int, manifolds: int, rng: np.random.Generator) -> IntArray:
    """Deal `manifolds` evenly over `sets`, in random order.

    Parameters
    ----------
    sets : int
    manifolds : int
        Number of manifolds.
    rng : Generator
    """
    owners = np.empty(sets, dtype=np.int64)
    sizes = Remainders(manifolds, rng).sizes(sets)
    for manifold, members in enumerate(split(np.arange(sets), sizes, rng)):
        owners[members] = manifold
    return owners


def biregular_half(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw half of a grid so that each row and each column gives half of its cells.

    Odd lengths give one cell more or less. A checkerboard, mixed by random
    trades between pairs of rows that keep all sums (Strona et al. 2014).

    Parameters
    ----------
    rows, columns : int
    rng : Generator
    """
    mask = np.add.outer(rng.permutation(rows), rng.permutation(columns)) % 2 == 0
    for _ in range(5 * rows if rows > 1 else 0):
        first, second = rng.choice(rows, size=2, replace=False)
        differ = np.flatnonzero(mask[first] != mask[second])
        traded = mask[first, differ][rng.permutation(len(differ))]
        mask[first, differ], mask[second, differ] = traded, ~traded
    return mask


# Grids are arrays (groups, outputs of a group, inputs of a group).

Grid = tuple[int, int, int]


def _pi(grid: Grid, manifolds: int, rng: np.random.Generator) -> KernelSets:
    groups, outputs, inputs = grid
    manifold = np.empty(grid, dtype=np.int64)
    remainders = Remainders(manifolds, rng)
    for group in range(groups):
        for c in range(inputs):
            sizes = remainders.sizes(outputs)
            for owner, members in enumerate(split(np.arange(outputs), sizes, rng)):
                manifold[group, members, c] = owner
    channel = np.arange(groups * inputs).reshape(groups, 1, inputs)
    labels = [f"input {c}" for c in range(groups * inputs) for _ in range(manifolds)]
    return KernelSets(manifold, manifold + manifolds * channel, labels)


def _po(grid: Grid, manifolds: int, rng: np.random.Generator) -> KernelSets:
    groups, outputs, inputs = grid
    turned = _pi((groups, inputs, outputs), manifolds, rng)
    labels = [label.replace("input", "output") for label in turned.labels]
    return KernelSets(turned.manifold.swapaxes(1, 2), turned.pom.swapaxes(1, 2), labels)


def _pio(grid: Grid, manifolds: int, rng: np.random.Generator) -> KernelSets:
    groups, outputs, inputs = grid
    if min(outputs, inputs) == 1:
        # A set of one type would hold half of the kernels, on one manifold.
        sets = _kernel(grid, manifolds, rng)
        owners = deal(len(sets.labels), manifolds, rng)
        return KernelSets(owners[sets.pom], sets.pom, sets.labels)
    by_input = np.stack([biregular_half(outputs, inputs, rng) for _ in range(groups)])
    g, d, c = np.indices(grid)
    pom = np.where(by_input, g * inputs + c, groups * inputs + g * outputs + d)
    counts = groups * inputs, groups * outputs
    owners = np.concatenate([deal(count, manifolds, rng) for count in counts])
    labels = [
        f"{kind} {i}" for kind, n in zip(("input", "output"), counts, strict=True) for i in range(n)
    ]
    return KernelSets(owners[pom], pom, labels)


def _layer(grid: Grid, manifolds: int, rng: np.random.Generator) -> KernelSets:
    zeros = np.zeros(grid, dtype=np.int64)
    return KernelSets(zeros, zeros, ["layer"])


def _kernel(grid: Grid, manifolds: int, rng: np.random.Generator) -> KernelSets:
    groups, outputs, inputs = grid
    pom = np.arange(groups * outputs * inputs).reshape(grid)
    labels = [
        f"output {g * outputs + d}, input {g * inputs + c}"
        for g in range(groups)
        for d in range(outputs)
        for c in range(inputs)
    ]
    return KernelSets(np.zeros(grid, dtype=np.int64), pom, labels)


_KERNEL_SCHEMES: dict[str, Callable[[Grid, int, np.random.Generator], KernelSets]] = {
    "pi": _pi,
    "po": _po,
    "pio": _pio,
    "layer": _layer,
    "kernel": _kernel,
}


def check_scheme(scheme: str, manifolds: int) -> None:
    """Raise ``ValueError`` unless the scheme is known and can have so many manifolds.

    Parameters
    ----------
    scheme : str
    manifolds : int
        Number of manifolds.
    """
    check_choice("scheme", scheme, SCHEMES)
    if scheme in UNIFORM and manifolds != 1:
        raise ValueError(
            f"scheme={scheme!r} puts every weight on one manifold, but manifolds names "
            f"{manifolds}; give one, or take scheme 'pi', 'po' or 'pio'."
        )


def kernel_sets(
    grid: tuple[int, int],
    scheme: str,
    manifolds: int,
    rng: np.random.Generator,
    pom: str = "set",
    groups: int = 1,
) -> KernelSets:
    """Assign each kernel of a layer to a manifold and a POM.

    Parameters
    ----------
    grid : (int, int)
        Numbers of outputs and of inputs of one group: D / groups and C / groups.
    scheme : {"pi", "po", "pio", "layer", "kernel"}
    manifolds : int
        Number of manifolds; 1 for the schemes ``"layer"`` and ``"kernel"``.
    rng : numpy.random.Generator
    pom : {"set", "manifold"}
        Whether each set is a POM (Definition 1), or all sets of one manifold are.
    groups : int
        Of a grouped convolution: sets are drawn inside of each, so that they keep one channel.

    Returns
    -------
    KernelSets
        POMs without a kernel are left out.
    """
    check_scheme(scheme, manifolds)
    check_choice("pom", pom, POM_MODES)
    check_choice("scheme", scheme, _KERNEL_SCHEMES)
    sets = _KERNEL_SCHEMES[scheme]((groups, *grid), manifolds, rng)
    found = sets.gathered(pom, manifolds)
    shape = (groups * grid[0], grid[1])
    return KernelSets(found.manifold.reshape(shape), found.pom.reshape(shape), found.labels)


def block_sets(
    size: tuple[int, int],
    scheme: str,
    manifolds: int,
    rng: np.random.Generator,
    groups: int = 1,
) -> list[list[Block]]:
    """Cut the D x C matrices of a layer into blocks (linear layers, 1 x 1 convolutions).

    PI splits the outputs, PO the inputs, PIO both, with the manifolds as a
    Latin square; the other schemes keep the matrix whole. Empty blocks are left out.

    Parameters
    ----------
    size : (int, int)
        Of one group's matrix.
    scheme, manifolds, rng
        As in :func:`kernel_sets`.
    groups : int
        Number of matrices. The Latin square of each begins with another manifold.

    Returns
    -------
    list of list of Block
        Blocks of each group.
    """
    check_scheme(scheme, manifolds)
    across = manifolds if scheme in ("pi", "pio") else 1
    down = manifolds if scheme in ("po", "pio") else 1
    outputs, inputs = Remainders(across, rng), Remainders(down, rng)
    return [
        [
            Block(rows, columns, (a + b + group) % manifolds, f"outputs {b}, inputs {a}")
            for b, rows in enumerate(split(np.arange(size[0]), outputs.sizes(size[0]), rng))
            for a, columns in enumerate(split(np.arange(size[1]), inputs.sizes(size[1]), rng))
            if rows.size and columns.size
        ]
        for group in range(groups)
    ]
