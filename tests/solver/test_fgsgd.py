"""FGSGDSolver: pymanopt's contract, Algorithm 1, stochastic problems and bad input."""

import dataclasses

import numpy as np
import pymanopt
import pymanopt.manifolds
import pytest
import torch
from pymanopt.optimizers import ConjugateGradient
from pymanopt.optimizers.optimizer import Optimizer, OptimizerResult

from fgmanifolds import (
    Euclidean,
    FGSGDSolver,
    ScaledProductManifold,
    Sphere,
    Stiefel,
    StochasticProblem,
)
from fgmanifolds.solver import corollary2, global_bound, paper, robbins_monro, theorem2
from fgmanifolds.verify.problems import PROBLEMS, make_problem

RNG = np.random.default_rng(0)
MATRIX = np.diag([1.0, 2.0, 3.0, 4.0])
QUIET = {"verbosity": 0}


def rayleigh(manifold=None, scale=1.0):
    manifold = manifold or Sphere(4, 1)

    @pymanopt.function.numpy(manifold)
    def cost(x):
        return -scale * float(np.vdot(x, MATRIX @ x))

    @pymanopt.function.numpy(manifold)
    def gradient(x):
        return -2 * scale * MATRIX @ x

    return pymanopt.Problem(manifold, cost, euclidean_gradient=gradient)


def regression(backend="numpy", batch_size=16, **options):
    """Least squares on a mixed product; the targets are attained, so that the minimum is 0."""
    product = ScaledProductManifold([Stiefel(5, 2), Sphere(2, 2)], scales=[1.0, 1.5])
    hidden = product.random_point(7)
    x = np.random.default_rng(1).standard_normal((200, 5))
    y = x @ hidden[0] @ hidden[1]
    if backend == "numpy":

        @pymanopt.function.numpy(product)
        def cost(u, v, a, b):
            return float(np.sum((a @ u @ v - b) ** 2)) / len(a)

        @pymanopt.function.numpy(product)
        def gradient(u, v, a, b):
            back = 2 * a.T @ (a @ u @ v - b) / len(a)
            return [back @ v.T, u.T @ back]

        return StochasticProblem(
            product, cost, (x, y), batch_size, euclidean_gradient=gradient, **options
        )

    @pymanopt.function.pytorch(product)
    def loss(u, v, a, b):
        return ((a @ u @ v - b) ** 2).sum() / len(a)

    data = (torch.from_numpy(x), torch.from_numpy(y))
    return StochasticProblem(product, loss, data, batch_size, **options)


# Pymanopt's contract ------------------------------------------------------------


