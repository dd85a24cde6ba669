"""What the finished trials of a study say about the search itself: where it means nothing, and the change to try.

Each finding rests on enough trials, and a search that works has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from mobilenet_chest.config import EPOCH_METRICS, Config, is_integer_field, with_values
from mobilenet_chest.config.formats import number
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.sweep import attributes
from mobilenet_chest.sweep.epochs import shown_metric
from mobilenet_chest.sweep.influence import Ranked, bounds, greater_p, influence_p, is_preferred, place_in_range, rank

Kind = Literal["pruned_early", "frozen_best", "harmful_fine_tuning", "tied", "edge", "no_influence", "ended_early"]

LEAST_TRIALS = 4
"""So many complete trials it takes to say something of all of them."""

LEAST_FOR_INFLUENCE = 20
"""So many complete and pruned trials it takes to say that a field has no visible influence."""

NEARLY_ALL = 0.8
"""Share of trials that is nearly all of them."""

NO_SIGN = 0.2
"""A field whose p-value is above this shows no sign of influence."""

AT_END, NEAR_END = 0.1, 0.25
"""The outer tenth of a range is its end; the outer quarter is near it."""

EDGE_P = 0.05
"""Largest p-value, over all ranges together, of trials near an end that are better than the others."""


@dataclass(frozen=True)
class Finding:
    """One thing that the trials say about their search.

    Attributes:
        kind: What kind of thing.
        text: What was seen, in one line.
        change: What to try, as it is written in an experiment file.
    """

    kind: Kind
    text: str
    change: str

    def __str__(self) -> str:
        """Return both in one line."""
        return f"{self.text}; try {self.change}"


def find_findings(config: Config, trials: Sequence[FrozenTrial], tied: Sequence[int] = ()) -> list[Finding]:
    """Return what the trials of a study say about its search; nothing where it works, or trials are too few.

    Args:
        config: The experiment.
        trials: The study's trials.
        tied: Numbers of the trials that are indistinguishable from the best one on its images, the best included.
    """
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE and trial.values]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    checks: list[Finding | None] = [
        _pruned_early(config, complete, pruned),
        _frozen_best(config, complete) or _harmful(config, complete),
        _tied(config, complete, tied),
    ]
    found = [finding for finding in checks if finding is not None]
    if not any(finding.kind == "tied" for finding in found):  # where all are alike, no field can show an influence
        ranked = rank(config.study.direction, complete, pruned)
        found += [*_edges(config, ranked), *_without_influence(config, ranked)]
    return found


def ended_early(config: Config, trials: int, paused: int) -> Finding:
    """Return what is said of a study that ended before its last trial, or before the end of one.

    Args:
        config: The experiment, with ``scheduler: freeze_thaw``.
        trials: How many the study has.
        paused: How many of them are paused.
    """
    stop, left = config.study.stop_rule, f", {paused} of them paused" if paused else ""
    return Finding(
        "ended_early",
        f"the study ended with {trials} of {config.study.trials} trials{left}: none, begun or new, is expected to gain "
        f"{number(stop.gain)} of {config.study.metric} in {stop.per}",
        f"study.stop_when: {{gain: {number(stop.gain / 10)}, per: {stop.per}}}",
    )


def notes(config: Config) -> list[str]:
    """Return what is said of an experiment before its first trial: legal, and perhaps not what was meant."""
    return [note for note in (_metrics_differ(config), _averages_lag(config)) if note is not None]


def _metrics_differ(config: Config) -> str | None:
    """Return a line where one metric chooses each trial's epoch and another ranks the trials; else ``None``."""
    chooses, ranks = config.evaluation.metric, config.study.metric
    nearest = next((metric for metric in EPOCH_METRICS if ranks.startswith(metric)), None)
    if chooses in (ranks, nearest):
        return None
    advice = f"; for one metric set evaluation.metric={nearest}" if nearest else ""
    return f"evaluation.metric {chooses} chooses the epoch of each trial, study.metric {ranks} ranks the trials{advice}"


