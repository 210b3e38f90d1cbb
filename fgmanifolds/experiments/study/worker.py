"""Make the runs of a study: what is missing, from where it stopped, beside other workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import pandas as pd
import torch

import fgmanifolds
from fgmanifolds.data import ImageData, load_images, with_train_images
from fgmanifolds.experiments.study.folder import StudyFolder
from fgmanifolds.experiments.study.known import read_known, take_over
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.experiments.study.result import Result
from fgmanifolds.experiments.study.session import RunOptions, StudySession
from fgmanifolds.experiments.study.tasks import STAGES, Task, known_tasks, rates_of
from fgmanifolds.experiments.study.version import code_commit
from fgmanifolds.validation import check_choices, check_number

__all__ = ["Worker", "number_of_runs", "run_study"]

Notice = Callable[[str], None]


def run_study(
    protocol: Protocol,
    out: str | Path,
    *,
    arms: Sequence[str] | None = None,
    stages: Sequence[str] = STAGES,
    data_dir: str | Path | None = None,
    known: str | Path | None = None,
    device: str = "cpu",
    wait: float = 5.0,
    notice: Notice = lambda text: None,
    on_run: Callable[[Task, int, int], None] = lambda task, done, total: None,
) -> pd.DataFrame:
    """Make the runs of a study that are missing, and write ``runs.csv``.

    Any number of processes may do so on one folder at the same time: each run is made once.
    Arms take turns, so that none has the machine to itself. A run that was stopped goes on
    after its last whole epoch.

    Parameters
    ----------
    protocol : Protocol
    out : path
        Folder of the study.
    arms : sequence of str, optional
        Only these.
    stages : sequence of {"search", "rerun", "test"}
        Only these; those before must be finished.
    data_dir : path, optional
        Folder of the data's files.
    known : path, optional
        Folder with the tables of runs that were made before, which are taken over.
    device : str
    wait : float
        Seconds between looks at what other workers have finished.
    notice : callable
        Called with a line of text for the one who runs it.
    on_run : callable
        Called before each run, with it, the number of finished runs, and that of all.

    Returns
    -------
    DataFrame
        The rows of ``runs.csv``.

    Raises
    ------
    ValueError
        If an argument is unknown, data are missing, the folder is of another protocol, or an
        earlier stage is not finished.
    """
    names = list(protocol.arms) if arms is None else list(arms)
    check_choices("arms", names, protocol.arms)
    check_choices("stages", stages, STAGES)
    check_number("wait", wait, low=0, open_low=True)
    worker = Worker(protocol, StudyFolder(Path(out)), data_dir, device, notice)
    before = None if known is None else read_known(protocol, known)
    for line in worker.folder.adopt(protocol, worker.commit):
        notice(f"the protocol has changed, and that is kept: {line}")
    taken = 0 if before is None else take_over(worker.folder, before)
    if taken:
        notice(f"{taken} runs are taken over from {str(known)!r}.")
    while True:
        tasks = worker.missing(names, stages)
        if not tasks:
            return worker.folder.collect()
        worker.data()
        if not any(worker.attempt(task, names, stages, on_run) for task in tasks):
            time.sleep(wait)


def number_of_runs(protocol: Protocol, arms: int, stages: Sequence[str] = STAGES) -> int:
    """How many runs a number of arms need.

    Parameters
    ----------
    protocol : Protocol
    arms : int
    stages : sequence of str
    """
    search = protocol.search
    counts = {
        "search": search.trials,
        "rerun": search.best * search.reruns,
        "test": protocol.test.seeds,
    }
    return arms * sum(counts[stage] for stage in stages)


@dataclass
class Worker:
    """One process at work on a study.

    Attributes
    ----------
    protocol : Protocol
    folder : StudyFolder
    data_dir : path or None
    device : str
    notice : callable
    commit : str
    """

    protocol: Protocol
    folder: StudyFolder
    data_dir: str | Path | None = None
    device: str = "cpu"
    notice: Notice = lambda text: None
    commit: str = field(default_factory=code_commit)
    _data: ImageData | None = field(default=None, repr=False)

    def data(self) -> ImageData:
        """The data, which stay in memory as bytes between runs."""
        if self._data is None:
            asked = self.protocol.data
            data = load_images(
                asked.name,
                asked.seed,
                data_dir=self.data_dir,
                validation=asked.validation,
                normalise=asked.normalise,
            )
            if asked.train_images is not None:
                data = with_train_images(data, asked.train_images, asked.seed)
            self._data = data
        return self._data

    def tasks(self, arm: str) -> dict[str, list[Task]]:
        """Runs of an arm by stage, as far as they are known."""
        found: dict[Task, Result] = {}
        while True:
            tasks = known_tasks(self.protocol, arm, found)
            more = self.folder.results(task for stage in STAGES for task in tasks[stage])
            if more == found:
                return tasks
            found = more

    def missing(self, arms: Sequence[str], stages: Sequence[str]) -> list[Task]:
        """Runs that are not finished, in order: arms take turns within a stage.

        A stage that is not known yet stands for the stage that it waits for.

        Parameters
        ----------
        arms : sequence of str
        stages : sequence of str
        """
        found: list[tuple[int, int, int, Task]] = []
        for place, arm in enumerate(arms):
            known = self.tasks(arm)
            for stage in stages:
                waits = self._waits_for(known, stage)
                if waits is not None and waits not in stages:
                    raise ValueError(
                        f"stage={stage!r} of arm {arm!r} needs the stage {waits!r}, which is not "
                        "finished."
                    )
                for number, task in enumerate(known[stage]):
                    if self.folder.result(task) is None:
                        found.append((STAGES.index(stage), number, place, task))
        return [entry[3] for entry in sorted(found, key=lambda entry: entry[:3])]

    def _waits_for(self, known: dict[str, list[Task]], stage: str) -> str | None:
        """The stage whose missing runs `stage` waits for, if any."""
        for before in STAGES[: STAGES.index(stage)]:
            if any(self.folder.result(task) is None for task in known[before]):
                return before
        return None

    def attempt(
        self,
        task: Task,
        arms: Sequence[str],
        stages: Sequence[str],
        on_run: Callable[[Task, int, int], None],
    ) -> bool:
        """Make a run, unless it is finished or somebody else is at it; whether it was made.

        Parameters
        ----------
        task : Task
        arms : sequence of str
        stages : sequence of str
        on_run : callable
        """
        with self.folder.claim(task) as mine:
            if not mine or self.folder.result(task) is not None:
                return False
            self.folder.clear_damaged(task)
            total = number_of_runs(self.protocol, len(arms), stages)
            on_run(task, total - self._missing_count(arms, stages), total)
            for _ in self.run(task):
                self._tell()
        self.folder.collect()
        return True

    def _missing_count(self, arms: Sequence[str], stages: Sequence[str]) -> int:
        done = 0
        for arm in arms:
            tasks = [task for stage in stages for task in self.tasks(arm)[stage]]
            done += len(self.folder.results(tasks))
        return number_of_runs(self.protocol, len(arms), stages) - done

    def _tell(self) -> None:
        while self.folder.notes:
            self.notice(self.folder.notes.pop(0))

    def run(self, task: Task) -> Iterator[int]:
        """Train what is missing of a run and write its result; yields after each epoch."""
        arm = self.protocol.arm(task.arm)
        options = RunOptions(
            self.protocol.data,
            self.protocol.model,
            self.protocol.budget,
            arm,
            rates_of(arm, task.trial),
            task.seed,
        )
        session = StudySession(options, self.data(), self.device)
        if not self.folder.resume(task, session):
            session = StudySession(options, self.data(), self.device)
        message = ""
        while session.epoch < self.protocol.budget.epochs and not message:
            try:
                session.run_epoch()
            except FloatingPointError as error:
                message = str(error)
            else:
                self.folder.save(task, session)
            yield session.epoch
        self.folder.write(task, self._result(task, session, message), session)

    def _result(self, task: Task, session: StudySession, message: str) -> Result:
        rates, history = session.options.rates, session.history
        last = history[-1] if history else {}
        guess = 100.0 * (1 - 1 / session.data.classes)
        diverged = bool(message)
        test = math.nan
        if task.stage == "test":
            test = guess if diverged else session.measure(session.data.test)[1]
        epochs = max(1, session.epoch)
        residual = math.nan if session.adapter is None else session.adapter.residual()
        return Result(
            arm=task.arm,
            stage=task.stage,
            trial=task.trial,
            seed=task.seed,
            commit=self.commit,
            version=fgmanifolds.__version__,
            torch=torch.__version__,
            lr=rates.lr,
            lr_euclidean=rates.lr_euclidean,
            weight_decay=rates.weight_decay,
            diverged=diverged,
            validation_error=guess if diverged else last["validation_error"],
            validation_loss=math.nan if diverged else last["validation_loss"],
            train_loss=math.nan if diverged else last["train_loss"],
            test_error=test,
            epochs=session.epoch,
            steps=session.epoch * session.steps,
            seconds_per_epoch=math.fsum(row["seconds"] for row in history) / epochs,
            cpu_seconds_per_epoch=math.fsum(row["cpu_seconds"] for row in history) / epochs,
            residual=residual,
            device=self.device,
            finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            message=message,
        )
