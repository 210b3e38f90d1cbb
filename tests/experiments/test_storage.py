"""Files are whole or refused; folders belong to one process."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fgmanifolds.experiments import Method, TrainConfig, Trainer, compare, run, train
from fgmanifolds.experiments.compare import rate_name
from fgmanifolds.experiments.lock import locked
from fgmanifolds.experiments.run import clear_run, finish
from fgmanifolds.experiments.storage import check_seal, read_checkpoint, write_state, write_whole

ROOT = Path(__file__).parents[2]
SHORT = TrainConfig(epochs=2)
STATE = {"config": {"epochs": 2}, "w": torch.arange(300.0).reshape(20, 15), "n": [1, 2.5, "x"]}
FILES = {"checkpoint.pt", "metrics.csv", "result.json", "report.html"}


def files(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


# Checkpoints ------------------------------------------------------------------------


def test_checkpoints_are_read_by_torch_too(tmp_path):
    path = tmp_path / "checkpoint.pt"
    write_state(path, STATE)
    for found in (read_checkpoint(path), torch.load(path, weights_only=True)):
        assert torch.equal(found["w"], STATE["w"])
        assert found["n"] == STATE["n"]


@pytest.mark.parametrize("how", ["flipped", "cut", "longer"])
def test_changed_files_are_refused(tmp_path, how):
    """Every bit of the hash and of the end, and 300 others."""
    path = tmp_path / "checkpoint.pt"
    write_state(path, STATE)
    content = path.read_bytes()
    size, rng = len(content), np.random.default_rng(0)
    places = [*rng.integers(size - 100, size=300), *range(size - 100, size)]
    for place in map(int, places):
        if how == "flipped":
            changed = bytearray(content)
            changed[place] ^= 1 << int(rng.integers(8))
        elif how == "cut":
            changed = content[:place]
        else:
            changed = content + content[: size - place]
        with pytest.raises(ValueError, match=r"."):
            check_seal(bytes(changed))
    path.write_bytes(bytes(changed))
    with pytest.raises(ValueError, match=r"is not a checkpoint of a run: (its|File)"):
        read_checkpoint(path)


def test_files_without_a_hash_are_read_unless_a_record_is_damaged(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save(STATE, path)
    assert torch.equal(read_checkpoint(path)["w"], STATE["w"])
    content = bytearray(path.read_bytes())
    content[content.find(STATE["w"].numpy().tobytes()) + 100] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"record .* is damaged"):
        read_checkpoint(path)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"config": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match="is not a checkpoint of a run"):
        read_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "pwned").exists()


def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path):
    """The operating system's own refusal, at a limit of file sizes."""
    path = tmp_path / "checkpoint.pt"
    write_state(path, STATE)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written .*; what was there is kept") as error:
            write_state(path, {**STATE, "more": torch.rand(5000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno == errno.EFBIG
    assert "\n" not in str(error.value)
    assert files(tmp_path) == {"checkpoint.pt"}
    assert path.read_bytes() == before


def test_an_interrupted_write_leaves_no_draft(tmp_path, monkeypatch):
    def stop(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "x", b"new")
    assert files(tmp_path) == set()


# Locks ------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from fgmanifolds.experiments.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_names_its_holder_and_is_free_after_a_kill(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert holder.stdout.readline() == "held\n"
        for call in (
            lambda: train(SHORT, tmp_path),
            lambda: compare(SHORT, [Method("sgd")], [0.1], 1, tmp_path),
            lambda: finish(SHORT, tmp_path),
        ):
            with pytest.raises(ValueError, match=f"in use by process {holder.pid} on .* since 20"):
                call()
    finally:
        holder.kill()
        holder.wait()
    (tmp_path / f"checkpoint.pt.{holder.pid}.draft").write_bytes(b"half")
    with locked(tmp_path):
        assert files(tmp_path) == set()
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()}"), locked(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written to"), locked(tmp_path / "file" / "x"):
        pass


# Runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, train(SHORT, folder)


@pytest.fixture
def copied(finished, tmp_path, monkeypatch):
    """A finished run that is not to be trained further, and its result."""
    shutil.copytree(finished[0], tmp_path / "run")
    monkeypatch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("trained again"))
    return tmp_path / "run", replace(finished[1], folder=str(tmp_path / "run"))


