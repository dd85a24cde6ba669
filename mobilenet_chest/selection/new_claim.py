"""A new claim about the test split or a cohort: checked, with the power that its rows have, and put on record."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import __version__
from mobilenet_chest.config import Config
from mobilenet_chest.data.cohort import load_cohort
from mobilenet_chest.data.data_file import has_test_split
from mobilenet_chest.data.dataset import describe_test, load_train_val
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.evaluation.claim import Condition, parse_rule, power, rule_text
from mobilenet_chest.evaluation.intervals import LEVEL
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.claims import at_threshold, log_claim
from mobilenet_chest.selection.cohorts import check_name, check_rows, cohort_facts
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import run_config, stored_predictions
from mobilenet_chest.tracking.provenance import identity, user
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_run, rows_digest, short_id
from mobilenet_chest.tracking.store import connect

ANALYSIS = {
    "level": LEVEL,
    "probabilities": "mean of the image and its mirror image",
    "intervals": "AUC: DeLong on the logit scale; shares: Wilson; differences: paired, as compare tests them; patients "
    "with several images: bootstrap of whole patients",
    "rule": "held where every interval lies wholly on the rule's side, not held where one lies wholly on the other",
}
"""How a claim is answered; part of its hash."""


@dataclass(frozen=True)
class _Rows:
    """What a claim is about.

    Attributes:
        cohort: Name of the cohort; ``None`` for the test split.
        digest: Of the rows, 16 hex digits.
        images: Of class 0 and class 1.
    """

    cohort: str | None
    digest: str
    images: tuple[int, int]


def new_claim(
    reference: str,
    rule: str,
    against: str | None = None,
    margin: float | None = None,
    data: Path | None = None,
    name: str | None = None,
) -> Claim:
    """Put a claim about a run's results on record, and return it. Neither test split nor cohort is opened.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        rule: As :func:`~mobilenet_chest.evaluation.claim.parse_rule` takes it.
        against: Run or study to compare with; it must have been scored on the same rows.
        margin: What may be lost against it; 0 by default.
        data: File of a cohort, as for :func:`~mobilenet_chest.selection.cohorts.evaluate_cohort`; ``None`` for the
            test split.
        name: Of the cohort.

    Raises:
        UserError: The rule, the margin or the cohort's name is wrong.
        TrackingError: A run is not there, not finished, or the other run has no predictions of these rows.
        DataError: The run's file changed or has no test split, or the cohort's cannot be used.
    """
    if margin is not None and against is None:
        raise UserError(f"--margin {margin:g} is what may be lost against a run; name the run by --against RUN_ID")
    conditions = parse_rule(rule, None if against is None else margin or 0.0)
    if data is not None and name is None:
        raise UserError(f"--data {data} needs --as NAME: what these data are called in MLflow, such as --as clinic-b")
    if name is not None:
        check_name(name)
        if data is None:
            raise UserError(
                f"--as {name} names data of another source, given with --data FILE; add --data, or leave it out"
            )
    client = connect()
    run = find_run(client, reference).run
    check_finished(run)
    config = run_config(client, run)
    check_same_rows(run, config)
    rows = _test_rows(config) if data is None or name is None else _cohort_rows(client, config, data, name)
    other = None if against is None else _other(client, run, against, rows)
    claim = Claim(
        number=0,
        rule=rule_text(conditions),
        conditions=conditions,
        run_id=str(run.info.run_id),
        threshold=metrics_of(run)["threshold"],
        digest=rows.digest,
        images=rows.images,
        against=None if other is None else str(other.info.run_id),
        against_threshold=None if other is None else metrics_of(other)["threshold"],
        analysis=ANALYSIS | {"version": __version__},
        power=_power(client, conditions, run, other, rows.images),
        study=run.data.tags.get(tags.STUDY),
        when=datetime.now(UTC).isoformat(timespec="milliseconds"),
        who=f"{user()}@{identity()['host']}",
        token=secrets.token_hex(8),
        cohort=rows.cohort,
    )
    return log_claim(client, run, claim)


def _test_rows(config: Config) -> _Rows:
    if not has_test_split(config.data):
        raise DataError(
            f"{config.data.path or config.data.title}: has no rows in test_images and test_labels to claim about"
        )
    return _Rows(None, *describe_test(config.data))


def _cohort_rows(client: MlflowClient, config: Config, data: Path, name: str) -> _Rows:
    cohort = load_cohort(data, config.data, load_train_val(config.data).classes)
    check_rows(client, name, cohort)
    zeros, ones = cohort.split.rows_of_classes().values()
    return _Rows(name, cohort.digest, (zeros, ones))


def _other(client: MlflowClient, run: Run, against: str, rows: _Rows) -> Run:
    """Return the run to compare with, which must be another one with predictions of the same rows."""
    other = find_run(client, against).run
    check_finished(other)
    name = short_id(other.info.run_id)
    if other.info.run_id == run.info.run_id:
        raise TrackingError(f"--against {against}: is the run that the claim is about; name another one")
    what, option = "the test split", "--split test"
    scored: object = other.data.tags.get(tags.TEST_DIGEST)
    if rows.cohort is not None:
        what, option = f"cohort '{rows.cohort}'", f"--data FILE --as {rows.cohort}"
        scored = cohort_facts(other).get(rows.cohort, {}).get("digest")
    if scored is None:
        raise TrackingError(
            f"--against {against}: run {name} has no predictions of {what}; type `mobilenet-chest evaluate {name} "
            f"{option}`, which opens it for that run, or claim without it"
        )
    if scored != rows.digest:
        raise TrackingError(
            f"--against {against}: run {name} was scored on rows of {what} with digest {scored}, the claim is about "
            f"{rows.digest}"
        )
    return other


def _power(
    client: MlflowClient, conditions: list[Condition], run: Run, other: Run | None, images: tuple[int, int]
) -> float | None:
    """Return the power of the rows; ``None`` where two runs were validated on different rows."""
    if other is not None and rows_digest(other) != rows_digest(run):
        return None
    first = _validated(client, run)
    second = None if other is None else _validated(client, other)
    if second is not None and second.images_digest != first.images_digest:
        return None
    return power(conditions, first, images, second)


def _validated(client: MlflowClient, run: Run) -> RunPredictions:
    predictions = predictions_from_table(stored_predictions(client, run, "val"))
    return at_threshold(run, predictions, metrics_of(run)["threshold"])
