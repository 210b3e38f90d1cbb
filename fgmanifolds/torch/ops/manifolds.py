"""Maps of unit components on ``[n, A, B]`` tensors, one entry a manifold: the readable reference.

The formulas are those of :mod:`fgmanifolds.geometry.component`. For small kernels of the four
built-in manifolds :mod:`fgmanifolds.torch.ops.planes` and the C++ step have faster versions,
which are tested against these.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import torch
from torch import Tensor

from fgmanifolds.geometry.component import Component
from fgmanifolds.geometry.registry import COMPONENTS

__all__ = [
    "DRIFTING",
    "KINDS",
    "OPS",
    "RETRACTIONS",
    "ManifoldOps",
    "qr_positive",
    "register_component",
]

#: Manifolds that planes and the C++ step know, by number.
KINDS = ("euclidean", "sphere", "oblique", "stiefel")

#: Ways back to the manifolds; spheres and oblique manifolds normalise, but for "exp".
RETRACTIONS = ("qr", "polar", "cayley", "exp")

#: Retractions along which rounding adds up from step to step.
DRIFTING = ("cayley", "exp")


class ManifoldOps(abc.ABC):
    """What the optimizers need of a manifold, at unit radius; all take and give ``[n, A, B]``."""

    @abc.abstractmethod
    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """Normal part of ambient vectors `u` at points `w`; the tangent part is ``u - normal``.

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        u : Tensor of shape [n, A, B]
        """

    @abc.abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Point for any matrix `x`, with ``normalise(w + v)`` a retraction.

        Of Gaussian matrices it gives the points from which weights start.
        """

    @abc.abstractmethod
    def nearest(self, x: Tensor) -> Tensor:
        """Nearest point to any matrix, in the Frobenius norm."""

    def violation(self, w: Tensor) -> Tensor:
        """Distance of each matrix from the manifold, or a cheaper measure of it; shape [n]."""
        return torch.linalg.matrix_norm(w - self.nearest(w))

    def distance(self, w: Tensor, y: Tensor) -> Tensor:
        """Geodesic distance of points, or an upper bound of it; shape [n].

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        y : Tensor of shape [n, A, B]
        """
        raise NotImplementedError(
            f"{type(self).__name__} gives no distance, which rule='theorem2' needs."
        )

    def exp(self, w: Tensor, v: Tensor) -> Tensor:
        """Exponential map, for ``retraction="exp"``.

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        v : Tensor of shape [n, A, B]
        """
        raise NotImplementedError(
            f"{type(self).__name__} gives no exp, which retraction='exp' needs."
        )

    def step(self, w: Tensor, v: Tensor, longest: float | None) -> Tensor:
        """``normalise(w + v)`` of a tangent vector.

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        v : Tensor of shape [n, A, B]
        longest : float or None
            Largest norm of `v`; None if nobody has looked.
        """
        return self.normalise(w + v)

    def retract(
        self, w: Tensor, v: Tensor, retraction: str, longest: float | None = None
    ) -> Tensor:
        """Go from points along tangent vectors, by one of :data:`RETRACTIONS`.

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        v : Tensor of shape [n, A, B]
        retraction : str
        longest : float or None
            Largest norm of `v`; None if nobody has looked.
        """
        if retraction == "exp":
            return self.exp(w, v)
        return self.nearest(w + v) if retraction == "polar" else self.step(w, v, longest)

    def project(self, w: Tensor, u: Tensor) -> Tensor:
        """Tangent part of ambient vectors.

        Parameters
        ----------
        w : Tensor of shape [n, A, B]
            Points at unit radius.
        u : Tensor of shape [n, A, B]
        """
        return u - self.normal(w, u)


def _matrix_norm(x: Tensor) -> Tensor:
    # In two stages: torch.linalg.matrix_norm adds up the float32 squares of large matrices one
    # by one, which loses three digits, and is a hundred times slower.
    rows = torch.linalg.vector_norm(x, dim=2)
    return torch.linalg.vector_norm(rows, dim=1)[:, None, None]


def _column_norm(x: Tensor) -> Tensor:
    # A sum adds up in pairs, which torch.linalg.vector_norm does not.
    return (x * x).sum(1, keepdim=True).sqrt()


