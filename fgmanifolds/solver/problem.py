"""Costs that are means over data, for stochastic solvers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymanopt import Problem
from pymanopt.autodiff import Function
from pymanopt.manifolds.manifold import Manifold

from fgmanifolds.validation import check_integer

__all__ = ["StochasticProblem"]

Indices = NDArray[np.integer[Any]]


class StochasticProblem(Problem):
    """A pymanopt problem whose cost is a mean over data, drawn in minibatches.

    It is a problem over all of the data for pymanopt's own optimizers, and gives
    costs and gradients of minibatches to :class:`fgmanifolds.FGSGDSolver`.

    Parameters
    ----------
    manifold : pymanopt Manifold
    cost : decorated function
        ``cost(*point, *data)`` with a decorator of :mod:`pymanopt.function`: the
        *mean* over the rows of the data that it is given.
    data : array or tuple of arrays
        Rows are samples; each array becomes one argument of the cost. Give
        arrays of the cost's backend: NumPy arrays, or torch tensors.
    batch_size : int
        At most the number of rows.
    euclidean_gradient, riemannian_gradient : decorated function, optional
        Of the cost, with the same arguments. Needed by the numpy backend.
    seed : int
        Of the order of the data, which is drawn anew for every epoch.
    drop_last : bool
        Whether to leave out a last, smaller minibatch.

    Raises
    ------
    ValueError
        If the arrays differ in their number of rows or have none, the batch size is
        larger than that number, or there is no way to a gradient.
    """

    def __init__(
        self,
        manifold: Manifold,
        cost: Function,
        data: Any,
        batch_size: int,
        *,
        euclidean_gradient: Function | None = None,
        riemannian_gradient: Function | None = None,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.data: tuple[Any, ...] = data if isinstance(data, tuple) else (data,)
        self.n_samples = _number_of_rows(self.data)
        check_integer("batch_size", batch_size, low=1)
        if batch_size > self.n_samples:
            raise ValueError(f"batch_size={batch_size} exceeds the {self.n_samples} rows of data.")
        self.batch_size = int(batch_size)
        self.seed = seed
        self.drop_last = drop_last
        self._selected = self.data
        _check_gradient(cost, euclidean_gradient, riemannian_gradient)
        for name, function in (("cost", cost), ("euclidean_gradient", euclidean_gradient)):
            _check_backend(name, function, self.data)
        super().__init__(
            manifold,
            self._bound(cost, manifold),
            euclidean_gradient=self._bound(euclidean_gradient, manifold),
            riemannian_gradient=self._bound(riemannian_gradient, manifold),
        )

    @property
    def batches_per_epoch(self) -> int:
        """Number of minibatches in one pass over the data."""
        full, rest = divmod(self.n_samples, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, number: int) -> Iterator[Indices]:
        """Row numbers of each minibatch of an epoch; the same for the same seed and number."""
        order = np.random.default_rng([self.seed, number]).permutation(self.n_samples)
        for batch in range(self.batches_per_epoch):
            yield order[batch * self.batch_size : (batch + 1) * self.batch_size]

    @contextmanager
    def minibatch(self, indices: Indices | Sequence[int]) -> Iterator[StochasticProblem]:
        """Within the context, cost and gradients are those of the rows `indices`."""
        self._selected = tuple(array[indices] for array in self.data)
        try:
            yield self
        finally:
            self._selected = self.data

    def _bound(self, function: Function | None, manifold: Manifold) -> Function | None:
        """`function` of the point alone; the data are those selected at the time of the call."""
        if function is None:
            return None
        original: Callable[..., Any] = function._original_function

        def of_point(*point: Any) -> Any:
            return original(*point, *self._selected)

        return Function(function=of_point, manifold=manifold, backend=function._backend)


def _number_of_rows(data: tuple[Any, ...]) -> int:
    lengths = [len(array) for array in data]
    if not lengths or min(lengths) == 0:
        raise ValueError("data is empty; give at least one array with at least one row.")
    if len(set(lengths)) > 1:
        raise ValueError(f"the arrays of data have {lengths} rows; they must agree.")
    return lengths[0]


def _check_gradient(cost: Function, *gradients: Function | None) -> None:
    if not isinstance(cost, Function):
        raise ValueError("cost must be decorated, for instance with pymanopt.function.numpy.")
    if str(cost._backend) == "NumPy" and all(gradient is None for gradient in gradients):
        raise ValueError(
            "the numpy backend cannot differentiate: give euclidean_gradient or "
            "riemannian_gradient, or decorate the cost with another backend."
        )


def _check_backend(name: str, function: Function | None, data: tuple[Any, ...]) -> None:
    if function is not None and str(function._backend) == "PyTorch":
        for position, array in enumerate(data):
            if isinstance(array, np.ndarray):
                raise ValueError(
                    f"{name} is on the pytorch backend, but data[{position}] is a NumPy array; "
                    "give torch.from_numpy of it."
                )
