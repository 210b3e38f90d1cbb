"""Made-up results of a study, for its analysis."""

import numpy as np
import pandas as pd

from fgmanifolds.experiments.study.tasks import rates_of


def made_up_runs(protocol, means, deviation, rng):
    """Runs of all arms: test errors normal about `means`, by arm."""
    rows = []
    search, test = protocol.search, protocol.test
    for name, arm in protocol.arms.items():
        tasks = [("search", trial, search.seed) for trial in range(search.trials)]
        tasks += [("rerun", 0, search.seed + 1 + i) for i in range(search.reruns)]
        tasks += [("test", 0, test.first_seed + i) for i in range(test.seeds)]
        for stage, trial, seed in tasks:
            error = means[name] + deviation * rng.normal()
            rates = rates_of(arm, trial)
            rows.append(
                {
                    "arm": name,
                    "stage": stage,
                    "trial": trial,
                    "seed": seed,
                    "commit": "abc",
                    "version": "1",
                    "torch": "2",
                    "lr": rates.lr,
                    "lr_euclidean": rates.lr_euclidean,
                    "weight_decay": rates.weight_decay,
                    "diverged": False,
                    "validation_error": error,
                    "validation_loss": error / 30,
                    "train_loss": 0.2,
                    "test_error": error if stage == "test" else np.nan,
                    "cpu_seconds_per_epoch": 10.0,
                    "residual": np.nan,
                    "device": "cpu",
                }
            )
    return pd.DataFrame(rows)


def made_up_curves(runs, evaluations=8, steps=100):
    """Curves of the test runs, falling to their last errors."""
    rows = []
    for _, run in runs[runs["stage"] == "test"].iterrows():
        for i in range(1, evaluations + 1):
            share = i / evaluations
            rows.append(
                {
                    "arm": run["arm"],
                    "stage": "test",
                    "seed": run["seed"],
                    "epoch": 2 * share,
                    "step": steps * share,
                    "train_loss": 1 / (1 + 4 * share),
                    "validation_error": run["validation_error"] * (3 - 2 * share),
                }
            )
    columns = ["arm", "stage", "seed", "epoch", "step", "train_loss", "validation_error"]
    return pd.DataFrame(rows, columns=columns)
