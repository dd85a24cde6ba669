"""What earlier studies give a new one: a few configurations that were good together, and trials for its sampler.

Each study's metric is replaced by the rank among its trials, so that studies of other data and metrics can be added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenet_chest.config import Distribution, active
from mobilenet_chest.config.metrics import as_score
from mobilenet_chest.sweep.earlier_trials import EarlierTrial
from mobilenet_chest.sweep.influence import place_in_range
from mobilenet_chest.sweep.space import Values, as_stored, outside
from mobilenet_chest.sweep.study_summary import StudySummary, TrialRecord

Floats = NDArray[np.float64]

MOST = 4
"""Most configurations of a portfolio."""

WIDTH = 0.2
"""Distance, as a share of a field's range, within which a trial says something of another configuration."""

OTHER_CHOICE = 1.5
"""Distance between two choices of a field, in units of :data:`WIDTH`."""

DOUBT = 0.3
"""Weight of the middle rank, in trials, where a study has few near a configuration."""


MOST_SEEN = 40
"""Most trials of earlier studies that a sampler sees."""


class Member(NamedTuple):
    """A configuration of a portfolio.

    Attributes:
        values: Its values, as Optuna stores them.
        study: The study that it is from.
        trial: Its trial there.
    """

    values: Values
    study: str
    trial: int


def portfolio(search: Mapping[str, Distribution], studies: Sequence[StudySummary], most: int = MOST) -> list[Member]:
    """Return configurations of earlier studies, the one that was best across them first.

    Each is the one that adds most to the mean, over the studies, of the best rank so far; what has no trial of its own
    in a study has the rank of the trials near it there. It ends early where none adds anything.

    Args:
        search: The search space of the new study. Values outside of it are left out, as are fields that it has not.
        studies: The earlier studies.
        most: Most configurations.
    """
    candidates = _candidates(search, studies)
    if not candidates:
        return []
    ranks = np.stack([_expected_ranks(search, study, [c.values for c in candidates]) for study in studies], axis=1)
    best: Floats = np.zeros(len(studies))
    chosen: list[Member] = []
    for _ in range(most):
        means = np.maximum(best, ranks).mean(axis=1)
        first = int(np.argmax(means))
        if means[first] <= best.mean() + 1e-9:
            break
        chosen.append(candidates[first])
        best = np.maximum(best, ranks[first])
    return chosen


def sample_trials(
    search: Mapping[str, Distribution], studies: Sequence[StudySummary], seed: int, most: int = MOST_SEEN
) -> list[EarlierTrial]:
    """Return trials of earlier studies that have all fields of a search space but conditional ones, in random order.

    Each study gives as many, or all that it has: its best, its worst, and those at even distances in rank.

    Args:
        search: The search space of the new study.
        studies: The earlier studies.
        seed: Of the order, in which the last ones are forgotten first.
        most: Most trials.
    """
    needed = {path for path, distribution in search.items() if not distribution.when}
    usable = []
    for study in studies:
        trials = [EarlierTrial(within(search, trial.params), rank, study.name) for trial, rank in rank_shares(study)]
        usable.append(sorted((t for t in trials if needed <= t.values.keys()), key=lambda trial: trial.rank))
    usable = [trials for trials in usable if trials]
    chosen: list[EarlierTrial] = []
    for number, trials in enumerate(usable):
        count = min(len(trials), max(1, most // len(usable)))
        # where each gives one, that is the worst of the first study, the best of the last, and others in between
        first, last = (0.0, 1.0) if count > 1 else (number / max(1, len(usable) - 1),) * 2
        chosen += [trials[round(place * (len(trials) - 1))] for place in np.linspace(first, last, count)]
    order = np.random.default_rng(seed).permutation(len(chosen))[:most]
    return [chosen[place] for place in order]


def _candidates(search: Mapping[str, Distribution], studies: Sequence[StudySummary]) -> list[Member]:
    """Return the complete trials that meet their constraints, as far as the new space has their values; each once."""
    found: dict[str, Member] = {}
    for study in studies:
        for trial in study.trials:
            if trial.state == "COMPLETE" and trial.feasible and (values := within(search, trial.params)):
                found.setdefault(repr(sorted(values.items())), Member(values, study.name, trial.number))
    return list(found.values())


def within(search: Mapping[str, Distribution], params: Mapping[str, Any]) -> Values:
    """Return the values that a search space has, as Optuna stores them, without those whose conditions do not hold."""
    typed = {path: as_stored(path, search[path], value) for path, value in params.items() if path in search}
    inside = {path: value for path, value in typed.items() if outside(search, {path: value}) is None}
    known = {path: value for path, value in params.items() if path in inside}
    return {path: inside[path] for path in active(search, known) if path in inside}


def rank_shares(study: StudySummary) -> list[tuple[TrialRecord, float]]:
    """Return the trials of a study that were not failures, each with its rank from 0, the worst, to 1, the best.

    Trials that were stopped early, and those that violate a constraint, share the last rank.
    """
    trials = [trial for trial in study.trials if trial.state != "FAIL"]
    scores = np.array([_score(study, trial) for trial in trials])
    if len(trials) < 2:
        return [(trial, 0.5) for trial in trials]
    below = (scores[:, None] > scores).sum(axis=1)
    equal = (scores[:, None] == scores).sum(axis=1) - 1
    shares = (below + equal / 2) / (len(trials) - 1)
    return list(zip(trials, shares.tolist(), strict=True))


def _score(study: StudySummary, trial: TrialRecord) -> float:
    if trial.state != "COMPLETE" or not trial.feasible or trial.value is None:
        return -np.inf
    return as_score(trial.value, study.direction)


def _expected_ranks(
    search: Mapping[str, Distribution], study: StudySummary, candidates: Sequence[Mapping[str, Any]]
) -> Floats:
    """Return the rank that each candidate has or would have in a study: the mean of its trials, the nearest most."""
    ranked = rank_shares(study)
    ranks = np.array([rank for _, rank in ranked])
    trials = [within(search, trial.params) for trial, _ in ranked]
    squares: Floats = np.zeros((len(candidates), len(trials)))
    for path, distribution in search.items():
        squares += _distances(path, distribution, candidates, trials) ** 2
    weights = np.exp(-squares / 2)
    expected: Floats = (weights @ ranks + DOUBT * 0.5) / (weights.sum(axis=1) + DOUBT)
    return expected


def _distances(
    path: str, distribution: Distribution, candidates: Sequence[Mapping[str, Any]], trials: Sequence[Mapping[str, Any]]
) -> Floats:
    """Return the distances between candidates and trials in one field; 0 where either has no value of it."""
    place = place_in_range(distribution) if distribution.choices is None else None
    if distribution.choices is None and place is None:
        return np.zeros((len(candidates), len(trials)))
    if place is not None:
        rows, columns = (_places(path, place, each) for each in (candidates, trials))
        return np.nan_to_num(np.abs(rows[:, None] - columns) / WIDTH)
    return np.array([
        [OTHER_CHOICE if path in a and path in b and a[path] != b[path] else 0.0 for b in trials] for a in candidates
    ])  # fmt: skip


def _places(path: str, place: Any, values: Sequence[Mapping[str, Any]]) -> Floats:
    return np.array([place(each[path]) if path in each else np.nan for each in values], dtype=float)
