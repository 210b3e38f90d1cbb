"""The schemes PI, PO and PIO where each output sees inputs of its own, as a bipartite graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fgmanifolds.torch.schemes import KernelSets, Remainders, deal, kernel_sets, split

__all__ = ["half_of_links", "linked_sets"]

IntArray = NDArray[np.int64]


def half_of_links(links: IntArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw half of the kernels so that each output and each input gives half of its own.

    Odd numbers give one more or less. Every second edge of a random Euler circuit, after a
    vertex that joins all those of odd degree (an Euler split).

    Parameters
    ----------
    links : int array of shape (D, k)
        Inputs of each output.
    rng : numpy.random.Generator

    Returns
    -------
    bool array of shape (D, k)
    """
    outputs, each = links.shape
    first = np.repeat(np.arange(outputs), each)
    second = outputs + links.ravel()
    joint = int(second.max()) + 1
    odd = np.flatnonzero(np.bincount(np.concatenate([first, second]), minlength=joint) % 2)
    ends = np.stack([np.append(first, odd), np.append(second, np.full(len(odd), joint))])
    mask = np.zeros(ends.shape[1], dtype=bool)
    for circuit in _euler_circuits(ends, joint, rng):
        mask[circuit[::2]] = True
    return mask[: links.size].reshape(links.shape)


def _euler_circuits(ends: IntArray, start: int, rng: np.random.Generator) -> list[list[int]]:
    """Edges of a circuit through each connected component, from `start` where it belongs."""
    edges: list[list[int]] = [[] for _ in range(start + 1)]
    for edge in rng.permutation(ends.shape[1]).tolist():
        for vertex in ends[:, edge].tolist():
            edges[vertex].append(edge)
    total = ends.sum(0)
    used = np.zeros(ends.shape[1], dtype=bool)
    circuits = []
    for vertex in [start, *range(start)]:
        stack: list[tuple[int, int]] = [(vertex, -1)]
        circuit: list[int] = []
        while stack:
            here, by = stack[-1]
            while edges[here] and used[edges[here][-1]]:
                edges[here].pop()
            if edges[here]:
                edge = edges[here].pop()
                used[edge] = True
                stack.append((int(total[edge] - here), edge))
            else:
                stack.pop()
                if by >= 0:
                    circuit.append(by)
        circuits.append(circuit)
    return circuits


def _by_input(links: IntArray, manifolds: int, rng: np.random.Generator) -> KernelSets:
    manifold = np.empty(links.size, dtype=np.int64)
    remainders, order = Remainders(manifolds, rng), np.argsort(links.ravel(), kind="stable")
    counts = np.bincount(links.ravel())
    for members in np.split(order, np.cumsum(counts)[:-1]):
        for owner, part in enumerate(split(members, remainders.sizes(len(members)), rng)):
            manifold[part] = owner
    pom = manifold.reshape(links.shape) + manifolds * links
    labels = [f"input {c}" for c in range(len(counts)) for _ in range(manifolds)]
    return KernelSets(manifold.reshape(links.shape), pom, labels)


def _both(links: IntArray, manifolds: int, rng: np.random.Generator) -> KernelSets:
    inputs, outputs = int(links.max()) + 1, len(links)
    if min(links.shape[1], int(np.bincount(links.ravel()).max())) == 1:
        # As on grids of width 1: each kernel by itself.
        numbers = np.arange(links.size).reshape(links.shape)
        owners = deal(links.size, manifolds, rng)[numbers]
        labels = [f"output {d}, input {c}" for d, row in enumerate(links) for c in row]
        return KernelSets(owners, numbers, labels)
    row = np.arange(outputs)[:, None]
    pom = np.where(half_of_links(links, rng), links, inputs + row)
    owners = np.concatenate([deal(n, manifolds, rng) for n in (inputs, outputs)])
    labels = [f"input {c}" for c in range(inputs)] + [f"output {d}" for d in range(outputs)]
    return KernelSets(owners[pom], pom, labels)


_LINKED: dict[str, Callable[[IntArray, int, np.random.Generator], KernelSets]] = {
    "pi": _by_input,
    "pio": _both,
}


def linked_sets(
    links: IntArray, scheme: str, manifolds: int, rng: np.random.Generator, pom: str = "set"
) -> KernelSets:
    """Assign each kernel of a layer whose outputs see inputs of their own.

    Parameters
    ----------
    links : int array of shape (D, k)
        Inputs of each output.
    scheme, manifolds, rng, pom
        As :func:`fgmanifolds.torch.schemes.kernel_sets` takes them. What does not depend on
        the inputs of a kernel (PO, layer, kernel) is as there.

    Returns
    -------
    KernelSets
        POMs without a kernel are left out.
    """
    outputs, each = links.shape
    if scheme not in _LINKED:
        return kernel_sets((outputs, each), scheme, manifolds, rng, pom)
    sets = _LINKED[scheme](links, manifolds, rng)
    return sets.gathered(pom, manifolds)
