"""The description of a training's run, in Markdown: what was tried, and how it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobilenet_chest.config import Config, flatten
from mobilenet_chest.config.formats import duration, ends, number
from mobilenet_chest.config.metrics import formatted, label
from mobilenet_chest.evaluation.intervals import Interval, logged_intervals
from mobilenet_chest.evaluation.metric_intervals import metric_intervals
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.runs import short_id

SHOWN_FIELDS = 8
"""Fields that differ from their defaults which a description names; ``config.yaml`` has all."""

LONGEST = 7900
"""Characters of a description; MLflow takes 8,000 in a tag."""

NO_RESULT = "No result yet."
"""True of a run that waits, runs, or was killed; MLflow shows which."""

NAMED_BY_THEMSELVES = ("name", "seed", "device", "model.name", "data.dataset", "data.name", "data.classes",
                       "data.image_size", "data.path", "data.root")  # fmt: skip
"""Fields that a description names in its first sentence, or that change no result."""

NOT_OF_A_TRAINING = ("search", "study", "gates", "tracking")
"""Sections that are not about a single training."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a training went.

    Attributes:
        status: ``finished``, or ``stopped`` when its caller ended it early.
        metrics: Of the finished run.
        done: Epochs that were trained, folds of a trial on folds, or members that were combined.
        planned: How many there were to be.
        predictions: Of the validation rows, for the interval; ``None`` where there are none.
        unit: What ``done`` and ``planned`` count.
    """

    status: str
    metrics: Mapping[str, float]
    done: int
    planned: int
    predictions: Predictions | None = None
    unit: str = "epochs"


class RunNote:
    """The description of one run: what it tries, and below it how it goes.

    Its methods return the tags to set; none for a run that says nothing of what it tries.

    Args:
        kind: The tag ``kind`` of the run; a single training says by itself what it tries.
        about: What it tries, in Markdown.
        is_trial: Whether a study judges it, by the study's metric.
    """

    def __init__(self, kind: str, about: str | None, is_trial: bool) -> None:
        self._kind, self._about, self._is_trial = kind, about, is_trial
        self._config: Config | None = None

    def prepare(self, config: Config, dataset: str) -> None:
        """Take note of the experiment that the run is about."""
        self._config = config
        if self._about is None and self._kind in (tags.TRAIN_KIND, tags.COMPRESSED_KIND):
            self._about = about_training(config, dataset)

    def running(self) -> dict[str, str]:
        """Describe a run that has begun."""
        return self._tags(NO_RESULT)

    def interrupted(self, run_id: str | None) -> dict[str, str]:
        """Describe a run that an interrupt has ended."""
        resume = f"add `--resume {short_id(run_id)}` to the same command"
        again = "run the same command"
        of_kind = {tags.TRAIN_KIND: resume, tags.COMPRESSED_KIND: f"{again}; if it was `train`, {resume}"}
        return self._tags(f"Interrupted. To continue: {of_kind.get(self._kind, again)}.")

    def paused(self) -> dict[str, str]:
        """Describe a run that a study has paused."""
        return self._tags("Paused by its study: it goes on when it belongs to the best of its rung.")

    def failed(self, reason: str) -> dict[str, str]:
        """Describe a run that an error has ended."""
        return self._tags(f"Failed: {plain(reason)}")

    def outcome(self, outcome: Outcome) -> dict[str, str]:
        """Describe a training that has its results; result and 95% interval of its metric are tags of their own."""
        config = self._config
        assert config is not None
        metric = config.study.metric if self._is_trial else config.evaluation.metric
        interval = metric_interval(outcome, metric, config)
        labels = {tags.RESULT: outcome.status} | ({} if interval is None else {tags.INTERVAL: ends(interval)})
        return labels | self._tags(outcome_text(outcome, metric, interval, self._is_trial))

    def _tags(self, how: str) -> dict[str, str]:
        return {} if self._about is None else {tags.NOTE: shortened(f"{self._about}\n\n{how}")}


def about_training(config: Config, dataset: str) -> str:
    """Return what a single training tries: network, data, seed, and what differs from the defaults."""
    size = f" at {config.data.image_size} pixels" if config.data.image_size else ""
    first = f"**{code(config.model.name)}** on {code(dataset)}{size}, seed {config.seed}."
    changed = changed_fields(config)
    if not changed:
        return f"{first} All other fields have their defaults."
    more = f", and {len(changed) - SHOWN_FIELDS} more in `config.yaml`" if len(changed) > SHOWN_FIELDS else ""
    return f"{first} Not at its default: {values_text(dict(list(changed.items())[:SHOWN_FIELDS]))}{more}."


def changed_fields(config: Config) -> dict[str, Any]:
    """Return the fields of a training that differ from their defaults, by dotted path."""
    defaults = flatten(Config(name="x").resolved())
    return {
        path: value
        for path, value in flatten(config.resolved()).items()
        if value != defaults.get(path)
        and path not in NAMED_BY_THEMSELVES
        and path.partition(".")[0] not in NOT_OF_A_TRAINING
    }


def values_text(values: Mapping[str, Any]) -> str:
    """Return fields and their values in a line: `` `stage2.lr` 0.002, `model.dropout` 0.5``."""
    return ", ".join(f"{code(path)} {plain(number(value))}" for path, value in values.items())


def outcome_text(outcome: Outcome, metric: str, interval: Interval | None, pruned: bool) -> str:
    """Return how a training went, in two sentences and a line of further metrics.

    Args:
        outcome: Its results.
        metric: The one that counts.
        interval: 95% interval of the metric.
        pruned: Whether a study ended it, if it was ended early.
    """
    metrics, stopped = outcome.metrics, outcome.status == "stopped"
    how = "Finished" if not stopped else "Pruned" if pruned else "Ended by its caller"
    length = (
        f"from {outcome.done} member{'s' if outcome.done > 1 else ''}"
        if outcome.unit == "members"
        else f"after {outcome.done} of {outcome.planned} {outcome.unit}"
        if stopped
        else f"after {outcome.done} {outcome.unit}"
    )
    seconds = metrics.get("train_seconds")
    took = f" ({duration(seconds)})" if seconds is not None else ""
    best = f" The best epoch was {metrics['best_epoch']:.0f}." if outcome.unit == "epochs" else ""
    images = f"; {len(outcome.predictions.row)} images" if outcome.predictions is not None else ""
    sure = f" (95% interval {ends(interval, to=' to ')}{images})" if interval else ""
    reached = f"**{label(metric)} {formatted(metric, metrics.get(metric))}**{sure}"
    lines = [f"{how} {length}{took}: {reached}.{best}"]
    also = [name for name in ("val_auc", "val_accuracy_crossfit", "val_sensitivity", "val_specificity", "val_ece")
            if name in metrics and name != metric]  # fmt: skip
    if also:
        further = ", ".join(f"{label(name)} {formatted(name, metrics[name])}" for name in also)
        lines.append(f"Also: {further}.")
    return "\n\n".join(lines)


def metric_interval(outcome: Outcome, metric: str, config: Config) -> Interval | None:
    """Return the 95% interval of a metric, as it was logged or from the predictions; ``None`` without either."""
    if (logged := logged_intervals(outcome.metrics).get(metric)) is not None:
        return logged
    if outcome.predictions is None or metric not in outcome.metrics:
        return None
    run = RunPredictions(outcome.predictions, outcome.metrics, config.evaluation, config.seed)
    try:
        return metric_intervals("val", {metric: outcome.metrics[metric]}, run).get(metric)
    except (ValueError, ArithmeticError):  # an interval less is no reason to lose a training
        return None


def code(text: str) -> str:
    """Return a name as code in Markdown: nothing in it has a meaning there."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def plain(text: str) -> str:
    """Return text of the user's without a meaning in Markdown, HTML or tables."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(note: str) -> str:
    """Return a description of a length that MLflow takes."""
    return note if len(note) <= LONGEST else f"{note[:LONGEST]}…"
