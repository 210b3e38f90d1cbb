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
        (["--fan-out", "xavier"], "fan_out='xavier' is unknown; allowed: 'none', 'glorot'"),
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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "--lr-seeds", 0], "lr-seeds=0 must be an integer of at least 1"),
        (["compare", "--seeds", 0], "seeds=0 must be an integer of at least 1"),
        (["compare", "--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["train", "--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["train", "--resume"], "holds no checkpoint.pt to resume from"),
        (["train", "--exclude", "nope"], "exclude='nope' matches no layer"),
    ],
)
def test_wrong_arguments_leave_no_folder(tmp_path, arguments, message):
    found = run(*arguments, "--epochs", 1, "--out", tmp_path / "a" / "b")
    assert found.exit_code == 2, found.output
    (error,) = (line for line in found.output.splitlines() if "error" in line)
    assert message in error
    assert not (tmp_path / "a").exists()


def test_one_rule_for_existing_folders(tmp_path):
    short = ("--epochs", 1, "--seeds", 1, "--lr", 0.05, "--out", tmp_path)
    assert run("compare", *short).exit_code == 0
    again = run("compare", *short)
    assert again.exit_code == 2
    assert "already holds runs; add --resume or --overwrite" in again.output
    assert run("compare", *short, "--resume").exit_code == 0
    other = tmp_path / "run"
    assert run("train", "--epochs", 1, "--out", other).exit_code == 0
    assert "already holds runs" in run("train", "--epochs", 1, "--out", other).output
    longer = run("train", "--epochs", 2, "--out", other, "--resume")
    assert longer.exit_code == 2
    assert "epochs" in longer.output
    assert "Traceback" not in longer.output


def test_options_that_messages_name_exist(tmp_path):
    """What an error tells the user to add is an option of that command."""
    for command in ("train", "compare"):
        assert {"--resume", "--overwrite"} <= set(run(command, "--help").output.split())


@pytest.mark.parametrize("command", ["verify", "train", "compare"])
def test_interrupted(command, monkeypatch, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    places = {
        "verify": "fgmanifolds.verify.verify",
        "train": "fgmanifolds.experiments.train",
        "compare": "fgmanifolds.experiments.compare",
    }
    monkeypatch.setattr(places[command], stop)
    found = run(command, *([] if command == "verify" else ["--out", tmp_path / "run"]))
    assert found.exit_code == 130
    assert "stopped" in found.output
    assert ("--resume" in found.output) == (command != "verify")
    assert not (tmp_path / "run").exists()


def test_logs_have_lines_and_tables_fit_80_columns(tmp_path):
    found = run("compare", "--epochs", 5, "--seeds", 2, "--lr", 0.05, "--out", tmp_path)
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    steps = [line for line in lines if line.split()[0:1] and "/30 " in line]
    assert 5 <= len(steps) <= 12
    assert all("seed" in line for line in steps[:-1])
    table = found.output[found.output.index("method") :]
    rows = [line for line in table.splitlines() if "report:" not in line]
    assert max(map(len, rows)) <= 80
    assert "FG-SGD PIO (Sp+Ob+St+Euc)" in table
    assert "…" not in table
