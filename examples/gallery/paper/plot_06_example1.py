"""
Example 1, as Figures 1 and 2
=============================

A layer of 4 input and 6 output channels, its 24 kernels dealt over spheres and Stiefel manifolds.
PI splits the kernels of each input, PO those of each output, PIO a half of the grid by inputs and
the rest by outputs.
"""

from fgmanifolds.plot import scheme_sets, weight_sets

manifolds = ("sphere", "stiefel")
pi, po, pio = (
    weight_sets({scheme.upper(): scheme_sets(4, 6, scheme, manifolds)})
    for scheme in ("pi", "po", "pio")
)
