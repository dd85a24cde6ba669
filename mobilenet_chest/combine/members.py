"""The runs that are combined: trained where they are not there yet, and what they left read back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from mobilenet_chest.config import Config
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking import MlflowTracker
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import resume_point, run_config, stored_predictions
from mobilenet_chest.tracking.outbox.delivery import flush, flush_all
from mobilenet_chest.tracking.runs import Candidate, find_finished_training, find_unfinished_training, get_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.two_stage import train

if TYPE_CHECKING:
    from mlflow.entities import Run

ProgressDisplay = Callable[[Config], AbstractContextManager[Callable[[int, Record], bool | None] | None]]
"""Shows a training while it runs; gives what is called after each epoch."""


def no_display(config: Config) -> AbstractContextManager[None]:
    """Shows nothing."""
    return nullcontext()


@dataclass(frozen=True, eq=False)
class Member:
    """A finished run and its experiment."""

    run: Run
    config: Config

    @property
    def run_id(self) -> str:
        """In MLflow."""
        return str(self.run.info.run_id)

    def predictions(self) -> Predictions:
        """Of its validation rows, as stored."""
        return predictions_from_table(stored_predictions(connect(), self.run, "val"))


def load_members(candidates: Sequence[Candidate]) -> list[Member]:
    """Finished runs with their experiments.

    Raises:
        TrackingError: One has not finished.
    """
    client = connect()
    for candidate in candidates:
        if candidate.run.info.status != "FINISHED":
            raise TrackingError(f"run {candidate.run_id} is {candidate.run.info.status}, not FINISHED; choose another")
    return [Member(candidate.run, run_config(client, candidate.run)) for candidate in candidates]


def train_members(
    configs: Sequence[Config], display: ProgressDisplay = no_display, teacher: tuple[str, Tensor] | None = None
) -> list[Member]:
    """One finished run for each experiment: an earlier one that was the same in data, settings and code, or a new one.

    An equal one that was interrupted or killed goes on from its last checkpoint.

    Args:
        configs: The experiments; whatever is wrong with one of them is said before the first is trained.
        display: Shows the trainings.
        teacher: Run id and logits for the training rows, for those whose ``loss.distill_weight`` is not 0.

    Raises:
        UserError: An experiment cannot be trained.
        TrainingDiverged: One did.
    """
    client = connect()
    for line in flush_all():  # how an earlier one ended may wait on the disk
        print(line, file=sys.stderr)

    def teaching(config: Config) -> tuple[str | None, Tensor | None]:
        return teacher if teacher is not None and config.loss.distill_weight else (None, None)

    digests = [prepare(config, teaching(config)[1]).data.digest for config in configs]
    found = []
    for config, digest in zip(configs, digests, strict=True):
        teacher_id, logits = teaching(config)
        run = find_finished_training(client, config, digest, teacher_id)
        if run is None:
            tags = {} if teacher_id is None else {"teacher": teacher_id}
            left = find_unfinished_training(client, config, digest, teacher_id)
            tracker = MlflowTracker(tags=tags, resume=None if left is None else left.info.run_id)
            stands = None if left is None else resume_point(client, left)
            with display(config) as on_epoch:
                result = train(config, tracker, on_epoch, resume=stands, teacher_logits=logits)
            assert result.run_id is not None
            flush()
            run = get_run(client, result.run_id)
        found.append(Member(run, config))
    return found


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Means of probabilities for the same rows."""
    first = predictions[0]
    plain, tta = (
        np.mean([getattr(one, column) for one in predictions], axis=0) for column in ("probability", "probability_tta")
    )
    return replace(first, probability=plain, probability_tta=tta)
