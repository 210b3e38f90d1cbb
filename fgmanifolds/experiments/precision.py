"""Forward passes in bfloat16."""

from __future__ import annotations

import platform
import warnings

import torch

__all__ = ["autocast", "warn_if_emulated"]

#: What torch calls x86 processors without AVX-512, to which bfloat16 is no type.
WITHOUT = ("DEFAULT", "NO AVX", "AVX2")


def autocast(device: str, enabled: bool) -> torch.autocast:
    """Autocast to bfloat16 on a device, or nothing.

    Parameters
    ----------
    device : str
    enabled : bool
    """
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


def warn_if_emulated(device: str, enabled: bool) -> None:
    """Warn if bfloat16 is asked for on a processor that has no instructions for it.

    Parameters
    ----------
    device : str
    enabled : bool
    """
    if not enabled or torch.device(device).type != "cpu":
        return
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine().lower() in ("x86_64", "amd64") and capability in WITHOUT:
        warnings.warn(
            "amp: this processor has no instructions for bfloat16 (no AVX-512); torch emulates it, "
            "which can take ten times as long as float32.",
            stacklevel=3,
        )
