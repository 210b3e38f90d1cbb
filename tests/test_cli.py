"""The command line: it trains, and bad input gives one clear line and no traceback."""

import pytest
from typer.testing import CliRunner

import fgmanifolds
from fgmanifolds.cli import app

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


def test_train_and_resume(tmp_path):
    out = tmp_path / "run"
    first = run("train", "--epochs", 1, "--model", "resnet20", "--out", out)
    assert first.exit_code == 0, first.output
    assert "test error" in first.output
    for name in ("metrics.csv", "report.html", "checkpoint.pt", "result.json"):
        assert (out / name).exists()
    again = run("train", "--epochs", 1, "--model", "resnet20", "--out", out, "--resume")
    assert again.exit_code == 0, again.output


def test_compare(tmp_path):
    found = run("compare", "--epochs", 1, "--seeds", 1, "--lr", 0.05, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    assert "SGD" in found.output
    assert (tmp_path / "report.html").exists()


def test_train_on_mnist5k(tmp_path):
    found = run("train", "--data", "mnist5k", "--scheme", "pi", "--epochs", 1, "--out", tmp_path)
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheme", "poi"], "scheme='poi' is unknown; allowed: 'pi', 'po', 'pio'"),
        (["--manifolds", "sphere,torus"], "manifolds='torus' is unknown"),
        (["--manifolds", ","], "manifolds is empty"),
        (["--data", "cifar10"], "data='cifar10' is unknown; allowed: 'digits', 'mnist5k'"),
        (["--exclude", "head"], "exclude='head' matches no layer; layers: 'conv1'"),
        (["--out", "/proc/nowhere"], "out='/proc/nowhere' cannot be written to"),
        (["--scheme", "kernel"], "scheme='kernel' puts every weight on one manifold"),
        (["--device", "tpu9"], "device='tpu9' is unknown"),
        (["--epochs", "-1"], "epochs=-1 must be an integer of at least 1"),
    ],
)
def test_bad_input_gives_one_line(tmp_path, arguments, message):
    found = run("train", "--epochs", 1, "--out", tmp_path, *arguments)
    assert found.exit_code == 2
    assert f"error: {message}" in found.output
    assert "Traceback" not in found.output
    assert not any(tmp_path.iterdir())


def test_version():
    assert fgmanifolds.__version__ in run("--version").output


def test_reproduce_lists_tables_and_rows():
    found = run("reproduce", "--list")
    assert found.exit_code == 0, found.output
    for table, rows in (("III", 16), ("XII", 40), ("XVI", 12), ("D.B", 8)):
        assert any(table in line.split() and str(rows) in line for line in found.output.split("\n"))
    rows = run("reproduce", "D.B", "--list")
    assert "resnet44/with/vote:euclidean" in rows.output
    assert "7.02" in rows.output


def test_reproduce_runs_goes_on_and_writes_the_table(tmp_path):
    arguments = ("reproduce", "XII", "--smoke", "--rows", "euclidean", "--out", tmp_path)
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    for name in ("XII.csv", "XII.md", "XII-curves.svg"):
        assert (tmp_path / name).exists()
    written = next(tmp_path.rglob("checkpoint.pt")).stat().st_mtime_ns
    again = run(*arguments)
    assert again.exit_code == 0, again.output
    assert "7.05" in again.output
    assert next(tmp_path.rglob("checkpoint.pt")).stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["XVII"], "table='XVII' is unknown; allowed: 'III', 'XI', 'XII'"),
        (["XII", "--rows", "pia:*"], "rows='pia:*' is unknown; allowed: 'resnet44/with/euclidean'"),
        (["XII"], "data='cifar10' needs data_dir=, a folder with cifar-10-python.tar.gz"),
        (["XII", "--data-dir", "/nowhere"], "has no file 'cifar-10-python.tar.gz'"),
        (["XI", "--data-dir", "/nowhere"], "'/nowhere/imagenet' is not a folder"),
        (["XII", "--data", "zip:/nowhere.zip"], "'/nowhere.zip' is not a file"),
        (["XII", "--smoke", "--seeds", "0"], "seeds=0 must be an integer of at least 1"),
        (["XII", "--smoke", "--device", "tpu9"], "device='tpu9' is unknown"),
        (["XII", "--smoke", "--out", "/proc/nowhere"], "out='/proc/nowhere' cannot be written to"),
    ],
)
def test_reproduce_says_what_is_wrong_in_one_line(tmp_path, arguments, message):
    found = run("reproduce", "--out", tmp_path, *arguments)
    assert found.exit_code == 2
    assert message in found.output.splitlines()[-1]
    assert found.output.count("error: ") == 1
    assert "Traceback" not in found.output
