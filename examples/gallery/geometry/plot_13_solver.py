"""
FG-SGD as a pymanopt optimizer
==============================

A cost that is a mean over data, in minibatches, on a sphere of radius 2: the path of FG-SGD to
the leading direction of the data.
"""

import matplotlib.pyplot as plt
import numpy as np
import pymanopt

from fgmanifolds import FGSGDSolver, Sphere, StochasticProblem
from fgmanifolds.plot import two_sphere
from fgmanifolds.solver import robbins_monro

sphere = Sphere(3, 1, radius=2)
axis = np.array([0.5, 0.3, 0.81])
data = np.random.default_rng(0).standard_normal((400, 3)) @ (0.3 * np.eye(3) + np.outer(axis, axis))


@pymanopt.function.numpy(sphere)
def cost(w, x):
    return -float(np.mean((x @ w) ** 2))


@pymanopt.function.numpy(sphere)
def gradient(w, x):
    return -2 * x.T @ (x @ w) / len(x)


path = []
solver = FGSGDSolver(
    robbins_monro(0.5, 20), max_iterations=150, verbosity=0,
    callback=lambda step: path.append(np.array(step.point)),
)  # fmt: skip
problem = StochasticProblem(sphere, cost, data, batch_size=20, euclidean_gradient=gradient)
result = solver.run(problem, initial_point=np.array([[1.6], [-1.2], [0.0]]))
print(result.stopping_criterion)

leading = 2 * np.linalg.eigh(data.T @ data)[1][:, -1]
leading *= np.sign(leading @ result.point[:, 0])
fig = plt.figure(figsize=(5.6, 4.8), layout="constrained")
ax = two_sphere(fig, radius=2)
places = np.stack(path)[:, :, 0]
ax.plot(*places.T, ".-", linewidth=1, markersize=3, label="path of FG-SGD")
ax.scatter(*leading, color="tab:red", marker="*", s=120, label="leading direction")
ax.view_init(elev=15, azim=0)
ax.legend(frameon=False, loc="upper left")
