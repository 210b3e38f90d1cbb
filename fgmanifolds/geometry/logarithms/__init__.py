"""Logarithms: on spheres, on orthogonal groups, and by shooting."""
