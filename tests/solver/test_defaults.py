"""FGSGDSolver() as it comes: known minima, every manifold of pymanopt, and what is told."""

import warnings

import numpy as np
import pymanopt
import pymanopt.manifolds as theirs
import pytest

from fgmanifolds import FGSGDSolver, Hyperbolic, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.geometry.known_bounds import known_curvature_bounds
from fgmanifolds.solver import StochasticProblem
from fgmanifolds.solver.rates import DescentRate
from fgmanifolds.steps import theorem2

STEPS = {"max_iterations": 5000, "verbosity": 0}


def problem_of(manifold, cost, gradient, **options):
    decorate = pymanopt.function.numpy(manifold)
    return pymanopt.Problem(manifold, decorate(cost), euclidean_gradient=decorate(gradient))


def symmetric(n, seed, scale=1.0):
    a = np.random.default_rng(seed).standard_normal((n, n))
    return scale * (a + a.T) / 2


def rayleigh(manifold, a):
    return problem_of(manifold, lambda x: -float(np.sum(x * (a @ x))), lambda x: -2 * a @ x)


def procrustes(radius, seed, rows=20, n=4):
    """Its minimum in the piece of the start, from the singular values."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, rows, n))
    manifold = Stiefel(n, n, radius=radius)
    problem = problem_of(
        manifold,
        lambda w: float(np.sum((x @ w - y) ** 2)),
        lambda w: 2 * x.T @ (x @ w - y),
    )
    u, s, vt = np.linalg.svd(x.T @ y)
    start = manifold.random_point(seed)
    if np.linalg.det(u @ vt) * np.linalg.det(start) < 0:
        start = start * np.array([-1.0, 1, 1, 1])
    return problem, start, (y**2).sum() + radius**2 * (x**2).sum() - 2 * radius * s.sum()


# Known minima -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("radius", "scale"), [(1, 1), (0.5, 1), (2, 1), (1, 20), (3, 0.1)])
def test_leading_eigenvectors(seed, radius, scale):
    a = symmetric(8, seed, scale)
    values = np.linalg.eigvalsh(a)
    for manifold, best in (
        (Sphere(8, 1, radius=radius), values[-1]),
        (Stiefel(8, 2, radius=radius), values[-2:].sum()),
    ):
        result = FGSGDSolver(**STEPS).run(rayleigh(manifold, a))
        assert result.cost == pytest.approx(-(radius**2) * best, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_procrustes(seed, radius):
    problem, start, best = procrustes(radius, seed)
    result = FGSGDSolver(**STEPS).run(problem, initial_point=start)
    assert result.cost == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_sum_of_both_on_a_product(seed):
    problem, start, best = procrustes(2.0, seed)
    a = symmetric(5, seed)
    product = ScaledProductManifold([Sphere(5, 1), Stiefel(4, 4)], scales=[0.5, 2])
    both = problem_of(
        product,
        lambda x, w: -float(np.sum(x * (a @ x))) + problem.cost(w),
        lambda x, w: [-2 * a @ x, problem.euclidean_gradient(w)],
    )
    first = product.random_point(seed)[0]
    result = FGSGDSolver(**STEPS).run(both, initial_point=[first, start])
    assert result.cost == pytest.approx(best - 0.25 * np.linalg.eigvalsh(a)[-1], rel=1e-6)


def pca():
    """Pymanopt's own example: a sum over 200 points, with gradients in the thousands."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3)) @ np.diag([3.0, 2, 1])
    x -= x.mean(0)
    problem = problem_of(
        theirs.Stiefel(3, 2),
        lambda w: float(np.linalg.norm(x - x @ w @ w.T) ** 2),
        lambda w: -2 * (x.T @ (x - x @ w @ w.T) @ w + (x - x @ w @ w.T).T @ x @ w),
    )
    return problem, np.linalg.svd(x)[1][2] ** 2


def test_large_gradients_are_told_with_what_to_change():
    problem, best = pca()
    np.random.seed(0)  # noqa: NPY002
    result = FGSGDSolver(**STEPS).run(problem)
    assert result.cost == pytest.approx(best, rel=1e-6)
    (note,) = result.notes
    assert "g stayed above 10" in note
    assert "Divide the cost by about" in note
    np.random.seed(0)  # noqa: NPY002
    assert FGSGDSolver(rule=None, **STEPS).run(problem).notes == ()