def _divided(x: Tensor, norm: Tensor) -> Tensor:
    return x / norm.clamp(min=torch.finfo(x.dtype).tiny)


def _great_circle(w: Tensor, v: Tensor, length: Tensor) -> Tensor:
    return w * length.cos() + v * torch.special.sinc(length / torch.pi)


def _arc(chord: Tensor) -> Tensor:
    return 2 * (chord / 2).clamp(max=1).asin()


class EuclideanOps(ManifoldOps):
    """All matrices: N(Z) = 0."""

    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return torch.zeros_like(u)

    def normalise(self, x: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return x

    nearest = normalise

    def violation(self, w: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return w.new_zeros(len(w))

    def distance(self, w: Tensor, y: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says; exact."""
        return _matrix_norm(w - y)[:, 0, 0]

    def exp(self, w: Tensor, v: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return w + v

    def project(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return u


class SphereOps(ManifoldOps):
    """N(Z) = tr(Z) I."""

    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return w * torch.linalg.vecdot(w.flatten(1), u.flatten(1))[:, None, None]

    def normalise(self, x: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return _divided(x, _matrix_norm(x))

    nearest = normalise

    def violation(self, w: Tensor) -> Tensor:
        """Squared norm less 1."""
        return (_matrix_norm(w)[:, 0, 0] ** 2 - 1).abs()

    def distance(self, w: Tensor, y: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says; exact, from the chord."""
        return _arc(_matrix_norm(w - y)[:, 0, 0])

    def exp(self, w: Tensor, v: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return _great_circle(w, v, _matrix_norm(v))


class ObliqueOps(ManifoldOps):
    """N(Z) = ddiag(Z)."""

    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return w * torch.linalg.vecdot(w, u, dim=1)[:, None, :]

    def normalise(self, x: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return _divided(x, _column_norm(x))

    nearest = normalise

    def violation(self, w: Tensor) -> Tensor:
        """Largest squared norm of a column less 1."""
        return (_column_norm(w)[:, 0] ** 2 - 1).abs().amax(1)

    def distance(self, w: Tensor, y: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says; exact, from the chords of the columns."""
        return torch.linalg.vector_norm(_arc(_column_norm(w - y)[:, 0]), dim=1)

    def exp(self, w: Tensor, v: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return _great_circle(w, v, _column_norm(v))


def qr_positive(x: Tensor) -> Tensor:
    """Q factor of ``x = QR`` with the diagonal of R positive."""
    q, r = torch.linalg.qr(x)
    signs = torch.where(r.diagonal(dim1=1, dim2=2) < 0, -1.0, 1.0).to(x.dtype)
    return q * signs[:, None, :]


def qr_by_cholesky(x: Tensor) -> Tensor:
    """The same of well-conditioned matrices: ``x L^-T`` with ``x^T x = L L^T``."""
    factor = torch.linalg.cholesky_ex(x.mT @ x).L
    return torch.linalg.solve_triangular(factor.mT, x, upper=True, left=False)


def far(dtype: torch.dtype) -> float:
    """Length in radii up to which two passes of :func:`qr_by_cholesky` are enough: 724 in float32.

    The Gram matrix of a longer one is singular to its type, or nearly so.
    """
    return 0.25 * float(torch.finfo(dtype).eps) ** -0.5


def _symmetric_part(z: Tensor) -> Tensor:
    return (z + z.mT).mul_(0.5)


class StiefelOps(ManifoldOps):
    """N(Z) = sym(Z)."""

    def normal(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says."""
        return w @ _symmetric_part(w.mT @ u)

    def project(self, w: Tensor, u: Tensor) -> Tensor:
        """As :class:`ManifoldOps` says, in one pass over the entries."""
        return torch.baddbmm(u, w, _symmetric_part(w.mT @ u), alpha=-1)

    def normalise(self, x: Tensor) -> Tensor:
        """Q of QR; of a Gaussian matrix it is Haar (Mezzadri 2007)."""
        return qr_positive(x)

    def step(self, w: Tensor, v: Tensor, longest: float | None) -> Tensor:
        """Q by Cholesky where that is safe.

        ``x^T x = I + v^T v``, whose condition number is at most 2 for `v` of norm up to 1. A second
        pass mends what the first has lost of steps up to :func:`far` (CholeskyQR2: Yamamoto et
        al. 2015). Where nobody has looked, longer ones are cut to that.
        """
        limit = far(v.dtype)
        if longest is None:
            v = v * (limit / _matrix_norm(v)).clamp(max=1)
        x = w + v
        if longest is not None and longest > limit:
            return qr_positive(x)
        q = qr_by_cholesky(x)
        return q if longest is not None and longest <= 1 else qr_by_cholesky(q)

    def nearest(self, x: Tensor) -> Tensor:
        """Polar factor."""
        u, _, vh = torch.linalg.svd(x, full_matrices=False)
        return u @ vh

    def violation(self, w: Tensor) -> Tensor:
        """Largest entry of ``w^T w - I``."""
        eye = torch.eye(w.shape[2], dtype=w.dtype, device=w.device)
        return (w.mT @ w - eye).abs().amax((1, 2))

    def distance(self, w: Tensor, y: Tensor) -> Tensor:
        """Upper bound: pi / 2 times the chord (Mataigne, Absil & Miolane 2024)."""
        return 0.5 * torch.pi * _matrix_norm(w - y)[:, 0, 0]

    def exp(self, w: Tensor, v: Tensor) -> Tensor:
        """Geodesic of the embedded metric (Table VIII)."""
        a, s = w.mT @ v, v.mT @ v
        eye = torch.eye(w.shape[2], dtype=w.dtype, device=w.device).expand_as(a)
        block = torch.cat([torch.cat([a, -s], 2), torch.cat([eye, a], 2)], 1)
        first = torch.linalg.matrix_exp(block)[:, :, : w.shape[2]]
        return torch.cat([w, v], 2) @ first @ torch.linalg.matrix_exp(-a)

    def retract(
        self, w: Tensor, v: Tensor, retraction: str, longest: float | None = None
    ) -> Tensor:
        """As :class:`ManifoldOps` says; the Cayley transform is this manifold's own."""
        if retraction != "cayley":
            return super().retract(w, v, retraction, longest)
        return _cayley(w, v)


def _cayley(w: Tensor, v: Tensor) -> Tensor:
    """Cayley transform on the Stiefel manifold (Wen & Yin 2013), by a 2B x 2B system."""
    half = v - 0.5 * w @ (w.mT @ v)
    left, right = torch.cat([half, w], 2), torch.cat([w, -half], 2)
    eye = torch.eye(left.shape[2], dtype=w.dtype, device=w.device)
    system = eye - 0.5 * right.mT @ left
    return w + left @ torch.linalg.solve(system, right.mT @ w)


#: Maps by the name of the manifold.
OPS: dict[str, ManifoldOps] = {
    "euclidean": EuclideanOps(),
    "sphere": SphereOps(),
    "oblique": ObliqueOps(),
    "stiefel": StiefelOps(),
}


def register_component(name: str, component: Callable[..., Component], ops: ManifoldOps) -> None:
    """Let adapters put weights on a manifold of one's own.

    Parameters
    ----------
    name : str
        How `manifolds` and checkpoints call it.
    component : type
        Subclass of :class:`fgmanifolds.Component`: the manifold on NumPy.
    ops : ManifoldOps
        The same on tensors.

    Raises
    ------
    ValueError
        If the name is taken by another class.
    TypeError
        If `component` or `ops` is of another type.
    """
    if not (isinstance(component, type) and issubclass(component, Component)):
        raise TypeError(f"component={component!r}: a subclass of fgmanifolds.Component is needed.")
    if not isinstance(ops, ManifoldOps):
        raise TypeError(f"ops={ops!r}: an instance of a subclass of ManifoldOps is needed.")
    known = COMPONENTS.get(name)
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(f"name={name!r} must be an identifier, such as 'centred_sphere'.")
    if known is not None and known.__qualname__ != component.__qualname__:
        raise ValueError(f"name={name!r} is taken by {known.__name__}.")
    COMPONENTS[name] = component
    OPS[name] = ops
