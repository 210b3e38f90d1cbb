"""Whether momenta are those that the last step has left."""

from __future__ import annotations

from typing import NamedTuple

from fgmanifolds.torch.ops.native import Taken
from fgmanifolds.torch.ops.native.plain import VERSION

__all__ = ["MomentumNotes"]


class _Noted(NamedTuple):
    """Addresses and versions of momenta, which change when somebody writes to one."""

    positions: tuple[int, ...]
    addresses: list[int]
    versions: list[int]


class MomentumNotes:
    """What each layer's last step has left, in columns of the last layers stepped together."""

    def __init__(self) -> None:
        self._last = _Noted((), [], [])
        self._earlier: dict[int, tuple[int, int]] = {}

    def note(self, taken: Taken) -> None:
        """Take the present momenta of some layers.

        Parameters
        ----------
        taken : Taken
        """
        now = _noted(taken)
        if now.positions != self._last.positions:
            self._settle()
        self._last = now

    def unlike(self, taken: Taken) -> list[int]:
        """Rows of the layers whose momenta are others than at the last note, or not known.

        Parameters
        ----------
        taken : Taken
        """
        now = _noted(taken)
        if now == self._last:
            return []
        self._settle()
        rows = enumerate(zip(*now, strict=True))
        return [i for i, (position, *own) in rows if self._earlier.get(position) != tuple(own)]

    def forget(self, taken: Taken) -> None:
        """Know nothing of some layers.

        Parameters
        ----------
        taken : Taken
        """
        self._settle()
        self._last = _Noted((), [], [])
        for position in taken.positions:
            self._earlier.pop(position, None)

    def _settle(self) -> None:
        positions, *own = self._last
        self._earlier.update(zip(positions, zip(*own, strict=True), strict=True))


def _noted(taken: Taken) -> _Noted:
    return _Noted(taken.positions, taken.addresses[1], list(map(VERSION, taken.buffers)))