def test_hyperbolic_spaces():
    """The mean of points by the solver and by the logarithms."""
    space = Hyperbolic(3, 1, radius=2.0)
    points = space.random_point(0, n=6)
    mean = space.mean(points)
    sign = np.array([[-1.0], [1], [1]])

    def products(x):
        return -np.sum(points * sign * x, axis=(-2, -1)) / 4

    def cost(x):
        return float(np.mean(4 * np.arccosh(products(x)) ** 2))

    def gradient(x):
        z = products(x)
        slopes = -2 * np.arccosh(z) / np.sqrt(z**2 - 1)
        return np.mean(slopes[:, None, None] * points * sign, axis=0)

    start = space.random_point(1)  # not one of the points, where the slope is 0 / 0
    result = FGSGDSolver(**STEPS).run(problem_of(space, cost, gradient), initial_point=start)
    assert space.dist(result.point, mean.point) < 1e-5
    assert result.cost == pytest.approx(space.variance(points), rel=1e-9)


# Every manifold of pymanopt -------------------------------------------------------------

MANIFOLDS = [
    theirs.Sphere(4),
    theirs.Sphere(4, 2),
    theirs.SphereSubspaceIntersection(np.eye(4)[:, :3]),
    theirs.SphereSubspaceComplementIntersection(np.eye(4)[:, :1]),
    theirs.Oblique(4, 3),
    theirs.Stiefel(4, 2),
    theirs.Stiefel(4, 2, k=3),
    theirs.SpecialOrthogonalGroup(4),
    theirs.Euclidean(4, 2),
    theirs.Symmetric(4),
    theirs.SkewSymmetric(4),
    theirs.Positive(4, 2),
    theirs.SymmetricPositiveDefinite(4),
    theirs.SymmetricPositiveDefinite(4, k=2),
    theirs.PoincareBall(4),
    theirs.ComplexCircle(4),
    theirs.ComplexEuclidean(4),
    theirs.Grassmann(4, 2),
    theirs.Grassmann(4, 2, k=2),
    theirs.Product([theirs.Sphere(4), theirs.Stiefel(4, 2), theirs.Grassmann(4, 1)]),
]
#: Those whose curvature is not known.
UNKNOWN = [
    theirs.ComplexGrassmann(4, 2),
    theirs.HermitianPositiveDefinite(4),
    theirs.PSDFixedRank(4, 2),
    theirs.Elliptope(4, 2),
    theirs.Product([theirs.Sphere(4), theirs.PSDFixedRank(4, 2)]),
]
A = np.eye(4) + 0.5 * symmetric(4, 0)


def quadratic(manifold):
    """``tr(x^H A x)``, which does not depend on how a subspace is written down."""

    def cost(*x):
        return sum(float(np.sum(np.real(np.conj(w) * (A @ w)))) for w in x)

    def gradient(*x):
        slopes = [2 * A @ w for w in x]
        return slopes if len(slopes) > 1 else slopes[0]

    return problem_of(manifold, cost, gradient)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("manifold", MANIFOLDS + UNKNOWN, ids=str)
def test_every_manifold_of_pymanopt(manifold):
    problem = quadratic(manifold)
    np.random.seed(1)  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Exponential map for manifold")
        steps = []
        result = FGSGDSolver(
            max_iterations=60, verbosity=0, callback=lambda s: steps.append(s.cost)
        ).run(problem)
    assert result.cost <= min(steps) + 1e-9 * abs(min(steps))
    assert result.cost < steps[0] or steps[0] == pytest.approx(result.cost)
    unknown = [note for note in result.notes if "rule=None was taken" in note]
    assert bool(unknown) == (manifold in UNKNOWN)
    if unknown:
        assert "is not known; with curvature_bounds=(low, high)" in unknown[0]
        with pytest.raises(ValueError, match="does not tell its sectional curvature"):
            FGSGDSolver(rule="corollary2", verbosity=0).run(problem)
        bounded = FGSGDSolver(curvature_bounds=(0, 4), max_iterations=2, verbosity=0)
        assert not any("rule=None was taken" in note for note in bounded.run(problem).notes)


def test_norms_of_points_bound_no_distance_on_unbounded_spaces():
    for manifold in (Hyperbolic(4, 1), theirs.SymmetricPositiveDefinite(4)):
        with pytest.raises(ValueError, match='rule="global" bounds distances by norms of points'):
            FGSGDSolver(rule="global", verbosity=0).run(quadratic(manifold))


