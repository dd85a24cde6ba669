"""Distillation: a student learns from the probabilities of a finished run."""

from __future__ import annotations

import torch
from torch import Tensor

from mobilenet_chest.combine.members import Member, ProgressDisplay, no_display, train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking import tags
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.runs import find_run, short_id
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import predict

DEFAULT_WEIGHT = 0.5
"""Weight of the teacher's probabilities in the loss where the experiment has none."""


def distill(config: Config, teacher: str, display: ProgressDisplay = no_display) -> Member:
    """Train the experiment's network with the probabilities of a finished run as a part of its loss.

    Args:
        config: The student's experiment; a ``loss.distill_weight`` of 0 becomes :data:`DEFAULT_WEIGHT`.
        teacher: Run, study or ensemble.
        display: Shows the training.

    Raises:
        TrackingError: There is no such run, or it divides the rows into train and val in another way.
    """
    if not config.loss.distill_weight:
        config = with_values(config, {"loss.distill_weight": DEFAULT_WEIGHT})
    (student,) = train_members([config], display, teacher_logits(config, teacher))
    return student


def teacher_logits(config: Config, teacher: str) -> tuple[str, Tensor]:
    """Return the run id of a teacher and its logits (n,), float32, for the student's training rows, with TTA.

    Raises:
        TrackingError: Teacher and student divide the rows into train and val in different ways. The student must not be
            validated on rows that the teacher learned.
    """
    client = connect()
    candidate = find_run(client, teacher)
    teacher_config = run_config(client, candidate.run)
    teacher_tags = candidate.run.data.tags
    if teacher_tags.get(tags.MEMBERS_ARE) == "folds":
        raise TrackingError(
            f"run {short_id(candidate.run_id)} is an ensemble of folds: its members were trained on all rows, "
            "the student's "
            "validation rows included; choose an ensemble of seeds or a single run"
        )
    digest = load_train_val(config.data).digest
    if teacher_tags.get(tags.DATA_DIGEST) != digest:
        raise TrackingError(
            f"run {short_id(candidate.run_id)} was trained and validated on rows with digest "
            f"{teacher_tags.get(tags.DATA_DIGEST)}, the student has {digest}; a teacher needs the same file and the "
            "same division into train and val"
        )
    model = trained_model(client, candidate.run, teacher_config)
    probabilities = predict(model, load_train_val(teacher_config.data).train, torch.device("cpu")).probability_tta
    return candidate.run_id, torch.from_numpy(probabilities).clamp(1e-6, 1 - 1e-6).logit().float()
