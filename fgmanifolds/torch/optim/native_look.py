"""Which layers of a group the C++ step of small kernels takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.ops.native import Known, Place, Taken, places_of
from fgmanifolds.torch.optim.active import Active, are_same

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
        self._columns: tuple[Sequence[Any], ...] = ()
        self._taken: list[Taken] = []

    def taken_of(
        self, active: Active, state: Any, directions: Mapping[int, Tensor] | None, buffer: str
    ) -> list[Taken]:
        """Layers of the group with their tensors of this step.

        Parameters
        ----------
        active : Active
        state : object
        directions : mapping of int to Tensor or None
            By the identity of the weight; None for the gradients.
        buffer : str
            The momentum's name in the state.
        """
        if active.layers is not self._layers:
            self._layers, self._columns = active.layers, ()
            self._places = [i for i, x in enumerate(active.layers) if x.name in self._position]
            self._held = [active.layers[i] for i in self._places]
            self._shapes = [layer.shape for layer in self._held]
        weights = [active.params[i] for i in self._places]
        states = [state[weight] for weight in weights]
        buffers = [own.get(buffer) for own in states]
        if directions is None:
            vectors = [active.grads[i] for i in self._places]
        else:
            vectors = [directions[id(weight)] for weight in weights]
        found = self._found(weights, buffers, vectors)
        columns = weights, states, buffers
        if self._columns and all(map(are_same, columns, self._columns)) and all(found):
            for one, where, kept in zip(self._taken, found, buffers, strict=True):
                assert where is not None
                one.found, one.buffer, one.fresh = where, kept, False
            return self._taken
        rows = zip(self._places, self._held, *columns, found, strict=True)
        self._taken = [
            Taken(place, self._position[layer.name], layer, weight, own, where, kept)
            for place, layer, weight, own, kept, where in rows
            if where is not None
        ]
        self._columns = columns if all(found) else ()
        return self._taken

    def _found(
        self, weights: list[Tensor], buffers: list[Tensor | None], vectors: list[Tensor]
    ) -> list[Place | None]:
        """Where the tensors of each layer lie, as :class:`Taken` has it."""
        missing = [buffer is None for buffer in buffers]
        if all(missing):
            found = places_of(self._shapes, [weights], [vectors], self._known)
            return [None if one is None else (one[0], 0, *one[1:]) for one in found]
        # Where there is no momentum yet, the gradient takes its place in the look.
        third = [v if b is None else b for v, b in zip(vectors, buffers, strict=True)]
        found = places_of(self._shapes, [weights, third], [vectors], self._known)
        if not any(missing):
            return found
        rows = zip(missing, found, strict=True)
        return [
            (one[0], 0, *one[2:]) if one is not None and is_missing else one
            for is_missing, one in rows
        ]
