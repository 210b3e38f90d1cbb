"""Pymanopt's own submanifolds as components, at any radius."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import RiemannianSubmanifold

from fgmanifolds.geometry.arrays import Array, RandomState
from fgmanifolds.geometry.curvature import (
    Curved,
    check_embedded,
    gauss_tensor,
    second_fundamental_form,
    tangent_basis,
)
from fgmanifolds.validation import check_number

__all__ = ["ScaledSubmanifold"]


class ScaledSubmanifold(Curved, RiemannianSubmanifold):
    """A Riemannian submanifold of pymanopt, scaled by a radius.

    The points are `radius` times those of the given manifold. What pymanopt
    lacks for it (bounds of its curvature, its nearest point) this class lacks too.

    Parameters
    ----------
    manifold : pymanopt RiemannianSubmanifold
        Its points must be single real arrays, its tangent vectors arrays of the
        embedding space, and it must have a ``weingarten``.
    radius : float

    Raises
    ------
    TypeError
        If `manifold` is anything else.
    ValueError
        If `radius` is not positive and finite.
    """

    k = 1

    def __init__(self, manifold: RiemannianSubmanifold, radius: ArrayLike = 1.0) -> None:
        check_embedded(manifold)
        check_number("radius", radius, low=0.0, open_low=True)  # type: ignore[arg-type]
        self.manifold = manifold
        self._r = float(radius)  # type: ignore[arg-type]
        scaled = "" if self._r == 1.0 else f", radius={self._r:.4g}"
        super().__init__(f"ScaledSubmanifold({manifold}{scaled})", manifold.dim)
        self.point_shape = np.shape(self.random_point(0))
        # As components have it, for tables.
        self.shape = self.point_shape

    @property
    def radius(self) -> float:
        """Factor by which the points are larger than those of the manifold."""
        return self._r

    @property
    def radii(self) -> Array:
        """The radius as an array of shape (1,)."""
        return np.array([self._r])

    def with_radius(self, radius: ArrayLike) -> ScaledSubmanifold:
        """Return the same manifold at another radius."""
        return ScaledSubmanifold(self.manifold, radius)

    def __repr__(self) -> str:
        return self._name

    @property
    def typical_dist(self) -> float:
        """A length of the order of the diameter."""
        return self._r * self.manifold.typical_dist

    def inner_product(self, point: Array, tangent_vector_a: Array, tangent_vector_b: Array) -> Any:
        """Frobenius inner product, over the axes of a point."""
        axes = tuple(range(-len(self.point_shape), 0))
        return np.sum(np.multiply(tangent_vector_a, tangent_vector_b), axis=axes)

    def norm(self, point: Array, tangent_vector: Array) -> Any:
        """Norm of a tangent vector."""
        return np.sqrt(self.inner_product(point, tangent_vector, tangent_vector))

    def projection(self, point: Array, vector: Array) -> Array:
        """Orthogonal projection on the tangent space."""
        return self.manifold.projection(point / self._r, vector)

    to_tangent_space = projection

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Second fundamental form, from the Weingarten map."""
        return second_fundamental_form(self.manifold, point / self._r, u, v) / self._r

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Weingarten map."""
        return self.manifold.weingarten(point / self._r, tangent_vector, normal_vector) / self._r

    def exp(self, point: Array, tangent_vector: Array) -> Array:
        """Exponential map."""
        return self._r * self.manifold.exp(point / self._r, tangent_vector / self._r)

    def retraction(self, point: Array, tangent_vector: Array) -> Array:
        """Retraction."""
        return self._r * self.manifold.retraction(point / self._r, tangent_vector / self._r)

    def log(self, point_a: Array, point_b: Array) -> Array:
        """Logarithm."""
        return self._r * self.manifold.log(point_a / self._r, point_b / self._r)

    def dist(self, point_a: Array, point_b: Array) -> Any:
        """Geodesic distance."""
        return self._r * self.manifold.dist(point_a / self._r, point_b / self._r)

    geodesic_distance = dist

    def pair_mean(self, point_a: Array, point_b: Array) -> Array:
        """Midpoint of the shortest geodesic."""
        return self._r * self.manifold.pair_mean(point_a / self._r, point_b / self._r)

    def transport(self, point_a: Array, point_b: Array, tangent_vector_a: Array) -> Array:
        """Vector transport."""
        return self.manifold.transport(point_a / self._r, point_b / self._r, tangent_vector_a)

    def random_point(self, rng: RandomState = None) -> Array:
        """Draw a point as the manifold does; `rng` is a generator or a seed."""
        with _numpy_seeded(rng):
            return self._r * self.manifold.random_point()

    def random_tangent_vector(self, point: Array, rng: RandomState = None) -> Array:
        """Draw a tangent vector of norm 1 as the manifold does."""
        with _numpy_seeded(rng):
            return self.manifold.random_tangent_vector(point / self._r)

    def zero_vector(self, point: Array) -> Array:
        """Origin of the tangent space."""
        return self.manifold.zero_vector(point / self._r)

    def riemann_tensor(self, point: Array, u: Array, v: Array, w: Array) -> Array:
        """Riemann tensor by the Gauss equation, from the Weingarten map."""
        shape = np.broadcast_shapes(np.shape(u), np.shape(v), np.shape(w), self.point_shape)
        stacks = [np.broadcast_to(x, shape).reshape(-1, *self.point_shape) for x in (u, v, w)]
        rows = [gauss_tensor(self, point, *row) for row in zip(*stacks, strict=True)]
        return np.reshape(rows, shape)

    def _subtract(self, v: Array, share: Array, u: Array) -> Array:
        return v - np.reshape(share, (*np.shape(share), *(1,) * len(self.point_shape))) * u

    def tangent_frames(self, point: Array) -> Array:
        """Orthonormal basis of the tangent space."""
        return tangent_basis(self.manifold, point / self._r)

    def _unknown(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{what} of {self} is not known: pymanopt does not give it.")

    @property
    def sectional_curvature_bounds(self) -> tuple[float, float]:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the range of the sectional curvature")

    @property
    def injectivity_radius(self) -> float:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the injectivity radius")

    def residual(self, point: Array) -> float:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the nearest point")

    def nearest_point(self, matrix: Array) -> Array:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the nearest point")

    def parallel_transport(self, point: Array, direction: Array, tangent_vector: Array) -> Array:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the parallel transport")

    def check_point(self, point: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` unless `point` has the right shape and is finite.

        Whether it lies on the manifold cannot be checked: pymanopt has no test for it.
        """
        if np.shape(point) != self.point_shape or not np.all(np.isfinite(point)):
            raise ValueError(f"point of {self} must be finite and of shape {self.point_shape}.")

    def check_tangent(self, point: Array, vector: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` with the measured deviation unless `vector` is tangent."""
        self.check_point(point)
        size = float(np.linalg.norm(vector))
        normal = float(np.linalg.norm(vector - self.projection(point, vector)))
        if normal > tol * size:
            raise ValueError(
                f"vector is not tangent to {self}: its normal part is {normal / size:.3g} "
                f"of its norm, tol={tol:g}."
            )


@contextmanager
def _numpy_seeded(rng: RandomState) -> Iterator[None]:
    """Pymanopt draws from NumPy's global generator: seed it, and put it back."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(np.random.default_rng(rng).integers(2**32))  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
