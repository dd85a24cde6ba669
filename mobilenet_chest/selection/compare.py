"""Runs and studies side by side: their metrics, intervals and differences."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import plugins
from mobilenet_chest.config.plugin_files import run_variable
from mobilenet_chest.errors import UserError, nearest
from mobilenet_chest.evaluation.intervals import logged_intervals
from mobilenet_chest.evaluation.metric_intervals import BY_FORMULA, ROUNDING, metric_intervals, tta_gain
from mobilenet_chest.evaluation.paired import (
    BASELINE_METRICS,
    PRIMARY_METRIC,
    PairedComparison,
    compare_with_baseline,
    indistinguishable,
)
from mobilenet_chest.evaluation.run_predictions import RECOMPUTABLE, RunPredictions
from mobilenet_chest.evaluation.sites import site_intervals
from mobilenet_chest.selection.budget import budget_difference, budgets
from mobilenet_chest.selection.ledger import all_accesses
from mobilenet_chest.selection.rows import REPORTED, Row
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.run_metrics import metrics_of, sites_of
from mobilenet_chest.tracking.run_predictions import load_run_predictions
from mobilenet_chest.tracking.runs import Candidate, find_all, find_run, find_runs, rows_digest, search_runs, short_id
from mobilenet_chest.tracking.store import all_experiment_ids, connect

logger = logging.getLogger(__name__)

COMPARED_METRICS = tuple(f"val_{name}" for name in RECOMPUTABLE)
"""Metrics that ``compare`` can give intervals and differences of."""


def compare(
    references: Sequence[str],
    baseline: str | None = None,
    reported: bool = False,
    margin: float | None = None,
    metric: str | None = None,
) -> list[Row]:
    """Return a row for each run, study and experiment, with intervals and differences from their stored predictions.

    Args:
        references: Names that :func:`~mobilenet_chest.tracking.runs.find_runs` takes; none means all runs. A study
            also means the compressed models of its trials.
        baseline: Run or study to compare the others with; it becomes the first row.
        reported: Add the values of the source report.
        margin: Largest loss, in AUC and in accuracy, with which a row is still not inferior to the baseline.
        metric: A further metric to give interval and difference of: one of :data:`COMPARED_METRICS`, or of a plugin
            at work in this process or named in ``$MOBILENET_CHEST_PLUGINS``. A plugin's metric is computed from the
            predictions of every run, also of those that were trained without the plugin.

    Raises:
        TrackingError: A reference names no run, study or experiment.
        UserError: A margin without a baseline, or outside 0 to 1; or there is no such metric.
        ConfigError: A plugin that the user has named cannot be run.
    """
    with _plugins_for(metric):
        return _compare(references, baseline, reported, margin, metric)


@contextmanager
def _plugins_for(metric: str | None) -> Iterator[None]:
    """Have the plugin of a metric at work in the block; only files that the user has named are run.

    Raises:
        UserError: There is no such metric.
    """
    if metric is None or metric in (*COMPARED_METRICS, *plugins.names("metric")):
        yield
        return
    with plugins.using(run_variable()):
        allowed = [*COMPARED_METRICS, *plugins.names("metric")]
        if metric not in allowed:
            raise UserError(
                f"--metric {metric}{nearest(metric, allowed)}; allowed: {', '.join(allowed)}; a plugin's metric needs "
                f"its file: set {plugins.VARIABLE}=FILE.py"
            )
        yield


def _compare(
    references: Sequence[str], baseline: str | None, reported: bool, margin: float | None, metric: str | None
) -> list[Row]:  # fmt: skip
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"--margin {margin:g}: a share between 0 and 1, such as 0.01 for one point of AUC and accuracy")
    if margin is not None and baseline is None:
        raise UserError(f"--margin {margin:g}: a loss against no baseline; name one with --baseline")
    client = connect(to_read=True)
    candidates: list[Candidate] = []
    if not references:
        candidates = find_all(client, all_experiment_ids(client))
    for reference in references:
        found = find_runs(client, reference)
        candidates += found + [each for candidate in found for each in _compressed(client, candidate.study)]
    base = None if baseline is None else find_run(client, baseline)
    by_id = {candidate.run_id: candidate for candidate in [*([base] if base else []), *candidates]}
    predictions = load_run_predictions([candidate.run for candidate in by_id.values()])
    rows = [_row(candidate, predictions[run_id], metric) for run_id, candidate in by_id.items()]
    rows = _mark_ties(rows, predictions)
    rows.sort(key=lambda row: (base is None or row.run_id != base.run_id, -row.metrics.get(PRIMARY_METRIC, 0)))
    if base is not None:
        by_run = dict(zip(by_id, budgets(client, [*by_id.values()]), strict=True))
        rows = [
            replace(row, selection=budget_difference(by_run[str(row.run_id)], by_run[base.run_id]))
            for row in _compare_with_first(rows, predictions, margin, metric)
        ]
    return [*_add_accesses(client, rows), *(REPORTED if reported else ())]


def _compressed(client: MlflowClient, study: Run | None) -> list[Candidate]:
    """Return the compressed models of a study's trials, newest first."""
    if study is None:
        return []
    query = f"tags.{tags.KIND} = '{tags.COMPRESSED_KIND}' AND attributes.status = 'FINISHED'"
    runs = search_runs(client, [study.info.experiment_id], query)
    return [Candidate(run) for run in runs if run.data.tags.get(tags.STUDY) == study.data.tags[tags.STUDY]]


