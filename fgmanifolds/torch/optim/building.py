"""The C++ functions of an optimizer: compiled when it is made, or said not to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from fgmanifolds.torch.adapter import POMAdapter
from fgmanifolds.torch.ops.native import (
    Taken,
    available,
    has_blocks,
    load_blocks,
    loads_or_warns,
)
from fgmanifolds.torch.optim.active import Active
from fgmanifolds.torch.optim.native_way import NativeWay
from fgmanifolds.torch.optim.pom_steps import PomSteps
from fgmanifolds.validation import check_bool

__all__ = ["GIVEN", "NativeMixin"]

#: To the C++ step, directions that are given are gradients without momentum.
GIVEN = {
    "momentum": 0.0,
    "dampening": 0.0,
    "nesterov": False,
    "weight_decay": 0.0,
    "maximize": False,
    "scaled": False,
}


class NativeMixin(Optimizer):
    """Chooses the C++ functions and steps small kernels; a part of :class:`POMOptimizer`.

    Attributes
    ----------
    native : bool
        Whether C++ functions are used where they can be.
    """

    adapter: POMAdapter
    compile: bool
    native: bool
    _poms: PomSteps
    _way: NativeWay | None

    #: Whether directions themselves are computed by the C++ functions for blocks and kernels.
    _native_directions: ClassVar[bool] = False

    def gradient_scale(self, group: dict[str, Any]) -> float:
        """See :class:`POMOptimizer`."""
        raise NotImplementedError

    def _wants_native(self, native: bool | None) -> bool:
        if native is not None:
            check_bool("native", native)
        if native and self.compile:
            raise ValueError("native=True and compile=True are two ways for the same kernels.")
        if native and not available():
            raise ValueError(
                "native=True needs a C++ compiler: set CXX, or install c++ (and do not set "
                "FGMANIFOLDS_NATIVE=0)."
            )
        return available() and not self.compile if native is None else native

    def _load_blocks(self) -> bool:
        """Compile the C++ functions for blocks, if they are needed."""
        layers = self.adapter.layers.values()
        needed = self._native_directions or any(has_blocks(layer) for layer in layers)
        return needed and self._loads(load_blocks)

    def _native_way(self) -> NativeWay | None:
        """The C++ step of small kernels, compiled if need be."""
        if self.native and self._way is None:
            self.native = self._loads(self._make_way)
        return self._way if self.native else None

    def _loads(self, load: Callable[[], Any]) -> bool:
        return loads_or_warns(load, f"{type(self).__name__} steps", stacklevel=5)

    def _make_way(self) -> None:
        self._way = NativeWay(self.adapter, scaled=self._native_directions)

    def _step_natively(
        self,
        active: Active,
        taken: Taken,
        group: dict[str, Any],
        bound: Tensor | None = None,
    ) -> Active:
        """Step layers in C++; gives what is left."""
        assert self._way is not None
        scale = self.gradient_scale(active.group)
        self._way.step_(taken, group, active.rule, self.state, scale, self._poms.last, bound)
        return active.without(taken.places)
