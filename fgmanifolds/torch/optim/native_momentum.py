"""Optimizers whose momentum is in the C++ step of small kernels."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

from fgmanifolds.torch.ops.native import Taken
from fgmanifolds.torch.optim.active import Active
from fgmanifolds.torch.optim.base import POMOptimizer
from fgmanifolds.torch.optim.fused import FusedLook

__all__ = ["NativeMomentum"]


class NativeMomentum(POMOptimizer):
    """Base class: C++ looks at the gradients of small kernels, and steps from them.

    That is the way of the class itself alone, since a subclass may go elsewhere.
    """

    #: Name of the momentum in the state of a parameter.
    _buffer: ClassVar[str]

    #: Names of what fused functions read in it.
    _moments_kept: ClassVar[tuple[str, ...]]

    def _forget(self) -> None:
        super()._forget()
        self._taken: dict[int, Taken] = {}
        self._fused_looks: dict[int, FusedLook] = {}

    @abc.abstractmethod
    def _can_step_natively(self, group: dict[str, Any]) -> bool:
        """Whether C++ steps layers of a group from their gradients."""

    @abc.abstractmethod
    def _step_with_momentum(self, active: Active, taken: Taken) -> Active:
        """Step layers in C++ from their gradients; gives what is left."""

    @abc.abstractmethod
    def _step_fused(self, active: Active) -> Active:
        """Step Euclidean parameters by torch's fused function; gives what is left."""

    def _fused_look(self, active: Active) -> FusedLook:
        """What finds the Euclidean parameters of a group that are fused."""
        return self._fused_looks.setdefault(id(active.group), FusedLook(self._moments_kept))

    def _with_momentum(self, active: Active) -> Taken | None:
        """The layers of a group that C++ steps from their gradients; None if there are none."""
        group = active.group
        if group["momentum_space"] != "ambient" or not self._can_step_natively(group):
            return None
        way = self._native_way()
        return None if way is None else way.split(active, self.state, buffer=self._buffer)

    def _may_step(self, active: Sequence[Active]) -> bool:
        found = [(id(one.group), self._with_momentum(one)) for one in active]
        self._taken = {key: taken for key, taken in found if taken}
        for taken in self._taken.values():
            assert self._way is not None
            self._way.look(taken)
        return super()._may_step(active)

    def _unusable_gradients(self, active: Sequence[Active]) -> list[str]:
        fine: set[int] = set()
        for taken in self._taken.values():
            assert self._way is not None
            fine.update(map(id, self._way.usable(taken).weights))
        return self._guards.unusable_gradients(active, fine)

    def _step_group(self, active: Active) -> None:
        taken = self._taken.get(id(active.group))
        if taken is not None:
            active = self._step_with_momentum(active, taken)
        super()._step_group(self._step_fused(active))
