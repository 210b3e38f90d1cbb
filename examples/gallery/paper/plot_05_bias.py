"""
The bias of the denominator
===========================

Nine of ten samples pull gently to one side, one pulls hard to the other. The denominator shortens
large gradients: with the norm of the same minibatch, as printed, it balances them away, and
FG-SGD comes to rest far from the minimum of the expected loss. With the norm of past minibatches
most of the bias goes.
"""

import matplotlib.pyplot as plt
import numpy as np
import pymanopt

from fgmanifolds import FGSGDSolver, Sphere, StochasticProblem
from fgmanifolds.solver import robbins_monro

sphere = Sphere(3, 1)
pulls = np.zeros((500, 3))
pulls[:450, 0], pulls[450:, 1] = 1.0, 8.1  # the expected loss is least at atan(0.9)


@pymanopt.function.numpy(sphere)
def cost(w, x):
    return -float(np.mean(x @ w))


@pymanopt.function.numpy(sphere)
def gradient(w, x):
    return -np.mean(x, axis=0)[:, None]


fig, ax = plt.subplots(figsize=(6.8, 3.6), layout="constrained")
for norm, label in (("current", "norm of the same minibatch"), ("past", "norm of past ones")):
    angles = []
    solver = FGSGDSolver(
        robbins_monro(0.5, 100), rule="corollary2", gradient_norm=norm, max_iterations=20_000,
        verbosity=0, callback=lambda step, angles=angles: angles.append(
            np.degrees(np.arctan2(step.point[1, 0], step.point[0, 0]))),
    )  # fmt: skip
    problem = StochasticProblem(sphere, cost, pulls, batch_size=1, euclidean_gradient=gradient)
    solver.run(problem, initial_point=np.array([[0.6], [0.8], [0.0]]))
    ax.semilogx(np.arange(1, len(angles) + 1), angles, linewidth=1, label=label)
ax.axhline(np.degrees(np.arctan(0.9)), color="black", linestyle=":", label="minimum")
ax.set(xlabel="step", ylabel="angle from the gentle pull, degrees")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
