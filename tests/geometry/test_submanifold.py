"""Manifolds of pymanopt as components, and pymanopt's own diagnostics on our manifolds."""

import matplotlib
import numpy as np
import pymanopt
import pymanopt.manifolds
import pytest
from matplotlib import pyplot as plt
from pymanopt.optimizers import SteepestDescent
from pymanopt.tools import diagnostics

from fgmanifolds import (
    Oblique,
    ScaledProductManifold,
    ScaledSubmanifold,
    Sphere,
    Stiefel,
)
from fgmanifolds.testing import check_manifold

matplotlib.use("agg")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (pymanopt.manifolds.Sphere(3, 2), Sphere(3, 2)),
        (pymanopt.manifolds.Stiefel(4, 2), Stiefel(4, 2)),
    ],
    ids=["sphere", "stiefel"],
)
def test_a_scaled_submanifold_is_our_component(theirs, ours):
    scaled, ours = ScaledSubmanifold(theirs, radius=2.5), ours.with_radius(2.5)
    point = scaled.random_point(0)
    ours.check_point(point)
    u, v, w = (ours.random_tangent_vector(point, i) for i in range(3))
    for verb, arguments in (
        ("projection", (u + point,)),
        ("exp", (u,)),
        ("retraction", (u,)),
        ("second_fundamental_form", (u, v)),
        ("riemann_tensor", (u, v, w)),
        ("sectional_curvature", (u, v)),
        ("ricci_curvature", (u, v)),
        ("scalar_curvature", ()),
        ("inner_product", (u, v)),
        ("norm", (u + v,)),
    ):
        np.testing.assert_allclose(
            getattr(scaled, verb)(point, *arguments),
            getattr(ours, verb)(point, *arguments),
            atol=1e-12,
            err_msg=verb,
        )
    scaled.check_point(point)
    scaled.check_tangent(point, u)
    with pytest.raises(ValueError, match="not tangent"):
        scaled.check_tangent(point, point)
    with pytest.raises(ValueError, match=r"needs \(|not finite"):
        scaled.check_point(point.T)
    assert scaled.with_radius(1.0).radius == 1.0
    assert "radius=2.5" in repr(scaled)


def test_random_points_take_seeds_and_leave_the_global_generator_alone():
    scaled = ScaledSubmanifold(pymanopt.manifolds.Sphere(3))
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    a, b = scaled.random_point(rng=1), scaled.random_point(rng=1)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, scaled.random_point(rng=2))
    assert np.random.random() == expected  # noqa: NPY002


def test_what_pymanopt_does_not_know_is_an_error():
    product = ScaledProductManifold([pymanopt.manifolds.Sphere(3), Sphere(3, 1)], scales=[2, 1])
    assert product.sectional_curvature_bounds == (0.0, 1.0)
    with pytest.raises(NotImplementedError, match="is not known: pymanopt does not give it"):
        _ = product.injectivity_radius
    assert "ScaledSubmanifold" in product._repr_html_()


def test_optimisation_on_a_product_with_a_subsphere():
    """The leading eigenvector within a subspace, beside one of ours."""
    rng = np.random.default_rng(0)
    subspace = np.linalg.qr(rng.standard_normal((5, 3)))[0]
    matrix = rng.standard_normal((5, 5))
    matrix = matrix + matrix.T
    product = ScaledProductManifold(
        [pymanopt.manifolds.SphereSubspaceIntersection(subspace), Sphere(5, 1)], scales=[2, 3]
    )

    @pymanopt.function.numpy(product)
    def cost(x, y):
        return -x @ matrix @ x - np.vdot(y, matrix @ y)

    @pymanopt.function.numpy(product)
    def gradient(x, y):
        return [-2 * matrix @ x, -2 * matrix @ y]

    problem = pymanopt.Problem(product, cost, euclidean_gradient=gradient)
    result = SteepestDescent(verbosity=0, max_iterations=2000, min_step_size=1e-14).run(
        problem, initial_point=product.random_point(0)
    )
    within = np.linalg.eigvalsh(subspace.T @ matrix @ subspace)[-1]
    overall = np.linalg.eigvalsh(matrix)[-1]
    assert result.cost == pytest.approx(-4 * within - 9 * overall, rel=1e-6)
    x, y = result.point
    assert np.linalg.norm(x) == pytest.approx(2)
    np.testing.assert_allclose(subspace @ subspace.T @ x, x, atol=1e-9)
    assert np.linalg.norm(y) == pytest.approx(3)


