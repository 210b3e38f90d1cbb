"""POMs of an adapter as pymanopt manifolds, with points and problems."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence

import pymanopt
from torch import Tensor

from fgmanifolds.geometry import ScaledProductManifold
from fgmanifolds.geometry.arrays import Array
from fgmanifolds.torch import poms
from fgmanifolds.torch.layer import POMLayer
from fgmanifolds.torch.problem import pom_problem

__all__ = ["PomAccess"]


class PomAccess(abc.ABC):
    """Single POMs of a collection; a part of :class:`fgmanifolds.torch.POMAdapter`."""

    @abc.abstractmethod
    def layer(self, name: str) -> POMLayer:
        """See :meth:`fgmanifolds.torch.POMAdapter.layer`."""

    def pom_names(self, layer: str) -> list[str]:
        """Names of the POMs of a layer: channels, and number and kind of components."""
        return poms.pom_names(self.layer(layer))

    def weight_sets(self, layer: str) -> list[tuple[str, list[tuple[int, int]]]]:
        """Sets of a layer, in the order of its POMs.

        Returns
        -------
        list of (manifold, list of (output, input))
            For each POM its manifold, and the channels of the layer that its weights connect.
        """
        return poms.weight_sets(self.layer(layer))

    def manifold(self, layer: str, pom: int) -> ScaledProductManifold:
        """POM number `pom` of a layer, at its present radii.

        Components of equal shape and manifold stand as the copies of one component.

        Parameters
        ----------
        layer : str
            Name of the layer in the model.
        pom : int
            Number of the POM, from 0.
        """
        return poms.pom_manifold(self.layer(layer), pom)

    def point(self, layer: str, pom: int) -> list[Array]:
        """The present weight on POM number `pom` of a layer, as float64 arrays.

        Parameters
        ----------
        layer : str
            Name of the layer in the model.
        pom : int
            Number of the POM, from 0.
        """
        found = self.layer(layer)
        return poms.pom_entries(found, pom, found.weight.detach())

    def load_point_(self, layer: str, pom: int, point: Sequence[Array], tol: float = 1e-6) -> None:
        """Store a point of POM number `pom` in the layer's weight.

        Parameters
        ----------
        layer : str
            Name of the layer in the model.
        pom : int
            Number of the POM, from 0.
        point : sequence of arrays
            One for each component.
        tol : float
            Largest relative distance of the point from the manifold.

        Raises
        ------
        ValueError
            If the point is off the POM by more than `tol`; the weight is unchanged then.
        """
        self.manifold(layer, pom).check_point(point, tol=tol)
        poms.load_pom_point_(self.layer(layer), pom, list(point))

    def problem(self, layer: str, pom: int, closure: Callable[[], Tensor]) -> pymanopt.Problem:
        """A loss as a function of one POM of the network, for the optimizers of pymanopt.

        Parameters
        ----------
        layer : str
        pom : int
        closure : callable
            Evaluates the model and returns the loss, differentiable twice for
            optimizers that use Hessians. The POM's weights are written to the model at
            every evaluation; all others stay as they are.

        Returns
        -------
        pymanopt.Problem
        """
        return pom_problem(self.layer(layer), pom, closure)
