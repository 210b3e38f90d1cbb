"""Training runs on real images: configuration, loop, results and reports."""

from fgmanifolds.experiments.compare import Method, compare
from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.run import RunResult, train
from fgmanifolds.experiments.trainer import Trainer

__all__ = ["Method", "RunResult", "TrainConfig", "Trainer", "compare", "train"]
