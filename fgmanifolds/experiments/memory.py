"""Training steps that do not fit in the memory: say which batch size does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["fitting_batch", "guard_memory", "ran_out"]


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch has no class of its own for CPUs."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    texts = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, RuntimeError) and any(text in str(error) for text in texts)


def fitting_batch(model: nn.Module, pixels: Tensor, labels: Tensor) -> int:
    """Largest batch size below that of `pixels`, halved as often as needed, that fits; or 0.

    Parameters
    ----------
    model : nn.Module
    pixels : Tensor of shape [N, C, H, W]
    labels : Tensor of shape [N]
    """
    size = len(pixels) // 2
    while size >= 2:
        try:
            F.cross_entropy(model(pixels[:size]), labels[:size]).backward()
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            size //= 2
            continue
        finally:
            model.zero_grad(set_to_none=True)
        return size
    return 0


@contextmanager
def guard_memory(model: nn.Module, pixels: Tensor, labels: Tensor) -> Iterator[None]:
    """Turn an error of memory into one that names a batch size that fits.

    Parameters
    ----------
    model : nn.Module
    pixels : Tensor of shape [N, C, H, W]
    labels : Tensor of shape [N]

    Raises
    ------
    MemoryError
        In place of torch's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        failed = len(pixels)
    else:
        return
    model.zero_grad(set_to_none=True)
    fits = fitting_batch(model, pixels, labels)
    advice = f"{fits} does (batch_size={fits})" if fits else "nor do two; take smaller images"
    raise MemoryError(f"a training step of {failed} images does not fit in the memory; {advice}.")
