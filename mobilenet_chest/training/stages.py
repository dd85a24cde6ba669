"""Prepare a training, and run its two stages, each from its start or from where a checkpoint left it."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mobilenet_chest import cache, plugins
from mobilenet_chest.config import Config
from mobilenet_chest.data.dataset import TrainVal, load_train_val
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.evaluation.metrics import epoch_metrics
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.training import checkpoint
from mobilenet_chest.training.compress import compressed_start
from mobilenet_chest.training.epoch import Record, StageSetup, Validation
from mobilenet_chest.training.features import prepare_inputs, state_digest
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.losses import Teacher, build_loss
from mobilenet_chest.training.memory import keep_freed_memory
from mobilenet_chest.training.optim import Group, build_optimizer, layer_groups, pick_device, pick_precision
from mobilenet_chest.training.plugin_check import check_plugins
from mobilenet_chest.training.predict import predict_logits
from mobilenet_chest.training.progress import Progress, StageCost
from mobilenet_chest.training.stress import stress_inputs

logger = logging.getLogger(__name__)

_FILE = "progress.pt"

AfterEpoch = Callable[[Record], bool]
"""Called with the record of each epoch trained; True ends the training."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """Everything a training needs, checked before a run exists.

    Attributes:
        data: Training and validation rows.
        model: With its initial weights, on the CPU.
        device: Where to train.
        precision: Type of the forward pass's arithmetic.
        teacher: Of a distillation.
    """

    data: TrainVal
    model: Classifier
    device: torch.device
    precision: torch.dtype
    teacher: Teacher | None = None


class _Stopped(Exception):
    """``after_epoch`` has ended stage 1 early: there is no result to share."""


def prepare(
    config: Config, teacher_logits: Tensor | None = None, parent: Mapping[str, Tensor] | None = None
) -> Prepared:  # fmt: skip
    """Read the data, build the seeded model and pick the device: all that can be wrong with the input shows here.

    Args:
        config: The experiment.
        teacher_logits: float (n,) for the training rows, where ``loss.distill_weight`` is not 0.
        parent: Weights of the network that ``config.compress`` makes smaller:
            :func:`~mobilenet_chest.tracking.parents.parent_weights`.

    Raises:
        UserError: Data, weights, device or precision are missing, or the model has fewer blocks than are asked for.
        ValueError: There are more or fewer teacher logits than training rows.
    """
    plugins.activate(config.plugins)
    device = pick_device(config.device)
    precision = pick_precision(config.optimizer, device)
    build_optimizer([{"params": [torch.zeros(1)]}], config.optimizer, lr=1.0)  # shows now if its package is missing
    data = load_train_val(config.data)
    check_plugins(config, data)
    torch.manual_seed(config.seed)
    model = _initial_model(config, data, parent)
    if config.stage2.unfreeze_from[0] >= model.block_count:
        raise ConfigError(
            [
                f"stage2.unfreeze_from: {config.stage2.unfreeze_from[0]}, but {config.model.name} has "
                f"{model.block_count} blocks; allowed: 0 to {model.block_count - 1}"
            ]
        )
    check_single_images(config, model)
    return Prepared(data, model, device, precision, _teacher(config, data, teacher_logits, device))


def _initial_model(config: Config, data: TrainVal, parent: Mapping[str, Tensor] | None) -> Classifier:
    if not config.compress.active:
        return build_model(config.model, data.channels)
    if parent is None:
        raise ValueError(f"compress.method {config.compress.method}: prepare needs the parent's weights")
    # every weight is replaced by the parent's, so none has to be downloaded
    model = build_model(config.model.model_copy(update={"weights": "none"}), data.channels)
    return compressed_start(model, config, parent, data)


def check_single_images(config: Config, model: Classifier) -> None:
    """Check that batches of one image can be trained, where ``optimizer.batch_size`` is 1; the model stays as it is.

    BatchNorm takes the statistics of a batch: those of one image whose last maps are a single pixel do not exist.

    Raises:
        ConfigError: They cannot.
    """
    if config.optimizer.batch_size > 1 or not config.stage2.epochs or config.stage2.batchnorm == "frozen":
        return
    trial = copy.deepcopy(model)
    for phase in config.stage2.phases(config.data.image_size):
        trial.freeze(phase.block)
        trial.train()
        image = torch.zeros(1, len(trial.mean.flatten()), phase.size, phase.size, dtype=torch.uint8)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                trial(image)
        except ValueError as error:  # torch's "Expected more than 1 value per channel when training"
            raise ConfigError(
                [
                    f"optimizer.batch_size: 1, but {config.model.name} cannot learn from one image of {phase.size} "
                    "pixels at a time: its last maps are a single pixel, and BatchNorm needs two; give 2 or more, a "
                    "larger data.image_size, or stage2.batchnorm: frozen"
                ]
            ) from error


def to_device(prepared: Prepared) -> None:
    """Move the model to the device, and let a process that trains on the CPU keep the memory that it frees."""
    prepared.model.to(prepared.device)
    if prepared.device.type == "cpu":
        keep_freed_memory()


def _teacher(config: Config, data: TrainVal, logits: Tensor | None, device: torch.device) -> Teacher | None:
    if not config.loss.distill_weight:
        return None
    if logits is None:
        raise ConfigError(
            [
                f"loss.distill_weight: {config.loss.distill_weight:g}, but there is no teacher; give --teacher RUN_ID "
                "to mobilenet-chest distill or ablate, or set it to 0"
            ]
        )
    if logits.shape != data.train.labels.shape:
        raise ValueError(
            f"teacher_logits has shape {tuple(logits.shape)}, but there are {len(data.train)} training rows"
        )
    return Teacher(logits.float().to(device), config.loss.distill_weight, config.loss.distill_temperature)


def train_stage1(config: Config, prepared: Prepared, progress: Progress, after_epoch: AfterEpoch) -> bool:
    """Train the head on the frozen backbone, or reuse an earlier stage 1 equal in everything it depends on.

    Trials, workers and studies share one result: the first trains, others wait for it. ``after_epoch`` is called for
    epochs that are trained here, not for reused ones. What it cost is ``progress.stage1`` afterwards.

    Returns:
        Whether ``after_epoch`` ended it.
    """

    def fit_head() -> bool:
        prepared.model.freeze(prepared.model.block_count)
        setup = build_setup(config, prepared, config.data.image_size)
        return fit(prepared.model, config.stage1, setup, progress, after_epoch)

    if progress.stage1.epochs_reused:  # and paused right after it
        return False
    if cache.folder() is None or progress.epoch or not config.stage1.epochs:
        stopped, cost = fit_head(), StageCost(progress.epoch)
    else:
        stopped, cost = _shared_stage1(config, prepared, progress, fit_head)
    progress.stage1 = cost
    return stopped


def _shared_stage1(
    config: Config, prepared: Prepared, progress: Progress, fit_head: Callable[[], bool]
) -> tuple[bool, StageCost]:  # fmt: skip
    """Fit the head, or load ``progress`` from the cache; return whether it was stopped, and what it cost."""
    model = prepared.model

    def make(folder: Path) -> dict[str, float]:
        started = time.perf_counter()
        if fit_head():
            raise _Stopped
        # the frozen blocks are as they were built: storing them for each result would take a hundred times the space
        head = {name: value for name, value in progress.best_model.items() if name.startswith("head.")}
        resume = {name: state for name, state in progress.resume.items() if name not in ("model", "average")}
        with cache.writing():
            checkpoint.save(folder / _FILE, {"progress": progress.state() | {"best_model": head, "resume": resume}})
        return {"seconds": time.perf_counter() - started}

    def load(folder: Path, known: dict[str, Any]) -> float:
        if not progress.epoch:
            stored = Progress.from_state(checkpoint.load(folder / _FILE)["progress"])
            built = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
            progress.update(**vars(stored) | {"best_model": built | stored.best_model})
        return float(known["seconds"])

    about = f"{config.model.name}, {config.stage1.epochs} epochs, lr {config.stage1.lr:g}, seed {config.seed}"
    try:
        seconds, reused = cache.cached("stage1", about, _stage1_parts(config, prepared), make, load)
    except _Stopped:
        return True, StageCost(progress.epoch)
    return False, StageCost(0, progress.epoch, seconds) if reused else StageCost(progress.epoch)


def train_stage2(config: Config, prepared: Prepared, progress: Progress, after_epoch: AfterEpoch) -> bool:
    """Fine-tune from the best state of stage 1, phase by phase.

    Returns:
        Whether ``after_epoch`` ended it.
    """
    model = prepared.model
    if progress.stage == 1:
        progress.start_stage2()
    if progress.stage_epoch == 0 and progress.previous_best is not None:
        model.load_state_dict(progress.previous_best.model)
    phases = config.stage2.phases(config.data.image_size)
    # the optimiser is built with all that learns in the last phase, so that one schedule and one state span all phases
    model.freeze(phases[-1].block)
    model.fixed_statistics = config.stage2.batchnorm == "frozen"
    groups = layer_groups(model.layers(), config.stage2.lr, config.stage2.lr_decay)
    start = 0
    for phase in phases:
        if progress.stage_epoch < phase.end:
            model.freeze(phase.block)
            setup = build_setup(config, prepared, phase.size, groups)
            if fit(model, config.stage2, setup, progress, after_epoch, range(start, phase.end)):
                return True
        start = phase.end
    return False


def build_setup(config: Config, prepared: Prepared, size: int, groups: Sequence[Group] | None = None) -> StageSetup:
    """Return what a stage or phase needs besides the model: data on the device, loss, validation, choices.

    Args:
        config: The experiment.
        prepared: With its model frozen as the stage or phase wants it.
        size: Side in pixels of the training images. Validation images keep their full size.
        groups: As in :class:`~mobilenet_chest.training.epoch.StageSetup`.
    """
    data, device = prepared.data, prepared.device
    inputs = prepare_inputs(prepared.model, data, config.augment, size, device, prepared.precision)
    if inputs.why is not None:
        _log_once(f"the frozen blocks are computed in every epoch: {inputs.why}")
    val_labels, required = data.val.labels.numpy(), (config.evaluation.metric, config.study.metric)

    def validate(model: nn.Module) -> Validation:
        logits = predict_logits(model, inputs.val, block=inputs.block).cpu()
        return Validation(epoch_metrics(val_labels, logits.double().numpy(), required), logits)

    stress = config.evaluation.stress
    copies = None if stress is None else stress_inputs(prepared.model, data.val, inputs.block, device)
    return StageSetup(
        inputs=inputs,
        labels=data.train.labels.float().to(device),
        loss=build_loss(config.loss, data.train.rows_of_classes()),
        validate=validate,
        metric=config.evaluation.metric,
        optimizer=config.optimizer,
        augment=config.augment,
        precision=prepared.precision,
        generator=torch.Generator().manual_seed(config.seed),
        groups=groups,
        sampling=config.data.sampling,
        teacher=prepared.teacher,
        head_only=prepared.model.frozen == prepared.model.block_count,
        stress=None if copies is None else copies.record,
        stress_every=1 if stress is None else stress.every,
    )


def _stage1_parts(config: Config, prepared: Prepared) -> dict[str, Any]:
    """Return all that stage 1 depends on, down to the number of threads, which changes the order of sums."""
    return {
        "fields": config.model_dump(mode="json", include={"seed", "model", "augment", "loss", "optimizer", "stage1"}),
        "metric": config.evaluation.metric,
        "stress": None if config.evaluation.stress is None else config.evaluation.stress.every,
        "plugins": [plugin.sha256 for plugin in config.plugins],
        "sampling": config.data.sampling,
        "teacher": None if prepared.teacher is None else state_digest({"logits": prepared.teacher.logits}),
        "image_size": config.data.image_size,
        "data": prepared.data.digest,
        "start": state_digest(prepared.model.state_dict()),
        "precision": str(prepared.precision),
        "device": str(prepared.device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "code": cache.source_digest("config/metrics.py", "data", "models", "training", "evaluation"),
    }


@once
def _log_once(message: str) -> None:
    """Log a message once in a process, not once in each phase of each trial."""
    logger.info(message)
