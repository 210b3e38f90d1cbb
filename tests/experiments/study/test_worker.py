"""Runs of a study: each once, in stages, by any number of workers, stopped at any moment."""

import json
import multiprocessing
import os
import signal
import threading
import time

import pandas as pd
import pytest

from fgmanifolds.data import load_images
from fgmanifolds.experiments.run import prepare_folder
from fgmanifolds.experiments.study import run_study
from fgmanifolds.experiments.study.folder import StudyFolder
from fgmanifolds.experiments.study.result import Result
from fgmanifolds.experiments.study.session import StudySession
from fgmanifolds.experiments.study.tasks import Task, chosen_trial, known_tasks
from fgmanifolds.experiments.study.worker import Worker, number_of_runs
from tests.experiments.study.common import small

UNTIMED = ["seconds_per_epoch", "cpu_seconds_per_epoch", "finished"]


def untimed(frame):
    return frame.drop(columns=UNTIMED).reset_index(drop=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small study, run straight through."""
    place = tmp_path_factory.mktemp("study")
    protocol, out = small(place), place / "out"
    order = []
    frame = run_study(protocol, out, on_run=lambda task, done, total: order.append(task))
    return protocol, out, frame, order


def test_a_study_runs_its_stages(finished):
    protocol, out, frame, order = finished
    assert len(frame) == number_of_runs(protocol, 2) == 2 * (3 + 2 + 2)
    counts = frame.groupby(["arm", "stage"]).size()
    for arm in ("sgd", "pio4"):
        assert dict(counts[arm]) == {"search": 3, "rerun": 2, "test": 2}
    stages = [task.stage for task in order]
    assert stages == sorted(stages, key=("search", "rerun", "test").index)
    assert [task.arm for task in order] == ["sgd", "pio4"] * 7
    stored = pd.read_csv(out / "runs.csv")
    assert {"arm", "seed", "stage", "commit"} <= set(stored.columns)
    assert len(stored) == len(frame)
    assert not list(out.glob("runs/*/*/checkpoint.pt"))


def test_fewer_training_images_are_trained_on(tmp_path):
    protocol = small(tmp_path, ("validation = 0.2", "validation = 0.2\ntrain_images = 100"))
    data = Worker(protocol, StudyFolder(tmp_path / "out")).data()
    whole = load_images("digits", 0, validation=0.2)
    assert (len(data.train), len(data.validation)) == (100, len(whole.validation))
    frame = run_study(protocol, tmp_path / "out", arms=["sgd"], stages=["search"])
    assert (frame["steps"] == 2 * 2).all()  # two epochs of two batches of 64


def test_the_test_part_is_touched_by_test_runs_only(finished):
    _, _, frame, _ = finished
    tested = frame["stage"] == "test"
    assert frame.loc[tested, "test_error"].notna().all()
    assert frame.loc[~tested, "test_error"].isna().all()
    search = frame[frame["stage"] != "test"]
    assert set(search["seed"]).isdisjoint(frame.loc[tested, "seed"])


def test_the_search_chooses_by_mean_validation_error(finished):
    protocol, _, frame, _ = finished
    for arm in protocol.arms:
        mine = frame[frame["arm"] == arm]
        first = mine[mine["stage"] == "search"].sort_values(["validation_error", "validation_loss"])
        best = set(first["trial"][:2])
        assert set(mine.loc[mine["stage"] == "rerun", "trial"]) == best
        both = mine[(mine["stage"] != "test") & mine["trial"].isin(best)]
        means = both.groupby("trial")[["validation_error", "validation_loss"]].mean()
        expected = means.sort_values(["validation_error", "validation_loss"]).index[0]
        assert set(mine.loc[mine["stage"] == "test", "trial"]) == {expected}


def test_a_finished_study_is_left_as_it_is(finished):
    protocol, out, frame, _ = finished
    again = run_study(protocol, out, on_run=lambda *_: pytest.fail("a run was made again"))
    pd.testing.assert_frame_equal(again, frame)


def test_results_do_not_depend_on_the_order_of_runs(finished, tmp_path):
    protocol, _, frame, _ = finished
    out = tmp_path / "out"
    for stage in ("search", "rerun", "test"):
        for arm in ("pio4", "sgd"):
            again = run_study(protocol, out, arms=[arm], stages=[stage])
    pd.testing.assert_frame_equal(untimed(again), untimed(frame))


def test_a_later_stage_needs_the_earlier_one(tmp_path):
    protocol = small(tmp_path)
    with pytest.raises(ValueError, match="stage='test' of arm 'sgd' needs the stage 'search'"):
        run_study(protocol, tmp_path / "out", stages=["test"])
    with pytest.raises(ValueError, match="stages='tset' is unknown"):
        run_study(protocol, tmp_path / "out", stages=["tset"])
    with pytest.raises(ValueError, match="arms='adam' is unknown; allowed: 'sgd', 'pio4'"):
        run_study(protocol, tmp_path / "out", arms=["adam"])


def test_a_damaged_result_is_named_and_run_again(finished, tmp_path):
    protocol, _, frame, _ = finished
    out = tmp_path / "out"
    run_study(protocol, out, arms=["sgd"], stages=["search"])
    folder = StudyFolder(out)
    tasks = [Task("sgd", "search", trial, 0) for trial in range(3)]
    damages = (
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"seed": 0', '"seed": 1'),
        lambda text: json.dumps({**json.loads(text), "validation_error": 1000.0}),
    )
    for task, damage in zip(tasks, damages):
        path = folder.run_folder(task) / "result.json"
        path.write_text(damage(path.read_text()))
    notices = []
    again = run_study(protocol, out, arms=["sgd"], stages=["search"], notice=notices.append)
    expected = frame[(frame["arm"] == "sgd") & (frame["stage"] == "search")]
    pd.testing.assert_frame_equal(untimed(again), untimed(expected), check_dtype=False)
    for task in tasks:
        path = str(folder.run_folder(task) / "result.json")
        assert sum(path in line and "run again" in line for line in notices) == 1


def test_a_damaged_checkpoint_is_put_aside(tmp_path):
    protocol = small(tmp_path)
    task = Task("sgd", "search", 0, 0)
    worker = Worker(protocol, StudyFolder(tmp_path / "out"))
    run = worker.run(task)
    next(run)
    run.close()
    path = worker.folder.run_folder(task) / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    assert list(worker.run(task)) == [1, 2]
    assert "is put aside" in worker.folder.notes[0]
    assert worker.folder.result(task) is not None


def test_a_run_that_diverges_is_a_result(tmp_path):
    text = '\n[arm.sgd]\nextends = "sgd"\nlr = 1e30\nlr_euclidean = 1e30\n'
    protocol = small(tmp_path, ("[search]", f"{text}\n[search]"))
    frame = run_study(protocol, tmp_path / "out", arms=["sgd"])
    assert frame["diverged"].all()
    assert (frame["validation_error"] == 90).all()
    assert (frame.loc[frame["stage"] == "test", "test_error"] == 90).all()
    assert frame["message"].str.contains("in epoch 1").all()


def made_up(errors):
    """Results of search runs of arm "sgd" with these validation errors; None: diverged."""
    found = {}
    for (stage, trial, seed), error in errors.items():
        values = dict.fromkeys(Result.__annotations__, 0.0)
        values |= {"diverged": error is None, "validation_error": 90.0 if error is None else error}
        found[Task("sgd", stage, trial, seed)] = Result(**values)
    return found


def test_runs_that_diverged_are_chosen_last(tmp_path):
    protocol = small(tmp_path)
    results = made_up({("search", 0, 0): None, ("search", 1, 0): 89.0, ("search", 2, 0): 95.0})
    tasks = known_tasks(protocol, "sgd", results)
    assert [task.trial for task in tasks["rerun"]] == [1, 2]
    assert tasks["test"] == []
    results |= made_up({("rerun", 1, 1): None, ("rerun", 2, 1): 95.0})
    assert chosen_trial(protocol, "sgd", results) == 2
    assert {task.trial for task in known_tasks(protocol, "sgd", results)["test"]} == {2}


# Several processes ---------------------------------------------------------------------------


def work(folder, out, log):
    """A worker that writes down which runs it makes."""
    protocol = small(folder)

    def on_run(task, done, total):
        with open(log, "a") as file:
            file.write(f"{os.getpid()} {task.arm}/{task.key}\n")

    run_study(protocol, out, wait=0.05, on_run=on_run)


def start(folder, out, log):
    process = multiprocessing.get_context("spawn").Process(target=work, args=(folder, out, log))
    process.start()
    return process


def test_two_workers_make_each_run_once(finished, tmp_path):
    _, _, frame, _ = finished
    out, log = tmp_path / "out", tmp_path / "log"
    workers = [start(tmp_path, out, log) for _ in range(2)]
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    made = [line.split()[1] for line in log.read_text().splitlines()]
    assert len(made) == len(set(made)) == 14
    stored = StudyFolder(out).collect()
    columns = ["arm", "stage", "trial", "seed", "validation_error", "test_error"]
    pd.testing.assert_frame_equal(stored[columns], frame[columns])


def test_processes_may_prepare_a_folder_together(tmp_path):
    errors = []

    def prepare():
        try:
            for _ in range(200):
                prepare_folder(tmp_path, resume=False, overwrite=True)
        except ValueError as error:
            errors.append(error)

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_a_claimed_run_is_left_to_its_worker(tmp_path):
    protocol = small(tmp_path)
    folder, other = StudyFolder(tmp_path / "out"), StudyFolder(tmp_path / "out")
    task = Task("sgd", "search", 0, 0)
    worker = Worker(protocol, other)
    with folder.claim(task) as mine:
        assert mine
        assert not worker.attempt(task, ["sgd"], ["search"], lambda *_: None)
    assert worker.attempt(task, ["sgd"], ["search"], lambda *_: None)
    assert not worker.attempt(task, ["sgd"], ["search"], lambda *_: None)


def slow_work(folder, out, log):
    """A worker that writes down each epoch that it trains, and stops for long in the second."""
    protocol = small(folder)
    run_epoch = StudySession.run_epoch

    def slow(session):
        if session.epoch == 1:
            log.write_text("in the second epoch")
            time.sleep(120)
        run_epoch(session)

    StudySession.run_epoch = slow
    run_study(protocol, out, arms=["sgd"], stages=["search"])


def test_a_killed_worker_loses_its_last_epoch_at_most(finished, tmp_path, monkeypatch):
    _, _, frame, _ = finished
    protocol, out, log = small(tmp_path), tmp_path / "out", tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=slow_work, args=(tmp_path, out, log))
    worker.start()
    for _ in range(600):
        if log.exists():
            break
        time.sleep(0.1)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    epochs = []
    run_epoch = StudySession.run_epoch
    monkeypatch.setattr(
        StudySession, "run_epoch", lambda s: (epochs.append(s.epoch), run_epoch(s))[1]
    )
    again = run_study(protocol, out, arms=["sgd"], stages=["search"])
    assert epochs == [1, 0, 1, 0, 1]
    expected = frame[(frame["arm"] == "sgd") & (frame["stage"] == "search")]
    pd.testing.assert_frame_equal(untimed(again), untimed(expected), check_dtype=False)


def test_data_are_read_once_and_kept_as_bytes(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "fgmanifolds.experiments.study.worker.load_images",
        lambda *a, **k: calls.append(a) or load_images(*a, **k),
    )
    run_study(small(tmp_path), tmp_path / "out", arms=["sgd"], stages=["search"])
    assert len(calls) == 1
    assert Worker(small(tmp_path), StudyFolder(tmp_path)).data().train.images.numpy().dtype == "u1"
