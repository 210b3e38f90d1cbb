"""Sharded networks train as whole ones, and their checkpoints fit any number of ranks."""

import pytest
import torch

from fgmanifolds.torch.checkpoint import load_training, save_training
from tests.torch.jobs import NETWORKS, SHARDED, STEPS, outcome, prepared, steps
from tests.torch.ranks import launch, start

CASES = [(kind, way) for kind in NETWORKS for way in SHARDED]
pytestmark = pytest.mark.filterwarnings("ignore")


def check_like_one(found, kind, way):
    parts = prepared(kind, way, shard=False)
    steps(*parts, 0, STEPS)
    one, first = outcome(*parts[:2]), found[0][f"{kind}-{way}"]
    start = NETWORKS[kind]().state_dict()
    assert max((one["model"][k] - start[k]).abs().max() for k in start) > 0.05
    for rank in found:
        mine = rank[f"{kind}-{way}"]
        assert mine["residual"] < 1e-5
        for part in ("model", "radii"):
            for name, value in mine[part].items():
                assert torch.equal(value, first[part][name])
                torch.testing.assert_close(value, one[part][name], rtol=1e-3, atol=1e-4)
        for a, b in zip(mine["point"], one["point"]):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7):
        pytest.skip("fully_shard of torch 2.6 asks the CPU for a stream's events")
    folder = tmp_path_factory.mktemp("sharded")
    return folder, launch("sharded", 2, folder)


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_two_ranks_are_one_process(two, kind, way):
    check_like_one(two[1], kind, way)


def test_a_bad_gradient_on_one_rank_is_refused_on_all(two):
    for rank in two[1]:
        assert "gradient of '0.weight' has nan or inf entries; nothing was updated" in rank["said"]
        assert rank["unchanged"]


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_one_process_goes_on_from_two(two, kind, way):
    parts = prepared(kind, way, shard=False)
    load_training(parts[2], two[0] / f"{kind}-{way}")
    steps(*parts, STEPS // 2, STEPS)
    found = outcome(*parts[:2])
    for name, value in found["model"].items():
        theirs = two[1][0][f"{kind}-{way}"]["model"][name]
        torch.testing.assert_close(value, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_four_ranks_are_one_process_and_go_on_from_two(two, tmp_path):
    found = launch("sharded", 4, tmp_path)
    resumed = launch("resumed", 4, tmp_path, saved=str(two[0]))
    for kind, way in CASES:
        check_like_one(found, kind, way)
        check_like_one(resumed, kind, way)


def test_a_rank_that_dies_ends_the_others_with_a_message(tmp_path):
    runs = start("dying", 2, tmp_path)
    texts = [run.communicate(timeout=120)[0] for run in runs]
    assert runs[1].returncode == 3
    assert runs[0].returncode not in (0, None)
    assert "Connection" in texts[0]


# One process ------------------------------------------------------------------------


def test_what_one_process_saves_it_loads_bit_for_bit(tmp_path):
    parts = prepared("convolutions", "adam", shard=False)
    steps(*parts, 0, 10)
    save_training(parts[2], tmp_path / "half")
    steps(*parts, 10, 20)
    again = prepared("convolutions", "adam", shard=False)
    load_training(again[2], tmp_path / "half")
    steps(*again, 10, 20)
    for name, value in outcome(*parts[:2])["model"].items():
        assert torch.equal(value, again[0].state_dict()[name])


def test_checkpoints_of_other_models_and_none_are_refused(tmp_path):
    saved = prepared("convolutions", "sgd", shard=False)
    steps(*saved, 0, 1)
    save_training(saved[2], tmp_path / "one")
    other = prepared("block", "sgd", shard=False)
    before = [p.detach().clone() for p in other[0].parameters()]
    with pytest.raises(ValueError, match="checkpoint is of another model"):
        load_training(other[2], tmp_path / "one")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        load_training(other[2], tmp_path / "none")
    adam = prepared("convolutions", "adam", shard=False)[2]
    adam.adapter.options["pom"] = "manifold"
    with pytest.raises(ValueError, match="checkpoint has pom='set'"):
        load_training(adam, tmp_path / "one")
    data = next((tmp_path / "one").glob("*.distcp"))
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"is damaged|checkpoint"):
        load_training(saved[2], tmp_path / "one")
    assert all(map(torch.equal, before, other[0].parameters()))
