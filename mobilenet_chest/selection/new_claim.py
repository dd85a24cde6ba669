"""A new claim about the test split: checked, with the power that the split has, and put on record."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest import __version__
from mobilenet_chest.data.dataset import describe_test, has_test_split
from mobilenet_chest.errors import DataError, TrackingError, UserError
from mobilenet_chest.evaluation.claim import Condition, parse_rule, power, rule_text
from mobilenet_chest.evaluation.intervals import LEVEL
from mobilenet_chest.evaluation.run_predictions import RunPredictions
from mobilenet_chest.selection.claims import Claim, at_threshold, log_claim
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


def new_claim(reference: str, rule: str, against: str | None = None, margin: float | None = None) -> Claim:
    """Put a claim about a run's test results on record, and return it. The test split is not opened.

    Args:
        reference: A run by its id or first digits, or a study by its name, which means its best run.
        rule: As :func:`~mobilenet_chest.evaluation.claim.parse_rule` takes it.
        against: Run or study to compare with; it must have been scored on the same test rows.
        margin: What may be lost against it; 0 by default.

    Raises:
        UserError: The rule or the margin is wrong.
        TrackingError: A run is not there, not finished, or the other run has no predictions of these test rows.
        DataError: The data file changed or has no test split.
    """
    if margin is not None and against is None:
        raise UserError(f"--margin {margin:g} is what may be lost against a run; name the run by --against RUN_ID")
    conditions = parse_rule(rule, None if against is None else margin or 0.0)
    client = connect()
    run = find_run(client, reference).run
    check_finished(run)
    config = run_config(client, run)
    check_same_rows(run, config)
    if not has_test_split(config.data):
        raise DataError(f"{config.data.path or config.data.title}: has no test_images and test_labels to claim about")
    digest, images = describe_test(config.data)
    other = None if against is None else _other(client, run, against, digest)
    threshold = metrics_of(run)["threshold"]
    claim = Claim(
        number=0,
        rule=rule_text(conditions),
        conditions=conditions,
        run_id=str(run.info.run_id),
        threshold=threshold,
        digest=digest,
        images=images,
        against=None if other is None else str(other.info.run_id),
        against_threshold=None if other is None else metrics_of(other)["threshold"],
        analysis=ANALYSIS | {"version": __version__},
        power=_power(client, conditions, run, other, images),
        study=run.data.tags.get(tags.STUDY),
        when=datetime.now(UTC).isoformat(timespec="milliseconds"),
        who=f"{user()}@{identity()['host']}",
        token=secrets.token_hex(8),
    )
    return log_claim(client, run, claim)


def _other(client: MlflowClient, run: Run, against: str, digest: str) -> Run:
    """Return the run to compare with, which must be another one with predictions of the same test rows."""
    other = find_run(client, against).run
    check_finished(other)
    name = short_id(other.info.run_id)
    if other.info.run_id == run.info.run_id:
        raise TrackingError(f"--against {against}: is the run that the claim is about; name another one")
    scored = other.data.tags.get(tags.TEST_DIGEST)
    if scored is None:
        raise TrackingError(
            f"--against {against}: run {name} has no predictions of the test split; type `mobilenet-chest evaluate "
            f"{name} --split test`, which opens it for that run, or claim without it"
        )
    if scored != digest:
        raise TrackingError(
            f"--against {against}: run {name} was scored on test rows with digest {scored}, the claim is about {digest}"
        )
    return other


def _power(
    client: MlflowClient, conditions: list[Condition], run: Run, other: Run | None, images: tuple[int, int]
) -> float | None:
    """Return the power of the split; ``None`` where two runs were validated on different rows."""
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
