"""The runs of a study: which there are, in what order, and what the search chooses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import qmc

from fgmanifolds.experiments.study.arm import RATES, Arm
from fgmanifolds.experiments.study.optimizers import Rates
from fgmanifolds.experiments.study.protocol import Protocol
from fgmanifolds.experiments.study.result import Result

__all__ = ["STAGES", "Results", "Task", "chosen_trial", "known_tasks", "rates_of", "unit_points"]

#: Search; the best few again on other seeds; fresh seeds for the test.
STAGES = ("search", "rerun", "test")


@dataclass(frozen=True)
class Task:
    """A run to make.

    Attributes
    ----------
    arm : str
    stage : {"search", "rerun", "test"}
    trial : int
        Point of the search.
    seed : int
    """

    arm: str
    stage: str
    trial: int
    seed: int

    @property
    def key(self) -> str:
        """Name of the run's folder below that of its arm."""
        return f"{self.stage}-trial{self.trial:02d}-seed{self.seed}"


Results = Mapping[Task, Result]


def unit_points(trials: int) -> list[list[float]]:
    """Points of the unit cube, one axis for each rate: a Halton sequence without its corner.

    The same for all arms, and for more trials the first ones stay.
    """
    sequence = qmc.Halton(d=len(RATES), scramble=False)
    sequence.fast_forward(1)
    return [[float(value) for value in point] for point in sequence.random(trials)]


def rates_of(arm: Arm, trial: int) -> Rates:
    """Rates of an arm at a point of the search: logarithmic on the arm's ranges.

    Parameters
    ----------
    arm : Arm
    trial : int
    """
    point = unit_points(trial + 1)[trial]
    values = {}
    for name, share in zip(RATES, point, strict=True):
        low, high = getattr(arm, name)
        values[name] = low if low == high else float(f"{low * (high / low) ** share:.6g}")
    return Rates(**values)


def known_tasks(protocol: Protocol, arm: str, results: Results) -> dict[str, list[Task]]:
    """The runs of an arm by stage, as far as they follow from the results there are.

    The stages after one that is not finished are empty.

    Parameters
    ----------
    protocol : Protocol
    arm : str
    results : Results
    """
    search, test = protocol.search, protocol.test
    first = [Task(arm, "search", trial, search.seed) for trial in range(search.trials)]
    tasks: dict[str, list[Task]] = {"search": first, "rerun": [], "test": []}
    if not _all_done(first, results):
        return tasks
    best = ranked(first, results)[: search.best]
    seeds = range(search.seed + 1, search.seed + 1 + search.reruns)
    tasks["rerun"] = [Task(arm, "rerun", trial, seed) for seed in seeds for trial in best]
    if _all_done(tasks["rerun"], results):
        trial = chosen_trial(protocol, arm, results)
        seeds = range(test.first_seed, test.first_seed + test.seeds)
        tasks["test"] = [Task(arm, "test", trial, seed) for seed in seeds]
    return tasks


def chosen_trial(protocol: Protocol, arm: str, results: Results) -> int:
    """The trial of the smallest mean validation error over all its seeds, of those run again.

    Parameters
    ----------
    protocol : Protocol
    arm : str
    results : Results
    """
    search = protocol.search
    first = [Task(arm, "search", trial, search.seed) for trial in range(search.trials)]
    best = set(ranked(first, results)[: search.best])
    seeds = range(search.seed + 1, search.seed + 1 + search.reruns)
    again = [Task(arm, "rerun", trial, seed) for seed in seeds for trial in sorted(best)]
    return ranked([task for task in first if task.trial in best] + again, results)[0]


def ranked(tasks: Sequence[Task], results: Results) -> list[int]:
    """Trials by mean validation error, then loss, then number; those that diverged come last."""
    trials = sorted({task.trial for task in tasks})

    def merit(trial: int) -> tuple[bool, float, float, int]:
        found = [results[task] for task in tasks if task.trial == trial]
        diverged = any(one.diverged for one in found)
        errors = [one.validation_error for one in found]
        losses = [one.validation_loss for one in found]
        mean = math.fsum(errors) / len(errors)
        loss = math.inf if diverged else math.fsum(losses) / len(losses)
        return diverged, mean, loss, trial

    return sorted(trials, key=merit)


def _all_done(tasks: Iterable[Task], results: Results) -> bool:
    return all(task in results for task in tasks)
