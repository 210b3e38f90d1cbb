"""The runner: every system and scheme trains, runs go on, and what goes wrong is said."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fgmanifolds.data import load_images
from fgmanifolds.experiments import memory, runner, storage
from fgmanifolds.experiments.ensemble import vote_error
from fgmanifolds.experiments.runner import Settings, plan_of, reproduce, run_row
from fgmanifolds.experiments.session import Session
from fgmanifolds.experiments.table import TABLES, load_table
from tests.data import archives

ALL = "pio:sphere+oblique+stiefel+euclidean"
#: Each system once, on four manifolds, and each scheme once.
SYSTEMS = [
    ("III", f"resnet50/imagenet/{ALL}"),
    ("III", f"resnet101/imagenet/{ALL}"),
    ("III", f"se_resnet50/imagenet/{ALL}"),
    ("III", f"se_resnet101/imagenet/{ALL}"),
    ("XI", f"resnet18/imagenet/{ALL}"),
    ("XII", f"resnet44/with/{ALL}"),
    ("XIII", f"rcd110/with/{ALL}"),
    ("XIII", f"rsd110/without/{ALL}"),
    ("XV", f"se_resnet101/with/{ALL}"),
    ("XVI", f"resnext50_32x4d/imagenet/{ALL}@wss"),
    ("XVI", f"mobilenet_v2/imagenet/{ALL}@sose"),
    ("XVI", "mobilenet_v2/imagenet/euclidean"),
    ("XVI", f"deeproots50/imagenet/{ALL}@sose"),
    ("XII", "resnet44/with/euclidean"),
    ("XII", "resnet44/with/kernel:stiefel"),
    ("XII", "resnet44/with/layer:oblique"),
    ("XII", "resnet44/with/pi:sphere+stiefel"),
    ("XII", "resnet44/with/po:euclidean+oblique"),
    ("D.B", "resnet44-quarter/with/vote:sphere+oblique+stiefel"),
]


def check_smoke(table, key, out):
    found = reproduce(table, Settings(out, smoke=True), [key]).table.iloc[0]
    assert (found["seeds"], found["diverged"]) == (1, 0)
    assert 0 <= found["ours"] <= 100
    assert found["difference"] == pytest.approx(found["ours"] - found["paper"])
    assert "data digits" in found["what"]
    assert "2 steps an epoch" in found["what"]
    for path in (out / "runs").rglob("result.json"):
        result = json.loads(path.read_text())
        euclidean = result["config"]["method"].startswith("euclidean")
        assert (result["residual"] is None) == euclidean
        assert euclidean or result["residual"] < 1e-4
        rows = pd.read_csv(path.with_name("metrics.csv"))
        assert rows["epoch"].tolist() == [1, 2]
        assert np.isfinite(rows[["train_loss", "train_error"]]).all(axis=None)


@pytest.mark.parametrize(("table", "key"), SYSTEMS, ids=lambda text: text.replace("/", "-"))
def test_every_system_and_every_scheme(tmp_path, table, key):
    check_smoke(table, key, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "key"),
    [(name, row.key) for name in TABLES for row in load_table(name).rows],
    ids=lambda text: text.replace("/", "-"),
)
def test_every_row_of_every_table(tmp_path, table, key):
    check_smoke(table, key, tmp_path)


class Stopped(Exception):
    pass


def stop_after(epochs):
    def on_epoch(row):
        if row["epoch"] == epochs:
            raise Stopped

    return on_epoch


ROW = load_table("XII").select([f"resnet44/with/{ALL}"])[0]
DEPTH = load_table("XIV").select(["rsd110/with/pio:sphere"])[0]


def smoke(out, row=ROW, **changes):
    settings = Settings(out, smoke=True, epochs=changes.pop("epochs", 3), **changes)
    return plan_of(row, settings, settings.seed)


def digits(config):
    return load_images("digits")


def states(plan):
    return torch.load(plan.folder / "checkpoint.pt", weights_only=True)


@pytest.mark.parametrize("row", [ROW, DEPTH], ids=lambda row: row.system.key)
def test_runs_go_on_bit_for_bit(tmp_path, row):
    whole, parts = smoke(tmp_path / "whole", row), smoke(tmp_path / "parts", row)
    first = run_row(whole, digits)
    for epochs in (1, 2):
        with pytest.raises(Stopped):
            run_row(parts, digits, on_epoch=stop_after(epochs))
    second = run_row(parts, digits)
    assert first["error"] == second["error"]
    a, b = states(whole), states(parts)
    for name, value in a["model"].items():
        assert torch.equal(value, b["model"][name]), name
    drop = ["seconds", "seconds_waited"]
    frames = [pd.DataFrame(s["history"]).drop(columns=drop) for s in (a, b)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_finished_runs_are_kept(tmp_path, monkeypatch):
    settings = Settings(tmp_path, smoke=True, seeds=2)
    first = reproduce("XII", settings, ["euclidean"])
    assert first.table.iloc[0]["seeds"] == 2
    monkeypatch.setattr(runner, "Session", lambda *a: pytest.fail("trained again"))
    again = reproduce("XII", settings, ["euclidean"])
    pd.testing.assert_frame_equal(first.table, again.table)


def test_seeds_differ_and_global_random_state_is_left_alone(tmp_path):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    results = [run_row(smoke(tmp_path, seed=seed), digits) for seed in (0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    losses = [states(smoke(tmp_path, seed=seed))["history"][0]["train_loss"] for seed in (0, 1)]
    assert losses[0] != losses[1]
    assert all(result["error"] is not None for result in results)


def test_the_best_validation_epoch_is_reported(tmp_path):
    session = Session(smoke(tmp_path, DEPTH).config, load_images("digits"))
    for _ in range(3):
        session.run_epoch()
    errors = [row["validation_error"] for row in session.history]
    assert session.best["epoch"] == int(np.argmin(errors)) + 1
    session.best["model"] = {k: torch.zeros_like(v) for k, v in session.best["model"].items()}
    before = session.model.classifier.weight.clone()
    scores, _ = session.test_scores()
    assert not scores.any()
    assert torch.equal(session.model.classifier.weight, before)


def test_rates_follow_the_schedule(tmp_path):
    for method, base in (("euclidean", 0.045), (f"{ALL}@sose", 0.1)):
        row = load_table("XVI").select([f"mobilenet_v2/imagenet/{method}"])[0]
        session = Session(smoke(tmp_path, row, epochs=2).config, load_images("digits"))
        kind = "RMSprop" if method == "euclidean" else "FGSGD"
        assert type(session.optimizer).__name__ == kind
        rates = [session.run_epoch()["lr"] for _ in range(2)]
        assert rates == pytest.approx([base, base * 0.98**100])
        assert {group["lr"] for group in session.optimizer.param_groups} == {rates[1]}


def test_the_paper_momentum_is_used(tmp_path):
    session = Session(smoke(tmp_path).config, load_images("digits"))
    for group in session.optimizer.param_groups:
        assert (group["momentum"], group["dampening"]) == (0.9, 0.1)
        assert group["weight_decay"] == 1e-4
    assert "classifier" in session.adapter.skipped


def test_zero_gradients_move_closed_blocks(tmp_path):
    """As in the code of Huang et al.: momentum and decay go on in blocks that are closed."""
    session = Session(smoke(tmp_path, DEPTH).config, load_images("digits"))
    session.run_epoch()
    moved = 0
    pixels, labels = next(session.batches.epoch(1))
    for _ in range(4):
        last = session.model.residual_blocks()[-1]
        before = last.conv1.weight.detach().clone()
        seen = session.optimizer.state[last.conv1.weight]
        known = bool(seen)
        session.model.train()
        session._step(pixels, labels)
        if known and not last.open:
            moved += not torch.equal(before, last.conv1.weight)
    assert moved > 0


def test_votes_are_those_of_the_stored_scores(tmp_path):
    settings = Settings(tmp_path, smoke=True)
    found = reproduce("D.B", settings, ["resnet44-quarter/*"]).table.set_index("method")
    scores = {}
    for name in ("euclidean", "kernel-sphere", "kernel-oblique", "kernel-stiefel"):
        folder = tmp_path / f"runs/resnet44-quarter-digits/with/{name}/seed-0"
        with np.load(folder / "scores.npz") as stored:
            scores[name], labels = stored["scores"], stored["labels"]
        own = 100 * np.mean(scores[name].argmax(1) != labels)
        assert found.loc[name.replace("-", ":"), "ours"] == pytest.approx(own)
    curved = [scores[f"kernel-{name}"] for name in ("sphere", "oblique", "stiefel")]
    assert found.loc["vote:sphere+oblique+stiefel", "ours"] == vote_error(curved, labels)


def test_processes_share_the_runs(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        found = reproduce(
            "D.B",
            Settings(tmp_path, smoke=True),
            ["vote:sphere+oblique+stiefel"],
            on_run=lambda plan, rank=rank: taken.append((rank, plan.folder)),
        )
        votes = found.table[found.table["method"].str.startswith("vote")]
        assert (votes["seeds"] == rank).all()
        assert rank or (votes["what"] == "not run").all()
    assert [rank for rank, _ in taken] == [0] * 3 + [1] * 3
    assert len({folder for _, folder in taken}) == 6
    assert len(votes) == 2 < len(found.table)


def test_tables_and_curves_are_written(tmp_path):
    found = reproduce("XII", Settings(tmp_path, smoke=True), ["euclidean", "layer:*"])
    text = (tmp_path / "XII.md").read_text()
    assert "| resnet44 | with | Euc. | 7.05 |" in text
    assert "POMs of St" in text
    stored = pd.read_csv(tmp_path / "XII.csv")
    np.testing.assert_allclose(stored["ours"], found.table["ours"])
    svg = (tmp_path / "XII-curves.svg").read_text()
    assert svg.count("<svg") == 1
    assert [path.name for path in found.files] == ["XII.csv", "XII.md", "XII-curves.svg"]
    assert not list(tmp_path.rglob("*.draft"))


def test_the_table_keeps_rows_of_earlier_calls(tmp_path):
    settings = Settings(tmp_path, smoke=True)
    reproduce("XII", settings, ["layer:stiefel"])
    table = reproduce("XII", settings, ["euclidean"]).table
    assert table["method"].tolist() == ["euclidean", "layer:stiefel"]
    assert (table["seeds"] == 1).all()
    longer = replace(settings, epochs=1, out=tmp_path / "b")
    reproduce("XII", replace(longer, epochs=3), ["layer:stiefel"])
    assert reproduce("XII", longer, ["euclidean"]).table["method"].tolist() == ["euclidean"]


def test_a_run_that_diverges_is_a_result(tmp_path):
    settings = Settings(tmp_path, smoke=True, lr=1e25, epochs=3)
    found = reproduce("XII", settings, ["euclidean"]).table.iloc[0]
    assert (found["seeds"], found["diverged"]) == (0, 1)
    assert "1 diverged" in (tmp_path / "XII.md").read_text()
    path = next(tmp_path.rglob("result.json"))
    assert "a smaller lr may help" in json.loads(path.read_text())["message"]


@pytest.mark.parametrize("unreadable", ["error", "skip"])
def test_photographs_of_any_size_train(tmp_path, unreadable):
    """The way of ImageNet: decoded, cropped and augmented on the fly; bad images are counted."""
    folder = tmp_path / "photos"
    archives.write_tree(folder, side=24)
    (folder / "train" / "ant" / "0.png").write_bytes(b"nonsense")
    settings = Settings(
        tmp_path / "out",
        data=f"folder:{folder}",
        side=16,
        model="cnn",
        batch_size=8,
        epochs=2,
        unreadable=unreadable,
    )
    if unreadable == "error":
        with pytest.raises(ValueError, match=r"ant/0.png' cannot be read: no image"):
            reproduce("XI", settings, ["euclidean"])
        return
    found = reproduce("XI", settings, ["euclidean"]).table.iloc[0]
    assert found["seeds"] == 1
    assert "images of 16 pixels" in found["what"]
    result = json.loads(next((tmp_path / "out").rglob("result.json")).read_text())
    assert result["images_skipped"] == 1


# What goes wrong -------------------------------------------------------------------


def test_other_options_are_refused(tmp_path):
    plan = smoke(tmp_path)
    with pytest.raises(Stopped):
        run_row(plan, digits, on_epoch=stop_after(1))
    with pytest.raises(ValueError, match="to resume has batch_size=8, but batch_size=16"):
        run_row(smoke(tmp_path, batch_size=16), digits)
    run_row(plan, digits)
    with pytest.raises(ValueError, match="to resume has epochs=3, but epochs=4"):
        run_row(smoke(tmp_path, epochs=4), digits)
    (plan.folder / "result.json").write_text("nonsense")
    with pytest.raises(ValueError, match=r"result.json' is not the result of a run"):
        run_row(plan, digits)


def test_other_classes_are_refused(tmp_path):
    plan = smoke(tmp_path)
    with pytest.raises(Stopped):
        run_row(plan, digits, on_epoch=stop_after(1))
    data = load_images("digits")
    fewer = replace(data, classes=9, class_names=data.class_names[:9])
    with pytest.raises(ValueError, match=r"has 10 classes .*data='digits' has 9"):
        run_row(plan, lambda config: fewer)


def test_checkpoints_that_are_none_are_named(tmp_path):
    plan = smoke(tmp_path)
    plan.folder.mkdir(parents=True)
    (plan.folder / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a checkpoint of a run"):
        run_row(plan, digits)


@pytest.mark.parametrize("full", ["metrics.csv", "checkpoint.pt"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, full):
    plan = smoke(tmp_path)
    with pytest.raises(Stopped):
        run_row(plan, digits, on_epoch=stop_after(1))
    before = (plan.folder / full).read_bytes()
    real = os.fsync

    def fsync(descriptor):
        if full in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc/self/fd to see which file is written")
    monkeypatch.setattr(storage.os, "fsync", fsync)
    with pytest.raises(OSError, match=rf"{full}' cannot be written \(No space left"):
        run_row(plan, digits)
    assert (plan.folder / full).read_bytes() == before
    assert not list(tmp_path.rglob("*.draft"))
    monkeypatch.undo()
    assert run_row(plan, digits)["error"] == run_row(smoke(tmp_path / "b"), digits)["error"]


class Hungry(torch.nn.Module):
    """A network that needs too much memory for more than `most` images."""

    def __init__(self, most, error):
        super().__init__()
        self.most, self.error = most, error
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        if len(x) > self.most:
            raise self.error
        return self.linear(x)


CPU_ERROR = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize("error", [CPU_ERROR, MemoryError(), torch.OutOfMemoryError("CUDA")])
def test_the_batch_size_that_fits_is_named(error):
    x, y = torch.zeros(32, 4), torch.zeros(32, dtype=torch.long)
    for most, text in ((32, None), (9, "8 does (batch_size=8)"), (1, "nor do two")):
        model = Hungry(most, error)
        if text is None:
            with memory.guard_memory(model, x, y):
                model(x)
            continue
        with pytest.raises(MemoryError) as found, memory.guard_memory(model, x, y):
            model(x)
        assert str(found.value).startswith("a training step of 32 images does not fit")
        assert text in str(found.value)
    with pytest.raises(RuntimeError, match="shapes"), memory.guard_memory(Hungry(9, error), x, y):
        raise RuntimeError("shapes cannot be multiplied")


def test_a_session_says_which_batch_size_fits(tmp_path):
    session = Session(smoke(tmp_path).config, load_images("digits"))
    forward = session.model.forward

    def hungry(x):
        if len(x) > 3:
            raise CPU_ERROR
        return forward(x)

    session.model.forward = hungry
    with pytest.raises(MemoryError, match=r"8 images does not fit in the memory; 2 does"):
        session.run_epoch()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"lr": -1.0}, "lr=-1.0"),
        ({"model": "resnet43"}, "name='resnet43' is unknown"),
        ({"widths": "half"}, "widths='half' is unknown"),
        ({"data": "cifar10"}, "data='cifar10' needs data_dir="),
    ],
)
def test_bad_settings_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        reproduce("XII", Settings(tmp_path, smoke=True, **changes), ["euclidean"])
