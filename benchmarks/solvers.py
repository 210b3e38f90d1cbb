"""Compare solvers on problems with known minima; write a table and a plot.

``python benchmarks/solvers.py`` (part of ``make bench``) writes ``runs/benchmarks/solvers.md``,
``convergence.md`` and ``solvers.png``. The cost of a method is counted in passes over the data: a
gradient of a minibatch of b of n samples is b / n of a pass. Seeds are fixed.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import pymanopt
from matplotlib.figure import Figure
from pymanopt.optimizers import ConjugateGradient, SteepestDescent, TrustRegions
from rich.progress import track

from fgmanifolds import FGSGDSolver
from fgmanifolds.solver import constant, robbins_monro
from fgmanifolds.verify.problems import PROBLEMS, make_problem

PASSES = 60
LEVELS = (1e-1, 1e-2, 1e-4, 1e-8)
FG_SGD = {
    "FG-SGD, corollary 2": {"rule": "corollary2"},
    "FG-SGD, theorem 2": {"rule": "theorem2"},
    "FG-SGD, momentum 0.9": {"rule": "corollary2", "momentum": 0.9, "dampening": 0.9},
    "Riemannian SGD": {"rule": None},
}
PYMANOPT = {
    "steepest descent": SteepestDescent,
    "conjugate gradients": ConjugateGradient,
    "trust regions": TrustRegions,
}


class Counted:
    """A problem over all data that writes down the gap at each evaluation of its gradient."""

    def __init__(self, known):
        self.known, self.trace, self.passes = known, [], 0.0
        problem = known.problem
        decorate = pymanopt.function.numpy(problem.manifold)

        def cost(*point):
            self.passes += 0.5  # a cost is about half of the work of a gradient
            return float(problem.cost(list(point)))

        def gradient(*point):
            self.passes += 1.0
            self.trace.append((self.passes, known.gap(list(point))))
            return problem.euclidean_gradient(list(point))

        def hessian(*arguments):
            """Central differences of the gradient: two passes."""
            point, vector = arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]
            self.passes += 2.0
            h = 1e-5
            ahead, back = (
                problem.euclidean_gradient(
                    [w + s * h * v for w, v in zip(point, vector, strict=True)]
                )
                for s in (1, -1)
            )
            return [(a - b) / (2 * h) for a, b in zip(ahead, back, strict=True)]

        self.problem = pymanopt.Problem(
            problem.manifold,
            decorate(cost),
            euclidean_gradient=decorate(gradient),
            euclidean_hessian=decorate(hessian),
        )


def pymanopt_trace(optimizer, seed, name):
    """Gap against passes of one of pymanopt's optimizers."""
    known = make_problem(name, seed=seed)
    counted = Counted(known)
    solver = optimizer(verbosity=0, max_iterations=200, min_gradient_norm=1e-9)
    solver.run(counted.problem, initial_point=known.initial_point(seed))
    return counted.trace


def stochastic_trace(options, seed, name):
    """Gap against passes of a stochastic solver, after each of them."""
    known = make_problem(name, seed=seed)
    per_pass = known.problem.batches_per_epoch
    trace = []

    def callback(step):
        if step.iteration % per_pass == 1:
            trace.append((step.iteration / per_pass, known.gap(step.point)))

    FGSGDSolver(
        robbins_monro(0.5, 50, 0.75),
        max_iterations=PASSES * per_pass,
        min_gradient_norm=0,
        min_step_size=0,
        callback=callback,
        verbosity=0,
        **options,
    ).run(known.problem, initial_point=known.initial_point(seed))
    return trace


def traces(seeds):
    """All traces, as {problem: {method: [trace of each seed]}}."""
    found = {}
    for name in track(PROBLEMS, description="solvers"):
        found[name] = {
            label: [stochastic_trace(options, seed, name) for seed in range(seeds)]
            for label, options in FG_SGD.items()
        } | {
            label: [pymanopt_trace(optimizer, seed, name) for seed in range(seeds)]
            for label, optimizer in PYMANOPT.items()
        }
    return found


def passes_to(trace, level):
    """Passes until the gap is below a share of the first one; inf if it never is."""
    first = trace[0][1]
    return next((passes for passes, gap in trace if gap <= level * first), np.inf)


