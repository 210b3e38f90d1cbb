"""Curvature by the Gauss equation, for any Riemannian submanifold of pymanopt.

Sign convention: ``K(u, v) = <R(u, v) v, u> / (|u|^2 |v|^2 - <u, v>^2)``, positive
on a sphere, as in eqs. (8) and (11). A manifold with a geometry of its own (a
product, or a metric that is not the embedded one) brings its methods; every
other submanifold needs no more than pymanopt's ``projection`` and ``weingarten``.
"""

from __future__ import annotations

import abc
import functools
import warnings
from typing import Any, NamedTuple

import numpy as np
from pymanopt.manifolds.manifold import Manifold, RiemannianSubmanifold

from fgmanifolds.geometry.arrays import Array

__all__ = [
    "Curved",
    "Plane",
    "check_embedded",
    "curvature_form",
    "gauss_tensor",
    "ricci_curvature",
    "riemann_tensor",
    "scalar_curvature",
    "second_fundamental_form",
    "sectional_curvature",
    "tangent_basis",
]

#: Planes whose second vector is this close to the first one (as a sine) have no curvature.
DEGENERATE = 1e-12


class Plane(NamedTuple):
    """A tangent plane: a point and two orthogonal tangent vectors there."""

    point: Any
    u: Any
    v: Any


def tangent_basis(manifold: Manifold, point: Array) -> Array:
    """Orthonormal basis of the tangent space, shape ``(dim, *point.shape)``.

    Parameters
    ----------
    manifold : pymanopt RiemannianSubmanifold
        Points must be single real arrays.
    point : array
    """
    check_embedded(manifold)
    size = int(np.size(point))
    frame = np.eye(size).reshape(size, *np.shape(point))
    projector = np.stack([manifold.projection(point, e) for e in frame]).reshape(size, size)
    vectors = np.linalg.eigh(0.5 * (projector + projector.T))[1]
    return vectors[:, ::-1].T[: manifold.dim].reshape(-1, *np.shape(point))


def second_fundamental_form(manifold: Manifold, point: Array, u: Array, v: Array) -> Array:
    """Second fundamental form ``II(u, v)``, a normal vector.

    From ``<II(u, v), n> = <weingarten(u, n), v>`` on a basis of the normal space,
    unless the manifold has a ``second_fundamental_form`` of its own.

    Parameters
    ----------
    manifold : pymanopt RiemannianSubmanifold
        With a ``weingarten``; its points must be single real arrays.
    point, u, v : array
        A point and two tangent vectors.

    Raises
    ------
    TypeError
        If `manifold` is no submanifold of a space of real arrays.
    """
    if hasattr(manifold, "second_fundamental_form"):
        return manifold.second_fundamental_form(point, u, v)
    basis = tangent_basis(manifold, point)
    flat = basis.reshape(len(basis), -1)
    normals = np.linalg.svd(flat)[2][len(basis) :].reshape(-1, *np.shape(point))
    form = np.zeros(np.shape(point))
    for normal in normals:
        form += np.vdot(manifold.weingarten(point, u, normal), v) * normal
    return form


def check_embedded(manifold: Manifold) -> None:
    """Raise ``TypeError`` unless `manifold` has what the Gauss equation needs."""
    own_vectors = type(manifold).embedding is not Manifold.embedding
    if (
        not isinstance(manifold, RiemannianSubmanifold)
        or manifold.point_layout != 1
        or own_vectors
        or type(manifold).weingarten is RiemannianSubmanifold.weingarten
    ):
        raise TypeError(
            f"{manifold} is not a Riemannian submanifold of a space of arrays, with tangent "
            "vectors in that space; only for those has the Gauss equation what it needs."
        )


def riemann_tensor(manifold: Manifold, point: Any, u: Any, v: Any, w: Any) -> Any:
    """Riemann tensor ``R(u, v) w``, a tangent vector.

    By the Gauss equation, ``<R(u, v) w, z> = <II(u, z), II(v, w)> - <II(u, w), II(v, z)>``.

    Parameters
    ----------
    manifold : pymanopt manifold
        One of this package, or any ``RiemannianSubmanifold`` with a ``weingarten``.
    point, u, v, w
        A point and three tangent vectors.
    """
    if isinstance(manifold, Curved):
        return manifold.riemann_tensor(point, u, v, w)
    check_embedded(manifold)
    return gauss_tensor(manifold, point, u, v, w)