def _averages_lag(config: Config) -> str | None:
    """Return a line where trials with and without averaged weights are compared after few epochs; else ``None``.

    An average is behind the weights until it has forgotten the first ones. A trial that was the best one at its end was
    pruned so: experiments/results/shift.md.
    """
    if "stage2.ema" not in config.search or config.study.resampling == "kfold":
        return None
    for field, value in (("pruner", config.study.pruner), ("scheduler", config.study.scheduler)):
        if value != "none":
            return (
                f"study.{field} {value} compares trials after few epochs, where an average of the weights (stage2.ema, "
                f"which is searched) lags behind; set study.{field}=none, or do not search it"
            )
    return None


def _pruned_early(config: Config, complete: Sequence[FrozenTrial], pruned: Sequence[FrozenTrial]) -> Finding | None:
    ended = len(complete) + len(pruned)
    if config.study.resampling == "kfold" or ended < LEAST_TRIALS:
        return None
    early = [
        trial
        for trial in pruned
        if (step := trial.last_step) is not None and step <= trial.params.get("stage1.epochs", config.stage1.epochs)
    ]
    if 2 * len(early) <= ended:
        return None
    text = f"{len(early)} of {ended} trials were pruned in the frozen stage, which says little about fine-tuning"
    return Finding("pruned_early", text, "study.pruner: median")