@pytest.mark.parametrize("rule", ["corollary2", "global", "theorem2", "paper", None])
@pytest.mark.parametrize("use_exp", [False, True])
def test_deterministic_problems(rule, use_exp):
    solver = FGSGDSolver(rule=rule, use_exp=use_exp, max_iterations=5000, **QUIET)
    assert isinstance(solver, Optimizer)
    result = solver.run(rayleigh())
    assert isinstance(result, OptimizerResult)
    assert result.cost == pytest.approx(-4, abs=1e-9)
    assert result.gradient_norm < 1e-5
    assert "min grad norm reached" in result.stopping_criterion
    assert result.iterations == result.cost_evaluations > 3
    assert {f.name for f in dataclasses.fields(OptimizerResult)} <= set(vars(result))


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_stochastic_problems_come_near_known_minima(name):
    known = make_problem(name, seed=3)
    start = known.initial_point(3)
    solver = FGSGDSolver(robbins_monro(0.5, 50), max_iterations=1500, **QUIET)
    result = solver.run(known.problem, initial_point=start)
    assert known.distance(result.point) < 0.2 * known.distance(start)
    assert known.gap(result.point) < 0.05 * known.gap(start)
    assert known.gap(result.point) > -1e-9
    assert result.cost == pytest.approx(float(known.problem.cost(result.point)))
    known.problem.manifold.check_point(result.point)
    assert result.epochs == -(-result.iterations // known.problem.batches_per_epoch)


def test_stops_for_each_reason():
    problem = rayleigh()
    for options, words in (
        ({"max_iterations": 3}, "max iterations reached"),
        ({"max_time": 1e-9}, "max time reached"),
        ({"min_gradient_norm": 1e3}, "min grad norm reached"),
        ({"min_step_size": 1e3}, "min step_size reached"),
        ({"max_cost_evaluations": 2}, "max cost evals reached"),
    ):
        result = FGSGDSolver(**options, **QUIET).run(problem)
        assert words in result.stopping_criterion
        assert result.iterations <= 3


def test_verbosity_and_log(capsys):
    result = FGSGDSolver(max_iterations=4, verbosity=2, log_verbosity=1).run(rayleigh())
    printed = capsys.readouterr().out
    assert printed.startswith("Optimizing...")
    assert "Iteration" in printed
    assert "Denominator" in printed
    assert len(printed.splitlines()) == 3 + 4 + 2
    log = result.log["iterations"]
    assert log["iteration"] == [1, 2, 3, 4]
    costs = [float(-np.vdot(x, MATRIX @ x)) for x in log["point"]]
    assert costs == pytest.approx(log["cost"])
    assert result.log["optimizer"] == "FGSGDSolver"
    FGSGDSolver(max_iterations=4, verbosity=0).run(rayleigh())
    assert capsys.readouterr().out == ""
    with_data = FGSGDSolver(max_iterations=26, verbosity=2).run(regression())
    assert with_data.epochs == 2
    assert len(capsys.readouterr().out.splitlines()) == 3 + 2 + 2


def test_callback_sees_each_step_and_can_stop():
    seen = []

    def callback(step):
        seen.append(step)
        return len(seen) == 5

    result = FGSGDSolver(callback=callback, **QUIET).run(rayleigh(), initial_point=None)
    assert [step.iteration for step in seen] == [1, 2, 3, 4, 5]
    assert "stopped by the callback after 5 iterations" in result.stopping_criterion
    assert seen[0].lr == robbins_monro()(0)
    assert all(step.cost == float(-np.vdot(step.point, MATRIX @ step.point)) for step in seen)


def test_runs_on_pymanopt_manifolds():
    result = FGSGDSolver(rule=None, max_iterations=3000, **QUIET).run(
        rayleigh(pymanopt.manifolds.Sphere(4, 1))
    )
    assert result.cost == pytest.approx(-4)
    bounded = FGSGDSolver(curvature_bounds=(1, 1), **QUIET)
    assert bounded.run(rayleigh(pymanopt.manifolds.Sphere(4, 1))).cost == pytest.approx(-4)
    product = pymanopt.manifolds.Product([pymanopt.manifolds.Sphere(4), Sphere(4, 1)])

    @pymanopt.function.pytorch(product)
    def cost(x, y):
        matrix = torch.from_numpy(MATRIX)
        return -(x @ matrix @ x) - (y * (matrix @ y)).sum()

    result = FGSGDSolver(rule=None, max_iterations=3000, **QUIET).run(
        pymanopt.Problem(product, cost)
    )
    assert result.cost == pytest.approx(-8)


def test_random_starts_repeat():
    a, b, c = (
        FGSGDSolver(max_iterations=2, seed=seed, **QUIET).run(rayleigh()).point
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_the_initial_point_is_left_alone():
    product = regression().manifold
    start = product.random_point(0)
    kept = [w.copy() for w in start]
    FGSGDSolver(max_iterations=3, momentum=0.5, **QUIET).run(regression(), initial_point=start)
    for w, k in zip(start, kept):
        np.testing.assert_array_equal(w, k)


# Algorithm 1 ------------------------------------------------------------------


def by_hand(problem, start, steps, momentum, dampening, denominator):
    """Lines 5 to 8 with NumPy, for one POM on spheres (projection and normalisation)."""
    radii = [1.0, 2.0]
    point, mu, past = [w.copy() for w in start], None, None
    for t in range(steps):
        gradient = problem.euclidean_gradient(point)
        tangent = [g - w * np.vdot(w, g) / r**2 for g, w, r in zip(gradient, point, radii)]
        mu = (
            tangent
            if mu is None
            else [momentum * m + (1 - dampening) * g for m, g in zip(mu, tangent)]
        )
        # R is the norm of the momentum at the scale of a gradient.
        norm = np.sqrt(sum(np.vdot(m, m) for m in mu)) * (1 - momentum) / (1 - dampening)
        g = denominator(norm) if past is None else max(denominator(past**0.5), norm)
        past = norm**2 if past is None else 0.9 * past + 0.1 * norm**2
        lr = 0.5 / (1 + t / 10) ** 0.75
        moved = [w - lr / g * m for w, m in zip(point, mu)]
        point = [r * w / np.linalg.norm(w) for w, r in zip(moved, radii)]
        mu = [m - w * np.vdot(w, m) / r**2 for m, w, r in zip(mu, point, radii)]
    return point


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.8, 0.0), (0.8, 0.3)])
def test_steps_are_those_of_algorithm_1(momentum, dampening):
    product = ScaledProductManifold([Sphere(4, 1), Sphere(4, 1)], scales=[1, 2])

    @pymanopt.function.numpy(product)
    def cost(x, y):
        return -float(np.vdot(x, MATRIX @ x) + np.vdot(x, y) + 3 * y[0, 0])

    @pymanopt.function.numpy(product)
    def gradient(x, y):
        return [-2 * MATRIX @ x - y, -x - 3 * np.eye(4, 1)]

    problem = pymanopt.Problem(product, cost, euclidean_gradient=gradient)
    start = product.random_point(0)

    def denominator(norm):
        return max(1.0, norm**2 * max((2 + norm) ** 2, 1)) ** 0.5

    expected = by_hand(problem, start, 25, momentum, dampening, denominator)
    solver = FGSGDSolver(
        robbins_monro(), momentum=momentum, dampening=dampening, max_iterations=25, **QUIET
    )
    result = solver.run(problem, initial_point=start)
    for w, e in zip(result.point, expected):
        np.testing.assert_allclose(w, e, atol=1e-12)


