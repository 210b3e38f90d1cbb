"""Where torch.compile can be tested."""

import pytest
import torch

from fgmanifolds.torch.ops.native import available

__all__ = ["needs_compiler"]

needs_compiler = pytest.mark.skipif(
    not available() or " " in torch.__file__,
    reason="torch.compile needs a C++ compiler, and torch at a path without spaces",
)
