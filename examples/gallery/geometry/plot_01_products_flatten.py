"""
Products are flatter than their factors
=======================================

A plane whose legs lie in different factors is flat (Lemma 1). The more factors a product has, the
more of a random plane lies across them: the curvatures of random planes gather at 0, while the
tight range stays [0, 1].
"""

from fgmanifolds import ScaledProductManifold, Sphere
from fgmanifolds.plot import curvature_histogram

products = {
    f"product of {n} spheres of 3 x 3 matrices": ScaledProductManifold([Sphere(3, 3, k=n)])
    for n in (1, 2, 4, 16)
}
figure = curvature_histogram(products)