def gauss_tensor(manifold: Manifold, point: Array, u: Array, v: Array, w: Array) -> Array:
    """Right-hand side of the Gauss equation, from the Weingarten map.

    Parameters
    ----------
    manifold : pymanopt manifold
    point, u, v, w : array, or a sequence of arrays on products
    """
    vw = second_fundamental_form(manifold, point, v, w)
    uw = second_fundamental_form(manifold, point, u, w)
    # Pymanopt's Weingarten maps are tangent only up to the projection.
    return manifold.projection(
        point, manifold.weingarten(point, u, vw) - manifold.weingarten(point, v, uw)
    )


def curvature_form(manifold: Manifold, point: Any, u: Any, v: Any, w: Any, z: Any) -> Any:
    """Curvature form ``<R(u, v) w, z>``, eq. (11); on a product the sum of eq. (12).

    Parameters
    ----------
    manifold : pymanopt manifold
    point, u, v, w, z : array, or a sequence of arrays on products
    """
    return manifold.inner_product(point, riemann_tensor(manifold, point, u, v, w), z)


def sectional_curvature(manifold: Manifold, point: Any, u: Any, v: Any) -> Any:
    """Sectional curvature of the plane of `u` and `v`, eq. (8).

    Parameters
    ----------
    manifold : pymanopt manifold
    point, u, v : array, or a sequence of arrays on products

    Returns
    -------
    float or array
        ``nan``, with a ``RuntimeWarning``, where `u` and `v` span no plane.
    """
    if isinstance(manifold, Curved):
        return manifold.sectional_curvature(point, u, v)
    inner = functools.partial(manifold.inner_product, point)
    orthogonal = v - _share(inner(u, u), inner(u, v)) * u
    form = curvature_form(manifold, point, u, orthogonal, orthogonal, u)
    return _quotient(form, inner(u, u), inner(v, v), inner(orthogonal, orthogonal))


def ricci_curvature(manifold: Manifold, point: Any, u: Any, v: Any) -> Any:
    """Ricci curvature ``Ric(u, v)``, the trace of ``z -> R(z, u) v``.

    Parameters
    ----------
    manifold : pymanopt manifold
    point, u, v : array, or a sequence of arrays on products
    """
    if isinstance(manifold, Curved):
        return manifold.ricci_curvature(point, u, v)
    basis = tangent_basis(manifold, point)
    return sum(curvature_form(manifold, point, e, u, v, e) for e in basis)


def scalar_curvature(manifold: Manifold, point: Any) -> float:
    """Scalar curvature, the trace of the Ricci curvature.

    Parameters
    ----------
    manifold : pymanopt manifold
    point : array, or a sequence of arrays on products
    """
    if isinstance(manifold, Curved):
        return manifold.scalar_curvature(point)
    return sum(ricci_curvature(manifold, point, e, e) for e in tangent_basis(manifold, point))


def _share(uu: Any, uv: Any) -> Array:
    """Coefficient c that makes v - c u orthogonal to u."""
    if np.ndim(uu) == 0 and uu > 0:
        return np.asarray(uv / uu)
    return np.divide(uv, uu, out=np.zeros(np.shape(uv)), where=np.asarray(uu) > 0)


def _quotient(form: Any, uu: Any, vv: Any, rest: Any) -> Any:
    """Form over area; `rest` is the squared norm of the part of v that is orthogonal to u."""
    flat = ~(np.asarray(uu) > 0) | ~(np.asarray(rest) > DEGENERATE**2 * np.asarray(vv))
    if np.any(flat):
        warnings.warn(
            "u and v span no plane (zero or parallel vectors): the sectional curvature is nan",
            RuntimeWarning,
            stacklevel=3,
        )
    elif not flat.ndim:
        return float(form / (uu * rest))
    curvature = np.full(np.shape(flat), np.nan)
    np.divide(form, np.asarray(uu) * rest, out=curvature, where=~flat)
    return curvature if curvature.ndim else float(curvature)


