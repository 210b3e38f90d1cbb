"""The report: from runs, or from the tables that they leave; everything that was found is in it."""

import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fgmanifolds.cli import app
from fgmanifolds.experiments.study import run_study
from fgmanifolds.experiments.study.gather import TABLES
from fgmanifolds.experiments.study.page import write_report
from tests.experiments.study.common import small, write_protocol

FIGURES = (
    "Test error",
    "The search",
    "Curves",
    "Angles of steps",
    "Who has reached the target",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study with its report."""
    place = tmp_path_factory.mktemp("study")
    protocol, out = small(place), place / "out"
    run_study(protocol, out)
    found, files = write_report(protocol, out)
    return protocol, out, found, files


def test_the_page_has_all_parts_and_needs_no_other_file(study):
    protocol, _, _, (html, _) = study
    page = html.read_text()
    for title in ("Contrasts", "Arms", "Steps to the target", "Code", "Protocol", *FIGURES):
        assert f"<h2>{title}</h2>" in page
    assert page.count("<svg") == len(FIGURES)
    assert "<script" not in page
    assert "<img" not in page
    for arm in protocol.arms.values():
        assert arm.title in page
    assert "budget.epochs" in page


def test_the_tables_say_what_the_runs_say(study):
    protocol, out, found, (_, markdown) = study
    runs = pd.read_csv(out / "runs.csv")
    tested = runs[runs["stage"] == "test"]
    means = tested.groupby("arm")["test_error"].mean()
    text = markdown.read_text()
    row = found.contrasts.iloc[0]
    assert row["mean"] == pytest.approx(means["pio4"] - means["sgd"])
    assert f"| {row['mean']:+.2f} |" in text
    for arm in protocol.arms:
        line = next(
            line for line in text.splitlines() if f"| {protocol.arms[arm].title} | 2 |" in line
        )
        assert f"| {means[arm]:.2f} |" in line
    curves = pd.read_csv(out / "curves.csv")
    assert set(curves["stage"]) == {"test"}
    last = curves.sort_values("step").groupby(["arm", "seed"])["validation_error"].last()
    stored = tested.set_index(["arm", "seed"])["validation_error"]
    np.testing.assert_allclose(last.sort_index(), stored.sort_index(), rtol=1e-4)


def test_angles_are_means_over_the_test_runs(study):
    _, out, _, _ = study
    angles = pd.read_csv(out / "angles.csv")
    assert set(angles["layer"]) == {"conv1", "conv2", "conv3", "classifier"}
    files = sorted(out.glob("runs/pio4/test-*/angles.csv"))
    assert len(files) == 2
    each = [pd.read_csv(file).set_index(["layer", "step"])["angle"] for file in files]
    mine = angles[angles["arm"] == "pio4"].set_index(["layer", "step"])["angle"]
    pd.testing.assert_series_equal(sum(each) / 2, mine, rtol=1e-4)


def test_the_tables_suffice(study, tmp_path):
    protocol, out, found, (_, markdown) = study
    for name in TABLES:
        shutil.copy(out / name, tmp_path / name)
    again, files = write_report(protocol, tmp_path)
    pd.testing.assert_frame_equal(again.contrasts, found.contrasts)
    assert files[1].read_text() == markdown.read_text()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.csv", "", r"runs\.csv' cannot be read"),
        ("runs.csv", "arm,stage\nsgd,test\n", r"runs\.csv' lacks the column 'trial'"),
        ("curves.csv", None, r"curves\.csv' cannot be read: .*No such file"),
    ],
)
def test_damaged_tables_are_named(study, tmp_path, name, content, message):
    protocol, out, _, _ = study
    for table in TABLES:
        shutil.copy(out / table, tmp_path / table)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        write_report(protocol, tmp_path)


def test_a_report_of_an_unfinished_study_judges_nothing(tmp_path):
    protocol, out = small(tmp_path), tmp_path / "out"
    run_study(protocol, out, arms=["sgd"], stages=["search"])
    found, (html, _) = write_report(protocol, out)
    assert set(found.contrasts["verdict"]) == {"not finished"}
    page = html.read_text()
    assert "Of 1 contrasts 1 are not finished." in page
    assert page.count("<svg") == 1


def test_amendments_are_shown(study, tmp_path):
    _, out, _, _ = study
    shutil.copytree(out, tmp_path / "out")
    changed = small(out.parent, ("margin = 5.0", "margin = 7.0"))
    run_study(changed, tmp_path / "out", arms=["sgd"])
    _, (html, markdown) = write_report(changed, tmp_path / "out")
    for file in (html, markdown):
        assert "after 4 test runs: analysis.margin: 5.0 to 7.0." in file.read_text()


def test_the_command(study, tmp_path):
    _, out, _, _ = study
    path = write_protocol(out.parent)
    found = CliRunner().invoke(app, ["study", str(path), "--out", str(out), "--report"])
    assert found.exit_code == 0, found.output
    assert "report.html" in found.output
    other = write_protocol(tmp_path / "elsewhere")
    for folder, message in (
        (out, "is of another protocol: name is"),
        (tmp_path / "nothing", "holds no study"),
    ):
        found = CliRunner().invoke(app, ["study", str(other), "--out", str(folder), "--report"])
        assert found.exit_code == 2
        assert message in " ".join(found.output.split())


def test_a_report_takes_no_options_of_runs(study):
    _, out, _, _ = study
    words = ["study", str(write_protocol(out.parent)), "--out", str(out), "--report"]
    found = CliRunner().invoke(app, [*words, "--arms", "sgd", "--data-dir", "."])
    assert found.exit_code == 2
    assert "--data-dir, --arms would do nothing" in " ".join(found.output.split())
