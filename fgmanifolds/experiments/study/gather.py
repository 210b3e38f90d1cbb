"""The small tables of a study: what a report needs, and what is kept when its runs are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fgmanifolds.experiments.storage import write_text
from fgmanifolds.experiments.study.folder import ANGLES, CURVE, RESULT, StudyFolder

__all__ = ["TABLES", "gather", "read_tables"]

#: Files of a study's folder, with the columns that a report needs.
TABLES = {
    "runs.csv": ("arm", "stage", "trial", "seed", "commit", "lr", "validation_error", "test_error"),
    "curves.csv": ("arm", "stage", "seed", "epoch", "step", "train_loss", "validation_error"),
    "angles.csv": ("arm", "layer", "step", "angle"),
}

#: Significant digits that curves and angles are kept with.
DIGITS = 5


def gather(folder: StudyFolder) -> dict[str, pd.DataFrame]:
    """Write ``runs.csv``, ``curves.csv`` and ``angles.csv`` from the runs there are.

    Curves are those of the test runs; angles are means over the test runs of each arm.
    Without the folder ``runs`` the tables that are there are read.

    Raises
    ------
    ValueError
        If there are neither runs nor tables.
    """
    if (folder.path / "runs").is_dir():
        folder.collect()
        places = sorted(folder.path.glob(f"runs/*/test-*/{RESULT}"))
        curves = _stacked([place.parent / CURVE for place in places])
        angles = _stacked([place.parent / ANGLES for place in places])
        if len(angles):
            means = angles.groupby(["arm", "layer", "step"], sort=False)["angle"].mean()
            angles = means.reset_index()
        _write(folder.path / "curves.csv", curves, TABLES["curves.csv"])
        _write(folder.path / "angles.csv", angles, TABLES["angles.csv"])
    return read_tables(folder.path)


def _stacked(files: Sequence[Path]) -> pd.DataFrame:
    """Rows of the files of several runs, each with its arm, stage and seed."""
    frames = []
    for file in files:
        stage, _, seed = file.parent.name.split("-")
        arm = file.parent.parent.name
        if file.exists() and file.stat().st_size > 1:
            number = int(seed.removeprefix("seed"))
            frames.append(pd.read_csv(file).assign(arm=arm, stage=stage, seed=number))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _write(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    kept = frame.reindex(columns=list(columns))
    write_text(path, kept.to_csv(index=False, float_format=f"%.{DIGITS}g"))


def read_tables(path: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of a study's folder; ``ValueError`` if one is missing or damaged."""
    found = {}
    for name, columns in TABLES.items():
        file = path / name
        try:
            frame = pd.read_csv(file, keep_default_na=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"{str(file)!r} cannot be read: {error}.") from None
        missing = [column for column in columns if column not in frame]
        if missing:
            raise ValueError(f"{str(file)!r} lacks the column {missing[0]!r}.")
        found[name.removesuffix(".csv")] = frame
    return found
