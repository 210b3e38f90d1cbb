"""Several processes train as one."""

import copy
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from fgmanifolds.torch import POMAdapter
from fgmanifolds.torch.distributed import Ranks, fingerprint
from tests.torch.jobs import EXAMPLES, WAYS, WRAPS, network, train
from tests.torch.ranks import ROOT, launch

#: Rounding of the reduction of gradients, over the steps of three epochs.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}


def flat(found):
    return {
        f"{key}.{name}": value
        for key in ("model", "radii", "spreads")
        for name, value in found[key].items()
    }


def check_like_one(way, ranks, one):
    first, *others = ranks
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(flat(first).values(), flat(other).values()))
        assert other["seed"] == first["seed"] == 0
    assert first["names"] == one["names"]
    assert first["residual"] < 1e-5
    mine, theirs = flat(first), flat(one)
    for name, value in mine.items():
        torch.testing.assert_close(value, theirs[name], **CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    start = network().state_dict()
    assert any((one["model"][k] - start[k]).abs().max() > 0.05 for k in start)
    if way != "theorem2":  # whose radius is fixed
        assert any((radius.double().std() > 1e-3) for radius in one["radii"].values())


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return launch("ddp", 2, folder, accumulated=["native", "torch"])


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:initialize_ changes:UserWarning")
def test_two_ranks_are_one_process(two, way, wrap):
    """Bit for bit each other, and a process that sees both parts within rounding."""
    check_like_one(way, [found[f"{way}-{wrap}"] for found in two], train(way, wrap=None))


@pytest.mark.parametrize("way", ["native", "torch"])
def test_gradient_accumulation_without_synchronising(two, way):
    check_like_one(way, [found[f"{way}-accumulated"] for found in two], train(way, wrap=None))


@pytest.mark.slow
def test_four_ranks_are_one_process(tmp_path):
    found = launch("ddp", 4, tmp_path)
    for way in WAYS:
        for wrap in WRAPS:
            one = train(way, wrap=None)
            check_like_one(way, [rank[f"{way}-{wrap}"] for rank in found], one)


def test_ranks_that_differ_are_refused(two):
    first, second = (found["said"] for found in two)
    assert first == second
    for name in ("options", "radii", "weights"):
        assert f"differ in their {name}; nothing was updated" in first[name]
    assert first["apart"] == "nothing"


def test_accelerate_on_two_ranks(tmp_path):
    pytest.importorskip("accelerate")
    first, second = launch("accelerate", 2, tmp_path)
    assert first["error"] < 85
    assert all(map(torch.equal, first["weights"], second["weights"]))


def test_the_example_under_torchrun(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    run = subprocess.run(
        [*command, "2", str(EXAMPLES / "ddp.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    errors = [float(line.split()[2].rstrip("%")) for line in run.stdout.splitlines()]
    assert len(errors) == 2
    assert max(errors) < 15


# One process ------------------------------------------------------------------------


def test_a_group_is_checked_and_copied():
    with pytest.raises(ValueError, match="process_group=3 is unknown"):
        POMAdapter(network(), process_group=3)
    for group in ("world", None):
        ranks = Ranks(group)
        for one in (ranks, copy.deepcopy(ranks), pickle.loads(pickle.dumps(ranks))):
            assert one.size == 1
            assert one.group is None
            assert one.mean(0.3) == 0.3
            assert one.shared("x") == "x"
            assert one.gathered("x") == ["x"]


def test_wrapped_models_lose_their_prefix():
    net = network()
    adapter = POMAdapter(nn.DataParallel(net))
    assert adapter.model is net
    assert list(adapter.layers) == list(POMAdapter(network()).layers)


def test_fingerprints_tell_apart():
    x = torch.arange(6.0)
    values = [
        [x],
        [x.reshape(2, 3)],
        [x.double()],
        [x + 1e-7],
        [x, x],
        [[x, x]],
        [{"a": x}],
        [{"b": x}],
        ["x"],
        [x.to(torch.bfloat16)],
    ]
    assert len({fingerprint(one) for one in values}) == len(values)
    assert fingerprint([x]) == fingerprint([x.clone()])


def test_states_without_counts_load():
    adapter = POMAdapter(network())
    state = adapter.state_dict()
    for one in state["layers"].values():
        if one["spread"] is not None:
            del one["spread"]["seen"]
    adapter.collection.spreads[0].seen.fill_(3)
    adapter.load_state_dict(state)
    assert float(adapter.collection.spreads[0].seen.sum()) == 0
