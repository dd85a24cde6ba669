"""The members of a combination: found among finished runs, resumed, or trained; and their stored predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from mobilenet_chest.config import Config
from mobilenet_chest.errors import CompressionRefused, TrackingError
from mobilenet_chest.evaluation.predictions import Predictions
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifact_writer import predictions_from_table
from mobilenet_chest.tracking.artifacts import check_has_weights, resume_point, run_config, stored_predictions
from mobilenet_chest.tracking.notes import code
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.parents import as_begun, parent_weights, training_tracker, with_parent
from mobilenet_chest.tracking.runs import Candidate, get_run, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.tracking.trainings import find_finished_training, find_refused_training, find_unfinished_training
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.stages import prepare
from mobilenet_chest.two_stage import Check, train

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

ProgressDisplay = Callable[[Config], AbstractContextManager[Callable[[int, Record], bool | None] | None]]
"""Shows a training for the length of a block; yields the function to call after each epoch."""


SHOWN_MEMBERS = 10
"""Runs that the description of a combination names; its tag ``members`` has all."""


def no_display(config: Config) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


@dataclass(frozen=True, eq=False)
class Member:
    """A finished run and its experiment."""

    run: Run
    config: Config

    @property
    def run_id(self) -> str:
        """The run's id in MLflow."""
        return str(self.run.info.run_id)

    def predictions(self) -> Predictions:
        """Return the stored predictions of its validation rows."""
        return predictions_from_table(stored_predictions(connect(), self.run, "val"))


def about_combined(title: str, how: str, parts: Sequence[Member], dataset: str) -> str:
    """Return what a combination is, in Markdown: its kind, how it was made, of which networks and runs.

    Args:
        title: What it is, and of how many.
        how: How it combines them.
        parts: Its members.
        dataset: Name of the data.
    """
    models = " and ".join(dict.fromkeys(code(part.config.model.name) for part in parts))
    runs = ", ".join(code(short_id(part.run_id)) for part in parts[:SHOWN_MEMBERS])
    more = f" and {len(parts) - SHOWN_MEMBERS} more" if len(parts) > SHOWN_MEMBERS else ""
    return f"**{title}**: {how}. {models} on {code(dataset)}; runs {runs}{more}."


def load_members(candidates: Sequence[Candidate]) -> list[Member]:
    """Return finished runs with their experiments.

    Raises:
        TrackingError: A run has not finished.
    """
    client = connect()
    for candidate in candidates:
        if candidate.run.info.status != "FINISHED":
            raise TrackingError(
                f"run {short_id(candidate.run_id)} is {candidate.run.info.status}, not FINISHED; choose another"
            )
        check_has_weights(candidate.run)
    return [Member(candidate.run, run_config(client, candidate.run)) for candidate in candidates]


def train_members(
    configs: Sequence[Config],
    display: ProgressDisplay = no_display,
    teacher: tuple[str, Tensor] | None = None,
    check: Check | None = None,
) -> list[Member]:
    """Return a finished run for each experiment: an earlier one of the same data, settings and code, or a new one.

    An earlier one that was interrupted or killed is resumed from its last checkpoint.

    Args:
        configs: The experiments; all are checked before the first is trained.
        display: Shows the trainings.
        teacher: Run id, and logits (n,) for the training rows, of the teacher of all experiments whose
            ``loss.distill_weight`` is not 0.
        check: Decides whether the run of a new training may finish.

    Raises:
        UserError: An experiment cannot be trained.
        TrainingDiverged: A training diverged.
        CompressionRefused: The check, or that of an equal training before, did not let the run finish.
    """
    for line in process_outbox().flush_all():  # how an earlier member ended may be a pending write on this disk
        logger.info("%s", line)
    teachers = [teacher if config.loss.distill_weight else None for config in configs]
    # prepares all: what is wrong with the last experiment shows before the first is trained
    configs = [with_parent(config) for config in configs]
    digests = [prepare(config, None if taught is None else taught[1], parent_weights(config)).data.digest
               for config, taught in zip(configs, teachers, strict=True)]  # fmt: skip
    return [
        _train_member(config, digest, taught, display, check)
        for config, digest, taught in zip(configs, digests, teachers, strict=True)
    ]


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Return the mean probabilities of several predictions for the same rows."""
    plain, tta = (
        np.mean([getattr(part, column) for part in predictions], axis=0)
        for column in ("probability", "probability_tta")
    )
    return replace(predictions[0], probability=plain, probability_tta=tta)


def _train_member(
    config: Config, digest: str, teacher: tuple[str, Tensor] | None, display: ProgressDisplay, check: Check | None
) -> Member:
    client = connect()
    teacher_id, logits = (None, None) if teacher is None else teacher
    run = find_finished_training(client, config, digest, teacher_id)
    if run is None and check is not None:  # it would be trained again to be refused again
        refused = find_refused_training(client, config, digest, teacher_id)
        if refused is not None:
            raise CompressionRefused(refused.data.tags[tags.COMPRESSION_REFUSED])
    if run is None:
        unfinished = find_unfinished_training(client, config, digest, teacher_id)
        config = config if unfinished is None else as_begun(config, unfinished.info.run_id)
        tracker = training_tracker(
            config,
            resume=None if unfinished is None else unfinished.info.run_id,
            labels={} if teacher_id is None else {tags.TEACHER: teacher_id},
        )
        point = None if unfinished is None else resume_point(client, unfinished)
        with display(config) as on_epoch:
            result = train(config, tracker, on_epoch, resume=point, teacher_logits=logits, check=check)
        assert result.run_id is not None
        process_outbox().flush()
        run = get_run(client, result.run_id)
    return Member(run, config)
