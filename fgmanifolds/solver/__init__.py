"""Step sizes of FG-SGD, shared by the NumPy and the torch side."""

from fgmanifolds.solver.step_size import corollary2

__all__ = ["corollary2"]
