"""Optimism: how much too good the best value of a search is, measured on fresh seeds of the leading trials.

The best of n values is best partly by luck. One part is the seed's luck: initial weights, batches, dropout. The other
is that of the images it was scored on. Fresh trainings of the same configuration have luck of their own. So the
winner's claimed value minus the mean of its fresh trainings is the luck that made it win.

Which part is measured depends on the images of the fresh trainings. On the same validation images, a configuration that
suits these very images suits them again: only the seeds' part is measured. That is unbiased for the whole where
configurations differ by their seeds only. With new splits (``study.resampling: reshuffle`` or ``kfold``) the images'
part is included. Both values are of the best epoch, so that choice cancels out.

Without such a correction the winner's curse grows with the number of configurations (Cawley and Talbot, On Over-fitting
in Model Selection and Subsequent Selection Bias in Performance Evaluation, JMLR 11, 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config.metrics import Direction, as_score
from mobilenet_chest.evaluation.intervals import LEVEL, Interval


def optimism(
    claimed: float, fresh: Sequence[float], direction: Direction = "maximize", level: float = LEVEL
) -> Interval:
    """Return the value that a search's winner claimed minus the mean of its fresh seeds; above 0: it was too good.

    It must be the trial that the search itself puts first. If the fresh seeds had chosen it, their mean would be a
    claim as well.

    Args:
        claimed: The value that made it win.
        fresh: Values of the same configuration with other seeds, two or more.
        direction: In which the value gets better.
        level: Confidence of the interval (Student's t), over other seeds of this configuration on these images, or with
            new splits over other splits. What is peculiar to one split as a whole is in both values, and not included.
    """
    from scipy.special import stdtrit

    values = np.asarray(fresh, float)
    difference = as_score(claimed - float(values.mean()), direction)
    half = float(stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(difference, difference - half, difference + half)


def crossfit_mean(fresh: NDArray[np.float64], direction: Direction = "maximize") -> float:
    """Return the value of choosing the leader with the best mean, without optimism.

    Each seed scores the leader that the means of the other seeds choose. The best mean itself is too good again, by a
    smaller amount.

    Args:
        fresh: float64 (leaders, seeds), two seeds or more.
        direction: In which the value gets better.
    """
    sums_of_others = as_score(fresh.sum(axis=1, keepdims=True) - fresh, direction)
    return float(fresh[sums_of_others.argmax(axis=0), np.arange(fresh.shape[1])].mean())
