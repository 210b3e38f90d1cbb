"""Forward passes in bfloat16."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["RoundedProducts", "autocast", "is_emulated"]

#: What torch calls x86 processors without AVX-512, to which bfloat16 is no type.
WITHOUT = ("DEFAULT", "NO AVX", "AVX2")

#: Functions that autocast gives bfloat16, and that make nearly all work of a network.
PRODUCTS = frozenset(
    {
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        F.linear,
        torch.matmul,
        torch.mm,
        torch.bmm,
        torch.addmm,
        Tensor.matmul,
        Tensor.mm,
        Tensor.bmm,
        Tensor.addmm,
    }
)


@contextlib.contextmanager
def autocast(device: str, enabled: bool) -> Iterator[None]:
    """Autocast to bfloat16 on a device, or nothing.

    On processors to which bfloat16 is no type (`is_emulated`), products go through
    `RoundedProducts`.

    Parameters
    ----------
    device : str
    enabled : bool
    """
    kind = torch.device(device).type
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(kind, torch.bfloat16, enabled=enabled))
        if enabled and is_emulated(device):
            stack.enter_context(RoundedProducts())
        yield


def is_emulated(device: str) -> bool:
    """Whether torch emulates bfloat16: on x86 processors without AVX-512.

    Parameters
    ----------
    device : str
    """
    if torch.device(device).type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return torch.backends.cpu.get_cpu_capability() in WITHOUT


class RoundedProducts(TorchFunctionMode):
    """Convolutions and products of matrices in float32, of values rounded to bfloat16.

    Their results are rounded to bfloat16 too, and so, by the casts' own derivatives, are all
    gradients that come in or go out. That is what processors with bfloat16 compute, which take
    products of such values into sums of float32; what differs is the order of the sums. Without
    it torch's own emulation can take ten times as long as float32.

    Works inside `torch.autocast`, which it turns off for these products, and on what a network
    calls by name: products inside of fused functions (attention, einsum, recurrent layers) stay
    torch's own.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch; one of `PRODUCTS` on rounded values."""
        kwargs = kwargs or {}
        if func not in PRODUCTS or any(map(_is_double, (*args, *kwargs.values()))):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            product = func(*map(_rounded, args), **{k: _rounded(v) for k, v in kwargs.items()})
            return product.to(torch.bfloat16)


def _is_double(value: Any) -> bool:
    """Whether autocast leaves a value as it is."""
    return isinstance(value, Tensor) and value.dtype == torch.float64


def _rounded(value: Any) -> Any:
    """A tensor of float32 with values of bfloat16; anything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.bfloat16).to(torch.float32)
    return value
