"""Which weights share a POM: the schemes PI, PO, PIO, layer and kernel.

Nothing here knows of torch. A layer is a grid of D x C kernels (outputs first,
as torch stores them), or one D x C matrix that is cut into blocks. The paper's
Appendix C.D describes the schemes; PIO is reconstructed from Example 1.
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
    "biregular_half",
    "block_sets",
    "kernel_sets",
]

IntArray = NDArray[np.int64]

#: Schemes of Appendix C.D, and the two baselines of its tables.
SCHEMES = ("pi", "po", "pio", "layer", "kernel")

#: What one POM is: a set of the scheme, or all sets of a layer on one manifold.
POM_MODES = ("set", "manifold")


@dataclass(frozen=True)
class KernelSets:
    """Assignment of a D x C grid of kernels.

    Attributes
    ----------
    manifold : int array of shape (D, C)
        Number of each kernel's manifold.
    pom : int array of shape (D, C)
        Number of each kernel's POM, counted from 0.
    labels : list of str
        For each POM, the channel it belongs to.
    """

    manifold: IntArray
    pom: IntArray
    labels: list[str]


@dataclass(frozen=True)
class Block:
    """One block of a D x C matrix: `outputs` x `inputs`, on manifold number `manifold`."""

    outputs: IntArray
    inputs: IntArray
    manifold: int
    label: str


def _split(items: IntArray, parts: int, rng: np.random.Generator) -> list[IntArray]:
    """Split `items` at random into `parts` of sizes that differ by one at most.

    The larger parts stand at random places, so that no manifold is favoured.
    """
    pieces = np.array_split(rng.permutation(items), parts)
    return [np.sort(pieces[place]) for place in rng.permutation(parts)]


def _deal(sets: int, manifolds: int, rng: np.random.Generator) -> IntArray:
    """Deal `manifolds` evenly over `sets`, in random order."""
    owners = np.empty(sets, dtype=np.int64)
    for manifold, members in enumerate(_split(np.arange(sets), manifolds, rng)):
        owners[members] = manifold
    return owners


def biregular_half(rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw half of a grid so that each row and each column gives half of its cells.

    Odd lengths give one cell more or less. A checkerboard, mixed by random
    trades between pairs of rows that keep all sums (Strona et al. 2014).
    """
    mask = np.add.outer(rng.permutation(rows), rng.permutation(columns)) % 2 == 0
    for _ in range(5 * rows if rows > 1 else 0):
        first, second = rng.choice(rows, size=2, replace=False)
        differ = np.flatnonzero(mask[first] != mask[second])
        traded = mask[first, differ][rng.permutation(len(differ))]
        mask[first, differ], mask[second, differ] = traded, ~traded
    return mask


def _pi(grid: tuple[int, int], manifolds: int, rng: np.random.Generator) -> KernelSets:
    outputs, inputs = grid
    manifold = np.empty(grid, dtype=np.int64)
    for c in range(inputs):
        for owner, members in enumerate(_split(np.arange(outputs), manifolds, rng)):
            manifold[members, c] = owner
    pom = manifold + manifolds * np.arange(inputs)
    return KernelSets(
        manifold, pom, [f"input {c}" for c in range(inputs) for _ in range(manifolds)]
    )


def _po(grid: tuple[int, int], manifolds: int, rng: np.random.Generator) -> KernelSets:
    turned = _pi(grid[::-1], manifolds, rng)
    labels = [label.replace("input", "output") for label in turned.labels]
    return KernelSets(turned.manifold.T.copy(), turned.pom.T.copy(), labels)


def _pio(grid: tuple[int, int], manifolds: int, rng: np.random.Generator) -> KernelSets:
    outputs, inputs = grid
    by_input = biregular_half(outputs, inputs, rng)
    d, c = np.indices(grid)
    pom = np.where(by_input, c, inputs + d)
    owners = np.concatenate([_deal(inputs, manifolds, rng), _deal(outputs, manifolds, rng)])
    labels = [f"input {i}" for i in range(inputs)] + [f"output {i}" for i in range(outputs)]
    return KernelSets(owners[pom], pom, labels)


def _layer(grid: tuple[int, int], manifolds: int, rng: np.random.Generator) -> KernelSets:
    zeros = np.zeros(grid, dtype=np.int64)
    return KernelSets(zeros, zeros, ["layer"])


def _kernel(grid: tuple[int, int], manifolds: int, rng: np.random.Generator) -> KernelSets:
    pom = np.arange(grid[0] * grid[1]).reshape(grid)
    labels = [f"output {d}, input {c}" for d in range(grid[0]) for c in range(grid[1])]
    return KernelSets(np.zeros(grid, dtype=np.int64), pom, labels)


_KERNEL_SCHEMES: dict[str, Callable[[tuple[int, int], int, np.random.Generator], KernelSets]] = {
    "pi": _pi,
    "po": _po,
    "pio": _pio,
    "layer": _layer,
    "kernel": _kernel,
}


def _check(scheme: str, manifolds: int) -> None:
    check_choice("scheme", scheme, SCHEMES)
    if scheme in ("layer", "kernel") and manifolds != 1:
        raise ValueError(
            f"scheme={scheme!r} puts every weight on one manifold, but manifolds names "
            f"{manifolds}; give one, or take scheme 'pi', 'po' or 'pio'."
        )


def kernel_sets(
    grid: tuple[int, int], scheme: str, manifolds: int, rng: np.random.Generator, pom: str = "set"
) -> KernelSets:
    """Assign each kernel of a D x C grid to a manifold and a POM.

    Parameters
    ----------
    grid : (int, int)
        Numbers D of outputs and C of inputs (C / groups for grouped convolutions).
    scheme : {"pi", "po", "pio", "layer", "kernel"}
    manifolds : int
        Number of manifolds; 1 for the schemes ``"layer"`` and ``"kernel"``.
    rng : numpy.random.Generator
    pom : {"set", "manifold"}
        Whether each set is a POM (Definition 1), or all sets of one manifold are.

    Returns
    -------
    KernelSets
        POMs without a kernel are left out.
    """
    _check(scheme, manifolds)
    check_choice("pom", pom, POM_MODES)
    sets = _KERNEL_SCHEMES[scheme](grid, manifolds, rng)
    if pom == "manifold":
        labels = ["all sets of one manifold"] * manifolds
        sets = KernelSets(sets.manifold, sets.manifold, labels)
    used, numbers = np.unique(sets.pom, return_inverse=True)
    return KernelSets(sets.manifold, numbers.reshape(grid), [sets.labels[i] for i in used])


def block_sets(
    size: tuple[int, int], scheme: str, manifolds: int, rng: np.random.Generator
) -> list[Block]:
    """Cut a D x C matrix (linear layer, 1 x 1 convolution) into blocks.

    PI splits the outputs, PO the inputs, PIO both, with the manifolds as a
    Latin square; the other schemes keep the matrix whole. Empty blocks are left
    out. Parameters as in :func:`kernel_sets`.
    """
    _check(scheme, manifolds)
    outputs, inputs = (np.arange(n) for n in size)
    across = manifolds if scheme in ("pi", "pio") else 1
    down = manifolds if scheme in ("po", "pio") else 1
    blocks = [
        Block(rows, columns, (a + b) % manifolds, f"outputs {b}, inputs {a}")
        for b, rows in enumerate(_split(outputs, across, rng))
        for a, columns in enumerate(_split(inputs, down, rng))
    ]
    return [block for block in blocks if block.outputs.size and block.inputs.size]