MIXED = ScaledProductManifold(
    [Sphere(3, 3, k=2), Oblique(4, 2), Stiefel(3, 3)], scales=[[1, 2], 0.5, 1]
)
RETRACTIONS = [
    (Sphere(3, 2, radius=2.0), 3),
    (Oblique(3, 2), 3),
    (Stiefel(4, 2), 2),
    (Stiefel(4, 2, retraction="polar"), 3),
    (Stiefel(3, 3, retraction="polar", radius=0.5), 3),
    (MIXED, 2),
]


@pytest.mark.parametrize(("manifold", "order"), RETRACTIONS, ids=lambda x: str(x)[:30])
def test_pymanopt_check_retraction(manifold, order, capsys):
    """Slope 2 means a first-order retraction, slope 3 a second-order one.

    pymanopt's own fit is nan as soon as a distance is exactly zero (it is on pymanopt's
    sphere too), so the slope is read off the curve that it draws, above rounding.
    """
    point = manifold.random_point(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        diagnostics.check_retraction(manifold, point, manifold.random_tangent_vector(point, 0))
    curve = plt.gca().get_lines()[0]
    steps, errors = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    plt.close("all")
    clear = (errors > 1e-12) & (steps < 0.1)
    assert clear.sum() > 10
    slope = np.polyfit(np.log(steps[clear]), np.log(errors[clear]), 1)[0]
    assert slope == pytest.approx(order, abs=0.15)
    printed = float(capsys.readouterr().out.split("the slope is: ")[1].split("\n")[0][:-1])
    assert np.isnan(printed) or printed == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("metric", ["embedded", "canonical"])
def test_pymanopt_check_gradient_and_hessian(metric, capsys):
    product = ScaledProductManifold(
        [Sphere(3, 2), Stiefel(4, 2, metric=metric), Oblique(3, 2)], scales=[2, 0.5, 1]
    )
    targets = [
        np.random.default_rng(i).standard_normal(c.shape) for i, c in enumerate(product.components)
    ]

    @pymanopt.function.numpy(product)
    def cost(*point):
        return sum(np.vdot(t, w) ** 2 for t, w in zip(targets, point))

    @pymanopt.function.numpy(product)
    def gradient(*point):
        return [2 * np.vdot(t, w) * t for t, w in zip(targets, point)]

    @pymanopt.function.numpy(product)
    def hessian(*arguments):
        return [2 * np.vdot(t, v) * t for t, v in zip(targets, arguments[3:])]

    problem = pymanopt.Problem(
        product, cost, euclidean_gradient=gradient, euclidean_hessian=hessian
    )
    point = product.random_point(0)
    direction = product.random_tangent_vector(point, 0)
    _, _, _, poly = diagnostics.check_directional_derivative(problem, point, direction)
    assert poly[0] == pytest.approx(2, abs=0.1)
    _, _, _, poly = diagnostics.check_directional_derivative(
        problem, point, direction, use_quadratic_model=True
    )
    assert poly[0] == pytest.approx(3, abs=0.1)
    diagnostics.check_gradient(problem, point, direction)
    diagnostics.check_hessian(problem, point, direction)
    plt.close("all")
    printed = capsys.readouterr().out
    residual = float(
        printed.split("residual should be close to 0: ")[1]
        .split(". ")[0]
        .split("\n")[0]
        .rstrip(".")
    )
    assert residual < 1e-12
    symmetry = float(printed.split("should be close to zero: ")[1].split("= ")[1].split(".\n")[0])
    assert abs(symmetry) < 1e-10


@pytest.mark.parametrize(
    "manifold",
    [
        ScaledSubmanifold(pymanopt.manifolds.Sphere(3, 2), radius=2.0),
        ScaledSubmanifold(pymanopt.manifolds.Stiefel(4, 2)),
        ScaledProductManifold([pymanopt.manifolds.Sphere(3, 1), Stiefel(4, 2)], scales=[0.5, 2]),
    ],
    ids=str,
)
def test_the_contract_suite_on_manifolds_of_pymanopt(manifold):
    # Pymanopt's distances on spheres are by arccos: 1e-8 between equal points.
    verdict = check_manifold(manifold, skip=["distances"])
    assert sum(not finding.skipped for finding in verdict.findings) > 20
