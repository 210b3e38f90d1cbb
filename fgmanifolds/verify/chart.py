"""Metrics and curvatures in charts, by automatic differentiation.

An independent road to what :mod:`fgmanifolds.geometry` has in closed form. A
chart is a parametrisation of the manifold near a point; its metric is pulled
back from the embedding space, Christoffel symbols and the Riemann tensor are
derivatives of that metric, taken by ``torch.func``. Neither projections nor
second fundamental forms are used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import jacfwd

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.product import ScaledProductManifold
from fgmanifolds.geometry.stiefel_canonical import CanonicalStiefel

__all__ = ["Chart", "component_chart", "constraint", "joined", "product_charts"]

Map = Callable[[Tensor], Tensor]


def constraint(kind: str, w: Tensor) -> Tensor:
    """What vanishes on the unit manifold (Table V), as a vector.

    Parameters
    ----------
    kind : str
    w : Tensor of shape [A, B]
    """
    gram = w.T @ w
    if kind == "sphere":
        return torch.trace(gram)[None] - 1
    if kind == "oblique":
        return torch.diagonal(gram) - 1
    if kind == "stiefel":
        upper = torch.triu_indices(*gram.shape)
        return (gram - torch.eye(len(gram), dtype=w.dtype))[upper[0], upper[1]]
    return w.new_zeros(0)


class Chart:
    """A parametrisation of a manifold near a point, with its metric.

    Parameters
    ----------
    embed : callable
        Maps coordinates, shape (d,), to the embedding space, shape (n,).
    metric : callable
        Maps a point of the embedding space to the metric there, shape (n, n).
    basis : array of shape (n, d)
        Derivative of `embed` at the origin, with orthogonal columns.
    """

    def __init__(self, embed: Map, metric: Map, basis: Array) -> None:
        self.embed, self.ambient_metric, self.basis = embed, metric, basis
        self.dim = basis.shape[1]
        self._origin = torch.zeros(self.dim, dtype=torch.float64)

    def coordinates(self, tangent: Array) -> Array:
        """Coordinates of a tangent vector at the chart's point."""
        return np.linalg.lstsq(self.basis, np.ravel(tangent), rcond=None)[0]

    def _metric(self, xi: Tensor) -> Tensor:
        jacobian = jacfwd(self.embed)(xi)
        return jacobian.T @ self.ambient_metric(self.embed(xi)) @ jacobian

    def _christoffel(self, xi: Tensor) -> Tensor:
        slope = jacfwd(self._metric)(xi)
        lowered = 0.5 * (slope.permute(2, 0, 1) + slope.permute(0, 2, 1) - slope)
        # lowered[i, j, l] = (d_i g_jl + d_j g_il - d_l g_ij) / 2
        return torch.einsum("kl,ijl->kij", torch.linalg.inv(self._metric(xi)), lowered)

    @property
    def metric(self) -> Array:
        """Metric at the chart's point, shape (d, d)."""
        return self._metric(self._origin).numpy()

    def curvature(self) -> Array:
        """Curvature form ``<R(e_i, e_j) e_k, e_l>``, shape (d, d, d, d)."""
        gamma = self._christoffel(self._origin)
        slope = jacfwd(self._christoffel)(self._origin)
        half = torch.einsum("ljki->ijkl", slope) + torch.einsum("lim,mjk->ijkl", gamma, gamma)
        tensor = half - half.transpose(0, 1)
        return torch.einsum("ijkm,ml->ijkl", tensor, self._metric(self._origin)).numpy()


def component_chart(component: Component, point: Array, copy: int = 0) -> Chart:
    """Chart of one copy of a component around `point`, in units of its radius.

    Parameters
    ----------
    component : Component
    point : array, or a sequence of arrays on a product
    copy : int
    """
    radius = float(component.radii[copy])
    unit = torch.from_numpy(np.reshape(point, (component.k, *component.shape))[copy] / radius)
    kind = component.kind
    jacobian = jacfwd(lambda w: constraint(kind, w))(unit).reshape(-1, unit.numel())
    rank = len(jacobian)
    basis = torch.linalg.svd(jacobian)[2][rank:].T if rank else torch.eye(unit.numel()).double()

    def embed(xi: Tensor) -> Tensor:
        return radius * _near(kind, unit, (basis @ xi).reshape(unit.shape)).reshape(-1)

    def metric(flat: Tensor) -> Tensor:
        eye = torch.eye(flat.numel(), dtype=flat.dtype)
        if not isinstance(component, CanonicalStiefel):
            return eye
        w = flat.reshape(unit.shape) / radius
        half = torch.eye(len(w), dtype=w.dtype) - 0.5 * w @ w.T
        return torch.kron(half, torch.eye(w.shape[1], dtype=w.dtype))

    return Chart(embed, metric, radius * basis.numpy())


def _near(kind: str, w: Tensor, u: Tensor) -> Tensor:
    """A point of the unit manifold near `w`, with derivative the identity at u = 0."""
    if kind == "sphere":
        return (w + u) / torch.linalg.norm(w + u)
    if kind == "oblique":
        return (w + u) / torch.linalg.norm(w + u, dim=0)
    if kind == "stiefel":
        # Cayley transform (Wen & Yin 2013).
        half = u - 0.5 * w @ (w.T @ u)
        skew = half @ w.T - w @ half.T
        eye = torch.eye(len(w), dtype=w.dtype)
        return torch.linalg.inv(eye - 0.5 * skew) @ (eye + 0.5 * skew) @ w
    return w + u


def product_charts(manifold: ScaledProductManifold, point: Sequence[Array]) -> list[Chart]:
    """One chart for each factor (component and copy) of a product.

    Parameters
    ----------
    manifold : ScaledProductManifold
    point : array, or a sequence of arrays on a product
    """
    return [
        component_chart(component, w, copy)
        for component, w in zip(manifold.components, point, strict=True)
        for copy in range(component.k)
    ]


def joined(charts: Sequence[Chart]) -> Chart:
    """The product's own chart: one embedding of all coordinates in one space."""
    sizes = [chart.dim for chart in charts]
    ambient = [len(chart.basis) for chart in charts]

    def embed(xi: Tensor) -> Tensor:
        pieces = torch.split(xi, sizes)
        return torch.cat([c.embed(piece) for c, piece in zip(charts, pieces, strict=True)])

    def metric(flat: Tensor) -> Tensor:
        pieces = torch.split(flat, ambient)
        return torch.block_diag(
            *(c.ambient_metric(piece) for c, piece in zip(charts, pieces, strict=True))
        )

    basis = np.zeros((sum(ambient), sum(sizes)))
    row = column = 0
    for chart in charts:
        rows, columns = chart.basis.shape
        basis[row : row + rows, column : column + columns] = chart.basis
        row, column = row + rows, column + columns
    return Chart(embed, metric, basis)