class Curved(abc.ABC):
    """The curvatures of a manifold that knows its Riemann tensor.

    Everything takes tangent vectors with leading axes as well, and then
    returns one number for each.
    """

    dim: int

    @abc.abstractmethod
    def inner_product(self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any) -> Any:
        """Riemannian metric.

        Parameters
        ----------
        point, tangent_vector_a, tangent_vector_b : array, or a sequence of arrays on products
        """

    @abc.abstractmethod
    def riemann_tensor(self, point: Any, u: Any, v: Any, w: Any) -> Any:
        """Riemann tensor ``R(u, v) w``, a tangent vector; sign as in eq. (8).

        Parameters
        ----------
        point, u, v, w : array, or a sequence of arrays on products
        """

    @abc.abstractmethod
    def _subtract(self, v: Any, share: Array, u: Any) -> Any:
        """``v - share u``, with one share for each vector."""

    @abc.abstractmethod
    def _check_tangents(self, point: Any, **vectors: Any) -> None:
        """Raise ``ValueError`` naming the vector that is not tangent."""

    @abc.abstractmethod
    def tangent_frames(self, point: Any) -> Any:
        """Orthonormal bases of the factors' tangent spaces, side by side.

        A tangent vector with a leading axis: row i holds the i-th basis vector
        of every factor (zero where a factor has fewer). Traces over the rows
        are traces over the tangent space wherever factors do not couple, as in
        the curvature (Lemma 1).
        """

    def curvature_form(self, point: Any, u: Any, v: Any, w: Any, z: Any) -> Any:
        """Curvature form ``<R(u, v) w, z>``, eq. (11); over factors it is the sum of eq. (12).

        Parameters
        ----------
        point, u, v, w, z : array, or a sequence of arrays on products
        """
        return self.inner_product(point, self.riemann_tensor(point, u, v, w), z)

    def sectional_curvature(self, point: Any, u: Any, v: Any) -> Any:
        """Sectional curvature of the plane of `u` and `v`, eq. (8).

        Over factors it is *not* the sum of their sectional curvatures: it is
        the sum of the forms over the area of the whole plane.

        Parameters
        ----------
        point, u, v : array, or a sequence of arrays on products

        Returns
        -------
        float or array
            ``nan``, with a ``RuntimeWarning``, where `u` and `v` span no plane.

        Raises
        ------
        ValueError
            If `u` or `v` is not tangent.
        """
        self._check_tangents(point, u=u, v=v)
        inner = functools.partial(self.inner_product, point)
        uu, vv = inner(u, u), inner(v, v)
        orthogonal = self._subtract(v, _share(uu, inner(u, v)), u)
        form = self.curvature_form(point, u, orthogonal, orthogonal, u)
        return _quotient(form, uu, vv, inner(orthogonal, orthogonal))

    def curvature_derivative(self, point: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        """Covariant derivative ``(D_a R)(b, c) d`` of the curvature, a tangent vector.

        By central differences of sixth order along the geodesic of `a`, with everything carried
        there and back by parallel transport: exact to about 1e-9 of its size. It is zero on
        symmetric spaces.

        Parameters
        ----------
        point, a, b, c, d : array, or a sequence of arrays on products
        """
        return curvature_derivative(self, point, a, b, c, d)

    @abc.abstractmethod
    def ricci_curvature(self, point: Any, u: Any, v: Any) -> Any:
        """Ricci curvature ``Ric(u, v)``, the trace of ``z -> R(z, u) v``, one for each point.

        Parameters
        ----------
        point, u, v : array, or a sequence of arrays on products
        """

    @abc.abstractmethod
    def scalar_curvature(self, point: Any) -> Any:
        """Scalar curvature, the trace of the Ricci curvature, one for each point."""


#: Weights of a first derivative by central differences of sixth order, at 1, 2 and 3 steps.
CENTRAL = (0.75, -0.15, 1 / 60)


def curvature_derivative(manifold: Any, point: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """See :meth:`Curved.curvature_derivative`."""
    size = np.asarray(manifold.norm(point, a))
    step = 0.02 * float(np.min(manifold.radii))
    unit = manifold._scaled(a, np.divide(step, size, where=size > 0, out=np.zeros(size.shape)))
    total = manifold._scaled(d, np.zeros(size.shape))
    for n, weight in enumerate(CENTRAL, start=1):
        for side in (n, -n):
            moved = _carried_tensor(manifold, point, manifold._scaled(unit, float(side)), b, c, d)
            total = manifold._subtract(total, np.asarray(-weight * np.sign(side)), moved)
    return manifold._scaled(total, size / step)


def _carried_tensor(manifold: Any, point: Any, move: Any, b: Any, c: Any, d: Any) -> Any:
    """``R(b, c) d`` of vectors carried along `move`, carried back."""
    there = manifold.exp(point, move)
    vectors = (manifold.parallel_transport(point, move, x) for x in (b, c, d))
    tensor = manifold.riemann_tensor(there, *vectors)
    back = manifold._scaled(manifold.parallel_transport(point, move, move), -1.0)
    return manifold.parallel_transport(there, back, tensor)