def _trainings(trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    """Return the trainings with both stages, of enough trials or none; those of early versions are not stored."""
    stored = [trial.user_attrs.get(attributes.TRAININGS, []) for trial in trials]
    staged = [[each for each in trainings if {"stage1", "stage2"} <= set(each)] for trainings in stored]
    return [training for each in staged for training in each] if sum(map(bool, staged)) >= LEAST_TRIALS else []


def _frozen_best(config: Config, complete: Sequence[FrozenTrial]) -> Finding | None:
    trainings = _trainings(complete)
    if not trainings or any(t["best_epoch"] > t["stage1"]["epochs"] for t in trainings):
        return None
    chooses, shown = config.evaluation.metric, shown_metric(config)
    text = f"the best epoch of all {len(trainings)} trainings by {chooses} is in the frozen stage"
    if chooses != shown and not _harmful(config, complete):
        return Finding("frozen_best", f"{text}, though fine-tuning improves {shown}", f"evaluation.metric: {shown}")
    return Finding("frozen_best", f"{text}: fine-tuning brings nothing", _gentler(config, trainings))


def _harmful(config: Config, complete: Sequence[FrozenTrial]) -> Finding | None:
    trainings, metric = _trainings(complete), shown_metric(config)
    direction = best_direction(metric)
    losses = [as_score(t["stage1"]["best"], direction) - as_score(t["stage2"]["best"], direction) for t in trainings]
    harmed = [loss for loss in losses if loss > 0]
    if not trainings or len(harmed) < NEARLY_ALL * len(trainings):
        return None
    text = (
        f"fine-tuning harms: in {len(harmed)} of {len(trainings)} trainings the best {metric} of stage 2 is worse than "
        f"that of stage 1, by {number(median(harmed))} in the median"
    )
    return Finding("harmful_fine_tuning", text, _gentler(config, trainings))


def _gentler(config: Config, trainings: Sequence[dict[str, Any]]) -> str:
    """Return the change for a stage 2 that brings nothing: more epochs where it still improves, or smaller steps."""
    rising = [t["stage2"]["best_epoch"] == t["stage1"]["epochs"] + t["stage2"]["epochs"] for t in trainings]
    # a single epoch is always the last
    if 2 * sum(rising) > len(rising) and min(t["stage2"]["epochs"] for t in trainings) > 1:
        return f"stage2.epochs: {2 * config.stage2.epochs}"
    lr = config.search.get("stage2.lr")
    if lr is None:
        return f"stage2.lr: {yaml_number(config.stage2.lr / 10)}"
    if lr.low is not None:
        return f"search.stage2.lr: {{low: {yaml_number(lr.low / 10)}}}"
    numbers = [choice for choice in lr.choices or () if isinstance(choice, int | float)]
    return f"search.stage2.lr: {{choices: [{', '.join(map(yaml_number, [min(numbers) / 10, *numbers]))}]}}"


def _tied(config: Config, complete: Sequence[FrozenTrial], tied: Sequence[int]) -> Finding | None:
    if len(complete) < LEAST_TRIALS:
        return None
    metric, values = config.study.metric, {trial.values[0] for trial in complete}
    if len(values) == 1:
        text = (
            f"all {len(complete)} trials have the same {metric}, {number(values.pop(), 4)}: the best one is arbitrary"
        )
        harder = "study: {metric: val_loss, direction: minimize}"
        return Finding("tied", text, harder if metric != "val_loss" else "wider ranges in search")
    if {trial.number for trial in complete} - set(tied):
        return None
    text = f"all {len(complete)} trials are indistinguishable by {metric} on these images: the best one may be chance"
    if config.study.resampling != "kfold":
        return Finding("tied", text, "study.resampling: kfold, which scores all rows of train and val")
    return Finding("tied", text, "wider ranges in search")


def _edges(config: Config, ranked: Sequence[Ranked]) -> Iterator[Finding]:
    """Yield the ranges of which the best value is at an end, and near that end trials are better than elsewhere."""
    ranges = {path: place for path, each in config.search.items() if (place := place_in_range(each)) is not None}
    for path, place in ranges.items():
        trials = [(trial.score, place(trial.params[path])) for trial in ranked if path in trial.params]
        if len(trials) < LEAST_TRIALS:
            continue
        best_place = max(trials)[1]
        end = "high" if best_place > 0.5 else "low"
        from_end = [(score, 1 - where if end == "high" else where) for score, where in trials]
        near = [score for score, distance in from_end if distance <= NEAR_END]
        far = [score for score, distance in from_end if distance > NEAR_END]
        at_end = min(best_place, 1 - best_place) <= AT_END
        # two ends of each range could have been found
        if at_end and greater_p(near, far) < EDGE_P / (2 * len(ranges)) and (change := _wider(config, path, end)):
            best = max((trial for trial in ranked if path in trial.params), key=lambda trial: trial.score)
            yield Finding(
                "edge",
                f"the best {path}, {number(best.params[path])}, is at the {end} end of its range, and trials near it "
                "are better than the others",
                change,
            )


def _wider(config: Config, path: str, end: str) -> str | None:
    """Return a search of the field beyond an end of its range; ``None`` where the field takes no such values."""
    distribution = config.search[path]
    low, high, log = bounds(distribution)
    for value in _beyond(low, high, log, end):
        rounded = round(value) if is_integer_field(path) else float(f"{value:.3g}")
        if rounded in (low, high) or not _allowed(config, path, rounded):
            continue
        if distribution.choices is None:
            return f"search.{path}: {{{end}: {yaml_number(rounded)}}}"
        numbers = [choice for choice in distribution.choices if isinstance(choice, int | float)]
        return f"search.{path}: {{choices: [{', '.join(map(yaml_number, sorted([*numbers, rounded])))}]}}"
    return None


def _beyond(low: float, high: float, log: bool, end: str) -> list[float]:
    """Return values beyond an end of a range, the boldest first."""
    if log:
        return [high * factor if end == "high" else low / factor for factor in (10.0, 3.0)]
    shares = (1.0, 0.5, 0.25)
    return [high + share * (high - low) if end == "high" else low - share * (high - low) for share in shares]


def _allowed(config: Config, path: str, value: float) -> bool:
    try:
        with_values(config, {**config.search[path].when, path: value})
    except ConfigError:
        return False
    return True


def yaml_number(value: float) -> str:
    """Return a number as YAML 1.1 reads it: ``1.0e-05``, where ``1e-05`` would be text."""
    text = f"{value:.4g}"
    mantissa, exponent, power = text.partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{power}" if exponent else text


def _without_influence(config: Config, ranked: Sequence[Ranked]) -> list[Finding]:
    """Return one finding that names all fields without a visible influence, or none."""
    fields, least = [], math.inf
    for path, distribution in config.search.items():
        trials = [trial for trial in ranked if path in trial.params]
        if len(trials) < LEAST_FOR_INFLUENCE:
            continue
        values, scores = [trial.params[path] for trial in trials], [trial.score for trial in trials]
        p = influence_p(distribution, values, scores)
        if p is not None and p > NO_SIGN and not is_preferred(distribution, values):
            fields.append(path)
            least = min(least, len(trials))
    if not fields:
        return []
    text = f"no visible influence of {', '.join(fields)} in {least:.0f} trials"
    if len(fields) == len(config.search):
        return [Finding("no_influence", text, "wider ranges or other fields in search")]
    return [Finding("no_influence", text, f"removing {', '.join(f'search.{path}' for path in fields)}")]
