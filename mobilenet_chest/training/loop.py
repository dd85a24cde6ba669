"""One stage of training: epochs, gradient accumulation, best state, early stopping, exact resume."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mobilenet_chest.config import StageConfig, best_direction
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.epoch import (
    Record,
    StageSetup,
    accumulation_groups,
    epoch_order,
    recompute_batchnorm,
    train_epoch,
)
from mobilenet_chest.training.optim import build_optimizer, build_schedule, set_averaged
from mobilenet_chest.training.progress import Progress


def fit(
    model: nn.Module,
    stage: StageConfig,
    setup: StageSetup,
    progress: Progress,
    on_epoch: Callable[[Record], bool],
    epochs: range | None = None,
) -> bool:
    """Run, or go on with, the stage ``progress`` stands in, updating ``progress`` after every epoch.

    A stage of several phases is a call for each: the next takes up optimiser, schedule and random states as a resumed
    training does.

    Args:
        model: On the device of the inputs; it has ``from_block`` where they are those of an inner block.
        stage: Epochs, learning rate, schedule, patience. Patience ends nothing but the last phase.
        setup: Data and choices.
        progress: Start or middle of the stage; always holds the last whole epoch, also when an exception leaves.
        on_epoch: Called with each epoch's record; True ends the training.
        epochs: Epochs of the stage, from 0, that are this phase; all of them by default.

    Returns:
        Whether ``on_epoch`` ended it.

    Raises:
        TrainingDiverged: A loss or the metric is NaN or infinite.
    """
    epochs = epochs or range(stage.epochs)
    order = epoch_order(setup, torch.Generator())
    steps = len(accumulation_groups(order, setup.optimizer))
    groups = setup.groups or [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad]}]
    optimizer = build_optimizer(groups, setup.optimizer, stage.lr)
    schedule = build_schedule(optimizer, stage, steps)
    scaler = torch.amp.GradScaler(setup.labels.device.type, enabled=setup.precision == torch.float16)
    stateful = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    average = None
    if stage.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(stage.ema), use_buffers=True)
        stateful["average"] = average
    kept: nn.Module = model if average is None else average.module
    if progress.resume:
        _restore(stateful, setup.generator, progress.resume)
    fixed = _fixed_state(model)
    while progress.stage_epoch < epochs.stop and not _out_of_patience(stage, progress, epochs):
        started = time.perf_counter()
        lr = optimizer.param_groups[0]["lr"]
        set_averaged(optimizer, False)
        trained = train_epoch(model, setup, optimizer, schedule, scaler, average)
        train_seconds = time.perf_counter() - started
        if set_averaged(optimizer, True):
            recompute_batchnorm(model, setup)
        validated = setup.validate(kept)
        record = trained | validated.record
        epoch = progress.epoch + 1
        if not torch.isfinite(torch.tensor([record["train_loss"], record[setup.metric]])).all():
            raise TrainingDiverged(
                f"epoch {epoch}: train_loss is {record['train_loss']}, {setup.metric} is {record[setup.metric]}; "
                "lower the learning rate or set optimizer.clip_norm"
            )
        seconds = time.perf_counter() - started
        record |= {
            "lr": lr,
            "epoch_seconds": seconds,
            "images_per_second": len(order) / train_seconds,
            "stage": float(progress.stage),
        }
        after: dict[str, Any] = {
            "resume": _snapshot(stateful, setup.generator, fixed),
            "epoch": epoch,
            "stage_epoch": progress.stage_epoch + 1,
            "elapsed": progress.elapsed + seconds,
            "history": [*progress.history, record],
            "val_logits": [*progress.val_logits, validated.logits],
        }
        if _better(record[setup.metric], progress, setup.metric):
            best = after["resume"]["model"] if average is None else _on_cpu(kept.state_dict())
            after |= {"best_epoch": epoch, "best_value": record[setup.metric], "best_model": best}
        vars(progress).update(after)  # in one step: an interrupt may strike between any two
        if on_epoch(record):
            return True
    return False


def _better(value: float, progress: Progress, metric: str) -> bool:
    if progress.best_epoch == 0:
        return True
    return value < progress.best_value if best_direction(metric) == "minimize" else value > progress.best_value


def _out_of_patience(stage: StageConfig, progress: Progress, phase: range) -> bool:
    if stage.patience is None or progress.best_epoch == 0 or phase.stop < stage.epochs:
        return False
    phase_began = progress.epoch - progress.stage_epoch + phase.start
    return progress.epoch - max(progress.best_epoch, phase_began) >= stage.patience


def _fixed_state(model: nn.Module) -> dict[str, Tensor]:
    """Copies of what training does not change: of the modules that stay in evaluation mode, but for parameters that
    learn all the same."""
    model.train()
    state = model.state_dict()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    owners = {name: model.get_submodule(name.rpartition(".")[0]) for name in state}
    return {n: _on_cpu(value) for n, value in state.items() if not owners[n].training and n not in learning}


def _snapshot(
    stateful: Mapping[str, Any], generator: torch.Generator, fixed: Mapping[str, Tensor]
) -> dict[str, Any]:  # fmt: skip
    state = {name: _on_cpu(thing.state_dict()) for name, thing in stateful.items() if name != "model"}
    learned = {name: value for name, value in stateful["model"].state_dict().items() if name not in fixed}
    state["model"] = {**fixed, **_on_cpu(learned)}
    state["random"] = {"order": generator.get_state(), "global": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["random"]["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore(stateful: Mapping[str, Any], generator: torch.Generator, state: Mapping[str, Any]) -> None:
    for name, thing in stateful.items():
        if name in state:  # at the start of stage 2 only the random generators carry over
            thing.load_state_dict(copy.deepcopy(state[name]))
    generator.set_state(state["random"]["order"])
    torch.set_rng_state(state["random"]["global"])
    if "cuda" in state["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random"]["cuda"])


def _on_cpu(value: Any) -> Any:
    """A deep copy with its tensors on the CPU: state dicts share memory with what they describe."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: _on_cpu(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_on_cpu(inner) for inner in value]
    return copy.deepcopy(value)
