"""What the learning curves of a study have in common, and what is known of that before the study has any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Scales(NamedTuple):
    """What the curves of a study have in common; scores are in units of their standard deviation.

    Attributes:
        half: Epochs after which the gap has closed to ``2 ** -power``.
        power: How fast it closes later: a small one slowly, a great one as an exponential.
        width: Distance in the space of configurations within which trials are alike.
        end: Standard deviation of end values from configuration to configuration.
        own_end: The same, of trials with one configuration.
        gap: That of gaps, from configuration to configuration.
        own_gap: The same, of trials with one configuration.
        drift: That of the drift of single curves.
        memory: Epochs after which a drift has forgotten two thirds of itself.
        noise: That of single epochs.
    """

    half: float
    power: float
    width: float
    end: float
    own_end: float
    gap: float
    own_gap: float
    drift: float
    memory: float
    noise: float


def usual_scales(total: float, coordinates: int) -> Scales:
    """Return what the scales of any study are expected to be.

    Args:
        total: Its epochs of stage 2.
        coordinates: Of a configuration's place.
    """
    quarter = max(1.0, total / 4)
    return Scales(
        half=quarter, power=2.0, width=0.6 * math.sqrt(max(1, coordinates)), end=0.7, own_end=0.3, gap=0.7,
        own_gap=0.3, drift=0.3, memory=quarter, noise=0.1,
    )  # fmt: skip


class ScalePrior(NamedTuple):
    """What the scales of a study are expected to be: the logarithm of each is normal.

    Attributes:
        ratio: Centre of each, in units of the usual one.
        deviation: Standard deviation of the logarithm of each.
    """

    ratio: Scales
    deviation: Scales


USUAL = ScalePrior(ratio=Scales(*[1.0] * 10), deviation=Scales(*[math.log(2)] * 10))
"""Without an earlier study each scale is within a factor of two of the usual one, at odds of two to one."""


def learned_prior(ratios: Sequence[Scales]) -> ScalePrior:
    """Return what the next study's scales are expected to be, after those of earlier studies.

    :data:`USUAL` counts as one study more, so that few studies do not make sure of anything.

    Args:
        ratios: Of each earlier study, its scales in units of the usual ones.
    """
    logarithms = np.log(np.array(ratios).reshape(-1, len(Scales._fields)))
    count = len(logarithms) + 1
    centre: Floats = logarithms.sum(0) / count
    squares = ((logarithms - centre) ** 2).sum(0) + np.array(USUAL.deviation) ** 2
    return ScalePrior(Scales(*np.exp(centre).tolist()), Scales(*np.sqrt(squares / count).tolist()))
