"""The exact law of a window's values among reference values from the same distribution, and limits from it.

The n sorted reference values leave n + 1 gaps. As long as a window's m values come from the same distribution, whatever
it is, all ways to spread them over the gaps are equally likely. So the counts in bins, of which bin b takes g_b whole
gaps, have the Dirichlet-multinomial law of m draws with the weights g_b: nothing is estimated and nothing is
approximated. Every limit here is a quantile of that law, so a chart's rate of false alarms is at most what it says,
averaged over the reference values that might have been drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

STEPS = 1000
"""Steps of the grid on which sums are counted."""

NEGLIGIBLE = 1e-18
"""Counts of smaller probability are counted with the largest sums, which keeps limits on the safe side."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins that are cut at reference values.

    Attributes:
        cuts: float64 (bins - 1,), rising reference values; each is the upper end of a bin.
        gaps: Gaps of each bin, (bins,); together one more than reference values.
    """

    cuts: Floats
    gaps: tuple[int, ...]

    @property
    def shares(self) -> Floats:
        """Expected share of each bin, float64 (bins,)."""
        return np.asarray(self.gaps) / sum(self.gaps)

    def place(self, values: Floats) -> Counts:
        """Return the bin of each value, in the shape of ``values``."""
        return np.searchsorted(self.cuts, values, side="left")

    def counts(self, values: Floats) -> Counts:
        """Return how many values lie in each bin: int64 (…, bins) for values (…, m)."""
        bins = len(self.gaps)
        rows = values.reshape(-1, values.shape[-1])
        numbered = self.place(rows) + bins * np.arange(len(rows))[:, None]
        counts = np.bincount(numbered.ravel(), minlength=bins * len(rows))
        return counts.reshape(*values.shape[:-1], bins)


def equal_bins(reference: Floats, bins: int) -> Bins:
    """Return bins of about equally many reference values (n,); fewer than ``bins`` where there are too few values."""
    ordered = np.sort(reference)
    n = len(ordered)
    ends = np.unique(np.round(np.arange(1, bins) * (n + 1) / bins).astype(int))
    ends = ends[(ends >= 1) & (ends <= n)]
    gaps = np.diff(np.concatenate([[0], ends, [n + 1]]))
    return Bins(ordered[ends - 1], tuple(int(gap) for gap in gaps))


def without_ties(values: Floats, seed: int) -> Floats:
    """Return values with equal ones in random order, each moved by at most 1e-9 of its size, or 1e-9 near 0.

    The law holds for values without ties: equal ones count as ordered by a coin.

    Args:
        values: float64, of any shape.
        seed: Another one for the reference than for a window.
    """
    return np.asarray(values + _noise(seed, values.shape) * np.maximum(1.0, np.abs(values)))


@lru_cache(maxsize=8)
def _noise(seed: int, shape: tuple[int, ...]) -> Floats:
    """Return what moves values of a shape; it is the same for all columns of all windows."""
    return np.random.default_rng(seed).uniform(-1e-9, 1e-9, shape)


@lru_cache(maxsize=4096)
def count_law(gaps: int, all_gaps: int, m: int) -> Floats:
    """Return the probabilities, float64 (m + 1,), of 0 … m window values in ``gaps`` of ``all_gaps`` gaps."""
    from scipy.special import betaln, gammaln  # slow to import

    k = np.arange(m + 1)
    if not 0 < gaps < all_gaps:
        return np.asarray((k == (m if gaps else 0)).astype(float))
    ways = gammaln(m + 1) - gammaln(k + 1) - gammaln(m - k + 1)
    law: Floats = np.exp(ways + betaln(k + gaps, m - k + all_gaps - gaps) - betaln(gaps, all_gaps - gaps))
    return np.asarray(law / law.sum())


def count_limits(fewest: int, most: int, all_gaps: int, m: int, rate: float) -> tuple[int, int]:
    """Return the smallest and the largest count of window values in a region that raise no alarm.

    Args:
        fewest: Whole gaps that lie in the region for certain; they decide the lower limit.
        most: Gaps that lie in it at least in part; they decide the upper limit.
        all_gaps: One more than reference values.
        m: Values of a window.
        rate: Of false alarms, at most; half of it at each end.
    """
    above = np.cumsum(count_law(most, all_gaps, m)[::-1])[::-1]  # of so many or more
    below = np.cumsum(count_law(fewest, all_gaps, m))  # of so many or fewer
    too_many, too_few = np.flatnonzero(above <= rate / 2), np.flatnonzero(below <= rate / 2)
    return int(too_few[-1]) + 1 if len(too_few) else 0, int(too_many[0]) - 1 if len(too_many) else m


@lru_cache(maxsize=256)
def distance_limit(gaps: tuple[int, ...], m: int, rate: float) -> float:
    """Return the largest Kolmogorov-Smirnov distance over the bins' ends that raises no alarm.

    Args:
        gaps: Of each bin.
        m: Values of a window.
        rate: Of false alarms, at most.
    """
    expected = np.cumsum(gaps)[:-1] / sum(gaps)
    candidates = np.unique(np.abs(np.arange(m + 1)[:, None] / m - expected))
    low, high = -1, len(candidates) - 1  # the largest candidate is never exceeded
    while high - low > 1:
        middle = (low + high) // 2
        if _share_beyond(gaps, m, float(candidates[middle])) <= rate:
            high = middle
        else:
            low = middle
    return float(candidates[high])


def _share_beyond(gaps: tuple[int, ...], m: int, distance: float) -> float:
    """Return the probability of a distance above ``distance``."""
    left, expected = sum(gaps), np.cumsum(gaps) / sum(gaps)
    state = np.zeros(m + 1)  # by how many values lie in the bins so far
    state[0] = 1.0
    for b, gap in enumerate(gaps[:-1]):
        following = np.zeros(m + 1)
        for so_far in np.flatnonzero(state > NEGLIGIBLE):
            following[so_far:] += state[so_far] * count_law(gap, left, m - int(so_far))
        state = np.where(np.abs(np.arange(m + 1) / m - expected[b]) <= distance + 1e-12, following, 0.0)
        left -= gap
    return 1.0 - float(state.sum())


def psi(counts: Counts, gaps: Sequence[int]) -> Floats:
    """Return the population stability index (…) of counts (…, bins); half a value is added to each bin."""
    return np.asarray(_psi_terms(counts, np.asarray(gaps), counts.sum(-1, keepdims=True)).sum(-1))


def _psi_terms(counts: Counts, gaps: Counts, m: Counts | int) -> Floats:
    observed = (counts + 0.5) / (m + 0.5 * len(gaps))
    expected = gaps / gaps.sum()
    return np.asarray((observed - expected) * np.log(observed / expected))


@lru_cache(maxsize=256)
def psi_limit(gaps: tuple[int, ...], m: int, rate: float) -> float:
    """Return the largest population stability index that raises no alarm."""
    k = np.arange(m + 1)
    rows = tuple(
        tuple((observed - gap / sum(gaps)) * np.log(observed * sum(gaps) / gap))
        for gap in gaps
        for observed in [(k + 0.5) / (m + 0.5 * len(gaps))]
    )
    return sum_limit(rows, gaps, m, rate)


@lru_cache(maxsize=256)
def sum_limit(terms: tuple[tuple[float, ...], ...], gaps: tuple[int, ...], m: int, rate: float) -> float:
    """Return a limit that a sum over bins, each a function of the bin's count, exceeds with at most ``rate``.

    Terms are rounded up to a grid of :data:`STEPS` steps, so the limit is at most one step for each bin too high.

    Args:
        terms: (bins, m + 1): the term of each bin at each count; 0 or more.
        gaps: Of each bin.
        m: Values of a window.
        rate: Of false alarms, at most.

    Returns:
        The limit; above the largest sum where even that is not rare enough.
    """
    usual = [of_bin[round(m * gap / sum(gaps))] for of_bin, gap in zip(terms, gaps, strict=True)]
    span = 2 * sum(usual) + 0.25
    while True:
        step = span / STEPS
        rarer = np.cumsum(_sum_law(np.ceil(np.array(terms) / step - 1e-9).astype(int), gaps, m)[::-1])[::-1]
        rare = np.flatnonzero(rarer <= rate)
        if len(rare):
            return float(rare[0] - 1) * step + 1e-9
        span *= 2  # the largest sums are together more than that


def _sum_law(terms: Counts, gaps: tuple[int, ...], m: int) -> Floats:
    """Return the probabilities, float64 (STEPS + 1,), of each sum of integer terms; the last is of all larger ones."""
    state = np.zeros((m + 1, STEPS + 1))  # by how many values are left, and the sum so far
    state[m, 0] = 1.0
    left = sum(gaps)
    for gap, of_bin in zip(gaps, terms, strict=True):
        following = np.zeros_like(state)
        laws = np.zeros((m + 1, m + 1))
        for remaining in range(m + 1):
            laws[remaining, : remaining + 1] = count_law(gap, left, remaining)
        for k in np.flatnonzero(laws.max(axis=0) > NEGLIGIBLE):
            shift, moved = min(int(of_bin[k]), STEPS), laws[k:, k, None] * state[k:]
            following[: m + 1 - k, shift:] += moved[:, : STEPS + 1 - shift]
            following[: m + 1 - k, STEPS] += moved[:, STEPS + 1 - shift :].sum(axis=1)
        state, left = following, left - gap
    law: Floats = state[0]
    law[STEPS] += max(0.0, 1.0 - float(law.sum()))
    return law
