"""Runs of which only the tables were kept."""

import shutil

import pandas as pd
import pytest

from fgmanifolds.experiments.study import run_study
from fgmanifolds.experiments.study.folder import StudyFolder
from fgmanifolds.experiments.study.gather import gather, read_tables
from tests.experiments.study.common import small

TABLES = ("runs.csv", "curves.csv", "angles.csv")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A small study, and a folder with nothing but its tables."""
    place = tmp_path_factory.mktemp("study")
    protocol = small(place)
    frame = run_study(protocol, place / "out")
    gather(StudyFolder(place / "out"))
    (place / "kept").mkdir()
    for name in TABLES:
        shutil.copy(place / "out" / name, place / "kept")
    return protocol, place / "kept", frame


def test_nothing_is_run_again(kept, tmp_path):
    protocol, tables, frame = kept
    ran, said = [], []
    again = run_study(
        protocol,
        tmp_path / "out",
        known=tables,
        on_run=lambda task, *_: ran.append(task),
        notice=said.append,
    )
    assert not ran
    assert said == [f"{len(frame)} runs are taken over from {str(tables)!r}."]
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)
    found, before = gather(StudyFolder(tmp_path / "out")), read_tables(tables)
    for name in ("runs", "curves", "angles"):
        pd.testing.assert_frame_equal(found[name], before[name])
    run_study(protocol, tmp_path / "out", known=tables, notice=said.append)
    assert len(said) == 1


def test_what_is_missing_is_run(kept, tmp_path):
    protocol, tables, frame = kept
    few = tmp_path / "few"
    shutil.copytree(tables, few)
    rows = pd.read_csv(few / "runs.csv")
    left = rows[(rows["arm"] == "pio4") & (rows["stage"] == "test")].index[-1]
    rows.drop(index=left).to_csv(few / "runs.csv", index=False)
    ran = []
    again = run_study(
        protocol, tmp_path / "out", known=few, on_run=lambda task, *_: ran.append(task)
    )
    assert [(one.arm, one.stage) for one in ran] == [("pio4", "test")]
    columns = ["arm", "stage", "trial", "seed", "validation_error", "test_error", "train_loss"]
    pd.testing.assert_frame_equal(again[columns], frame[columns])
    angles = gather(StudyFolder(tmp_path / "out"))["angles"]
    before = read_tables(tables)["angles"]
    assert len(angles) == len(before)
    same = angles["arm"] == "sgd"
    pd.testing.assert_frame_equal(angles[same], before[same])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("lr", 0.123, r"has lr=0.123; by the protocol it is"),
        ("arm", "muon", "is none of the protocol's"),
        ("stage", "training", "is none of the protocol's"),
        ("trial", 7, "is none of the protocol's, which has 3 trials"),
        ("epochs", 9, "has 9 epochs, not 2"),
        ("epochs", 1.5, "damaged: epochs=.* is not of type int"),
        ("lr", "fast", "damaged: lr='.*' is not a number"),
        ("diverged", "no", "damaged: diverged='.*' is not of type bool"),
        ("validation_error", 120.0, "damaged: validation_error=120.0 is no percentage"),
    ],
)
def test_runs_of_another_study_are_refused(kept, tmp_path, column, value, message):
    protocol, tables, _ = kept
    bad = tmp_path / "bad"
    shutil.copytree(tables, bad)
    rows = pd.read_csv(bad / "runs.csv")
    rows[column] = rows[column].astype(object)
    rows.loc[2, column] = value
    rows.to_csv(bad / "runs.csv", index=False)
    with pytest.raises(ValueError, match=message):
        run_study(protocol, tmp_path / "out", known=bad)
    assert not (tmp_path / "out").exists()


def test_a_missing_table_is_named(kept, tmp_path):
    protocol, tables, _ = kept
    bad = tmp_path / "bad"
    shutil.copytree(tables, bad)
    (bad / "angles.csv").unlink()
    with pytest.raises(ValueError, match=r"angles.csv' cannot be read"):
        run_study(protocol, tmp_path / "out", known=bad)
    assert not (tmp_path / "out").exists()
