"""A device without numbers, for what a step would do on a GPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

#: Tensors on it have shapes and no entries; whatever asks for "cpu" takes it for a GPU.
DEVICE = torch.device("meta")
#: Operators whose results, or the shapes of these, the host must see.
SEEN = (
    *("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "masked_select", "unique"),
    "_linalg_check_errors",
)
#: Those with device memory on one side and, it may be, host memory on the other.
COPIES = {"_to_copy", "copy_", "_copy_from"}


class Waits(RuntimeError):
    """The host would wait for the device, which a CUDA graph cannot hold."""


class NoWaiting(TorchDispatchMode):
    """Refuses whatever would make the host wait for :data:`DEVICE`; counts what it has seen."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        there = any(x.device == DEVICE for x in tensors)
        device = kwargs.get("device")
        arriving = device is not None and torch.device(device) == DEVICE and bool(tensors)
        if there or arriving:
            self.calls += 1
            self._check(func._schema.name.removeprefix("aten::"), tensors, device, args)
        return func(*args, **kwargs)

    def _check(self, name, tensors, device, args):
        here = [x for x in tensors if x.device != DEVICE]
        if name.startswith(SEEN) or (name == "index" and _has_mask(args)):
            raise Waits(f"{name}: the host must see numbers of the device")
        leaving = name == "_to_copy" and device is not None and torch.device(device) != DEVICE
        if leaving or (name in COPIES and here) or any(x.dim() for x in here):
            raise Waits(f"{name}: from one device to the other")


def _has_mask(args):
    found = tree_flatten(args[1:])[0]
    return any(isinstance(x, torch.Tensor) and x.dtype == torch.bool for x in found)
