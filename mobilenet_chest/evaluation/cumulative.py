"""Small shifts that last: cumulative sums over windows, which add up what each window says alone too quietly.

Page's cumulative sum (CUSUM, Biometrika 41, 1954) needs values of windows that are independent and have a known law.
Windows that are compared with the same validation rows share the luck of these rows: a sum of them drifts, and sooner
or later raises an alarm for nothing. So each film is ranked among the validation rows *and all films before it*. As
long as all come from one distribution, whatever it is, such sequential ranks are independent and uniform (McDonald, "A
CUSUM procedure based on sequential ranks", Naval Research Logistics 37, 1990; they are the p-values of conformal
prediction, Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005). As normal quantiles, summed and
divided by the root of a window's films, they are exactly N(0, 1) for each window. And as films come in, there is more
to compare the next ones with than the validation rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.evaluation.control_charts import Reference
from mobilenet_chest.evaluation.drift import CONTRAST, DETAIL, MEAN, Films, confidences
from mobilenet_chest.evaluation.exchangeable import Floats

ALLOWANCE = 0.5
"""What each window must be off by, in standard deviations, before anything is added: half of the shift of one standard
deviation of a window's value, for which the sum is then the fastest (Page; Moustakides, Annals of Statistics 1986)."""

NODES = 80
"""Points of the quadrature of the average run length."""

NEIGHBOURS = 5
"""Nearest validation rows whose mean squared distance says how new a film's features are."""

Score = Callable[[Films], Floats]


@dataclass(frozen=True, eq=False)
class Cumulative:
    """A cumulative sum over windows of the same chart.

    Attributes:
        key: Its name in JSON.
        title: What it shows.
        limit: Largest sum without an alarm.
        sums: float64 (w,), the larger one of the sums upwards and downwards after each window.
        out: bool (w,), whether it was an alarm; the sums begin again at 0 then.
    """

    key: str
    title: str
    limit: float
    sums: Floats
    out: NDArray[np.bool_]


def cumulative_charts(reference: Reference, windows: Sequence[Films], rate: float) -> list[Cumulative]:
    """Return the cumulative sums over windows, the oldest first.

    Args:
        reference: What the first films are compared with.
        windows: Of any sizes; all with features, where the reference has them.
        rate: False alarms in stable windows, over these charts together, in the long run; each has an equal part.
    """
    scores = _scores(reference)
    limit = sum_limit(rate / len(scores) / 2)  # upwards and downwards
    charts = []
    for number, (key, (title, known, score)) in enumerate(scores.items()):
        values = standard_values(known, [score(window) for window in windows], seed=number)
        sums, out = cumulative_sums(values, limit)
        charts.append(Cumulative(f"{key}_sum", f"{title}, cumulative sum", limit, sums, out))
    return charts


def _scores(reference: Reference) -> dict[str, tuple[str, Floats, Score]]:
    """Return for each chart its title, the scores of the validation rows, and what scores films."""
    films, threshold = reference.films, reference.threshold
    scores: dict[str, tuple[str, Score]] = {
        "probability": ("probabilities", lambda window: window.probability),
        "uncertainty": ("uncertainty", lambda window: 1 - confidences(window, threshold)),
        "exposure": ("mean grey level", lambda window: window.pictures[:, MEAN]),
        "contrast": ("contrast", lambda window: window.pictures[:, CONTRAST]),
        "detail": ("fine detail", lambda window: window.pictures[:, DETAIL]),
        "unlike": ("unlikeness", lambda window: reference.lookalike.distance(window.pictures)),
    }
    if not films.have_detail:
        del scores["detail"]
    charts = {key: (title, score(films), score) for key, (title, score) in scores.items()}
    if films.features is not None:
        half = len(films) // 2  # rows that others are measured by are no longer like those
        novelty = _novelty(films.features[:half])
        charts["features"] = ("features", novelty(films.take(slice(half, None))), novelty)
    return charts


def _novelty(features: NDArray[np.float32]) -> Score:
    """Return what says how far a film's features are from the nearest of these rows, float32 (n, f)."""
    centre, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    known = (features - centre) / scale
    squares = (known**2).sum(axis=1)

    def novelty(films: Films) -> Floats:
        assert films.features is not None
        given = (films.features - centre) / scale
        distances = (given**2).sum(axis=1)[:, None] + squares - 2 * given @ known.T
        nearest = np.partition(distances, min(NEIGHBOURS, len(known)) - 1, axis=1)[:, :NEIGHBOURS]
        return np.asarray(nearest.mean(axis=1), np.float64)

    return novelty


def standard_values(known: Floats, windows: Sequence[Floats], seed: int) -> Floats:
    """Return a value (w,) for each window, independent and N(0, 1) as long as all scores are from one distribution.

    Args:
        known: float64 (n,), scores of the validation rows.
        windows: float64 (m,) each, scores of films in the order of time.
        seed: Decides among equal scores.
    """
    from scipy.special import ndtri  # slow to import

    generator, pool = np.random.default_rng(seed), np.sort(known)
    values = np.empty(len(windows))
    for number, scores in enumerate(windows):
        m = len(scores)
        before = np.tri(m, k=-1, dtype=bool)  # films of the same window that came earlier
        smaller = np.searchsorted(pool, scores, "left") + (before & (scores < scores[:, None])).sum(axis=1)
        as_large = np.searchsorted(pool, scores, "right") + (before & (scores <= scores[:, None])).sum(axis=1)
        # anywhere among its equals, itself included; never 0 or 1
        place = smaller + (generator.random(m) + 2.0**-54) * (as_large - smaller + 1)
        values[number] = ndtri(place / (len(pool) + np.arange(1, m + 1))).sum() / m**0.5
        pool = np.sort(np.concatenate([pool, scores]))
    return values


def cumulative_sums(values: Floats, limit: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the larger of the two sums (w,) after each of the values (w,), and which are above the limit.

    After an alarm both begin again at 0: further alarms say that the shift goes on.
    """
    sums, out = np.empty(len(values)), np.zeros(len(values), bool)
    up = down = 0.0
    for number, value in enumerate(values):
        up, down = max(0.0, up + value - ALLOWANCE), max(0.0, down - value - ALLOWANCE)
        sums[number] = max(up, down)
        if sums[number] > limit:
            out[number], up, down = True, 0.0, 0.0
    return sums, out


@lru_cache(maxsize=64)
def sum_limit(rate: float) -> float:
    """Return the limit of a sum in one direction with so many false alarms a window, in the long run."""
    low, high = 0.0, 1.0
    while run_length(high) * rate < 1:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) * rate < 1 else (low, middle)
    return high


def run_length(limit: float) -> float:
    """Return the mean number of windows from 0 to an alarm, of a sum in one direction of N(0, 1) values.

    It solves the integral equation of Page by quadrature: where the sum is now decides how long it will take.
    """
    from scipy.special import ndtr  # slow to import

    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    at, weights = limit * (nodes + 1) / 2, limit * weights / 2
    places = np.concatenate([[0.0], at])
    step = at - places[:, None] + ALLOWANCE
    to_nodes = weights * np.exp(-(step**2) / 2) / np.sqrt(2 * np.pi)
    to_zero = ndtr(ALLOWANCE - places)
    system = np.eye(NODES + 1) - np.concatenate([to_zero[:, None], to_nodes], axis=1)
    return float(np.linalg.solve(system, np.ones(NODES + 1))[0])