def test_each_pom_has_a_denominator_of_its_own():
    product = ScaledProductManifold([Sphere(3, 1), Stiefel(4, 2), Euclidean(2, 2)], [0.5, 2, 1])
    slopes = [10 * np.ones((3, 1)), np.ones((4, 2)), np.ones((2, 2))]

    @pymanopt.function.numpy(product)
    def cost(*point):
        return float(sum(np.vdot(a, w) for a, w in zip(slopes, point)))

    @pymanopt.function.numpy(product)
    def gradient(*point):
        return slopes

    problem = pymanopt.Problem(product, cost, euclidean_gradient=gradient)
    start = product.random_point(0)
    riemannian = problem.riemannian_gradient(start)
    norms = [float(np.linalg.norm(g)) for g in riemannian]
    steps = []
    groups = [[0], [2], [1]]
    for rule, expected in (
        (
            "corollary2",
            [corollary2(norms[0], np.array(4.0)), 1.0, corollary2(norms[1], np.array(0.25))],
        ),
        (
            "global",
            [
                global_bound(np.array(norms[0]), np.array(0.5), np.array(0.0)),
                1.0,
                global_bound(np.array(norms[1]), np.array(2 * np.sqrt(2)), np.array(0.125)),
            ],
        ),
        (
            "paper",
            [
                paper(np.array(norms[0]), np.array(0.25), np.array(4.0)),
                1.0,
                paper(np.array(norms[1]), np.array(4.0), np.array(0.25)),
            ],
        ),
    ):
        solver = FGSGDSolver(
            rule=rule, poms=groups, callback=steps.append, max_iterations=1, **QUIET
        )
        result = solver.run(problem, initial_point=start)
        np.testing.assert_allclose(steps[-1].denominator, np.array(expected, dtype=float))
        moved = start[2] - 0.5 * slopes[2]
        np.testing.assert_allclose(result.point[2], moved)


def test_theorem2_takes_a_reference_point():
    sphere = Sphere(4, 1)
    steps = []
    start = sphere.random_point(0)
    reference = np.eye(4, 1, -3)
    FGSGDSolver(
        rule="theorem2", reference=reference, callback=steps.append, max_iterations=1, **QUIET
    ).run(rayleigh(), initial_point=start)
    expected = theorem2(
        np.array(steps[0].gradient_norm), np.array(sphere.dist(start, reference)), np.array(0.0)
    )
    assert steps[0].denominator[0] == pytest.approx(float(expected))


def test_current_and_past_norms_differ_from_the_second_step_on():
    runs = {}
    for norm in ("past", "current"):
        steps = []
        FGSGDSolver(gradient_norm=norm, callback=steps.append, max_iterations=3, **QUIET).run(
            rayleigh(scale=5)
        )
        runs[norm] = [float(step.denominator[0]) for step in steps]
        norms = [step.gradient_norm for step in steps]
        if norm == "current":
            assert runs[norm] == pytest.approx(
                [float(corollary2(np.array(n), np.array(1.0))) for n in norms]
            )
    assert runs["past"][0] == runs["current"][0]
    assert runs["past"][2] != runs["current"][2]


