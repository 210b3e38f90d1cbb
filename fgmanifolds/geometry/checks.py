"""Checks of points, tangent vectors and shapes, for components and their products."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from fgmanifolds.geometry.arrays import Array, matrix_norm

__all__ = ["CheckedComponent", "Checks", "shaped"]

#: Curvatures refuse vectors whose normal part is larger than this share of them.
TANGENT = 1e-5
#: Squared norms below this are near to underflow.
TINY = 1e-250


def shaped(manifold: Any, shape: tuple[int, ...], values: dict[str, Any]) -> list[Array]:
    """Arrays of one shape, with common leading axes.

    Parameters
    ----------
    manifold : object
        Named in the error.
    shape : tuple of int
    values : mapping of str to array
        Arguments by name.

    Raises
    ------
    ValueError
        Naming the argument whose last axes are not `shape`, or the arguments whose leading
        axes do not go together.
    """
    arrays = [np.asarray(value) for value in values.values()]
    common = arrays[0].shape
    if len(common) == len(shape) and all(a.shape == shape for a in arrays):
        return arrays
    for name, array in zip(values, arrays, strict=True):
        if array.shape[array.ndim - len(shape) :] != shape or array.ndim < len(shape):
            raise ValueError(
                f"{name} has shape {array.shape}; {manifold} needs {shape}, or leading axes "
                "before it."
            )
    if all(a.shape == common for a in arrays):
        return arrays
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        given = ", ".join(f"{name} {a.shape}" for name, a in zip(values, arrays, strict=True))
        raise ValueError(
            f"the leading axes of {given} on {manifold} must agree, or be 1, or be missing."
        ) from None


class Checks(abc.ABC):
    """Verbs that say yes or no, from those that raise."""

    @abc.abstractmethod
    def check_point(self, point: Any, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` unless `point` is on the manifold.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        tol : float
            Relative to the norm of the point.
        """

    @abc.abstractmethod
    def check_tangent(self, point: Any, vector: Any, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` unless `vector` is tangent at `point`.

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        tol : float
            Relative to the norm of the point.
        """

    @abc.abstractmethod
    def residual(self, point: Any) -> Any:
        """Relative distance from the manifold, one for each point."""

    @abc.abstractmethod
    def tangent_residual(self, point: Any, vector: Any) -> Any:
        """Norm of the normal part over the norm, one for each vector (0 for a zero vector).

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """

    @abc.abstractmethod
    def _check_point_shape(self, argument: str, value: Any) -> None:
        """Raise ``ValueError`` unless `value` is finite and shaped as a point."""

    def is_point(self, point: Any, tol: float = 1e-8) -> Any:
        """Whether each point is on the manifold, up to `tol` relative to its norm.

        Parameters
        ----------
        point : array of shape (..., point_shape)
        tol : float
            Relative to the norm of the point.

        Returns
        -------
        bool or array of bool
            One for each point; False for what has not a point's shape.
        """
        try:
            self._check_point_shape("point", point)
        except (ValueError, TypeError):
            return False
        return _plain(np.asarray(self.residual(point)) <= tol)

    def is_tangent(self, point: Any, vector: Any, tol: float = 1e-8) -> Any:
        """Whether each vector is tangent at its point, up to `tol` relative to its norm.

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        tol : float
            Relative to the norm of the point.

        Returns
        -------
        bool or array of bool
            One for each vector; False for what has not a point's shape.
        """
        try:
            self._check_point_shape("point", point)
            self._check_point_shape("vector", vector)
        except (ValueError, TypeError):
            return False
        return _plain(np.asarray(self.tangent_residual(point, vector)) <= tol)

    def _check_tangents(self, point: Any, **vectors: Any) -> None:
        """Refuse vectors that are clearly not tangent, before their curvature is taken."""
        for name, vector in vectors.items():
            worst = float(np.max(self.tangent_residual(point, vector), initial=0.0))
            if worst > TANGENT:
                raise ValueError(
                    f"{name} is not tangent to {self}: its normal part is {worst:.3g} of its "
                    f"norm, at most {TANGENT:g} is allowed; project it first."
                )


class CheckedComponent(Checks):
    """Checks of a component."""

    point_shape: tuple[int, ...]
    _k: int

    @abc.abstractmethod
    def nearest_point(self, matrix: Array) -> Array:
        """Nearest point of the manifold."""

    @abc.abstractmethod
    def projection(self, point: Array, vector: Array) -> Array:
        """Orthogonal projection on the tangent space.

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """

    def _arrays(self, **values: Any) -> list[Array]:
        return shaped(self, self.point_shape, values)

    def residual(self, point: Array) -> Any:
        """Largest distance from the manifold over the copies, relative to a point's norm.

        Returns
        -------
        float or array
            One number for each leading axis of the point.
        """
        (point,) = self._arrays(point=point)
        nearest = self.nearest_point(point)
        size = matrix_norm(nearest)
        # Only a Euclidean point can be zero, and none is off its manifold.
        relative = np.divide(
            matrix_norm(point - nearest), size, where=size > 0, out=np.zeros(size.shape)
        )[..., 0, 0]
        return _plain(relative.max(axis=-1) if self._k > 1 else relative)

    def tangent_residual(self, point: Array, vector: Array) -> Any:
        """Norm of the normal part over the norm, one for each vector (0 for a zero vector).

        Parameters
        ----------
        point, vector : arrays of shape (..., point_shape)
        """
        point, vector = self._arrays(point=point, vector=vector)
        normal = vector - self.projection(point, vector)
        size, off = _squares(vector, len(self.point_shape)), _squares(normal, len(self.point_shape))
        if np.any((size < TINY) & np.any(vector != 0)):
            # The squares of tiny vectors lose their digits: take each at the size of 1.
            axes = tuple(range(-len(self.point_shape), 0))
            scale = np.max(np.abs(vector), axis=axes, keepdims=True)
            scale = np.where(scale > 0, scale, 1.0)
            size = _squares(vector / scale, len(axes))
            off = _squares(normal / scale, len(axes))
        share = np.divide(off, size, where=size > 0, out=np.zeros(size.shape))
        return _plain(np.sqrt(share))

    def _check_tangents(self, point: Any, **vectors: Any) -> None:
        n = len(self.point_shape)
        for name, vector in vectors.items():
            w, u = self._arrays(**{"point": point, name: vector})
            normal = u - self.projection(w, u)
            if np.any(_squares(normal, n) > TANGENT**2 * _squares(u, n)):
                super()._check_tangents(w, **{name: u})

    def check_point(self, point: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` with the measured deviation unless `point` is on the manifold.

        Parameters
        ----------
        point : array of shape `point_shape`, or with leading axes
        tol : float
            Largest allowed distance from the manifold, relative to the norm of a point.
        """
        self._check_point_shape("point", point)
        residual = float(np.max(self.residual(point), initial=0.0))
        if not residual <= tol:
            raise ValueError(
                f"point is not on {self}: relative distance {residual:.3g} exceeds tol={tol:g}."
            )

    def check_tangent(self, point: Array, vector: Array, tol: float = 1e-8) -> None:
        """Raise ``ValueError`` with the measured deviation unless `vector` is tangent at `point`.

        Parameters
        ----------
        point, vector : array of shape `point_shape`, or with leading axes
        tol : float
            Largest allowed norm of the normal part, relative to the norm of `vector`.
        """
        self._check_point_shape("point", point)
        self._check_point_shape("vector", vector)
        worst = float(np.max(self.tangent_residual(point, vector), initial=0.0))
        if not worst <= tol:
            raise ValueError(
                f"vector is not tangent to {self}: its normal part is {worst:.3g} "
                f"of its norm, tol={tol:g}."
            )

    def _check_point_shape(self, argument: str, value: Any) -> None:
        (array,) = self._arrays(**{argument: value})
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{argument} on {self} has entries that are not finite.")


def _squares(vector: Array, n: int) -> Array:
    """Squared Frobenius norm over the last n axes."""
    flat = vector.reshape(*vector.shape[: vector.ndim - n], -1)
    return np.asarray(np.einsum("...i,...i->...", flat, flat))


def _plain(value: Any) -> Any:
    """Give a number or a bool where there are no leading axes."""
    return value if np.ndim(value) else value.item()
