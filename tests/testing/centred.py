"""A manifold of one's own: spheres of centred kernels, norm r and entries that sum to 0."""

import math

import numpy as np

from fgmanifolds import Component


def inner(u, v):
    return np.sum(u * v, axis=(-2, -1), keepdims=True)


def mean(u):
    return np.mean(u, axis=(-2, -1), keepdims=True)


class CentredSphere(Component):
    """Kernels of norm `radius` whose entries sum to 0."""

    def _unit_dim(self):
        return math.prod(self._shape) - 2

    def _normal_part(self, w, u):
        return w * inner(w, u) + mean(u)

    def _second_fundamental_form(self, w, u, v):
        return -w * inner(u, v)

    def _nearest(self, matrix):
        centred = matrix - mean(matrix)
        return centred / np.sqrt(inner(centred, centred))

    def _exp(self, point, tangent):
        angle = np.sqrt(inner(tangent, tangent))
        return point * np.cos(angle) + tangent * np.sinc(angle / np.pi)
