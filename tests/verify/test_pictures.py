"""Pictures of statements: they show what the formulas give."""

import numpy as np
import pytest

from fgmanifolds.verify import CLAIMS
from fgmanifolds.verify.pictures import PICTURES, caption, picture

TEN = [
    "lemma1",
    "theorem1",
    "remark1",
    "eq5",
    "eq7",
    "eq33",
    "theorem2",
    "corollary2",
    "proposition1",
    "example1",
]


def lines(name):
    (axes, *_) = picture(name).axes
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_the_ten_have_pictures_and_captions():
    assert set(PICTURES) == set(TEN) <= set(CLAIMS)
    for name in PICTURES:
        assert caption(name).endswith(".")


@pytest.mark.parametrize("name", sorted(set(TEN) - {"theorem2"}))
def test_they_can_be_drawn(name, tmp_path):
    picture(name).savefig(tmp_path / "x.svg")
    assert (tmp_path / "x.svg").stat().st_size > 5000


def test_the_circle():
    drawn = lines("eq33")
    right, printed = drawn["right"], drawn["printed, four times as far"]
    np.testing.assert_allclose(right[-1], 2 * np.array([np.cos(0.5), np.sin(0.5)]))
    np.testing.assert_allclose(printed[-1], 2 * np.array([np.cos(2), np.sin(2)]))


def test_slopes_lie_on_the_cosine():
    drawn = lines("theorem1")
    angles, slopes = drawn["slope of the loss, measured"].T
    top = drawn["root of the sum (17), times cos"][:, 1].max()
    np.testing.assert_allclose(slopes, top * np.cos(angles), atol=1e-3 * top)


def test_the_drift_vanishes_where_runs_rest():
    drawn = lines("eq5")
    for label, low, high in (
        ("norm of the same sample, as printed", 0, 3),
        ("norms of past samples, bounded", 28, 37),
        ("norms of past samples alone", 41, 43),
    ):
        angles, drift = drawn[label].T
        crossing = angles[np.flatnonzero(drift < 0)[0]]
        assert low < crossing < high, label


def test_bad_input():
    with pytest.raises(ValueError, match="name='eq1' is unknown"):
        picture("eq1")
    with pytest.raises(ValueError, match="name='eq1' is unknown"):
        caption("eq1")
