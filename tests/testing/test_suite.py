"""The contract suite: silent on what is right, loud on each fault."""

import numpy as np
import pytest

from fgmanifolds import Euclidean, Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.testing import CHECKS, Measured, Slope, check_manifold, run_check
from fgmanifolds.testing.verdict import measured_order
from tests.testing.centred import CentredSphere


def test_a_manifold_of_ones_own_passes():
    verdict = check_manifold(CentredSphere(3, 3, radius=2.0))
    ran = {finding.name for finding in verdict.findings if not finding.skipped}
    assert {"projections", "geodesic acceleration", "Hessians", "curvature symmetries"} <= ran
    for name, method in (
        ("logarithm", "_log(point_a, point_b)"),
        ("parallel transport", "_parallel_transport(point, direction, tangent)"),
        ("curvature bounds", "_unit_curvature_bounds()"),
    ):
        assert verdict[name].skipped
        assert f"CentredSphere is not known: define {method} in the class" in verdict[name].note
    assert verdict["retraction, claimed order"].result.order == pytest.approx(3.0, abs=0.2)


def test_a_manifold_of_ones_own_is_a_component_of_products():
    product = ScaledProductManifold([CentredSphere(3, 3, k=2), Stiefel(4, 2)], scales=[2, 0.5])
    check_manifold(product)
    point = product.random_point(0)
    assert np.abs(point[0].sum(axis=(-2, -1))).max() < 1e-14
    u, v = (product.random_tangent_vector(point, seed) for seed in (0, 1))
    ours = CentredSphere(3, 3, radius=3.0)
    x = ours.random_point(0)
    u, v = (ours.random_tangent_vector(x, seed) for seed in (0, 1))
    # A great sphere of the sphere of radius 3, of dimension 7.
    assert ours.sectional_curvature(x, u, v) == pytest.approx(1 / 9)
    assert ours.scalar_curvature(x) == pytest.approx(7 * 6 / 9)
    assert ours.kind == "centredsphere"


def test_a_class_without_normal_spaces_is_refused():
    class Half(CentredSphere):
        _second_fundamental_form = Sphere.__mro__[2]._second_fundamental_form

    with pytest.raises(TypeError, match=r"Half must define _normal_product.*or both"):
        Half(3, 3)


class Faulty(Stiefel):
    """Stiefel manifold with one verb replaced."""

    def __new__(cls, *args, **options):
        return object.__new__(cls)


def faulty(**verbs):
    return type("Faulty", (Faulty,), verbs)(4, 2, radius=2.0)


def scaled(verb, factor):
    def changed(self, *arguments, **options):
        return factor * getattr(Stiefel, verb)(self, *arguments, **options)

    return changed


