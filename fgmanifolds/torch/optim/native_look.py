"""Which layers of a group the C++ step of small kernels takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from torch import Tensor

from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import Known, Taken, places_of
from fgmanifolds.torch.optim.active import Active

__all__ = ["NativeLook"]


class NativeLook:
    """Looks at the tensors of one group at each step; keeps what is the same at the next.

    Parameters
    ----------
    position : mapping of str to int
        Numbers in the table of the layers that it can hold, by name.
    """

    def __init__(self, position: Mapping[str, int]) -> None:
        self._position = position
        self._layers: list[POMLayer] | None = None
        self._known = Known()

    def taken_of(
        self, active: Active, state: Any, directions: Mapping[int, Tensor] | None, buffer: str
    ) -> Taken | None:
        """Layers of the group with their tensors of this step; None if there are none.

        Parameters
        ----------
        active : Active
        state : object
        directions : mapping of int to Tensor or None
            By the identity of the weight; None for the gradients.
        buffer : str
            The momentum's name in the state.
        """
        self._follow(active.layers)
        if not self._held:
            return None
        weights = [active.params[i] for i in self._places]
        states = [state[weight] for weight in weights]
        buffers = [own.get(buffer) for own in states]
        if directions is None:
            vectors = [active.grads[i] for i in self._places]
        else:
            vectors = [directions[id(weight)] for weight in weights]
        rows, addresses, inputs = self._look(weights, buffers, vectors)
        if not rows:
            return None
        all_taken = len(rows) == len(weights)

        def of(column: Sequence[Any]) -> list[Any]:
            return list(column) if all_taken else [column[i] for i in rows]

        return Taken(
            of(self._places),
            tuple(of(self._positions)),
            of(self._held),
            of(weights),
            of(states),
            addresses,
            inputs,
            of(buffers),
            [False] * len(rows),
        )

    def _follow(self, layers: list[POMLayer]) -> None:
        """Take the layers of a step for those that are looked at."""
        if layers is self._layers:
            return
        self._layers = layers
        self._places = [i for i, layer in enumerate(layers) if layer.name in self._position]
        self._held = [layers[i] for i in self._places]
        self._positions = tuple([self._position[layer.name] for layer in self._held])
        self._shapes = [layer.shape for layer in self._held]

    def _look(
        self, weights: list[Tensor], buffers: list[Tensor | None], vectors: list[Tensor]
    ) -> tuple[Sequence[int], tuple[list[int], list[int], list[int]], list[int]]:
        """Which layers are taken; addresses and inputs of these, as :class:`Taken` has them."""
        missing = NoneType in set(map(type, buffers))
        if missing and all(one is None for one in buffers):
            rows, (own, third), inputs = places_of(self._shapes, [weights], [vectors], self._known)
            return rows, (own, [0] * len(own), third), inputs
        # Where there is no momentum yet, the gradient takes its place in the look.
        kept = [v if b is None else b for v, b in zip(vectors, buffers, strict=True)]
        rows, (own, second, third), inputs = places_of(
            self._shapes, [weights, kept], [vectors], self._known
        )
        if missing:
            second = [0 if buffers[i] is None else one for i, one in zip(rows, second, strict=True)]
        return rows, (own, second, third), inputs
