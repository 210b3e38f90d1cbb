"""Retractions as objects: how a component moves along a tangent vector without geodesics.

A retraction acts on the unit manifold of a component; radii are the component's matter.
One of your own is a subclass with a name, an order, and ``apply``::

    class Twice(Retraction):
        name, order = "twice", 1

        def apply(self, manifold, point, tangent):
            return ...

    Sphere(3, 1, retraction=Twice())
"""

from __future__ import annotations

import abc
import math
from typing import ClassVar

import numpy as np
from scipy.linalg import solve_sylvester

from fgmanifolds.geometry.arrays import Array, inner, transposed
from fgmanifolds.geometry.unit import UnitManifold
from fgmanifolds.validation import check_choice

__all__ = ["RETRACTIONS", "Exponential", "Polar", "Projection", "Qr", "Retraction", "as_retraction"]

#: An inverse retraction must lead back to the point within this distance, at unit radius.
BACK = 1e-6


class Retraction(abc.ABC):
    """A map from tangent spaces to the manifold, with value w and derivative the identity at 0.

    Attributes
    ----------
    name : str
    order : float
        1, or 2 if it agrees with the exponential map up to terms of third order; inf for the
        exponential map itself.
    drifts : bool
        Whether rounding takes a chain of steps away from the manifold.
    """

    name: ClassVar[str]
    order: ClassVar[float]
    drifts: ClassVar[bool] = False

    @abc.abstractmethod
    def apply(self, manifold: UnitManifold, point: Array, tangent: Array) -> Array:
        """Point of the unit manifold; `point` and `tangent` have the same leading axes.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, tangent : arrays of shape (..., point_shape)
        """

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """Tangent vector at `point` that :meth:`apply` takes to `other`.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, other : arrays of shape (..., point_shape)

        Raises
        ------
        ValueError
            If there is none.
        NotImplementedError
            If the retraction has no inverse here.
        """
        raise NotImplementedError(f"the retraction {self.name!r} gives no inverse.")

    def __repr__(self) -> str:
        return f"<retraction {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class Exponential(Retraction):
    """The exponential map itself, with the logarithm as its inverse."""

    name = "exp"
    order = math.inf

    def apply(self, manifold: UnitManifold, point: Array, tangent: Array) -> Array:
        """As :class:`Retraction` says.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, tangent : arrays of shape (..., point_shape)
        """
        return manifold._settle(manifold._exp(point, tangent))

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """As :class:`Retraction` says.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, other : arrays of shape (..., point_shape)
        """
        return manifold._log(point, other)


class Projection(Retraction):
    """Nearest point to ``w + v``: normalisation on spheres and oblique manifolds; second order.

    Absil & Malick (2012). The inverse is the tangent v with ``w + v`` in the normal
    space at the other point, a linear system.
    """

    name = "projection"
    order = 2

    def apply(self, manifold: UnitManifold, point: Array, tangent: Array) -> Array:
        """As :class:`Retraction` says.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, tangent : arrays of shape (..., point_shape)
        """
        return manifold._nearest(point + tangent)

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """As :class:`Retraction` says.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, other : arrays of shape (..., point_shape)
        """
        here, there = manifold._unit_basis(point), manifold._unit_basis(other)
        matrix = np.einsum("...aij,...bij->...ab", there, here)
        target = np.einsum("...dij,...ij->...d", there, other - point)
        try:
            coordinates = np.linalg.solve(matrix, target[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise _no_inverse(self, 1) from None
        tangent = np.einsum("...d,...dij->...ij", coordinates, here)
        return _checked(self, manifold, point, other, tangent)


class Polar(Projection):
    """Orthogonal factor of the polar decomposition of ``w + v``; second order."""

    name = "polar"

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """``y S - w`` with symmetric S from ``M S + S M^T = 2 I``, ``M = w^T y``.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, other : arrays of shape (..., point_shape)
        """
        product = transposed(point) @ other
        flat = product.reshape(-1, *product.shape[-2:])
        eye = 2 * np.eye(flat.shape[-1])
        solutions = np.stack([solve_sylvester(m, m.T, eye) for m in flat])
        s = solutions.reshape(product.shape)
        return _checked(self, manifold, point, other, other @ s - point)


class Qr(Retraction):
    """Q of the QR decomposition of ``w + v``, with positive diagonal of R; first order.

    Without the sign the retraction of the zero vector would not be the point itself.
    """

    name = "qr"
    order = 1

    def apply(self, manifold: UnitManifold, point: Array, tangent: Array) -> Array:
        """As :class:`Retraction` says.

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, tangent : arrays of shape (..., point_shape)
        """
        q, r = np.linalg.qr(point + tangent)
        diagonal = np.diagonal(r, axis1=-2, axis2=-1)
        return q * np.where(diagonal < 0, -1.0, 1.0)[..., None, :]

    def inverse(self, manifold: UnitManifold, point: Array, other: Array) -> Array:
        """``y R - w`` with upper triangular R, column by column (Kaneko, Fiori & Tanaka 2013).

        Parameters
        ----------
        manifold : object
            Named in the error.
        point, other : arrays of shape (..., point_shape)
        """
        product = transposed(point) @ other
        columns = product.shape[-1]
        r = np.zeros(product.shape)
        for j in range(columns):
            # (M R)_ij + (M R)_ji = 0 above the diagonal, (M R)_jj = 1 on it.
            right = np.ones((*product.shape[:-2], j + 1))
            known = product[..., j, None, :] @ r[..., :, :j]
            right[..., :j] = -known[..., 0, :]
            block = product[..., : j + 1, : j + 1]
            if np.any(np.abs(np.linalg.det(block)) < np.finfo(float).eps):
                raise _no_inverse(self, 1)
            r[..., : j + 1, j] = np.linalg.solve(block, right[..., None])[..., 0]
        return _checked(self, manifold, point, other, other @ r - point)


def _no_inverse(retraction: Retraction, count: int) -> ValueError:
    return ValueError(
        f"the retraction {retraction.name!r} does not reach {count} of the points: they are too "
        "far from where it starts."
    )


def _checked(
    retraction: Retraction, manifold: UnitManifold, point: Array, other: Array, tangent: Array
) -> Array:
    """`tangent`, if the retraction does take it to `other` (factors can have the wrong sign)."""
    back = retraction.apply(manifold, point, tangent) - other
    missed = np.count_nonzero(~(np.sqrt(inner(back, back)) <= BACK))
    if missed:
        raise _no_inverse(retraction, int(missed))
    return manifold._tangent_part(point, tangent)


#: Retractions by name.
RETRACTIONS: dict[str, Retraction] = {
    retraction.name: retraction for retraction in (Qr(), Polar(), Projection(), Exponential())
}


def as_retraction(retraction: str | Retraction, allowed: tuple[str, ...]) -> Retraction:
    """Give the retraction of a name among `allowed`, or the retraction itself.

    Parameters
    ----------
    retraction : str or Retraction
    allowed : sequence of str
    """
    if isinstance(retraction, Retraction):
        return retraction
    check_choice("retraction", retraction, allowed)
    return RETRACTIONS[retraction]
