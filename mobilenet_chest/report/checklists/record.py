"""All that is on record of one run: its details, study, claims and openings, and what its data file says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mlflow import MlflowClient
from mlflow.entities import Run

from mobilenet_chest.data.audit import Audit, audit
from mobilenet_chest.data.columns import Values, small_columns
from mobilenet_chest.errors import TrackingError, UserError
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.report.details import RunDetails, run_details
from mobilenet_chest.selection.access import Access
from mobilenet_chest.selection.claim import Claim
from mobilenet_chest.selection.claims import claims
from mobilenet_chest.selection.evaluate import check_finished, check_same_rows
from mobilenet_chest.selection.ledger import accesses
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import stored_predictions
from mobilenet_chest.tracking.runs import find_run, find_study


@dataclass(frozen=True, eq=False)
class Record:
    """What MLflow, the experiment and the data file say about a run.

    Attributes:
        client: Of the tracking store.
        run: The run.
        study: Its study's run; ``None`` without one.
        claims: Of the study, or of the run without one, the oldest first.
        openings: Every access to the test split, likewise.
    """

    client: MlflowClient
    run: RunDetails
    study: Run | None
    claims: list[Claim]
    openings: list[Access]

    @property
    def tags(self) -> Mapping[str, str]:
        """The run's tags."""
        tags_of_run: Mapping[str, str] = self.run.run.data.tags
        return tags_of_run

    @cached_property
    def rows(self) -> dict[str, dict[str, int]]:
        """Split -> name of class -> images, of train and val as MLflow has them, and of test once it was scored."""
        counts: dict[str, dict[str, int]] = {}
        for item in self.run.run.inputs.dataset_inputs if self.run.run.inputs else ():
            counts[item.tags[0].value] = json.loads(str(item.dataset.profile))["classes"]
        if self.test is not None:
            ones = int(self.test.label.sum())
            counts["test"] = dict(zip(self.run.classes, (len(self.test.label) - ones, ones), strict=True))
        return counts

    @cached_property
    def test(self) -> Predictions | None:
        """The stored predictions of the test split; ``None`` before it was scored."""
        if tags.TEST_DIGEST not in self.tags:
            return None
        return predictions_from_table(stored_predictions(self.client, self.run.run, "test"))

    @cached_property
    def audit(self) -> Audit | str:
        """What an audit finds in train and val, or why the file cannot be read."""
        try:
            check_same_rows(self.run.run, self.run.config)
            return audit(self.run.config.data)
        except UserError as error:
            return str(error)

    @cached_property
    def columns(self) -> dict[str, Values]:
        """Columns of the data file that divide the validation images into groups, text (n,); none without the file."""
        try:
            check_same_rows(self.run.run, self.run.config)
            every = small_columns(self.run.row_numbering, "val")
        except UserError:
            return {}
        return {name: values[self.run.rows] for name, values in every.items()}


def read_record(client: MlflowClient, reference: str) -> Record:
    """Read what is on record of a run.

    Args:
        client: Of the tracking store.
        reference: A run by its id or first digits, or a study by its name, which means its best run.

    Raises:
        TrackingError: There is no such finished run.
    """
    candidate = find_run(client, reference)
    check_finished(candidate.run)
    run = run_details(client, candidate, candidate.name)
    return Record(
        client, run, candidate.study or _study(client, candidate.run), claims(client, run.run),
        accesses(client, run.run),
    )  # fmt: skip


def _study(client: MlflowClient, run: Run) -> Run | None:
    """Return the study of a run that was not named by it."""
    if tags.STUDY not in run.data.tags:
        return None
    try:
        return find_study(client, run.data.tags[tags.STUDY])
    except TrackingError:  # its run was deleted
        return None
