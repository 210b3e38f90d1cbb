"""Pymanopt's own submanifolds as components, at any radius."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pymanopt.manifolds.manifold import RiemannianSubmanifold

from fgmanifolds.geometry.arrays import Array, RandomState, leading
from fgmanifolds.geometry.checks import CheckedComponent
from fgmanifolds.geometry.curvature import (
    Curved,
    check_embedded,
    gauss_tensor,
    second_fundamental_form,
    tangent_basis,
)
from fgmanifolds.geometry.verbs import Verbs
from fgmanifolds.validation import check_number

__all__ = ["ScaledSubmanifold"]


class ScaledSubmanifold(CheckedComponent, Verbs, Curved, RiemannianSubmanifold):
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

    k = _k = 1

    def __init__(self, manifold: RiemannianSubmanifold, radius: ArrayLike = 1.0) -> None:
        check_embedded(manifold)
        check_number("radius", radius, low=0.0, open_low=True)  # type: ignore[arg-type]
        self.manifold = manifold
        self._r = float(radius)  # type: ignore[arg-type]
        scaled = "" if self._r == 1.0 else f", radius={self._r:.4g}"
        super().__init__(f"ScaledSubmanifold({manifold}{scaled})", manifold.dim)
        with _numpy_seeded(0):
            self.point_shape = np.shape(manifold.random_point())
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

    def _each(self, function: Callable[..., Any], *values: Any) -> list[Any]:
        return [function(self, *values)]

    def _pack(self, parts: Sequence[Any], *, tangent: bool = False) -> Any:
        return parts[0]

    def _call(self, verb: str, homothetic: int, **values: Any) -> Any:
        """Pymanopt's `verb` for each of a batch; the first `homothetic` arguments are over r."""
        arrays = self._arrays(**values)
        lead = arrays[0].shape[: arrays[0].ndim - len(self.point_shape)]
        rows = [
            (array / self._r if position < homothetic else array).reshape(-1, *self.point_shape)
            for position, array in enumerate(arrays)
        ]
        results = [getattr(self.manifold, verb)(*row) for row in zip(*rows, strict=True)]
        if not results:
            return np.zeros((*lead, *self.point_shape))
        stacked = np.stack(results).reshape((*lead, *np.shape(results[0])))
        return stacked if stacked.ndim else stacked.item()

    def inner_product(self, point: Array, tangent_vector_a: Array, tangent_vector_b: Array) -> Any:
        """Frobenius inner product, over the axes of a point.

        Parameters
        ----------
        point, tangent_vector_a, tangent_vector_b : arrays of shape (..., point_shape)
        """
        axes = tuple(range(-len(self.point_shape), 0))
        return np.sum(np.multiply(tangent_vector_a, tangent_vector_b), axis=axes)

    def norm(self, point: Array, tangent_vector: Array) -> Any:
        """Norm of a tangent vector.

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        return np.sqrt(self.inner_product(point, tangent_vector, tangent_vector))

    def projection(self, point: Array, vector: Array) -> Array:
        """Orthogonal projection on the tangent space.

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """
        return self._call("projection", 1, point=point, vector=vector)

    to_tangent_space = projection

    def second_fundamental_form(self, point: Array, u: Array, v: Array) -> Array:
        """Second fundamental form, from the Weingarten map.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        w, u, v = self._arrays(point=point, u=u, v=v)
        rows = zip(*(x.reshape(-1, *self.point_shape) for x in (w / self._r, u, v)), strict=True)
        forms = [second_fundamental_form(self.manifold, *row) / self._r for row in rows]
        return np.reshape(forms, w.shape)

    def weingarten(self, point: Array, tangent_vector: Array, normal_vector: Array) -> Array:
        """Weingarten map.

        Parameters
        ----------
        point, tangent_vector, normal_vector : arrays of shape (..., point_shape)
        """
        values = {"tangent_vector": tangent_vector, "normal_vector": normal_vector}
        return self._call("weingarten", 1, point=point, **values) / self._r

    def exp(self, point: Array, tangent_vector: Array) -> Array:
        """Exponential map.

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        return self._r * self._call("exp", 2, point=point, tangent_vector=tangent_vector)

    def retraction(self, point: Array, tangent_vector: Array) -> Array:
        """Retraction.

        Parameters
        ----------
        point, tangent_vector : arrays of shape (..., point_shape)
        """
        return self._r * self._call("retraction", 2, point=point, tangent_vector=tangent_vector)

    def log(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Array:
        """Logarithm, as pymanopt has it; `certify` changes nothing.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        return self._r * self._call("log", 2, point_a=point_a, point_b=point_b)

    def dist(self, point_a: Array, point_b: Array, *, certify: bool = True) -> Any:
        """Geodesic distance, as pymanopt has it; `certify` changes nothing.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        certify : bool
            Whether a geodesic that is not known to be the shortest is an error.
        """
        return self._r * self._call("dist", 2, point_a=point_a, point_b=point_b)

    geodesic_distance = dist

    def transport(self, point_a: Array, point_b: Array, tangent_vector_a: Array) -> Array:
        """Vector transport.

        Parameters
        ----------
        point_a, point_b, tangent_vector_a : arrays of shape (..., point_shape)
        """
        values = {"point_b": point_b, "tangent_vector_a": tangent_vector_a}
        return self._call("transport", 2, point_a=point_a, **values)

    def random_point(self, rng: RandomState = None, n: int | tuple[int, ...] = ()) -> Array:
        """Draw points as the manifold does; `rng` is a generator or a seed, `n` leading axes.

        Parameters
        ----------
        rng : Generator, int or None
        n : int or tuple of int
            How many.
        """
        axes = leading(n)
        with _numpy_seeded(rng):
            draws = [self._r * self.manifold.random_point() for _ in range(math.prod(axes))]
        shape = np.shape(draws[0]) if draws else self.point_shape
        return np.reshape(draws, (*axes, *shape))

    def random_tangent_vector(
        self, point: Array, rng: RandomState = None, n: int | tuple[int, ...] = ()
    ) -> Array:
        """Draw tangent vectors of norm 1 as the manifold does, `n` for each point.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        rng : Generator, int or None
        n : int or tuple of int
            How many.
        """
        (point,) = self._arrays(point=point)
        points = np.broadcast_to(point, (*leading(n), *point.shape)) / self._r
        with _numpy_seeded(rng):
            draws = [
                self.manifold.random_tangent_vector(w)
                for w in points.reshape(-1, *self.point_shape)
            ]
        return np.reshape(draws, points.shape)

    def zero_vector(self, point: Array) -> Array:
        """Origin of the tangent space."""
        return np.zeros_like(point)

    def riemann_tensor(self, point: Array, u: Array, v: Array, w: Array) -> Array:
        """Riemann tensor by the Gauss equation, from the Weingarten map.

        Parameters
        ----------
        point, u, v, w : arrays of shape (..., point_shape)
        """
        x, u, v, w = self._arrays(point=point, u=u, v=v, w=w)
        stacks = [a.reshape(-1, *self.point_shape) for a in (x, u, v, w)]
        rows = [gauss_tensor(self, *row) for row in zip(*stacks, strict=True)]
        return np.reshape(rows, u.shape)

    def ricci_curvature(self, point: Array, u: Array, v: Array) -> Any:
        """Ricci curvature, a trace over a basis, one for each point.

        Parameters
        ----------
        point, u, v : arrays of shape (..., point_shape)
        """
        self._check_tangents(point, u=u, v=v)
        frames = self.tangent_frames(point)
        total = np.sum(self.curvature_form(point, frames, u, v, frames), axis=0)
        return total if np.ndim(total) else float(total)

    def scalar_curvature(self, point: Array) -> Any:
        """Scalar curvature, a trace over a basis, one for each point."""
        frames = self.tangent_frames(point)
        rows = [self.curvature_form(point, frames, e, e, frames) for e in frames]
        total = np.sum(rows, axis=(0, 1))
        return total if np.ndim(total) else float(total)

    def tangent_frames(self, point: Array) -> Array:
        """Orthonormal bases of the tangent spaces, shape ``(dim, *point.shape)``."""
        (point,) = self._arrays(point=point)
        points = point.reshape(-1, *self.point_shape) / self._r
        frames = np.stack([tangent_basis(self.manifold, w) for w in points], axis=1)
        return frames.reshape(self.dim, *point.shape)

    def coordinates(self, point: Array, vector: Array) -> Array:
        """Coordinates in the basis :meth:`tangent_frames`, shape (..., dim).

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """
        frames = self.tangent_frames(point)
        return np.moveaxis(np.asarray(self.inner_product(point, frames, vector)), 0, -1)

    def vector(self, point: Array, coordinates: ArrayLike) -> Array:
        """Tangent vector of the `coordinates` that :meth:`coordinates` gives.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        coordinates : array of shape (..., dim)
        """
        c = np.asarray(coordinates, dtype=float)
        if c.shape[-1:] != (self.dim,):
            raise ValueError(f"coordinates has shape {c.shape}; the last axis must be {self.dim}.")
        weights = np.moveaxis(c, -1, 0)
        weights = weights.reshape(*weights.shape, *(1,) * len(self.point_shape))
        frames = self.tangent_frames(point)
        lead = weights.ndim - frames.ndim
        frames = frames.reshape(self.dim, *(1,) * lead, *frames.shape[1:]) if lead > 0 else frames
        return np.sum(weights * frames, axis=0)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ScaledSubmanifold)
            and (type(self.manifold), str(self.manifold), self._r)
            == (type(other.manifold), str(other.manifold), other._r)
            and all(
                np.array_equal(mine, vars(other.manifold).get(name))
                for name, mine in vars(self.manifold).items()
                if isinstance(mine, np.ndarray)
            )
        )

    def __hash__(self) -> int:
        return hash((type(self.manifold), str(self.manifold), self._r))

    def extremal_planes(self) -> Any:
        """Not known for manifolds of pymanopt."""
        raise self._unknown("the planes of extremal curvature")

    def _unknown(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{what} of {self} is not known: pymanopt does not give it.")

    @property
    def sectional_curvature_bounds(self) -> tuple[float, float]:
        """Range of the sectional curvature, where it is known; else ``NotImplementedError``."""
        from fgmanifolds.geometry.known_bounds import known_curvature_bounds

        bounds = known_curvature_bounds(self.manifold)
        if bounds is None:
            raise self._unknown("the range of the sectional curvature")
        return bounds[0] / self._r**2, bounds[1] / self._r**2

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
        """Not known for manifolds of pymanopt.

        Parameters
        ----------
        point, direction, tangent_vector : arrays of shape (..., point_shape)
        """
        raise self._unknown("the parallel transport")

    def inverse_retraction(self, point_a: Array, point_b: Array) -> Array:
        """Not known for manifolds of pymanopt.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        """
        raise self._unknown("the inverse retraction")

    def log_certified(self, point_a: Array, point_b: Array) -> tuple[Array, Any]:
        """Not known for manifolds of pymanopt.

        Parameters
        ----------
        point_a, point_b : arrays of shape (..., point_shape)
        """
        raise self._unknown("whether the logarithm is the shortest one")

    def check_point(self, point: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` unless `point` has the right shape and is finite.

        Whether it lies on the manifold cannot be checked: pymanopt has no test for it.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        tol : float
            Relative to the norm of the point.
        """
        self._check_point_shape("point", point)


@contextmanager
def _numpy_seeded(rng: RandomState) -> Iterator[None]:
    """Pymanopt draws from NumPy's global generator: seed it, and put it back."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(np.random.default_rng(rng).integers(2**32))  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