def _row(candidate: Candidate, predictions: RunPredictions | str, metric: str | None) -> Row:
    """Return a run's row; ``predictions`` is a string where they cannot be read, and says why."""
    run, run_tags = candidate.run, candidate.run.data.tags
    metrics = {name: value for name, value in metrics_of(run).items() if not name.startswith("system/")}
    if metric in plugins.names("metric") and not isinstance(predictions, str):
        metrics |= _by_plugin(run, str(metric), predictions)
    if {"val_accuracy", "val_accuracy_tta"} <= metrics.keys():
        metrics["tta_gain"] = metrics["val_accuracy_tta"] - metrics["val_accuracy"]
    # only the requested metric is bootstrapped: for all of hundreds of runs it would take half a minute
    quick = {metric, *(f"val_{name}" for name in BY_FORMULA)}
    selected = {name: value for name, value in metrics.items() if name in quick}
    intervals = logged_intervals(metrics)
    if not isinstance(predictions, str):
        intervals |= metric_intervals("val", selected, predictions)
    if "tta_gain" in metrics and not isinstance(predictions, str):
        intervals["tta_gain"] = tta_gain(predictions)
    if not isinstance(predictions, str):
        prefixes = sites_of(run).values()
        aucs = {name: metrics[name] for prefix in prefixes if (name := f"{prefix}_auc") in metrics}
        intervals |= site_intervals(predictions, list(prefixes), aucs)
    parameters = metrics.get("parameters")
    dataset = (run_tags.get(tags.DATASET), rows_digest(run), run_tags.get(tags.SCORED_ON))
    return Row(
        name=candidate.name,
        run_id=candidate.run_id,
        kind="study" if candidate.study else "run",
        model=run_tags.get(tags.MODEL, "unknown"),
        parameters=None if parameters is None else int(parameters),
        metrics=metrics,
        dataset=" ".join(filter(None, dataset)),
        intervals=intervals,
        comparable=not isinstance(predictions, str),
        reason=predictions if isinstance(predictions, str) else None,
    )


def _by_plugin(run: Run, metric: str, predictions: RunPredictions) -> dict[str, float]:
    """Return a plugin's metric of a run by its name, from the run's predictions; nothing where the function fails."""
    everything = np.ones((1, len(predictions.predictions.label)))
    value = float(predictions.statistic(metric.removeprefix("val_"))(everything)[0])
    logged, owner = metrics_of(run).get(metric), plugins.owner("metric", metric)
    shown, file = f"run {short_id(run.info.run_id)}", owner.path if owner else ""
    if not math.isfinite(value):
        logger.warning("%s: %s of %s fails on its predictions; there is no interval", shown, metric, file)
        return {}
    if logged is not None and not math.isclose(value, logged, abs_tol=ROUNDING, rel_tol=0):
        logger.warning(
            "%s: %s was %.6g in its training, by another file; here it is that of %s", shown, metric, logged, file
        )
    return {metric: value}


def _add_accesses(client: MlflowClient, rows: Sequence[Row]) -> list[Row]:
    """Return the rows, those with ``test_*`` metrics with the accesses to the test split that were for their runs."""
    tested = {row.run_id for row in rows if any(name.startswith("test_") for name in row.metrics)}
    recorded = all_accesses(client) if tested else []
    return [replace(row, openings=[access for access in recorded if access.run_id == row.run_id]) for row in rows]


