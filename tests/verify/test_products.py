"""Lemma 1, Theorem 1 and Remark 1, and that their checks can fail."""

import numpy as np
import pytest

from fgmanifolds import Oblique, ScaledProductManifold, Sphere, Stiefel
from fgmanifolds.verify import Finding, lemma1, remark1, theorem1, two_spheres

PRODUCTS = [
    None,
    ScaledProductManifold([Sphere(3, 1), Stiefel(4, 2)], scales=[0.1, 3]),
    ScaledProductManifold([Stiefel(3, 2, k=2), Oblique(3, 1)], scales=[[1, 2], 1]),
    ScaledProductManifold([Stiefel(3, 2, metric="canonical"), Sphere(2, 2)]),
]


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_lemma_1_holds(product):
    finding = lemma1(product, samples=2)
    assert finding.verdict == "holds"
    assert all(value < 1e-10 for value in finding.measured.values())


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
def test_theorem_1_holds(product):
    finding = theorem1(product, samples=2)
    assert finding.verdict == "holds"
    assert all(value < 1e-7 for value in finding.measured.values())


class Wrong(ScaledProductManifold):
    """Adds sectional curvatures, and forgets a component in the metric."""

    def curvature_form(self, point, u, v, w, z):
        return 1.01 * super().curvature_form(point, u, v, w, z)


def test_the_checks_can_fail():
    assert lemma1(Wrong([Sphere(3, 1), Sphere(3, 1)]), samples=1).verdict == "fails"
    product = ScaledProductManifold([Sphere(3, 1), Sphere(3, 1)])
    target = np.ones((3, 1))
    finding = theorem1(
        product,
        loss=lambda p: float(sum(np.vdot(target, w) for w in p)),
        gradient=lambda p: [target, 0.9 * target],
        samples=1,
    )
    assert finding.verdict == "fails"


def test_theorem_1_takes_a_loss():
    product = ScaledProductManifold([Sphere(3, 1), Stiefel(3, 2)], scales=[2, 1])
    a, b = np.ones((3, 1)), np.arange(6.0).reshape(3, 2)
    finding = theorem1(
        product,
        loss=lambda p: float(np.exp(np.vdot(a, p[0])) + np.vdot(b, p[1]) ** 2),
        gradient=lambda p: [np.exp(np.vdot(a, p[0])) * a, 2 * np.vdot(b, p[1]) * b],
    )
    assert finding.verdict == "holds"


def test_remark_1_fails_on_tall_stiefel_and_only_there():
    finding = remark1(samples=50)
    assert finding.verdict == "fails"
    component, plane = finding.counterexample
    assert isinstance(component, Stiefel)
    assert component.sectional_curvature(*plane) == pytest.approx(-0.5)
    for name, value in finding.measured.items():
        tall = name.endswith(("Stiefel(3, 2)", "Stiefel(4, 2)"))
        assert value == pytest.approx(-0.5) if tall else value > -1e-9
    assert remark1([Sphere(3, 3), Stiefel(3, 3)], samples=20).verdict == "holds"


@pytest.mark.parametrize("radius", [1.0, 0.1, 7.0])
def test_two_spheres(radius):
    finding = two_spheres(radius)
    assert finding.verdict == "holds"
    assert finding.measured["curvature inside a sphere"] == pytest.approx(1 / radius**2)
    assert finding.measured["curvature of a plane in general position"] == pytest.approx(
        0.5 / radius**2
    )


@pytest.mark.parametrize("check", [lemma1, theorem1])
def test_bad_input(check):
    with pytest.raises(TypeError, match="a ScaledProductManifold of this package's components"):
        check(Sphere(3, 1))
    with pytest.raises(ValueError, match="has one factor"):
        check(ScaledProductManifold([Sphere(3, 1)]))
    with pytest.raises(ValueError, match="samples=0 must be an integer of at least 1"):
        check(samples=0)


def test_theorem_1_needs_both_loss_and_gradient():
    with pytest.raises(ValueError, match="both loss and gradient"):
        theorem1(loss=lambda p: 0.0)
    with pytest.raises(ValueError, match="step=0"):
        theorem1(step=0)


def test_findings_are_readable():
    finding = two_spheres()
    assert str(finding).startswith("Section III.A, two-spheres: holds\n")
    assert "<caption>" in finding._repr_html_()
    with pytest.raises(ValueError, match="verdict='maybe' is unknown"):
        Finding("x", "y", "maybe")
