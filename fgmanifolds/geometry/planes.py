"""Planes of extremal curvature of a component with copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.curvature import Plane

__all__ = ["extremal_planes"]


def extremal_planes(component: Any) -> tuple[Plane, Plane] | None:
    """See :meth:`fgmanifolds.Component.extremal_planes`."""
    if component.dim < 2:
        return None
    radii = component.radii
    planes = []
    if component.dim >= 2 * component.k:
        bounds = component._unit_curvature_bounds()
        tightest = int(np.argmin(radii))
        for bound, pair in zip(bounds, component._unit_planes(), strict=True):
            planes.append((bound, _plane(component, {tightest: pair})))
    if component.k > 1:
        first = component._unit_basis(component._base_point())[0]
        zero = np.zeros(component.shape)
        planes.append((0.0, _plane(component, {0: (first, zero), 1: (zero, first)})))
    return min(planes, key=_bound)[1], max(planes, key=_bound)[1]


def _plane(component: Any, pairs: dict[int, tuple[Array, Array]]) -> Plane:
    """Plane at the base points of all copies, with zero vectors where `pairs` has none."""
    stack = (component.k, *component.shape)
    u, v = np.zeros(stack), np.zeros(stack)
    for copy_index, (a, b) in pairs.items():
        u[copy_index], v[copy_index] = a, b
    point = component.radii[:, None, None] * component._base_point()
    return Plane(*(x.reshape(component.point_shape) for x in (point, u, v)))


def _bound(entry: tuple[float, Plane]) -> float:
    return entry[0]
