"""With ``torch.use_deterministic_algorithms`` the same is done, and done again to the bit."""

import pytest
import torch

from tests.torch.jobs import WAYS, train


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:initialize_ changes:UserWarning")
def test_two_runs_are_equal(deterministic, way):
    first, second = (train(way, wrap=None, epochs=1) for _ in range(2))
    for name, value in first["model"].items():
        assert torch.equal(value, second["model"][name])
    assert first["residual"] < 1e-5