def table_of_passes(found):
    """Median passes to each level of the gap."""
    rows = []
    for name, methods in found.items():
        for label, runs in methods.items():
            row = {"problem": name, "method": label}
            for level in LEVELS:
                median = float(np.median([passes_to(trace, level) for trace in runs]))
                row[f"to {level:g}"] = f"{median:.3g}" if np.isfinite(median) else "-"
            rows.append(row)
    return pd.DataFrame(rows)


def plot(found):
    """Median gap over that of the start, against passes."""
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    grid = np.linspace(1, PASSES, 120)
    for ax, (name, methods) in zip(axes, found.items(), strict=False):
        for label, runs in methods.items():
            curves = []
            for trace in runs:
                passes, gaps = np.array(trace).T
                best = np.maximum(np.minimum.accumulate(gaps) / gaps[0], 1e-14)
                index = np.searchsorted(passes, grid, side="right") - 1
                curves.append(np.where(index >= 0, best[index], 1.0))
            ax.semilogy(grid, np.median(curves, axis=0), label=label)
        ax.set(title=name, xlabel="passes over the data", ylim=(1e-10, 2))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("gap to the minimum, relative")
    axes[3].set_ylabel("gap to the minimum, relative")
    axes[-1].axis("off")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="center")
    return figure


def outcome(name, seed, size, rule, lr):
    """Gradient norm, distance and last step of a run, over gradient and distance of the start."""
    known = make_problem(name, seed=seed, size=size)
    start = known.initial_point(seed)
    manifold, problem = known.problem.manifold, known.problem
    solver = FGSGDSolver(
        lr,
        rule=rule,
        max_iterations=2000,
        min_gradient_norm=0,
        min_step_size=0,
        check_schedule=False,
        verbosity=0,
    )
    with np.errstate(all="ignore"):
        result = solver.run(problem, initial_point=start)
    norm = manifold.norm(start, problem.riemannian_gradient(start))
    far = known.distance(start)
    return result.gradient_norm / norm, known.distance(result.point) / far, result.step_size / far


def convergence_table(seeds):
    """Under (4) or with a fixed step, with and without the denominator, on small and large data."""
    rates = {"(4)": robbins_monro(0.5, 50, 0.75), "fixed 0.5": constant(0.5, check=False)}
    rows = []
    for name in track(PROBLEMS, description="convergence"):
        for size in (1.0, 5.0):
            for rule in ("corollary2", None):
                for label, lr in rates.items():
                    runs = np.array([outcome(name, s, size, rule, lr) for s in range(seeds)])
                    away = ~(runs[:, 1] < 0.5)
                    rows.append(
                        {
                            "problem": name,
                            "size of data": size,
                            "denominator": "corollary 2" if rule else "none",
                            "r(t)": label,
                            "median gradient": f"{np.median(runs[:, 0]):.2g}",
                            "median distance": f"{np.median(runs[:, 1]):.2g}",
                            "worst distance": f"{runs[:, 1].max():.2g}",
                            "diverged": int(np.sum(away & (runs[:, 2] > 0.01))),
                            "too slow": int(np.sum(away & (runs[:, 2] <= 0.01))),
                        }
                    )
    return pd.DataFrame(rows)


def markdown(frame):
    """A GitHub table."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main():
    """Run everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found = traces(min(options.seeds, 5))
    plot(found).savefig(options.out / "solvers.png", dpi=120)
    passes = table_of_passes(found)
    (options.out / "solvers.md").write_text(
        "Median passes over the data until the gap to the minimum is this share of the first.\n\n"
        + markdown(passes)
    )
    convergence = convergence_table(options.seeds)
    (options.out / "convergence.md").write_text(
        f"{options.seeds} seeds, 2,000 steps of minibatches of 32. Gradient norm and distance to "
        "the minimum are relative to the start. If half of the distance is left or more, a run "
        "diverged if its last step was longer than 1% of it, and was too slow if not.\n\n"
        + markdown(convergence)
    )
    print(markdown(passes), markdown(convergence), sep="\n")
    print(f"{options.out}/solvers.md, convergence.md, solvers.png")


if __name__ == "__main__":
    main()
