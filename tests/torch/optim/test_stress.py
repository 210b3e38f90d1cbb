"""Numbers under stress: weights stay on their manifolds, nothing is half-updated."""

import pytest

from tests.torch.compiling import needs_compiler
from tests.torch.optim.stress import LARGE, RULES, SMALL, TYPES, WAYS, Attack

MARKED = [pytest.param(way, marks=needs_compiler if way == "compiled" else ()) for way in WAYS]

#: Relative distances from the manifolds that rounding may come to, however long it goes on.
BOUNDS = {"float64": 1e-14}


def check(way, kind, rule, shapes, steps):
    one = Attack(way, kind, rule, shapes).run(steps, every=25)
    assert one.worst < BOUNDS.get(kind, 2e-6)
    assert one.refused == steps // 37
    # A scaler leaves further steps out until its scale fits.
    taken = one.optimizer.steps
    assert taken > steps / 2 if kind == "float16 scaled" else taken == steps - one.refused


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("way", ["native", "eager"])
@pytest.mark.parametrize("shapes", [SMALL, LARGE], ids=["small", "large"])
def test_float32(way, rule, shapes):
    check(way, "float32", rule, shapes, 75)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("way", MARKED)
@pytest.mark.parametrize("shapes", [SMALL, LARGE], ids=["small", "large"])
def test_all_types_and_ways(way, kind, rule, shapes):
    check(way, kind, rule, shapes, 300)