@pytest.mark.parametrize("name", sorted(FILES - {"checkpoint.pt"}))
def test_whatever_is_missing_of_a_finished_run_is_written(copied, name):
    folder, result = copied
    before = (folder / name).read_text()
    (folder / name).unlink()
    assert train(SHORT, folder, resume=True) == result
    assert files(folder) == FILES
    if name == "report.html":  # whose drawings have random names
        assert f"{result.test_error:.2f}" in (folder / name).read_text()
    else:
        keep = re.compile(r'"folder": .*')
        assert keep.sub("", (folder / name).read_text()) == keep.sub("", before)


def test_a_run_of_a_comparison_is_resumed_and_tested(copied):
    folder, result = copied
    for name in ("result.json", "report.html"):
        (folder / name).unlink()
    assert train(SHORT, folder, resume=True, test=False).test_error is None
    assert files(folder) == FILES - {"report.html"}
    assert train(SHORT, folder, resume=True) == result
    assert json.loads((folder / "result.json").read_text())["test_error"] == result.test_error
    assert files(folder) == FILES


@pytest.mark.parametrize("stop_at", range(4))
def test_overwriting_that_is_stopped_leaves_nothing_mixed(copied, monkeypatch, stop_at):
    (folder, result), unlink, calls = copied, Path.unlink, []
    other = replace(SHORT, seed=1)

    def stop(self, missing_ok=False):
        if self.name in FILES:
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            calls.append(self.name)
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            train(other, folder, overwrite=True)
    assert len(files(folder) & FILES) == 4 - stop_at
    with pytest.raises(ValueError, match="already holds a run"):
        train(other, folder)
    with pytest.raises(ValueError, match="the run to resume has seed=0, but seed=1"):
        train(other, folder, resume=True)
    again = train(SHORT, folder, resume=True)  # the old run is whole again
    assert again.test_error == result.test_error
    assert files(folder) == FILES
    clear_run(folder)
    assert files(folder) == set()


def test_leftovers_are_not_trained_over(tmp_path):
    (tmp_path / "report.html").write_text("of another run")
    with pytest.raises(ValueError, match="already holds a run"):
        train(SHORT, tmp_path)


@pytest.mark.parametrize(
    "change", [{"lr": "fast"}, {"seed": None}, {"extra": 1}, {"test_error": True}]
)
def test_a_result_that_is_none_is_named(copied, change):
    folder, _ = copied
    path = folder / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=r"result.json' is not the result of a run; delete it"):
        train(SHORT, folder, resume=True)


def test_comparisons_clear_older_runs_and_tell_all_rates_apart(tmp_path):
    base, near = replace(SHORT, epochs=1), 0.1 * (1 + 1e-9)
    compare(base, [Method("sgd")], [0.1, near], 1, tmp_path)
    folders = sorted(path.name for path in (tmp_path / "sgd").iterdir())
    assert folders == ["lr0.1-seed0", f"lr{near!r}-seed0"]
    compare(base, [Method("sgd")], [0.2], 1, tmp_path)
    assert not (files(tmp_path / "sgd/lr0.1-seed0") & FILES)
    assert pd.read_csv(tmp_path / "runs.csv")["lr"].tolist() == [0.2]
    with pytest.raises(ValueError, match="holds a run of train"):
        compare(base, [Method("sgd")], [0.1], 1, tmp_path / "sgd/lr0.2-seed0")


def test_rates_have_names_of_their_own():
    rates = [0.1, 0.05, 1e-5, 1.0, 0.1 * (1 + 1e-9), 0.30000000000000004, 1 / 3]
    assert [float(rate_name(lr)) for lr in rates] == rates
    assert rate_name(0.05) == "0.05"


def killed(folder, seconds, *options):
    """Train in another process, and kill it after some time; give whether it was still at work."""
    command = [sys.executable, "-m", "fgmanifolds", "train", "--epochs", "2", "--out", str(folder)]
    child = subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        child.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        child.wait()
        return True


@pytest.mark.slow
def test_kills_at_any_time_lose_nothing(tmp_path):
    """Wherever a run is killed, what follows is the run that was not."""
    whole = train(SHORT, tmp_path / "whole")
    start = time.perf_counter()
    assert not killed(tmp_path / "timed", 600)
    length, count = time.perf_counter() - start, 0
    for trial, share in enumerate(np.random.default_rng(0).uniform(0.3, 1, 8)):
        folder = tmp_path / f"run-{trial}"
        count += killed(folder, share * length)
        resume = (folder / run.CHECKPOINT).exists()
        found = train(SHORT, folder, resume=resume, overwrite=not resume)
        assert found.test_error == whole.test_error
        assert files(folder) == FILES
        a, b = (
            read_checkpoint(where / "checkpoint.pt")["model"]
            for where in (tmp_path / "whole", folder)
        )
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert count >= 3
