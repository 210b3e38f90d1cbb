"""What denominators of the step need of the POMs of some layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fgmanifolds.steps import formulas as step_size
from fgmanifolds.torch.layer import POMLayer

__all__ = ["RULES", "PomBounds"]

#: Gives the distance of each POM to a reference point.
Distance = Callable[[], Tensor]


class PomBounds:
    """Bounds of the curvature and norms of the POMs of some layers.

    Parameters
    ----------
    layers : sequence of POMLayer
    like : Tensor
        Of the device and the type that the bounds shall have.

    Attributes
    ----------
    sizes : list of int
        Numbers of POMs of the layers.
    curvature, negative_curvature, point_norm : tensors of shape [POMs]
        Tight upper bound of the sectional curvature, minus the lower one, and
        Frobenius norm of the curved components.
    """

    def __init__(self, layers: Sequence[POMLayer], like: Tensor) -> None:
        self.sizes = [layer.view.n_poms for layer in layers]
        bounds = [layer.pom_bounds() for layer in layers]
        self.curvature, self.negative_curvature, self.point_norm = (
            torch.cat(parts).to(like) for parts in zip(*bounds, strict=True)
        )


def _plain(table: PomBounds, norm: Tensor, distance: Distance) -> Tensor:
    return torch.ones_like(norm)


def _corollary2(table: PomBounds, norm: Tensor, distance: Distance) -> Tensor:
    return step_size.corollary2(norm, table.curvature, table.negative_curvature)


def _global(table: PomBounds, norm: Tensor, distance: Distance) -> Tensor:
    return step_size.global_bound(norm, table.point_norm, table.negative_curvature)


def _theorem2(table: PomBounds, norm: Tensor, distance: Distance) -> Tensor:
    return step_size.theorem2(norm, distance(), table.negative_curvature)


def _paper(table: PomBounds, norm: Tensor, distance: Distance) -> Tensor:
    """Eq. (5) as printed, with the distance 1 / c of Corollary 2."""
    curved = table.curvature > 0
    curvature = table.curvature + (~curved).to(norm)
    printed = step_size.paper(norm, 1 / curvature, curvature)
    return torch.where(curved, printed, torch.ones_like(norm))


#: Denominators of the step by name; None stands for a plain step, g = 1.
RULES: dict[str | None, Callable[[PomBounds, Tensor, Distance], Tensor]] = {
    "corollary2": _corollary2,
    "global": _global,
    "theorem2": _theorem2,
    "paper": _paper,
    None: _plain,
}
