"""The figures of the paper's tables of errors, as printed."""

from __future__ import annotations

from importlib import resources

import pandas as pd

__all__ = ["errors", "paper_results"]


def paper_results() -> pd.DataFrame:
    """Errors in percent of Tables III and XI to XVI and of Appendix D.B.

    Returns
    -------
    DataFrame
        Columns table, system, dataset, augmentation, method, error, std, runs, note; methods are
        a scheme and manifolds, as in ``"pio:sphere+stiefel"``.
    """
    with resources.files("fgmanifolds.verify").joinpath("paper_results.csv").open() as file:
        return pd.read_csv(file).fillna({"note": ""})


def errors(table: str, system: str, augmentation: str | None = None) -> pd.Series:
    """Errors of a network in a table by method; own figures where cited ones stand beside them.

    Parameters
    ----------
    table : str
        ``"XII"``, say.
    system : str
        ``"resnet44"``, say.
    augmentation : str, optional
        ``"with"`` or ``"without"``, where the table has both.
    """
    rows = paper_results()
    rows = rows[(rows["table"] == table) & (rows["system"] == system)]
    if augmentation is not None:
        rows = rows[rows["augmentation"] == augmentation]
    own = rows[~rows["note"].str.contains("cited", regex=False)]
    return own.set_index("method")["error"]
