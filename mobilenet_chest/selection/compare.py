"""Runs and studies side by side, and the source report's figures as rows to hold them against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mlflow import MlflowClient

from mobilenet_chest.errors import UserError, nearest
from mobilenet_chest.evaluation.intervals import Interval
from mobilenet_chest.evaluation.metric_intervals import BY_FORMULA, metric_intervals, tta_gain
from mobilenet_chest.evaluation.paired import (
    BASELINE_METRICS,
    PRIMARY_METRIC,
    PairedComparison,
    compare_with_baseline,
    indistinguishable,
)
from mobilenet_chest.evaluation.run_predictions import RECOMPUTABLE, RunPredictions
from mobilenet_chest.selection.budget import budget_difference, budgets
from mobilenet_chest.selection.ledger import Access, all_accesses
from mobilenet_chest.tracking.runs import Candidate, find_all, find_run, find_runs, rows_digest
from mobilenet_chest.tracking.scored import load_scored
from mobilenet_chest.tracking.store import all_experiment_ids, connect
from mobilenet_chest.tracking.tags import SCORED_ON

COMPARED_METRICS = tuple(f"val_{name}" for name in RECOMPUTABLE)
"""What can be asked for."""


@dataclass(frozen=True)
class Row:
    """One line of a comparison.

    Attributes:
        name: Of the run or study.
        run_id: Run in MLflow; ``None`` for a reported figure.
        kind: ``reported`` rows are figures of the source report, not reproduced here.
        model: Architecture.
        parameters: Number of parameters.
        metrics: Of the run, and ``tta_gain`` (accuracy with TTA less accuracy without, both at 0.5).
        dataset: Dataset and digest of its validation rows; figures of different rows are not comparable.
        baseline: Set against the baseline: ``speed_ratio`` (its training time over this one's) and differences of
            ``val_accuracy_crossfit``, ``val_auc`` and the metric that was asked for. Empty without a baseline.
        intervals: 95% intervals of AUCs and shares of images, and of the metric that was asked for, from the stored
            predictions.
        differences: Verdicts against the baseline: of ``val_auc``, ``val_accuracy_crossfit`` and the metric that was
            asked for, each as :func:`~mobilenet_chest.evaluation.paired.paired_difference` tests it. Empty without a
            baseline, and where the two cannot be paired.
        best: Has the highest ``val_auc`` of several rows that were scored on the same images.
        tied: It is such a row, or cannot be told from it; false where there is none that cannot.
        comparable: Can be paired with the baseline; without one, with runs of the same images.
        reason: Why not.
        selection: In what its choice differs from the baseline's, which flatters one of them; ``None``: in nothing.
        openings: Of the test split for this very run, where it has ``test_*`` figures among its metrics.
    """

    name: str
    run_id: str | None
    kind: Literal["run", "study", "reported"]
    model: str
    parameters: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    dataset: str = ""
    baseline: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, PairedComparison] = field(default_factory=dict)
    best: bool = False
    tied: bool = False
    comparable: bool = True
    reason: str | None = None
    selection: str | None = None
    openings: list[Access] = field(default_factory=list)


def _reported(name: str, model: str, parameters: float, accuracy: float, minutes: float | None, **more: float) -> Row:
    metrics = {"val_accuracy_tta_threshold" if "threshold" in more else "val_accuracy": accuracy, **more}
    if minutes is not None:
        metrics["train_seconds"] = minutes * 60
    return Row(
        name, None, "reported", model, int(parameters), metrics, "chestmnist (as reported)", comparable=False,
        reason="reported, not reproduced: it has no predictions",
    )  # fmt: skip


REPORTED = (
    # Source report, sections 2.2, 3.1 and 3.4; the accuracies are of the same 305 images that chose epoch and threshold
    _reported("MobileNetV3-Large, stage 1", "mobilenet_v3_large", 5_022_225, 0.7475, 2.8),
    _reported("MobileNetV3-Large, stage 2", "mobilenet_v3_large", 5_022_225, 0.8918, 8.3),
    _reported("MobileNetV3-Large, TTA + threshold", "mobilenet_v3_large", 5_022_225, 0.8951, 11.1, threshold=0.67),
    _reported("DenseNet121, best of five seeds", "densenet121", 7.6e6, 0.9246, 19.6),
    _reported("DenseNet121, single", "densenet121", 7.6e6, 0.9180, None),
    _reported("DenseNet121, five-seed ensemble", "densenet121", 38e6, 0.9213, 72.0),
)


def compare(
    references: Sequence[str],
    baseline: str | None = None,
    reported: bool = False,
    margin: float | None = None,
    metric: str | None = None,
) -> list[Row]:
    """Rows for runs, studies and experiments, with what their stored predictions say of their figures.

    Args:
        references: Names as :func:`~mobilenet_chest.tracking.runs.find_runs` takes them; none means everything.
        baseline: Run or study to set the others against; it becomes the first row.
        reported: Add the source report's figures.
        margin: What a row may be worse than the baseline and still be called not inferior, in AUC and in accuracy.
        metric: A further one to have interval and difference, of those that predictions give again: ``val_`` before one
            of :data:`~mobilenet_chest.evaluation.run_predictions.RECOMPUTABLE`.

    Raises:
        TrackingError: A reference stands for nothing.
        UserError: A margin without a baseline, or one that is not between 0 and 1; or there is no such metric.
    """
    if metric is not None and metric not in COMPARED_METRICS:
        raise UserError(f"--metric {metric}{nearest(metric, COMPARED_METRICS)}; allowed: {', '.join(COMPARED_METRICS)}")
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"--margin {margin:g}: a share between 0 and 1, such as 0.01 for one point of AUC and accuracy")
    if margin is not None and baseline is None:
        raise UserError(f"--margin {margin:g} is what may be lost against a baseline; name one with --baseline")
    client = connect()
    candidates: list[Candidate] = []
    if not references:
        candidates = find_all(client, all_experiment_ids(client))
    for reference in references:
        candidates += find_runs(client, reference)
    base = None if baseline is None else find_run(client, baseline)
    by_id = {candidate.run_id: candidate for candidate in [*([base] if base else []), *candidates]}
    found = load_scored([candidate.run for candidate in by_id.values()])
    rows = _with_ties([_row(candidate, found[run_id], metric) for run_id, candidate in by_id.items()], found)
    rows.sort(key=lambda row: (base is None or row.run_id != base.run_id, -row.metrics.get(PRIMARY_METRIC, 0)))
    if base is not None:
        tried = dict(zip(by_id, budgets(client, [*by_id.values()]), strict=True))
        rows = [
            replace(row, selection=budget_difference(tried[str(row.run_id)], tried[base.run_id]))
            for row in _against(rows, found, margin, metric)
        ]
    return [*_with_openings(client, rows), *(REPORTED if reported else ())]


def _row(candidate: Candidate, found: RunPredictions | str, metric: str | None) -> Row:
    run, tags = candidate.run, candidate.run.data.tags
    metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")}
    if {"val_accuracy", "val_accuracy_tta"} <= metrics.keys():
        metrics["tta_gain"] = metrics["val_accuracy_tta"] - metrics["val_accuracy"]
    # what takes resampling is left to those who ask for it: hundreds of runs would take half a minute
    quick = {metric, *(f"val_{name}" for name in BY_FORMULA)}
    shown = {name: value for name, value in metrics.items() if name in quick}
    intervals = {} if isinstance(found, str) else metric_intervals("val", shown, found)
    if "tta_gain" in metrics and not isinstance(found, str):
        intervals["tta_gain"] = tta_gain(found)
    parameters = metrics.get("parameters")
    return Row(
        name=candidate.name,
        run_id=candidate.run_id,
        kind="study" if candidate.study else "run",
        model=tags.get("model", "unknown"),
        parameters=None if parameters is None else int(parameters),
        metrics=metrics,
        dataset=" ".join(filter(None, (tags.get("dataset"), rows_digest(run), tags.get(SCORED_ON)))),
        intervals=intervals,
        comparable=not isinstance(found, str),
        reason=found if isinstance(found, str) else None,
    )


def _with_openings(client: MlflowClient, rows: Sequence[Row]) -> list[Row]:
    seen = {row.run_id for row in rows if any(name.startswith("test_") for name in row.metrics)}
    found = all_accesses(client) if seen else []
    return [replace(row, openings=[one for one in found if one.run_id == row.run_id]) for row in rows]


def _with_ties(rows: Sequence[Row], found: Mapping[str, RunPredictions | str]) -> list[Row]:
    """Among rows that were scored on the same images, the best, and those that cannot be told from it."""
    marked, groups = {row.run_id: row for row in rows}, dict[tuple[str, str], list[tuple[Row, RunPredictions]]]()
    for row in rows:
        assert row.run_id is not None
        if not isinstance(one := found[row.run_id], str):
            groups.setdefault((row.dataset, one.images_digest), []).append((row, one))
    for group in groups.values():
        if len(group) < 2:
            continue
        (best, first), *others = sorted(group, key=lambda pair: -pair[0].metrics.get(PRIMARY_METRIC, 0))
        tied = indistinguishable(PRIMARY_METRIC, first, [one for _, one in others])
        marked[best.run_id] = replace(best, best=True, tied=any(tied))
        marked |= {row.run_id: replace(row, tied=as_good) for (row, _), as_good in zip(others, tied, strict=True)}
    return list(marked.values())


def _against(
    rows: Sequence[Row], found: Mapping[str, RunPredictions | str], margin: float | None, metric: str | None
) -> list[Row]:  # fmt: skip
    """Each row against the first, where the two were scored on the same images; elsewhere nothing but the speed."""
    names = tuple(dict.fromkeys([*BASELINE_METRICS, *([metric] if metric else [])]))
    base, *others = rows
    assert base.run_id is not None
    first = found[base.run_id]
    reasons: dict[str, str] = {}
    paired: dict[str, RunPredictions] = {}
    for row in others:
        assert row.run_id is not None
        own = found[row.run_id]
        if (why := _other_images(row, own, base, first)) is not None:
            reasons[row.run_id] = why
        elif isinstance(own, str):
            reasons[row.run_id] = own
        elif isinstance(first, str):
            reasons[row.run_id] = f"the baseline cannot be paired: {first}"
        else:
            paired[row.run_id] = own
    given: dict[str, dict[str, PairedComparison]] = {run_id: {} for run_id in paired}
    for name in names if paired else ():
        assert not isinstance(first, str)
        for run_id, verdict in zip(
            paired, compare_with_baseline(name, first, list(paired.values()), margin), strict=True
        ):
            given[run_id][name] = verdict
    return [
        replace(
            row, baseline=_plain_differences(row, found[str(row.run_id)], base, first, names),
            differences=given.get(str(row.run_id), {}), comparable=row.comparable and row.run_id not in reasons,
            reason=reasons.get(str(row.run_id), row.reason),
        )
        for row in rows
    ]  # fmt: skip


def _other_images(row: Row, own: RunPredictions | str, base: Row, first: RunPredictions | str) -> str | None:
    """Why two runs' predictions are no pairs, with both digests; ``None`` where nothing speaks against it."""
    if row.dataset != base.dataset:
        return f"scored on other images than the baseline: {row.dataset}, not {base.dataset}"
    if isinstance(own, str) or isinstance(first, str) or own.images_digest == first.images_digest:
        return None
    digests = f"digest {own.images_digest}, not {first.images_digest}"
    return f"scored on other rows of {row.dataset} than the baseline: {digests}"


def _plain_differences(
    row: Row, own: RunPredictions | str, base: Row, first: RunPredictions | str, names: Sequence[str]
) -> dict[str, float]:  # fmt: skip
    """Nothing but the speed where the rows were scored on other images."""
    found = {}
    if row.metrics.get("train_seconds") and base.metrics.get("train_seconds"):
        found["speed_ratio"] = base.metrics["train_seconds"] / row.metrics["train_seconds"]
    if _other_images(row, own, base, first) is None:
        for name in names:
            if name in row.metrics and name in base.metrics:
                found[name] = row.metrics[name] - base.metrics[name]
    return found
