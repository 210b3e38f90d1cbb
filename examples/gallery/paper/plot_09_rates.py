"""
Learning rates and eq. (4)
==========================

With rates whose sum diverges and whose squares have a finite sum, noisy runs come to rest at a
critical point. A constant rate stays at a level of noise, and rates with a finite sum stop before
they arrive.
"""

import matplotlib.pyplot as plt
import numpy as np
import pymanopt

from fgmanifolds import FGSGDSolver, ScaledProductManifold, Sphere, StochasticProblem
from fgmanifolds.solver import constant, robbins_monro

STEPS = 1000
product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)], scales=[1, 0.5])
rng = np.random.default_rng(0)
pulls = [rng.standard_normal((400, 3)) + center for center in ([1, 0, 0], [0, 1, 0])]


@pymanopt.function.numpy(product)
def cost(a, b, x, y):
    return -float(np.mean(x @ a) + np.mean(y @ b))


@pymanopt.function.numpy(product)
def gradient(a, b, x, y):
    return [-np.mean(x, axis=0)[:, None], -np.mean(y, axis=0)[:, None]]


minimum = product.nearest_point([np.mean(pull, axis=0)[:, None] for pull in pulls])
rates = {
    "(4) satisfied": robbins_monro(0.5, 20),
    "constant": constant(0.2, check=False),
    "finite sum": lambda t: 0.3 * 0.9**t,
}
fig, ax = plt.subplots(figsize=(6.6, 3.6), layout="constrained")
for label, rate in rates.items():
    runs = []
    for seed in range(5):
        path = []
        problem = StochasticProblem(
            product, cost, tuple(pulls), batch_size=8, euclidean_gradient=gradient, seed=seed
        )
        solver = FGSGDSolver(
            rate, max_iterations=STEPS, verbosity=0, check_schedule=False, min_step_size=0,
            callback=lambda step, path=path: path.append(product.dist(step.point, minimum)),
        )  # fmt: skip
        solver.run(problem, initial_point=product.random_point(seed))
        runs.append(path)
    ax.loglog(np.arange(1, STEPS + 1), np.median(runs, axis=0), label=label)
ax.set(xlabel="step", ylabel="distance from minimum, 5 runs")
ax.grid(alpha=0.3)
ax.legend(frameon=False)