#: Faults by the checks that must notice them.
FAULTS = {
    "random points": {"_random": lambda self, rng, shape: rng.standard_normal(shape)},
    "nearest points": {
        "_nearest": lambda self, matrix: np.linalg.qr(matrix)[0],
    },
    "projections": {"_tangent_part": lambda self, w, u: u - 0.9 * self._normal_part(w, u)},
    "dimension": {"_unit_dim": lambda self: 6},
    "tangent vectors": {"random_tangent_vector": lambda self, x, rng: x / np.linalg.norm(x)},
    "curves are tangent": {"retraction": lambda self, w, v: w + v + 0.1 * w * np.sum(v)},
    "second fundamental form": {
        "_second_fundamental_form": lambda self, w, u, v: -w @ (np.swapaxes(u, -2, -1) @ v)
    },
    "geodesic acceleration": {"second_fundamental_form": scaled("second_fundamental_form", 1.1)},
    "retraction at zero": {"retraction": scaled("retraction", 1.001)},
    "retraction, first order": {
        "retraction": lambda self, w, v: Stiefel.retraction(self, w, 1.1 * v)
    },
    "retraction, claimed order": {
        "retraction": lambda self, w, v: Stiefel.retraction(self, w, 1.1 * v)
    },
    "inverse retraction": {"inverse_retraction": scaled("inverse_retraction", 1.01)},
    "exponential map": {
        "_exp": lambda self, w, v: Stiefel._nearest(self, w + v),
    },
    "logarithm": {"log": scaled("log", 1.001)},
    "distances": {"dist": scaled("dist", 1.001)},
    "parallel transport": {
        "_parallel_transport": lambda self, w, d, u: u,
    },
    "transport": {"transport": lambda self, x, y, u: u},
    "chains": {
        "exp": lambda self, w, v: self._r * self._exp(w / self._r, v / self._r) * (1 + 1e-11)
    },
    "geodesics": {"pair_mean": lambda self, x, y: self.exp(x, 0.4 * self.log(x, y))},
    "means": {"variance": lambda self, points: 1.0},
    "gradients": {
        "euclidean_to_riemannian_gradient": scaled("euclidean_to_riemannian_gradient", 1.1)
    },
    "Hessians": {"euclidean_to_riemannian_hessian": lambda self, w, g, h, u: self.projection(w, h)},
    "curvature symmetries": {
        "riemann_tensor": lambda self, x, u, v, w: self.inner_product(x, v, w) * u
    },
    "spreading of geodesics": {"riemann_tensor": scaled("riemann_tensor", 0.9)},
    "curvature bounds": {"_unit_curvature_bounds": lambda self: (-0.5, 0.9)},
    "curvature traces": {"_ricci_constants": lambda self: (2.0, 1.1)},
    "degenerate planes": {"sectional_curvature": lambda self, x, u, v: 0.0},
    "vectors that are not tangent": {"_check_tangents": lambda self, x, **vectors: None},
    "one value for each of a batch": {
        "scalar_curvature": lambda self, x: np.sum(Stiefel.scalar_curvature(self, x))
    },
    "one point with many vectors": {"norm": lambda self, x, u: np.linalg.norm(u)},
    "bases": {"coordinates": scaled("coordinates", 1.01)},
    "homothety": {"exp": lambda self, w, v: self.retraction(w, v / self._r)},
    "shapes": {"_arrays": lambda self, **values: list(map(np.asarray, values.values()))},
    "seeds": {"random_point": lambda self, rng=None, n=(): Stiefel.random_point(self, None, n)},
    "identity": {"__eq__": lambda self, other: self is other, "__hash__": object.__hash__},
}


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_sees_its_fault(name):
    finding = run_check(name, faulty(**FAULTS[name]))
    assert not finding.passed, str(finding)
    assert run_check(name, Stiefel(4, 2, radius=2.0)).passed


def test_failures_are_named_with_their_figures():
    with pytest.raises(AssertionError, match=r"\d checks:\nFAILED.*distances +0\.000\d+ \(at"):
        check_manifold(faulty(dist=scaled("dist", 1.001)))
    verdict = check_manifold(faulty(dist=scaled("dist", 1.001)), raises=False)
    assert not verdict.passed
    assert verdict["distances"] in verdict.failed
    assert "FAILED  distances" in repr(verdict)
    left = check_manifold(faulty(dist=scaled("dist", 1.001)), skip=["distances"], raises=False)
    with pytest.raises(KeyError):
        left["distances"]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"skip='distance' is unknown.*Did you mean 'distances'"):
        check_manifold(Sphere(3, 1), skip=["distance"])
    with pytest.raises(ValueError, match="name='x' is unknown"):
        run_check("x", Sphere(3, 1))
    with pytest.raises(ValueError, match="length=0"):
        run_check("distances", Sphere(3, 1), length=0)


def test_the_order_is_measured():
    assert measured_order(lambda t: 3 * t**2, (0.2, 0.1, 0.05)) == pytest.approx(2)
    assert measured_order(lambda t: 1e-14, (0.2, 0.1)) == np.inf
    assert np.isnan(measured_order(lambda t: np.nan, (0.2, 0.1)))
    assert not Slope(np.nan, 2.0).passed
    assert not Measured(np.nan, 1.0).passed
    assert Slope(1.8, 2.0).passed
    assert not Slope(1.7, 2.0).passed


@pytest.mark.parametrize("cls", [Sphere, Oblique, Stiefel, Euclidean])
@pytest.mark.parametrize("retraction", ["exp", "projection", "qr", "polar"])
def test_every_retraction_of_every_class(cls, retraction):
    if retraction not in cls.retractions:
        with pytest.raises(ValueError, match=f"retraction='{retraction}' is unknown"):
            cls(4, 2, retraction=retraction)
        return
    component = cls(4, 2, k=2, radius=[0.5, 3], retraction=retraction)
    for name in CHECKS:
        if "retraction" in name:
            finding = run_check(name, component)
            assert finding.passed, str(finding)
            assert not finding.skipped
