"""What is on record of the results: performance with intervals, groups, cohorts, calibration, claims and openings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from mobilenet_chest.config.formats import times, with_interval
from mobilenet_chest.evaluation.groups import GroupMetrics, group_metrics
from mobilenet_chest.evaluation.intervals import Interval, logged_intervals
from mobilenet_chest.evaluation.operating_points import abstention_range
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.report.checklists.record import Record
from mobilenet_chest.report.provenance import INTERVALS
from mobilenet_chest.selection.access import cohort_prefix
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.cohort_compare import cohort_intervals
from mobilenet_chest.selection.cohorts import cohort_facts
from mobilenet_chest.selection.evaluate import stored_intervals
from mobilenet_chest.tracking.artifacts import stored_predictions

RESULT_FACTS = ("performance", "internal", "groups", "cohorts", "calibration", "failures", "robustness", "abstention",
                "measures", "intervals", "claims", "power", "openings", "limits")  # fmt: skip

SCORES = {
    "auc_tta": "AUC",
    "accuracy_tta_threshold": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
"""Metrics of a split without its prefix, and what they are called here."""


def result_facts(record: Record) -> dict[str, str]:
    """Return the facts :data:`RESULT_FACTS`."""
    performance = f"{record.run.images_scored}: {_figures(record.run.intervals)}"
    if tested := _test(record):
        performance += f"; {tested}"
    return {
        "performance": performance,
        "internal": performance,
        "groups": "; ".join(_group(each) for each in _groups(record)),
        "cohorts": _cohorts(record),
        "calibration": _calibration(record),
        "failures": _failures(record),
        "robustness": _robustness(record),
        "abstention": _abstention(record),
        "measures": "AUC; accuracy, sensitivity and specificity at the threshold; calibration error, Brier score, log "
        "loss; net benefit; the report has the ROC, precision-recall, reliability, threshold and decision curves",
        "intervals": f"intervals: {INTERVALS.removesuffix('.')}",
        "claims": "; ".join(map(_claim, record.claims)),
        "power": "; ".join(
            f"claim {claim.number}: with {sum(claim.images)} test images its power was {claim.power:.2f}"
            for claim in record.claims if claim.power is not None and claim.cohort is None
        ),
        "openings": f"the test split was {_opened(record)}",
        "limits": _limits(record),
    }  # fmt: skip


def _figures(intervals: Mapping[str, Interval]) -> str:
    return ", ".join(f"{name} {with_interval(each.value, each, 3)}" for name, each in intervals.items())


def _test(record: Record) -> str:
    if record.test is None:
        return ""
    metrics = record.run.metrics
    values = {f"test_{name}": metrics[f"test_{name}"] for name in SCORES if f"test_{name}" in metrics}
    intervals = stored_intervals(record.client, record.run.run, "test", values)
    named = {shown: intervals[f"test_{name}"] for name, shown in SCORES.items() if f"test_{name}" in intervals}
    return f"{len(record.test.label)} test images: {_figures(named)}"


def _groups(record: Record) -> list[GroupMetrics]:
    """Return validation metrics of the groups that the data file names."""
    run = record.run
    patients = run.scored.predictions.patient
    return group_metrics(run.labels, run.probability_tta, run.threshold, record.columns, patients, run.classes)[1:]


def _group(group: GroupMetrics) -> str:
    note = f" ({group.note})" if group.note else ""
    return f"{group.name} {group.value}, {group.rows} images: {_figures(group.figures)}{note}"


def _cohorts(record: Record) -> str:
    lines = []
    for name, fact in cohort_facts(record.run.run).items():
        intervals = cohort_intervals(record.client, record.run.run, name)
        named = {shown: intervals[key] for score, shown in SCORES.items()
                 if (key := f"{cohort_prefix(name)}_{score}") in intervals}  # fmt: skip
        lines.append(f"cohort {name}, {fact['rows']} images, digest {fact['digest']}: {_figures(named)}")
        lines += [f"cohort {name}, {_group(each)}" for each in _cohort_groups(record, name)]
    return "; ".join(lines)


def _cohort_groups(record: Record, cohort: str) -> list[GroupMetrics]:
    """Return the metrics of the sites, and other groups, that a cohort's predictions are stored with."""
    table = stored_predictions(record.client, record.run.run, cohort_prefix(cohort))
    known = {field.name for field in fields(Predictions)}
    columns = {str(name): table[name].to_numpy().astype(np.str_) for name in table if str(name) not in known}
    labels, probabilities = table["label"].to_numpy(), table["probability_tta"].to_numpy()
    patients = table["patient"].to_numpy().astype(np.str_) if "patient" in table else None
    return group_metrics(labels, probabilities, record.run.threshold, columns, patients, record.run.classes)[1:]


def _calibration(record: Record) -> str:
    metrics = record.run.metrics
    if "temperature" not in metrics:
        return ""
    return (
        f"calibration error {metrics['val_ece']:.4f} on validation; {metrics['val_ece_calibrated']:.4f} with logits "
        f"divided by the temperature {metrics['temperature']:.3f}, which is stored and not applied"
    )


def _failures(record: Record) -> str:
    run = record.run
    wrong0, wrong1 = (int((~run.correct[run.labels == label]).sum()) for label in (0, 1))
    return (
        f"misjudged on validation: {wrong0} of {int((run.labels == 0).sum())} {run.classes[0]} and {wrong1} of "
        f"{int((run.labels == 1).sum())} {run.classes[1]}; the report shows the most confident mistakes"
    )


def _robustness(record: Record) -> str:
    metrics, ends = record.run.metrics, logged_intervals(record.run.metrics)
    if "stress_auc_mean" not in metrics:
        return ""
    names = [f"{half}_auc_{which}" for half in ("stress", "heldout_stress") for which in ("mean", "worst")]
    mean, worst, heldout_mean, heldout_worst = (with_interval(metrics.get(name), ends.get(name), 3) for name in names)
    return (
        f"AUC on stressed copies of validation images: mean {mean}, worst family {worst}; of families that chose "
        f"nothing: mean {heldout_mean}, worst {heldout_worst}"
    )


def _abstention(record: Record) -> str:
    unsure = abstention_range(record.run.labels, record.run.probability_tta)
    if unsure is None:
        return ""
    return f"the registered model abstains where its probability lies between {unsure[0]:.4g} and {unsure[1]:.4g}"


def _claim(claim: Claim) -> str:
    answer = "no answer yet" if claim.answer is None else claim.answer.text
    about = "" if claim.cohort is None else f" on cohort {claim.cohort}"
    edited = ", edited later and without worth" if claim.edited else ""
    late = f", after {claim.about} was opened {times(claim.openings_before)}" if claim.openings_before else ""
    return (
        f"claim {claim.number}{about}: {claim.rule}, put on record in MLflow on {claim.when[:10]}{late}{edited}, "
        f"SHA-256 {claim.sha256[:16]}: {answer}"
    )


def _opened(record: Record) -> str:
    whose = "run" if record.study is None else "study"
    return f"opened {times(len(record.openings))} for this {whose}" if record.openings else "not opened"


def _limits(record: Record) -> str:
    texts = ["validation images chose epoch and threshold, so results on them are optimistic"]
    if len(record.openings) > 1:
        texts.append(f"the test split was {_opened(record)}: only the first result is unbiased")
    if record.test is None:
        texts.append("no result on test images")
    if not cohort_facts(record.run.run):
        texts.append("no result on data of another source")
    return "; ".join(texts)
