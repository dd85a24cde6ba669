"""What a result should be, computed in another way than the package does."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata


def rank_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the AUC by the ranks of class 1 (Mann and Whitney, 1947), exact but for the one division."""
    positive = int(labels.sum())
    ranks = rankdata(scores)
    return float((ranks[labels == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))
