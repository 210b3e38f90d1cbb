"""Training runs on real images, and the paper's tables: configuration, loop, results, reports."""

from fgmanifolds.experiments.compare import Method, compare
from fgmanifolds.experiments.config import TrainConfig
from fgmanifolds.experiments.ensemble import majority_vote, vote_error
from fgmanifolds.experiments.run import RunResult, train
from fgmanifolds.experiments.runner import Settings, reproduce
from fgmanifolds.experiments.table import TABLES, load_table, paper_figures
from fgmanifolds.experiments.trainer import Trainer

__all__ = [
    "TABLES",
    "Method",
    "RunResult",
    "Settings",
    "TrainConfig",
    "Trainer",
    "compare",
    "load_table",
    "majority_vote",
    "paper_figures",
    "reproduce",
    "train",
    "vote_error",
]