def test_radii_change_as_in_algorithm_1():
    """R^t shrinks; the result lies on the last manifold, and the momentum goes on."""
    seen = []

    def shrink(manifold, point):
        manifold.check_point(point)
        seen.append(manifold.scales)
        return [0.5 * s for s in manifold.scales]

    product = ScaledProductManifold([Sphere(4, 1), Sphere(4, 1)], scales=[1, 2])

    @pymanopt.function.numpy(product)
    def cost(x, y):
        return -float(np.vdot(x, MATRIX @ x) + np.vdot(y, MATRIX @ y))

    @pymanopt.function.numpy(product)
    def gradient(x, y):
        return [-2 * MATRIX @ x, -2 * MATRIX @ y]

    problem = pymanopt.Problem(product, cost, euclidean_gradient=gradient)
    solver = FGSGDSolver(
        rescale_every=10,
        rescale=shrink,
        max_iterations=30,
        momentum=0.5,
        min_gradient_norm=0,
        **QUIET,
    )
    result = solver.run(problem)
    assert seen == [[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]]
    assert result.manifold.scales == [0.125, 0.25]
    result.manifold.check_point(result.point)
    assert result.cost == pytest.approx(-4 * (0.125**2 + 0.25**2), rel=1e-3)
    assert problem.manifold.scales == [1.0, 2.0]


# Stochastic problems ------------------------------------------------------------


def test_minibatches_cover_every_epoch_in_another_order():
    problem = regression(batch_size=48)
    first, again, second = (list(problem.epoch(n)) for n in (0, 0, 1))
    assert [len(batch) for batch in first] == [48] * 4 + [8]
    assert sorted(np.concatenate(first)) == list(range(200))
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(again))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    assert problem.batches_per_epoch == 5
    assert [len(b) for b in regression(batch_size=48, drop_last=True).epoch(0)] == [48] * 4


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_minibatch_costs_and_gradients_average_to_those_of_all_data(backend):
    problem = regression(backend, batch_size=50)
    point = problem.manifold.random_point(0)
    costs, gradients = [], []
    for batch in problem.epoch(0):
        with problem.minibatch(batch):
            costs.append(float(problem.cost(point)))
            gradients.append(problem.riemannian_gradient(point))
    assert np.mean(costs) == pytest.approx(float(problem.cost(point)))
    for i, whole in enumerate(problem.riemannian_gradient(point)):
        np.testing.assert_allclose(np.mean([g[i] for g in gradients], axis=0), whole)


def test_backends_agree():
    results = [
        FGSGDSolver(max_iterations=60, **QUIET).run(
            regression(backend), initial_point=regression().manifold.random_point(3)
        )
        for backend in ("numpy", "pytorch")
    ]
    assert results[0].cost == pytest.approx(results[1].cost)
    for a, b in zip(results[0].point, results[1].point):
        np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("backend", ["autograd", "jax"])
def test_other_backends_where_installed(backend):
    np_like = pytest.importorskip("autograd.numpy" if backend == "autograd" else "jax.numpy")
    sphere = Sphere(4, 1)

    @getattr(pymanopt.function, backend)(sphere)
    def cost(w, x):
        return -np_like.mean((x @ w) ** 2)

    data = np.random.default_rng(0).standard_normal((100, 4)) * [3, 1, 1, 1]
    problem = StochasticProblem(sphere, cost, data, 20)
    result = FGSGDSolver(max_iterations=300, **QUIET).run(problem)
    best = np.linalg.eigvalsh(data.T @ data / 100)[-1]
    assert result.cost == pytest.approx(-best, rel=1e-2)


def test_pymanopt_optimizers_run_on_all_of_the_data():
    result = ConjugateGradient(**QUIET).run(regression())
    assert result.cost == pytest.approx(0, abs=1e-6)


# Interruptions and bad input ------------------------------------------------------


def test_ctrl_c_returns_the_best_point_with_the_reason():
    costs = []

    def callback(step):
        costs.append(step.cost)
        if step.iteration == 7:
            raise KeyboardInterrupt

    result = FGSGDSolver(callback=callback, **QUIET).run(rayleigh())
    assert result.stopping_criterion == "Terminated - interrupted by the user after 7 iterations."
    assert result.cost == min(costs)