def test_known_bounds():
    assert known_curvature_bounds(theirs.Sphere(3)) == (1.0, 1.0)
    assert known_curvature_bounds(theirs.Sphere(2)) == (0.0, 0.0)
    assert known_curvature_bounds(theirs.Oblique(3, 2)) == (0.0, 1.0)
    assert known_curvature_bounds(theirs.Stiefel(4, 2)) == (-0.5, 1.0)
    assert known_curvature_bounds(theirs.Stiefel(4, 4, k=2)) == (0.0, 0.25)
    assert known_curvature_bounds(theirs.Grassmann(4, 2)) == (0.0, 2.0)
    assert known_curvature_bounds(theirs.Grassmann(3, 1)) == (1.0, 1.0)
    assert known_curvature_bounds(theirs.PoincareBall(3)) == (-1.0, -1.0)
    assert known_curvature_bounds(theirs.PoincareBall(3, k=2)) == (-1.0, 0.0)
    assert known_curvature_bounds(theirs.Elliptope(4, 2)) is None
    low, high = known_curvature_bounds(theirs.SymmetricPositiveDefinite(3))
    # At the identity K = -|[x, y]|^2 / 4 for orthonormal symmetric x, y.
    rng, values = np.random.default_rng(0), []
    for _ in range(2000):
        x, y = symmetric(3, rng), symmetric(3, rng)
        x /= np.linalg.norm(x)
        y -= np.sum(x * y) * x
        y /= np.linalg.norm(y)
        values.append(-0.25 * np.linalg.norm(x @ y - y @ x) ** 2)
    assert low <= min(values) < 0.9 * low
    assert max(values) <= high


# Rates, steps and results -----------------------------------------------------------------


@pytest.mark.parametrize("curvature", [0.1, 1.0, 1.9, 2.0, 50.0])
def test_the_rate_settles_where_a_quadratic_allows(curvature):
    rate, x = DescentRate(), 1.0
    for _ in range(200):
        step = rate(0.5 * curvature * x**2)
        rate.moved(step * (curvature * x) ** 2)
        x -= step * curvature * x
        assert 0 < step <= 1
    assert abs(x) < 1e-6
    assert step * curvature < 1.6


def test_the_smallest_step_is_that_of_the_scaled_step():
    """With g about 1e4 the step is 1e-4 of what the rate alone would make it."""
    a = 100.0 * np.diag([1.0, 2, 3, 4])
    problem, start = rayleigh(Sphere(4, 1), a), Sphere(4, 1).random_point(0)
    seen = []
    options = {"min_step_size": 1e-2, "min_gradient_norm": 0.0, "verbosity": 0}
    result = FGSGDSolver(callback=lambda s: seen.append(s), **options).run(
        problem, initial_point=start
    )
    (step,) = seen
    unscaled = step.lr * step.gradient_norm
    assert unscaled > 1.0 > 1e-2 > unscaled / step.denominator[0]
    assert "min step_size reached after 1 iterations" in result.stopping_criterion
    assert result.step_size == pytest.approx(unscaled / step.denominator[0])


def test_theorem2_measures_to_the_best_point_so_far():
    """On a run that overshoots, the best point is neither the first nor the last."""
    sphere, a = Sphere(4, 1), 4.0 * np.diag([1.0, 2, 3, 4])
    seen = []
    solver = FGSGDSolver(
        0.9,
        check_schedule=False,
        rule="theorem2",
        gradient_norm="current",
        max_iterations=40,
        verbosity=0,
        callback=lambda s: seen.append(s),
    )
    solver.run(rayleigh(sphere, a), initial_point=sphere.random_point(1))
    other = 0
    for t, step in enumerate(seen):
        best = min(seen[: t + 1], key=lambda s: s.cost)
        rho = sphere.dist(step.point, best.point)
        expected = theorem2(np.array([step.gradient_norm]), np.array([rho]), np.array([0.0]))
        np.testing.assert_allclose(step.denominator, expected, rtol=1e-9)
        last = theorem2(np.array([step.gradient_norm]), np.array([0.0]), np.array([0.0]))
        other += abs(last[0] - expected[0]) > 1e-3 and best is not seen[0]
    assert other >= 3


def test_the_repr_begins_with_why_it_stopped():
    result = FGSGDSolver(max_iterations=3, verbosity=0).run(rayleigh(Sphere(4, 1), A))
    assert repr(result).startswith("FGSGDResult(Terminated - max iterations reached after")
    assert f"cost {result.cost:.10g}" in repr(result)
    assert "3 iterations on Sphere(4, 1)" in repr(result)
    problem, _ = pca()
    assert "\n  g stayed above 10" in repr(FGSGDSolver(max_iterations=9, verbosity=0).run(problem))


def test_stochastic_problems_keep_a_decaying_rate():
    sphere = Sphere(4, 1)
    decorate = pymanopt.function.numpy(sphere)
    problem = StochasticProblem(
        sphere,
        decorate(lambda w, x: float(np.mean(x @ w))),
        np.random.default_rng(0).standard_normal((20, 4)),
        5,
        euclidean_gradient=decorate(lambda w, x: x.mean(0)[:, None]),
    )
    rates = []
    FGSGDSolver(max_iterations=8, verbosity=0, callback=lambda s: rates.append(s.lr)).run(problem)
    np.testing.assert_allclose(rates, [0.5 / (1 + t / 10) ** 0.75 for t in range(8)])
