"""A study on disk: one folder a run, claims, results, and the protocol they belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from fgmanifolds.experiments.run import prepare_folder
from fgmanifolds.experiments.storage import read_checkpoint, write_json, write_state, write_text
from fgmanifolds.experiments.study.amend import changes, check_same_study
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.experiments.study.result import Result
from fgmanifolds.experiments.study.session import StudySession
from fgmanifolds.experiments.study.tasks import Task

__all__ = ["StudyFolder"]

CHECKPOINT, RESULT, CURVE, ANGLES = "checkpoint.pt", "result.json", "curve.csv", "angles.csv"


@dataclass
class StudyFolder:
    """The folder of a study.

    Attributes
    ----------
    path : Path
    notes : list of str
        What was found wrong on the way, such as damaged results, for the one who runs it.
    """

    path: Path
    notes: list[str] = field(default_factory=list)
    _results: dict[Task, Result] = field(default_factory=dict, repr=False)

    # The protocol ----------------------------------------------------------------------

    def adopt(self, protocol: Protocol, commit: str) -> list[str]:
        """Make the folder that of a protocol, or see that it is.

        What runs do not follow from may change (arms that are added, the number of test
        seeds, the analysis): each change is kept, with its time and the number of test runs
        that were finished then.

        Parameters
        ----------
        protocol : Protocol
        commit : str

        Returns
        -------
        list of str
            What has changed since the last time.

        Raises
        ------
        ValueError
            If the folder cannot be used, or is that of another protocol.
        """
        prepare_folder(self.path, resume=False, overwrite=True)
        path, mine = self.path / "protocol.json", protocol.to_dict()
        with self._lock("protocol"):
            if not path.exists():
                write_json(path, {"protocol": mine, "since": _now(), "amendments": []})
                return []
            stored = self._read_protocol()
            theirs = Protocol.from_dict(stored["protocol"]).to_dict()
            check_same_study(mine, theirs, str(self.path))
            found = changes(mine, theirs)
            if found:
                tested = len(list((self.path / "runs").glob(f"*/test-*/{RESULT}")))
                entry = {"time": _now(), "commit": commit, "changes": found, "tests": tested}
                amendments = [*stored["amendments"], entry]
                write_json(path, {**stored, "protocol": mine, "amendments": amendments})
            return found

    def compare(self, protocol: Protocol) -> list[dict[str, Any]]:
        """See that the folder is that of a protocol, without changing it.

        Returns
        -------
        list of dict
            The changes that were kept: time, commit, changes, tests. None are known where only
            the tables of a study are.

        Raises
        ------
        ValueError
            If it holds no study, or that of another protocol.
        """
        if not (self.path / "protocol.json").exists():
            if (self.path / "runs.csv").exists():
                return []
            raise ValueError(f"out={str(self.path)!r} holds no study.")
        stored = self._read_protocol()
        theirs = Protocol.from_dict(stored["protocol"]).to_dict()
        check_same_study(protocol.to_dict(), theirs, str(self.path))
        return list(stored["amendments"])

    def _read_protocol(self) -> dict[str, Any]:
        path = self.path / "protocol.json"
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if not {"protocol", "since", "amendments"} <= set(stored):
                raise ValueError("an entry is missing")
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is damaged: {error}; restore it.") from None
        return stored

    # Claims ------------------------------------------------------------------------------

    def _lock(self, name: str) -> FileLock:
        place = self.path / "runs" / ".locks" / f"{name}.lock"
        place.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(place)

    @contextmanager
    def claim(self, task: Task) -> Iterator[bool]:
        """Hold a run, if nobody else does; the operating system ends a dead worker's claim."""
        lock = self._lock(f"{task.arm}-{task.key}")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    # Runs --------------------------------------------------------------------------------

    def run_folder(self, task: Task) -> Path:
        """Where the files of a run are."""
        return self.path / "runs" / task.arm / task.key

    def result(self, task: Task) -> Result | None:
        """Result of a run; None if it is not finished, or its file is damaged."""
        if task in self._results:
            return self._results[task]
        path = self.run_folder(task) / RESULT
        try:
            found = Result.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError):
            return None
        if (found.arm, found.stage, found.trial, found.seed) != (
            task.arm,
            task.stage,
            task.trial,
            task.seed,
        ):
            return None
        self._results[task] = found
        return found

    def results(self, tasks: Iterable[Task]) -> dict[Task, Result]:
        """Results of those runs that are finished."""
        found = {task: self.result(task) for task in tasks}
        return {task: result for task, result in found.items() if result is not None}

    def clear_damaged(self, task: Task) -> None:
        """Put a damaged result aside, and note it; the run is to be claimed."""
        path = self.run_folder(task) / RESULT
        if path.exists() and self.result(task) is None:
            aside = path.with_name(RESULT + ".damaged")
            os.replace(path, aside)
            self.notes.append(f"{str(path)!r} is damaged, kept as {aside.name!r}, and run again.")

    def write(self, task: Task, result: Result, session: StudySession) -> None:
        """Write a finished run: its curve and angles, then its result; its checkpoint goes.

        Parameters
        ----------
        task : Task
        result : Result
        session : StudySession
        """
        folder = self.run_folder(task)
        write_text(folder / CURVE, pd.DataFrame(session.history).to_csv(index=False))
        write_text(folder / ANGLES, pd.DataFrame(session.angles.rows).to_csv(index=False))
        write_json(folder / "options.json", session.options.to_dict())
        write_json(folder / RESULT, result.to_dict())
        (folder / CHECKPOINT).unlink(missing_ok=True)

    def save(self, task: Task, session: StudySession) -> None:
        """Write the checkpoint of a run that is under way.

        Parameters
        ----------
        task : Task
        session : StudySession
        """
        write_state(self.run_folder(task) / CHECKPOINT, session.state_dict())

    def resume(self, task: Task, session: StudySession) -> bool:
        """Go on from a run's checkpoint, if it has one.

        Parameters
        ----------
        task : Task
        session : StudySession

        Returns
        -------
        bool
            False if the checkpoint is damaged or of other options: it is put aside then, and
            the session is not to be used.
        """
        path = self.run_folder(task) / CHECKPOINT
        if not path.exists():
            return True
        try:
            session.load_state_dict(read_checkpoint(path))
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            os.replace(path, path.with_name(CHECKPOINT + ".damaged"))
            self.notes.append(f"{str(path)!r} is put aside, and its run begun anew: {error}")
            return False
        return True

    def collect(self) -> pd.DataFrame:
        """Write ``runs.csv``, a row for each finished run, by arm, stage, trial and seed."""
        with self._lock("runs"):
            rows = []
            for path in sorted((self.path / "runs").glob(f"*/*/{RESULT}")):
                try:
                    rows.append(Result.from_dict(json.loads(path.read_text(encoding="utf-8"))))
                except (OSError, ValueError, TypeError, AttributeError):
                    continue
            columns = [entry.name for entry in fields(Result)]
            frame = pd.DataFrame([asdict(row) for row in rows], columns=columns)
            write_text(self.path / "runs.csv", frame.to_csv(index=False))
            return frame


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
