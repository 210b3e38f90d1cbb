"""The optimizers of other packages run in the same loop, on Stiefel manifolds."""

import pytest
import torch

from fgmanifolds.experiments import TrainConfig, train
from fgmanifolds.experiments.compare import paper_methods
from fgmanifolds.experiments.peers import square_convolutions
from fgmanifolds.experiments.trainer import Trainer

PACKAGES = {"geoopt": "geoopt", "pogo": "pogo"}


@pytest.mark.parametrize("optimizer", PACKAGES)
def test_peers_train_on_orthogonal_kernels_and_resume(optimizer, tmp_path):
    pytest.importorskip(PACKAGES[optimizer])
    config = TrainConfig(optimizer=optimizer, epochs=2, lr=0.1)
    straight = Trainer(config)
    rows = [straight.run_epoch() for _ in range(2)]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    for module in square_convolutions(straight.model):
        kernels = module.weight.detach().flatten(0, 1)
        gram = kernels @ kernels.mT
        torch.testing.assert_close(gram, torch.eye(3).expand_as(gram), atol=5e-3, rtol=0)
    resumed = Trainer(config)
    resumed.run_epoch()
    torch.save(resumed.state_dict(), tmp_path / "state.pt")
    resumed = Trainer(config)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.run_epoch()
    for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_rows_of_the_papers_tables():
    labels = [TrainConfig(**vars(method)).label for method in paper_methods()]
    assert len(set(labels)) == len(labels) == 18
    assert labels[:3] == ["SGD", "RSGD of geoopt (St)", "POGO (St)"]


def test_diverged_runs_count_as_the_worst(tmp_path):
    from fgmanifolds.experiments.compare import Method, compare

    base = TrainConfig(epochs=1)
    found = compare(base, [Method("sgd")], [1e30, 0.05], 1, tmp_path)
    assert found.runs.set_index("lr").loc[1e30, "validation_error"] == 100
    assert found.runs.set_index("lr").loc[0.05, "chosen"]


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "geoopt", None)
    with pytest.raises(ImportError, match=r"optimizer='geoopt' needs .*fgmanifolds\[peers\]"):
        train(TrainConfig(optimizer="geoopt", epochs=1), tmp_path)
