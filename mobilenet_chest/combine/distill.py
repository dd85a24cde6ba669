"""A student taught by a finished run."""

from __future__ import annotations

import torch
from torch import Tensor

from mobilenet_chest.combine.members import Member, ProgressDisplay, no_display, train_members
from mobilenet_chest.config import Config, with_values
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.errors import TrackingError
from mobilenet_chest.tracking.artifacts import run_config, trained_model
from mobilenet_chest.tracking.runs import find_run
from mobilenet_chest.tracking.store import connect
from mobilenet_chest.training.predict import predict

DEFAULT_WEIGHT = 0.5


def distill(config: Config, teacher: str, display: ProgressDisplay = no_display) -> Member:
    """Train the experiment's network with the probabilities of a finished run as part of its loss.

    Args:
        config: The student; ``loss.distill_weight`` of 0 becomes one half.
        teacher: Run, study or ensemble.
        display: Shows the training.

    Raises:
        TrackingError: No such run, or one that knows the student's rows otherwise than the student does.
    """
    if not config.loss.distill_weight:
        config = with_values(config, {"loss.distill_weight": DEFAULT_WEIGHT})
    (student,) = train_members([config], display, teacher_logits(config, teacher))
    return student


def teacher_logits(config: Config, teacher: str) -> tuple[str, Tensor]:
    """Run id of a teacher, and its logits (n,) for the student's training rows: of the mean over both mirror images.

    Raises:
        TrackingError: Teacher and student do not divide the rows alike. What the teacher was selected on it must not
            teach, and what it has learned must not be what the student is validated on.
    """
    client = connect()
    candidate = find_run(client, teacher)
    own = run_config(client, candidate.run)
    tags = candidate.run.data.tags
    if tags.get("members_are") == "folds":
        raise TrackingError(
            f"run {candidate.run_id} is an ensemble of folds: its members have seen all rows, also the student's "
            "validation rows; choose an ensemble of seeds or a single run"
        )
    digest = load_train_val(config.data).digest
    if tags.get("data_digest") != digest:
        raise TrackingError(
            f"run {candidate.run_id} was trained and validated on rows with digest {tags.get('data_digest')}, the "
            f"student has {digest}; a teacher needs the same file and the same division into train and val"
        )
    model = trained_model(client, candidate.run, own)
    probabilities = predict(model, load_train_val(own.data).train, torch.device("cpu")).probability_tta
    return candidate.run_id, torch.from_numpy(probabilities).clamp(1e-6, 1 - 1e-6).logit().float()
