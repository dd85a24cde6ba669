"""The functions that ``from mobilenet_chest import …`` gives: the commands' work, without their printing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from mobilenet_chest import two_stage
from mobilenet_chest.config import Config, check_loaded
from mobilenet_chest.errors import NotDelivered, UserError
from mobilenet_chest.registry import predict as registered
from mobilenet_chest.registry import promote as promotion
from mobilenet_chest.registry.promotion import Promotion
from mobilenet_chest.selection import compare as comparing
from mobilenet_chest.selection.comparison import Comparison
from mobilenet_chest.sweep import SweepResult
from mobilenet_chest.tracking.artifacts import ResumePoint
from mobilenet_chest.tracking.locations import check_experiment
from mobilenet_chest.tracking.outbox.outbox import process_outbox
from mobilenet_chest.tracking.parents import training_tracker, with_parent
from mobilenet_chest.tracking.store import as_tracking_lost, check_reachable
from mobilenet_chest.tracking.tracker import Tracker
from mobilenet_chest.two_stage import OnEpoch, RunResult

logger = logging.getLogger(__name__)

Reference = str | RunResult | SweepResult
"""A run by its id or first digits, a study by its name, or the result of a training or sweep of this process."""


def train(
    config: Config,
    tracker: Tracker | None = None,
    on_epoch: OnEpoch | None = None,
    resume: ResumePoint | None = None,
    teacher_logits: Tensor | None = None,
    *,
    track: bool = False,
) -> RunResult:
    """Train in two stages and evaluate the best epoch, as :func:`mobilenet_chest.two_stage.train` does.

    Args:
        config: The experiment.
        tracker: Where to write.
        on_epoch: Called with the epoch, counted over both stages from 1, and its metrics; True ends the training.
        resume: Where to resume an unfinished run of the same config.
        teacher_logits: float (n,) of another network for the training rows, where ``loss.distill_weight`` is not 0.
        track: Write to MLflow what ``train.py`` writes. Without it, and without a tracker, nothing is written.

    Raises:
        UserError: Something is wrong with the input, or MLflow cannot be used; raised before a run is made.
        TrainingDiverged: The loss, or a prediction, is NaN or infinite.
        TrackingLost: MLflow refused a write.
    """
    check_loaded(config, "train")
    if not track:
        return two_stage.train(config, tracker, on_epoch, resume, teacher_logits)
    if tracker is not None:
        raise UserError("train: give track=True or a tracker, not both")
    check_reachable()
    check_experiment(config.experiment)
    config = with_parent(config)
    with as_tracking_lost():
        result = two_stage.train(config, training_tracker(config), on_epoch, resume, teacher_logits)
    try:
        process_outbox().flush(None)
    except NotDelivered as error:  # the result must not be lost with it: the writes are on the disk
        logger.warning("%s", error)
    return result


def compare(
    *references: Reference,
    baseline: Reference | None = None,
    metric: str | None = None,
    margin: float | None = None,
    reported: bool = False,
) -> Comparison:
    """Compare finished runs and studies by their stored predictions, as the command ``compare`` does.

    Args:
        references: Runs, studies and experiments; none means all runs.
        baseline: Run or study to compare the others with; it becomes the first row.
        metric: A further metric to give interval and difference of.
        margin: Largest loss, in AUC and in accuracy, with which a row is still not inferior to the baseline.
        reported: Add the values of the source report.

    Raises:
        TrackingError: A reference names no run, study or experiment.
        UserError: There is no such metric, or the margin cannot be used.
    """
    names = [_name(reference) for reference in references]
    base = None if baseline is None else _name(baseline)
    return Comparison(tuple(comparing.compare(names, base, reported, margin, metric)), metric)


def promote(
    reference: Reference,
    name: str | None = None,
    alias: str = "champion",
    *,
    dry_run: bool = False,
    even_if_worse: bool = False,
    again: bool = False,
) -> Promotion:
    """Register the best run of a study, or a run, and move the alias once the version is proven.

    The steps are those of :func:`mobilenet_chest.registry.promote.promote`.

    Args:
        reference: Run or study.
        name: Registered model; by default the experiment's name.
        alias: The alias to move.
        dry_run: Only report what would happen.
        even_if_worse: Promote although the alias points to a better run.
        again: Open the test split although it was opened for the same study before.

    Raises:
        UserError: There is no such run, its data changed, or the test split was opened before.
        PromotionRefused: A gate failed; aliases and versions are as they were.
    """
    return promotion.promote(_name(reference), name, alias, dry_run, even_if_worse, again)


def predict(model_uri: str, images: NDArray[Any] | Path | str, *, bits: int | None = None) -> pd.DataFrame:
    """Predict images with a registered model.

    Args:
        model_uri: ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``; NAME alone is its champion. Or a promoted run, or
            a study, which means its best run.
        images: uint8 (n, h, w) or (n, h, w, 3); or what the command ``predict`` takes: a picture, a folder, a table of
            files, ``.npz`` or ``.npy``.
        bits: Depth of 16-bit picture files, where the model does not say it.

    Returns:
        ``probability`` (of class 1), ``label_name`` and ``label`` (0 or 1), a row for each image; of files also
        ``source`` and ``row``. Files that cannot be predicted are left out, with a warning.

    Raises:
        DataError: The images cannot be used.
        TrackingError: The model cannot be loaded, or was changed.
    """
    if not isinstance(images, Path | str):
        return registered.predict_array(model_uri, images)
    table, skipped = registered.predict_source(model_uri, Path(images), bits)
    if skipped:
        logger.warning("%d files skipped; the first: %s: %s", len(skipped), skipped[0].name, skipped[0].reason)
    return table


def _name(reference: Reference) -> str:
    """Return what the commands call a run or study.

    Raises:
        UserError: It is the result of a training that wrote nothing.
    """
    if isinstance(reference, SweepResult):
        return reference.study
    if isinstance(reference, RunResult):
        if reference.run_id is None:
            raise UserError("the training was not tracked, so no run is stored; train it with track=True")
        return reference.run_id
    return reference
