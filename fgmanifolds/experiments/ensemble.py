"""Ensembles by voting (Appendix D.B)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

__all__ = ["majority_vote", "vote_error"]


def majority_vote(scores: Sequence[ArrayLike]) -> NDArray[np.int64]:
    """Class that most networks decide for; ties go to the largest summed softmax.

    Parameters
    ----------
    scores : sequence of arrays of shape (N, classes)
        Outputs of each network, before the softmax.

    Returns
    -------
    int array of shape (N,)

    Raises
    ------
    ValueError
        If there is no network, or their outputs differ in shape.
    """
    arrays = [np.asarray(one, dtype=np.float64) for one in scores]
    shapes = [one.shape for one in arrays]
    if not arrays or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(f"scores have shapes {shapes}; (N, classes) for each network is needed.")
    stacked = np.stack(arrays)
    decisions = stacked.argmax(2)
    votes = np.stack([(decisions == k).sum(0) for k in range(stacked.shape[2])], axis=1)
    summed = softmax(stacked, axis=2).sum(0)
    tied = votes == votes.max(1, keepdims=True)
    return np.where(tied, summed, -np.inf).argmax(1)


def vote_error(scores: Sequence[ArrayLike], labels: ArrayLike) -> float:
    """Error of :func:`majority_vote`, in percent; `labels` has shape (N,).

    Parameters
    ----------
    scores : sequence of arrays of shape (N, classes)
    labels : array of shape (N,)
    """
    decided, true = majority_vote(scores), np.asarray(labels)
    if true.shape != decided.shape:
        raise ValueError(f"labels have shape {true.shape}, the scores {len(decided)} rows.")
    return float(100.0 * np.mean(decided != true))
