"""One stage of training: epochs, best epoch, early stopping, exact resume."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mobilenet_chest.config import StageConfig
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.epoch import (
    Record,
    StageSetup,
    Validation,
    accumulation_groups,
    epoch_order,
    recompute_batchnorm,
    train_epoch,
)
from mobilenet_chest.training.optim import build_optimizer, build_schedule, set_averaged
from mobilenet_chest.training.progress import Progress


@dataclass(frozen=True, eq=False)
class _Learner:
    """All that changes in a step of a stage.

    Attributes:
        model: The network that is trained.
        optimizer: Over its parameters that learn.
        schedule: Of the learning rate.
        scaler: Of the gradients; does nothing unless in float16.
        average: Moving average of the model, with ``ema``.
        generator: Of the epoch order and the augmentation.
    """

    model: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    average: AveragedModel | None
    generator: torch.Generator

    @property
    def validated(self) -> nn.Module:
        """The network that is validated and stored: the average, if there is one."""
        return self.model if self.average is None else self.average.module

    def stateful(self) -> dict[str, Any]:
        """Return what has a state dict, by its name in a checkpoint."""
        parts = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule, "scaler": self.scaler}
        return parts if self.average is None else parts | {"average": self.average}


def fit(
    model: nn.Module,
    stage: StageConfig,
    setup: StageSetup,
    progress: Progress,
    on_epoch: Callable[[Record], bool],
    epochs: range | None = None,
) -> bool:
    """Run, or resume, the stage that ``progress`` is in; ``progress`` is updated after every epoch.

    A stage of several phases is one call for each: the next phase takes over optimiser, schedule and random states as
    a resumed training does.

    Args:
        model: On the device of the inputs; it has ``from_block`` where they are those of an inner block.
        stage: Epochs, learning rate, schedule, patience. Patience ends nothing but the last phase.
        setup: Data and choices.
        progress: Start or middle of the stage. It holds the last whole epoch, also when an exception is raised.
        on_epoch: Called with each epoch's record; True ends the training.
        epochs: Epochs of the stage, from 0, that are this phase; all of them by default.

    Returns:
        Whether ``on_epoch`` ended it.

    Raises:
        TrainingDiverged: A loss or the metric is NaN or infinite.
    """
    epochs = epochs or range(stage.epochs)
    rows = epoch_order(setup, torch.Generator())
    learner = _build_learner(model, stage, setup, steps=len(accumulation_groups(rows, setup.optimizer)))
    if progress.resume:
        _restore(learner, progress.resume)
    fixed = _fixed_state(model)
    while progress.stage_epoch < epochs.stop and not _out_of_patience(stage, progress, epochs):
        number = progress.stage_epoch + 1
        stressed = is_stressed(number, epochs.stop, setup.stress_every)
        record, validation = _run_epoch(learner, setup, len(rows), stressed)
        epoch = progress.epoch + 1
        value = record.get(setup.metric)  # a stress metric is known of stressed epochs only
        if not torch.isfinite(torch.tensor([record["train_loss"], 0.0 if value is None else value])).all():
            raise TrainingDiverged(
                f"epoch {epoch}: train_loss is {record['train_loss']}, {setup.metric} is {value}; "
                "lower the learning rate or set optimizer.clip_norm"
            )
        record["stage"] = float(progress.stage)
        changes: dict[str, Any] = {
            "resume": _snapshot(learner, fixed),
            "epoch": epoch,
            "stage_epoch": progress.stage_epoch + 1,
            "elapsed": progress.elapsed + record["epoch_seconds"],
            "history": [*progress.history, record],
            "val_logits": [*progress.val_logits, validation.logits],
        }
        if value is not None and progress.improves(value, setup.metric):
            best = changes["resume"]["model"] if learner.average is None else _on_cpu(learner.validated.state_dict())
            changes |= {"best_epoch": epoch, "best_value": value, "best_model": best}
        # one update for all of the epoch: an interrupt before it resumes from the epoch before
        progress.update(**changes)
        if on_epoch(record):
            return True
    return False


def is_stressed(number: int, last: int, every: int) -> bool:
    """Return whether an epoch is validated on stressed copies too.

    The first is, so that a stage has a best epoch from then on. The last is, since it may be the best; another less
    than ``every`` epochs before it is not. So of ``every`` epochs or more, at most 1 + last / every are stressed.

    Args:
        number: Of the epoch in its stage, from 1.
        last: Number of the stage's or phase's last epoch.
        every: Epochs between two stressed ones.
    """
    return number in (1, last) or (number % every == 0 and last - number >= every)


def _build_learner(model: nn.Module, stage: StageConfig, setup: StageSetup, steps: int) -> _Learner:
    groups = setup.groups or [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]
    optimizer = build_optimizer(groups, setup.optimizer, stage.lr)
    schedule = build_schedule(optimizer, stage, steps)
    scaler = torch.amp.GradScaler(setup.labels.device.type, enabled=setup.precision == torch.float16)
    average = None
    if stage.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(stage.ema), use_buffers=True)
    return _Learner(model, optimizer, schedule, scaler, average, setup.generator)


def _run_epoch(learner: _Learner, setup: StageSetup, rows: int, stressed: bool) -> tuple[Record, Validation]:
    """Train and validate once, on stressed copies too where asked; return the epoch's record, without its stage, and
    what the validation gave."""
    started = time.perf_counter()
    lr = learner.optimizer.param_groups[0]["lr"]
    set_averaged(learner.optimizer, False)
    trained = train_epoch(
        learner.model, setup, learner.optimizer, learner.schedule, learner.scaler, learner.average
    )  # fmt: skip
    train_seconds = time.perf_counter() - started
    if set_averaged(learner.optimizer, True):
        # the schedule-free average was never trained with, so no BatchNorm statistics belong to it yet
        recompute_batchnorm(learner.model, setup)
    validation = setup.validate(learner.validated)
    record = trained | validation.record
    if stressed and setup.stress is not None:
        record |= setup.stress(learner.validated, validation.logits)
    record |= {
        "lr": lr,
        "epoch_seconds": time.perf_counter() - started,
        "images_per_second": rows / train_seconds,
    }
    return record, validation


def _out_of_patience(stage: StageConfig, progress: Progress, phase: range) -> bool:
    """Return whether the last phase has brought nothing new for ``patience`` epochs."""
    if stage.patience is None or progress.best_epoch == 0 or phase.stop < stage.epochs:
        return False
    phase_began = progress.epoch - progress.stage_epoch + phase.start
    return progress.epoch - max(progress.best_epoch, phase_began) >= stage.patience


def _fixed_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of what training does not change, so that a snapshot copies only what does change.

    That is the state of modules that stay in evaluation mode, frozen BatchNorm among them, without their parameters
    that learn all the same.
    """
    model.train()
    state = model.state_dict()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name in state}
    return {n: _on_cpu(value) for n, value in state.items() if not owners[n].training and n not in learning}


def _snapshot(learner: _Learner, fixed: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return all that the next epoch depends on, the states of all random generators included."""
    state = {name: _on_cpu(part.state_dict()) for name, part in learner.stateful().items() if name != "model"}
    learned = {name: value for name, value in learner.model.state_dict().items() if name not in fixed}
    state["model"] = {**fixed, **_on_cpu(learned)}
    # order and kinds of changes are drawn from the stage's own generator, dropout and noise from the global ones
    state["random"] = {"order": learner.generator.get_state(), "global": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random"]["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore(learner: _Learner, state: Mapping[str, Any]) -> None:
    for name, part in learner.stateful().items():
        if name in state:  # at the start of stage 2 only the random generators carry over
            part.load_state_dict(copy.deepcopy(state[name]))
    learner.generator.set_state(state["random"]["order"])
    torch.set_rng_state(state["random"]["global"])
    if "cuda" in state["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random"]["cuda"])


def _on_cpu(value: Any) -> Any:
    """Return a deep copy with its tensors on the CPU: state dicts share memory with what they describe."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _on_cpu(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_on_cpu(inner) for inner in value]
    return copy.deepcopy(value)
