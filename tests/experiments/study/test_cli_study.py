"""The command: it runs and goes on, and bad input gives one clear line."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from fgmanifolds.cli import app
from tests.experiments.study.common import TEXT, write_protocol

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, ["study", *map(str, arguments)])


def test_smoke_with_two_workers(tmp_path):
    path, out = write_protocol(tmp_path), tmp_path / "out"
    found = run(path, "--out", out, "--smoke", "--workers", 2)
    assert found.exit_code == 0, found.output
    frame = pd.read_csv(out / "runs.csv")
    assert len(frame) == 2 * (2 + 1 + 2)
    assert set(frame["steps"]) == {3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arms", "sgd,pio5"], "arms='pio5' is unknown; allowed: 'sgd', 'pio4'"),
        (["--stage", "serach"], "stages='serach' is unknown; allowed: 'search', 'rerun', 'test'"),
        (["--stage", "test"], "stage='test' of arm 'sgd' needs the stage 'search'"),
        (["--workers", "0"], "workers=0 must be an integer of at least 1"),
        (["--device", "tpu9"], "device='tpu9' is unknown"),
        (["--smoke", "--known", "tables"], "--smoke runs a smaller protocol, to which the"),
        (["--out", "/proc/nowhere"], "out='/proc/nowhere' cannot be written to"),
    ],
)
def test_bad_options_give_one_line(options, message, tmp_path):
    found = run(write_protocol(tmp_path), "--out", tmp_path / "out", *options)
    assert found.exit_code == 2
    assert f"error: {message}" in found.output
    assert "Traceback" not in found.output


def test_missing_data_give_one_line(tmp_path):
    path = write_protocol(tmp_path, [('name = "digits"', 'name = "fashion-mnist"')])
    found = run(path, "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert "error: data='fashion-mnist' needs data_dir=" in found.output


def test_too_few_seeds_give_a_warning_with_the_number_needed(tmp_path):
    changes = [("deviation = 1.0", "deviation = 3.0")]
    path = write_protocol(tmp_path, changes, TEXT)
    found = run(path, "--out", tmp_path / "out", "--arms", "sgd", "--stage", "search")
    assert found.exit_code == 0, found.output
    text = " ".join(found.output.split())
    assert "warning: 2 seeds are fewer than the power needs" in text
    assert "7 seeds find a difference of 5 with power 0.8" in text
