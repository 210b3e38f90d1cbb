"""A component or product as a geomstats space; made by :func:`fgmanifolds.as_geomstats`.

Importing this module imports geomstats; the rest of the package does without it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

if os.environ.get("GEOMSTATS_BACKEND", "numpy") != "numpy":
    raise ImportError(
        f"GEOMSTATS_BACKEND={os.environ['GEOMSTATS_BACKEND']!r}: as_geomstats works on NumPy "
        "arrays and needs geomstats' numpy backend."
    )

from geomstats.geometry.manifold import Manifold
from geomstats.geometry.riemannian_metric import RiemannianMetric

from fgmanifolds.geometry.arrays import Array
from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.product import ScaledProductManifold

__all__ = ["GeomstatsMetric", "GeomstatsSpace"]


class GeomstatsSpace(Manifold):
    """A manifold of this package with geomstats' verbs; see :func:`fgmanifolds.as_geomstats`."""

    def __init__(self, manifold: Component | ScaledProductManifold, equip: bool = True) -> None:
        self.manifold = manifold
        self._product = isinstance(manifold, ScaledProductManifold)
        self._factors = manifold.components if self._product else (manifold,)
        self._shapes = [factor.point_shape for factor in self._factors]
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        self._ends = np.cumsum(sizes)[:-1]
        shape = (sum(sizes),) if self._product else self._shapes[0]
        super().__init__(dim=int(manifold.dim), shape=shape, intrinsic=False, equip=equip)

    def __repr__(self) -> str:
        return f"GeomstatsSpace({self.manifold!r}, shape={self.shape})"

    @staticmethod
    def default_metric() -> type[GeomstatsMetric]:
        """Metric with which the space is equipped."""
        return GeomstatsMetric

    def project_from_product(self, point: Array) -> Any:
        """Split a point (or tangent vector) as the manifold's own methods take it."""
        if not self._product:
            return np.asarray(point)
        point = np.asarray(point)
        parts = np.split(point, self._ends, axis=-1)
        return [p.reshape(*p.shape[:-1], *s) for p, s in zip(parts, self._shapes, strict=True)]

    def embed_to_product(self, factors: Any) -> Array:
        """Inverse of :meth:`project_from_product`."""
        if not self._product:
            return np.asarray(factors)
        lead = [
            np.shape(f)[: np.ndim(f) - len(s)] for f, s in zip(factors, self._shapes, strict=True)
        ]
        batch = np.broadcast_shapes(*lead)
        flat = [
            np.broadcast_to(f, (*batch, *s)).reshape(*batch, -1)
            for f, s in zip(factors, self._shapes, strict=True)
        ]
        return np.concatenate(flat, axis=-1)

    def belongs(self, point: Array, atol: float = 1e-10) -> Any:
        """Whether each point is on the manifold, up to `atol` relative to its size.

        Parameters
        ----------
        point : array of shape (..., shape)
        atol : float
        """
        point = np.asarray(point)
        if point.shape[point.ndim - self.point_ndim :] != self.shape:
            return np.zeros(point.shape[: max(point.ndim - self.point_ndim, 0)], dtype=bool)
        nearest = self.projection(point)
        return self._size(point - nearest) <= atol * np.maximum(self._size(nearest), 1.0)

    def is_tangent(self, vector: Array, base_point: Array, atol: float = 1e-10) -> Any:
        """Whether each vector is tangent at its base point.

        Parameters
        ----------
        vector, base_point : arrays of shape (..., shape)
        atol : float
        """
        normal = np.asarray(vector) - self.to_tangent(vector, base_point)
        return self._size(normal) <= atol * np.maximum(self._size(np.asarray(vector)), 1.0)

    def to_tangent(self, vector: Array, base_point: Array) -> Array:
        """Orthogonal projection on the tangent space.

        Parameters
        ----------
        vector, base_point : arrays of shape (..., shape)
        """
        split = self.project_from_product
        return self.embed_to_product(self.manifold.projection(split(base_point), split(vector)))

    def projection(self, point: Array) -> Array:
        """Nearest point of the manifold."""
        return self.embed_to_product(self.manifold.nearest_point(self.project_from_product(point)))

    def random_point(self, n_samples: int = 1, bound: float = 1.0) -> Array:
        """Draw uniform points, with geomstats' (NumPy's global) random state.

        Parameters
        ----------
        n_samples : int
        bound : float
            Standard deviation in Euclidean components.
        """
        rng = np.random.default_rng(np.random.randint(2**31, size=4))  # noqa: NPY002
        draws = [self.embed_to_product(self._draw(rng, bound)) for _ in range(n_samples)]
        return draws[0] if n_samples == 1 else np.stack(draws)

    def _draw(self, rng: np.random.Generator, bound: float) -> Any:
        point = self.manifold.random_point(rng)
        parts = point if self._product else [point]
        parts = [
            bound * part if factor.kind == "euclidean" else part
            for factor, part in zip(self._factors, parts, strict=True)
        ]
        return parts if self._product else parts[0]

    def _size(self, vector: Array) -> Array:
        return np.sqrt(np.sum(vector**2, axis=tuple(range(-self.point_ndim, 0))))


