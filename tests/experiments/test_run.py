"""Training runs on real digits: what they learn, write, and how they resume."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ttest_rel

from fgmanifolds.experiments import Method, TrainConfig, Trainer, compare, train
from fgmanifolds.experiments.compare import _paired, choose_lr

SHORT = TrainConfig(epochs=3)


class Stopped(Exception):
    pass


def stop_after(epochs):
    def on_epoch(row):
        if row["epoch"] == epochs:
            raise Stopped

    return on_epoch


def test_training_learns_and_writes_everything(tmp_path):
    config = replace(SHORT, epochs=8)
    result = train(config, tmp_path / "run")
    assert result.test_error < 6
    assert result.residual < 1e-5
    rows = pd.read_csv(tmp_path / "run/metrics.csv")
    assert rows["epoch"].tolist() == list(range(1, 9))
    assert rows["train_loss"].iloc[-1] < 0.2 * rows["train_loss"].iloc[0]
    bounds = [name for name in rows if name.startswith("bound_")]
    assert rows.drop(columns=bounds).notna().all(axis=None)
    assert len(bounds) == 6
    assert (rows[bounds].notna().all(axis=1) == (rows["margin"] > 0)).all()
    assert rows["margin"].iloc[-1] > 0
    assert (rows[["residual_sphere", "residual_oblique", "residual_stiefel"]] < 1e-5).all(axis=None)
    assert (rows["denominator_mean"] >= 1).all()
    assert (rows["radius_min"] > 0).all()
    stored = json.loads((tmp_path / "run/result.json").read_text())
    assert stored["test_error"] == result.test_error
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("<svg") == 2
    assert "Angle of a step, by layer" in page
    assert "FG-SGD PIO (Sp+Ob+St+Euc)" in page
    assert "src=" not in page
    assert "http-equiv" not in page


@pytest.mark.parametrize(
    ("fan_out", "outputs"), [("none", 0), ("glorot", 9 * 48), ("feature_map", 16 * 48)]
)
def test_radii_by_each_reading_of_b_hat(fan_out, outputs):
    """The second layer of `cnn`: 24 inputs, 48 outputs, maps of 4 x 4."""
    layer = Trainer(replace(SHORT, fan_out=fan_out)).adapter.layers["conv2"]
    assert layer.gamma == pytest.approx((9 * 24 + outputs) ** -0.5)


def test_angles_of_steps_are_in_the_metrics(monkeypatch):
    trainer, seen = Trainer(replace(SHORT, optimizer="sgd")), []
    step = trainer._step

    def spy(*arguments):
        before = trainer.model.conv2.weight.detach().double().flatten(1)
        step(*arguments)
        after = trainer.model.conv2.weight.detach().double().flatten(1)
        cosines = torch.cosine_similarity(before, after, dim=1)
        seen.append(float(cosines.clamp(max=1).arccos().mean()))

    monkeypatch.setattr(trainer, "_step", spy)
    row = trainer.run_epoch()
    n = len(seen)
    expected = (seen[n // 4] + seen[3 * n // 4]) / 2
    assert row["angle_conv2"] == pytest.approx(expected, rel=1e-4)
    assert {f"angle_{name}" for name in ("conv1", "conv2", "conv3", "classifier")} <= set(row)


def test_sgd_rows_have_no_poms(tmp_path):
    result = train(replace(SHORT, optimizer="sgd"), tmp_path)
    rows = pd.read_csv(tmp_path / "metrics.csv")
    assert result.residual is None
    assert rows[["denominator_mean", "radius_min", "residual_sphere"]].isna().all(axis=None)
    assert rows[["train_loss", "gradient_norm", "validation_error"]].notna().all(axis=None)


@pytest.mark.parametrize("optimizer", ["fgsgd", "sgd"])
def test_resume_is_bit_for_bit(tmp_path, optimizer):
    config = replace(SHORT, optimizer=optimizer)
    whole = train(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(config, tmp_path / "parts", on_epoch=stop_after(1))
    with pytest.raises(Stopped):
        train(config, tmp_path / "parts", resume=True, on_epoch=stop_after(2))
    parts = train(config, tmp_path / "parts", resume=True)
    a, b = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("whole", "parts")
    )
    for name, tensor in a["model"].items():
        assert torch.equal(tensor, b["model"][name])
    assert whole.test_error == parts.test_error
    rows = [pd.read_csv(tmp_path / name / "metrics.csv") for name in ("whole", "parts")]
    first, second = (frame.drop(columns="seconds") for frame in rows)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_seeds_reproduce_and_differ():
    rows = [Trainer(replace(SHORT, seed=seed)).run_epoch() for seed in (0, 0, 1)]
    assert rows[0]["train_loss"] == rows[1]["train_loss"]
    assert rows[0]["train_loss"] != rows[2]["train_loss"]


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Trainer(SHORT).run_epoch()
    assert torch.equal(torch.rand(3), expected)


def test_a_finished_run_is_not_tested_again(tmp_path, monkeypatch):
    first = train(SHORT, tmp_path)
    monkeypatch.setattr(Trainer, "test_error", lambda self: pytest.fail("touched the test part"))
    assert train(SHORT, tmp_path, resume=True) == first


def test_folders_are_guarded(tmp_path):
    with pytest.raises(ValueError, match=r"holds no checkpoint.pt to resume"):
        train(SHORT, tmp_path, resume=True)
    train(replace(SHORT, epochs=1), tmp_path)
    with pytest.raises(ValueError, match="already holds a run"):
        train(SHORT, tmp_path)
    with pytest.raises(ValueError, match=r"the run to resume has epochs=1, but epochs=3"):
        train(SHORT, tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"has scheme='pio', but scheme='pi'"):
        train(replace(SHORT, epochs=1, scheme="pi"), tmp_path, resume=True)
    train(replace(SHORT, epochs=2), tmp_path, overwrite=True)
    (tmp_path / "checkpoint.pt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is not a checkpoint of a run"):
        train(replace(SHORT, epochs=2), tmp_path, resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written to"):
        train(SHORT, tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "cifar"}, "data='cifar' is unknown; allowed: 'digits', 'mnist5k'"),
        ({"model": "resnet"}, "model='resnet' is unknown"),
        ({"optimizer": "adam"}, "optimizer='adam' is unknown; allowed: 'fgsgd', 'sgd'"),
        ({"manifolds": ("spher",)}, "manifolds='spher' is unknown.*mean 'sphere'"),
        ({"epochs": 0}, "epochs=0 must be"),
        ({"batch_size": 1}, "batch_size=1 must be an integer of at least 2"),
        ({"lr": 0.0}, r"lr=0.0 must be finite and in \(0"),
        ({"momentum": 1.5}, r"momentum=1.5 must be finite and in \[0, 1\]"),
        ({"amp": 1}, "amp=1 must be True or False"),
        ({"device": "gpu"}, "device='gpu' is unknown"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


def test_a_diverging_run_says_so(tmp_path):
    with pytest.raises((FloatingPointError, ValueError), match=r"loss became|nan or inf"):
        train(replace(SHORT, optimizer="sgd", lr=1e12), tmp_path)


def test_comparison_chooses_on_validation_and_tests_only_the_chosen(tmp_path):
    methods = [Method("sgd"), Method("fgsgd", manifolds=("sphere", "stiefel"))]
    found = compare(replace(SHORT, epochs=2), methods, [0.001, 0.1], 2, tmp_path)
    assert len(found.runs) == 8
    assert found.runs["chosen"].sum() == 4
    assert found.runs.loc[~found.runs["chosen"], "test_error"].isna().all()
    assert found.table.loc["SGD", "lr"] == 0.1
    for label, group in found.runs[found.runs["chosen"]].groupby("label"):
        others = found.runs[(found.runs["label"] == label) & ~found.runs["chosen"]]
        assert group["lr"].nunique() == 1
        assert group["validation_error"].mean() <= others["validation_error"].mean()
        assert found.table.loc[label, "test error %"] == pytest.approx(group["test_error"].mean())
        assert found.table.loc[label, "std"] == pytest.approx(group["test_error"].std())
    assert math.isnan(found.table.loc["SGD", "largest residual"])
    assert found.report.read_text().count("<svg") == 4
    assert (tmp_path / "runs.csv").exists()


def test_a_stopped_comparison_goes_on_bit_for_bit(tmp_path):
    base, methods, grid = replace(SHORT, epochs=2), [Method("sgd"), Method("fgsgd")], [0.01, 0.1]
    whole = compare(base, methods, grid, 2, tmp_path / "whole", lr_seeds=1)
    epochs = []

    def stop(row):
        epochs.append(row)
        if len(epochs) == 5:
            raise Stopped

    with pytest.raises(Stopped):
        compare(base, methods, grid, 2, tmp_path / "parts", lr_seeds=1, on_epoch=stop)
    parts = compare(
        base, methods, grid, 2, tmp_path / "parts", lr_seeds=1, resume=True, on_epoch=epochs.append
    )
    assert len(epochs) == 2 * len(whole.runs)
    measured = ["folder", "seconds_per_epoch"]
    pd.testing.assert_frame_equal(
        whole.runs.drop(columns=measured), parts.runs.drop(columns=measured)
    )
    again = compare(
        base, methods, grid, 2, tmp_path / "parts", lr_seeds=1, resume=True, on_epoch=epochs.append
    )
    assert len(epochs) == 2 * len(whole.runs)
    pd.testing.assert_frame_equal(again.runs, parts.runs)
    with pytest.raises(ValueError, match="epochs=2, but epochs=3"):
        compare(replace(base, epochs=3), methods, grid, 2, tmp_path / "parts", resume=True)


def test_autocast_trains_float32_weights(tmp_path):
    result = train(replace(SHORT, epochs=6, amp=True), tmp_path)
    assert result.test_error < 10
    assert result.residual < 1e-5
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert {v.dtype for k, v in state["model"].items() if k.endswith("weight")} == {torch.float32}
    plain = train(replace(SHORT, epochs=6), tmp_path / "plain")
    assert plain.validation_loss != result.validation_loss


def test_ties_go_to_the_smaller_loss():
    runs = pd.DataFrame(
        {
            "label": ["a"] * 3,
            "lr": [0.1, 0.2, 0.3],
            "validation_error": [1.0, 1.0, 2.0],
            "validation_loss": [0.5, 0.4, 0.1],
        }
    )
    assert choose_lr(runs) == {"a": 0.2}


def test_p_values_are_those_of_paired_differences():
    rng = np.random.default_rng(0)
    sgd, ours = rng.normal(5, 1, 6), rng.normal(4.5, 1, 6)
    rows = [("SGD", seed, error) for seed, error in enumerate(sgd)]
    rows += [("FG-SGD", seed, error) for seed, error in reversed(list(enumerate(ours)))]
    runs = pd.DataFrame(rows, columns=["label", "seed", "test_error"])
    found = _paired(runs[runs["label"] == "FG-SGD"]["test_error"], runs)
    assert found == pytest.approx(ttest_rel(ours, sgd).pvalue)
    assert math.isnan(_paired(runs[runs["label"] == "SGD"]["test_error"], runs))


@pytest.mark.filterwarnings("error")
def test_no_p_value_where_all_seeds_differ_alike():
    rows = [("SGD", 0, 5 / 3), ("SGD", 1, 20 / 9), ("FG-SGD", 0, 2.5), ("FG-SGD", 1, 55 / 18)]
    runs = pd.DataFrame(rows, columns=["label", "seed", "test_error"])
    assert math.isnan(_paired(runs[runs["label"] == "FG-SGD"]["test_error"], runs))


def test_radii_are_updated_after_each_epoch():
    trainer = Trainer(replace(SHORT, epochs=2))
    for epoch in range(2):
        trainer.run_epoch()
        assert trainer.adapter.collection.rescalings == epoch + 1