def _mark_ties(rows: Sequence[Row], predictions: Mapping[str, RunPredictions | str]) -> list[Row]:
    """Return the rows, with the best of those scored on the same images and those indistinguishable from it marked."""
    marked = {row.run_id: row for row in rows}
    groups: dict[tuple[str, str], list[tuple[Row, RunPredictions]]] = {}
    for row in rows:
        scores = predictions[str(row.run_id)]
        if not isinstance(scores, str):
            groups.setdefault((row.dataset, scores.images_digest), []).append((row, scores))
    for group in groups.values():
        if len(group) < 2:
            continue
        (best, best_scores), *others = sorted(group, key=lambda pair: -pair[0].metrics.get(PRIMARY_METRIC, 0))
        ties = indistinguishable(PRIMARY_METRIC, best_scores, [scores for _, scores in others])
        marked[best.run_id] = replace(best, best=True, tied=any(ties))
        marked |= {row.run_id: replace(row, tied=tied) for (row, _), tied in zip(others, ties, strict=True)}
    return list(marked.values())


def _compare_with_first(
    rows: Sequence[Row], predictions: Mapping[str, RunPredictions | str], margin: float | None, metric: str | None
) -> list[Row]:  # fmt: skip
    """Return the rows, each compared with the first: in full on the same images, elsewhere only in speed."""
    names = tuple(dict.fromkeys([*BASELINE_METRICS, *([metric] if metric else [])]))
    base, *others = rows
    base_scores = predictions[str(base.run_id)]
    reasons: dict[str, str] = {}
    paired: dict[str, RunPredictions] = {}
    for row in others:
        run_id, scores = str(row.run_id), predictions[str(row.run_id)]
        if (reason := _other_images(row, scores, base, base_scores)) is not None:
            reasons[run_id] = reason
        elif isinstance(scores, str):
            reasons[run_id] = scores
        elif isinstance(base_scores, str):
            reasons[run_id] = f"the baseline cannot be paired: {base_scores}"
        else:
            paired[run_id] = scores
    differences: dict[str, dict[str, PairedComparison]] = {run_id: {} for run_id in paired}
    for name in names if paired else ():
        assert not isinstance(base_scores, str)
        # all rows in one call: Holm's correction is over the rows
        comparisons = compare_with_baseline(name, base_scores, list(paired.values()), margin)
        for run_id, comparison in zip(paired, comparisons, strict=True):
            if math.isfinite(comparison.low):  # a plugin's metric may fail on some of the resampled images
                differences[run_id][name] = comparison
    return [
        replace(
            row, baseline=_plain_differences(row, predictions[str(row.run_id)], base, base_scores, names),
            differences=differences.get(str(row.run_id), {}),
            comparable=row.comparable and row.run_id not in reasons, reason=reasons.get(str(row.run_id), row.reason),
        )
        for row in rows
    ]  # fmt: skip


def _other_images(
    row: Row, scores: RunPredictions | str, base: Row, base_scores: RunPredictions | str
) -> str | None:  # fmt: skip
    """Return why two runs were scored on different images, with both digests; ``None`` where nothing shows it."""
    if row.dataset != base.dataset:
        return f"scored on other images than the baseline: {row.dataset}, not {base.dataset}"
    if isinstance(scores, str) or isinstance(base_scores, str) or scores.images_digest == base_scores.images_digest:
        return None
    digests = f"digest {scores.images_digest}, not {base_scores.images_digest}"
    return f"scored on other rows of {row.dataset} than the baseline: {digests}"


def _plain_differences(
    row: Row, scores: RunPredictions | str, base: Row, base_scores: RunPredictions | str, names: Sequence[str]
) -> dict[str, float]:  # fmt: skip
    """Return the differences of logged metrics and the speed ratio; only the latter for other images."""
    differences = {}
    if row.metrics.get("train_seconds") and base.metrics.get("train_seconds"):
        differences["speed_ratio"] = base.metrics["train_seconds"] / row.metrics["train_seconds"]
    if _other_images(row, scores, base, base_scores) is None:
        for name in names:
            if name in row.metrics and name in base.metrics:
                differences[name] = row.metrics[name] - base.metrics[name]
    return differences
