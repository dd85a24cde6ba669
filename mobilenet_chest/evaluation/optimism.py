"""How much better the best of several looks than it is, from fresh seeds of the leaders.

The best of n values is the best partly by luck: the seed's (initial weights, batches, dropout) and that of the images
it was scored on. Fresh trainings of the same configuration have luck of their own, so that what the search's winner
claimed less the mean of its fresh trainings is the luck that made it win.

Which part of it that is depends on the images of the fresh trainings. On the same validation images a configuration
that suits these very images suits them again: the difference is the seeds' part alone, unbiased for the whole where
configurations differ by their seeds only. With new splits (``study.resampling: reshuffle`` or ``kfold``) the images'
part is in it as well. That a score is of the best epoch is in claim and confirmation alike, and cancels out.

Without a correction like this one the winner's curse grows with the number of configurations (Cawley and Talbot, On
Over-fitting in Model Selection and Subsequent Selection Bias in Performance Evaluation, JMLR 11, 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.intervals import LEVEL, Interval

Direction = Literal["maximize", "minimize"]


def optimism(
    claimed: float, fresh: Sequence[float], direction: Direction = "maximize", level: float = LEVEL
) -> Interval:
    """What the winner of a search claimed less the mean of its fresh seeds; above 0 where the claim was too good.

    It must be the trial that the search itself puts first, and not one that the fresh seeds have chosen: their mean
    would then be a claim as well.

    Args:
        claimed: The value that made it win.
        fresh: Values of the same configuration in other seeds, two or more.
        direction: In which the value gets better.
        level: Of the interval, Student's t: over other seeds of this configuration on these images, with new splits
            over other splits. What is peculiar to one split as a whole is in claim and mean alike, and not in it.
    """
    from scipy.stats import t

    values = np.asarray(fresh, float)
    sign = 1 if direction == "maximize" else -1
    found = sign * (claimed - float(values.mean()))
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(found, found - half, found + half)


def crossfit_mean(fresh: NDArray[np.float64], direction: Direction = "maximize") -> float:
    """What the choice of the best mean is worth: each seed scores the leader that the other seeds' means choose.

    The best mean of several is too good again, by less; this figure is not.

    Args:
        fresh: float64 (leaders, seeds), two seeds or more.
        direction: In which the value gets better.
    """
    sign = 1 if direction == "maximize" else -1
    others = sign * (fresh.sum(axis=1, keepdims=True) - fresh)
    return float(fresh[others.argmax(axis=0), np.arange(fresh.shape[1])].mean())
