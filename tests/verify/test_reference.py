"""The reference from constraints against closed forms that are written out here."""

import numpy as np
import pytest

from fgmanifolds.verify import reference
from fgmanifolds.verify.results import errors, paper_results

SHAPES = [("sphere", 3, 2, 5), ("oblique", 3, 2, 4), ("stiefel", 3, 2, 3), ("euclidean", 3, 2, 6)]


@pytest.mark.parametrize(("kind", "a", "b", "dimension"), SHAPES)
def test_tangent_spaces(kind, a, b, dimension):
    rng = np.random.default_rng(0)
    w = reference.nearest(kind, rng.standard_normal((a, b)))
    rows = reference.tangent_rows(kind, w)
    assert rows.shape == (dimension, a * b)
    np.testing.assert_allclose(rows @ rows.T, np.eye(dimension), atol=1e-12)
    u = reference.tangent_part(kind, w, rng.standard_normal((a, b)))
    np.testing.assert_allclose(reference.form(kind, w, u), 0, atol=1e-12)
    np.testing.assert_allclose(reference.tangent_part(kind, w, u), u, atol=1e-12)


@pytest.mark.parametrize("radius", [1.0, 0.3])
def test_nearest(radius):
    y = np.random.default_rng(1).standard_normal((4, 3))
    assert np.linalg.norm(reference.nearest("sphere", y, radius)) == pytest.approx(radius)
    columns = np.linalg.norm(reference.nearest("oblique", y, radius), axis=0)
    np.testing.assert_allclose(columns, radius)
    q = reference.nearest("stiefel", y, radius)
    np.testing.assert_allclose(q.T @ q, radius**2 * np.eye(3), atol=1e-14)
    r = q.T @ y
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-12)
    assert (np.diag(r) > 0).all()
    nearly_singular = np.array([[1.0, 1.0], [0.0, 1e-6]])
    q = reference.nearest("stiefel", nearly_singular)
    np.testing.assert_allclose(q.T @ q, np.eye(2), atol=1e-12)


def test_geodesics():
    """A great circle, and a rotation in the plane of two rows of an orthogonal matrix."""
    w, v = np.eye(3, 1), 2 * np.eye(3, 1, -1)
    end = reference.geodesic("sphere", w, v, np.array([0.0, 0.4]))[-1]
    np.testing.assert_allclose(end[:, 0], [np.cos(0.8), np.sin(0.8), 0], atol=1e-9)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    end = reference.geodesic("stiefel", np.eye(2), turn, np.array([0.0, 1.0]))[-1]
    wanted = [[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]
    np.testing.assert_allclose(end, wanted, atol=1e-9)


def test_results_are_the_papers():
    table = paper_results()
    assert len(table) == 300
    assert table["error"].between(3, 45).all()
    own = errors("XII", "resnet44")
    assert own.index.is_unique
    assert own["pio:sphere+oblique+stiefel+euclidean"] == 5.92
    assert own["euclidean"] == 7.05
    assert errors("XIII", "rsd110", "without")["euclidean"] == 37.55