def test_a_cost_that_becomes_infinite_ends_the_run_with_the_best_point():
    manifold = Euclidean(1, 1)

    @pymanopt.function.numpy(manifold)
    def cost(x):
        return float(np.log(x[0, 0])) if x[0, 0] > 0 else np.nan

    @pymanopt.function.numpy(manifold)
    def gradient(x):
        return 1 / x

    problem = pymanopt.Problem(manifold, cost, euclidean_gradient=gradient)
    with np.errstate(all="ignore"):
        result = FGSGDSolver(**QUIET).run(problem, initial_point=np.ones((1, 1)))
    assert "not finite" in result.stopping_criterion
    assert np.isfinite(result.cost)


def broken(kind):
    sphere = Sphere(4, 1)

    def cost(x):
        return {"nan": np.nan, "vector": np.ones(2)}.get(kind, 0.0)

    def gradient(x):
        return x if kind == "normal" else np.full_like(x, np.inf if kind == "inf" else 0.0)

    decorate = pymanopt.function.numpy(sphere)
    return pymanopt.Problem(sphere, decorate(cost), riemannian_gradient=decorate(gradient))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "the cost at the initial point is nan"),
        ("vector", r"the cost has shape \(2,\); it must be a single number"),
        ("normal", "is not tangent: its normal part is 1 of its norm"),
        ("inf", "the gradient at the initial point is not finite"),
    ],
)
def test_bad_functions_are_found_before_the_first_step(kind, message):
    calls = []
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match=message):
        FGSGDSolver(callback=calls.append, **QUIET).run(broken(kind))
    assert not calls


def test_an_initial_point_off_the_manifold_is_refused():
    with pytest.raises(ValueError, match=r"initial_point: point is not on Sphere\(4, 1\)"):
        FGSGDSolver(**QUIET).run(rayleigh(), initial_point=np.ones((4, 1)))


DATA = np.ones((10, 4))


def simple(data=DATA, batch_size=5, gradient=True, decorated=True):
    sphere = Sphere(4, 1)
    decorate = pymanopt.function.numpy(sphere)

    def cost(w, x):
        return float(np.mean(x @ w))

    def slope(w, x):
        return x.mean(0)[:, None]

    return StochasticProblem(
        sphere,
        decorate(cost) if decorated else cost,
        data,
        batch_size,
        euclidean_gradient=decorate(slope) if gradient else None,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simple(batch_size=11), "batch_size=11 exceeds the 10 rows"),
        (lambda: simple(batch_size=0), "batch_size=0 must be an integer"),
        (lambda: simple(data=np.ones((0, 4))), "data is empty"),
        (lambda: simple(data=(DATA, DATA[:3])), r"have \[10, 3\] rows; they must agree"),
        (lambda: simple(gradient=False), "the numpy backend cannot differentiate"),
        (lambda: simple(decorated=False), "cost must be decorated"),
        (lambda: FGSGDSolver(rule="adam"), "rule='adam' is unknown"),
        (lambda: FGSGDSolver(rule="adam").run(rayleigh()), "rule='adam' is unknown"),
        (lambda: FGSGDSolver(gradient_norm="next"), "gradient_norm='next' is unknown"),
        (lambda: FGSGDSolver(momentum=1.0), "momentum=1.0"),
        (lambda: FGSGDSolver(0.1), r"constant\(0.1\) does not satisfy eq. \(4\)"),
        (lambda: FGSGDSolver(rescale_every=3), "both rescale_every and rescale"),
        (
            lambda: FGSGDSolver(rescale_every=3, rescale=lambda m, x: [1]).run(rayleigh()),
            "rescale_every needs a ScaledProductManifold",
        ),
        (
            lambda: FGSGDSolver(poms=[[0], [0]]).run(rayleigh()),
            "each of the 1 components exactly once",
        ),
        (
            lambda: FGSGDSolver(rule="global").run(rayleigh(pymanopt.manifolds.UnitaryGroup(2))),
            "does not tell its sectional curvature",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numpy_data_with_a_torch_cost_are_refused():
    sphere = Sphere(4, 1)

    @pymanopt.function.pytorch(sphere)
    def cost(w, x):
        return (x @ w).mean()

    with pytest.raises(ValueError, match=r"data\[0\] is a NumPy array; give torch.from_numpy"):
        StochasticProblem(sphere, cost, DATA, 5)


def test_constant_rates_run_when_asked_for():
    solver = FGSGDSolver(0.1, check_schedule=False, max_iterations=2000, **QUIET)
    assert solver.run(rayleigh()).cost == pytest.approx(-4)