class GeomstatsMetric(RiemannianMetric):
    """The metric of a :class:`GeomstatsSpace`; curvature has geomstats' sign, that of eq. (8)."""

    _space: GeomstatsSpace

    def _call(self, verb: str, *arguments: Array) -> Any:
        split = self._space.project_from_product
        return getattr(self._space.manifold, verb)(*(split(a) for a in arguments))

    def _vector(self, verb: str, *arguments: Array) -> Array:
        return self._space.embed_to_product(self._call(verb, *arguments))

    def inner_product(
        self, tangent_vec_a: Array, tangent_vec_b: Array, base_point: Array | None = None
    ) -> Any:
        """Inner product of tangent vectors.

        Parameters
        ----------
        tangent_vec_a, tangent_vec_b, base_point : arrays of shape (..., shape)
        """
        if base_point is None:
            raise ValueError("base_point=None: the metric needs the point of the vectors.")
        return self._call("inner_product", base_point, tangent_vec_a, tangent_vec_b)

    def exp(self, tangent_vec: Array, base_point: Array) -> Array:
        """Exponential map.

        Parameters
        ----------
        tangent_vec, base_point : arrays of shape (..., shape)
        """
        return self._vector("exp", base_point, tangent_vec)

    def log(self, point: Array, base_point: Array) -> Array:
        """Logarithm.

        Parameters
        ----------
        point, base_point : arrays of shape (..., shape)
        """
        return self._vector("log", base_point, point)

    def dist(self, point_a: Array, point_b: Array) -> Any:
        """Geodesic distance.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., shape)
        """
        return self._call("dist", point_a, point_b)

    def squared_dist(self, point_a: Array, point_b: Array) -> Any:
        """Squared geodesic distance.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., shape)
        """
        return self.dist(point_a, point_b) ** 2

    def parallel_transport(
        self,
        tangent_vec: Array,
        base_point: Array,
        direction: Array | None = None,
        end_point: Array | None = None,
    ) -> Array:
        """Parallel transport along `direction`, or along the geodesic to `end_point`.

        Parameters
        ----------
        tangent_vec, base_point, direction, end_point : arrays of shape (..., shape)
        """
        if end_point is not None and direction is None:
            direction = self.log(end_point, base_point)
        elif end_point is not None or direction is None:
            raise ValueError("Give either direction or end_point.")
        return self._vector("parallel_transport", base_point, direction, tangent_vec)

    def curvature(
        self, tangent_vec_a: Array, tangent_vec_b: Array, tangent_vec_c: Array, base_point: Array
    ) -> Array:
        """Riemann tensor ``R(a, b) c``.

        Parameters
        ----------
        tangent_vec_a, tangent_vec_b, tangent_vec_c, base_point : arrays of shape (..., shape)
        """
        vectors = tangent_vec_a, tangent_vec_b, tangent_vec_c
        return self._vector("riemann_tensor", base_point, *vectors)

    def sectional_curvature(
        self, tangent_vec_a: Array, tangent_vec_b: Array, base_point: Array
    ) -> Any:
        """Sectional curvature; nan with a warning where the vectors span no plane.

        Parameters
        ----------
        tangent_vec_a, tangent_vec_b, base_point : arrays of shape (..., shape)
        """
        return self._call("sectional_curvature", base_point, tangent_vec_a, tangent_vec_b)

    def scalar_curvature(self, base_point: Array) -> Any:
        """Scalar curvature, one for each point."""
        return self._call("scalar_curvature", base_point)

    def curvature_derivative(
        self,
        tangent_vec_a: Array,
        tangent_vec_b: Array,
        tangent_vec_c: Array,
        tangent_vec_d: Array,
        base_point: Array,
    ) -> Array:
        """Covariant derivative ``(D_a R)(b, c) d`` of the curvature.

        Parameters
        ----------
        tangent_vec_a, tangent_vec_b, tangent_vec_c : arrays of shape (..., shape)
        tangent_vec_d, base_point : arrays of shape (..., shape)
        """
        vectors = tangent_vec_a, tangent_vec_b, tangent_vec_c, tangent_vec_d
        return self._vector("curvature_derivative", base_point, *vectors)

    def riemann_tensor(self, base_point: Array) -> Array:
        """Riemann tensor in the orthonormal basis of the manifold's ``vector``.

        Returns
        -------
        array of shape (..., dim, dim, dim, dim)
            Entry (i, j, k, l) is component l of ``R(e_j, e_k) e_i``, as geomstats has it.
        """
        dim = self._space.dim
        m: Any = self._space.manifold
        point = self._space.project_from_product(np.asarray(base_point))
        here = point
        for _ in range(3):
            here = m._with_sample_axis(here)
        lead = np.shape(base_point)[: np.ndim(base_point) - self._space.point_ndim]
        eye = np.broadcast_to(np.eye(dim), (*lead, dim, dim))
        rows = (eye[..., :, None, None, :], eye[..., None, :, None, :], eye[..., None, None, :, :])
        i, j, k = (m.vector(here, row) for row in rows)
        return np.asarray(m.coordinates(here, m.riemann_tensor(here, j, k, i)))

    def injectivity_radius(self, base_point: Array | None = None) -> Any:
        """Injectivity radius, the same at every point: one for each."""
        radius = self._space.manifold.injectivity_radius
        if base_point is None:
            return radius
        point = np.asarray(base_point)
        lead = point.shape[: point.ndim - self._space.point_ndim]
        return np.full(lead, radius) if lead else radius
