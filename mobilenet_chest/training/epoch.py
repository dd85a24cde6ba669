"""One epoch over the training rows: batches, gradient accumulation, one update for each group of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from mobilenet_chest.config import AugmentConfig, OptimizerConfig
from mobilenet_chest.data.augment import Draws, draw, mix
from mobilenet_chest.data.sampling import Sampling, epoch_rows
from mobilenet_chest.training.features import Inputs, learning_part
from mobilenet_chest.training.losses import Loss, Teacher
from mobilenet_chest.training.optim import Group, ascended

Record = dict[str, float]
"""Metrics of one epoch by their names in MLflow: ``train_loss``, ``val_auc``, ``lr``, …"""


class Validation(NamedTuple):
    """Metrics of a model on the validation rows.

    Attributes:
        record: The metrics, by name.
        logits: float32 (n,), on the CPU, without TTA.
    """

    record: Record
    logits: Tensor


@dataclass(frozen=True)
class StageSetup:
    """What a stage, or a phase of it, needs besides the model: data on the device, and choices.

    Attributes:
        inputs: Inputs of the learning part of the model, on the training device.
        labels: float32 (n,) on the training device.
        loss: Summed loss.
        validate: Return the metrics of a model in its present state; the one named by ``metric`` must be among them.
        metric: Chooses the best epoch.
        optimizer: Batch size, accumulation, clipping, weight decay.
        augment: Random changes.
        precision: Type of the forward pass's arithmetic.
        generator: CPU generator of the epoch order and the augmentation.
        groups: Parameters that learn at any time of the stage, also those still frozen, with their learning rates. By
            default the model's that require a gradient, at the stage's rate.
        sampling: Which rows an epoch shows.
        teacher: Network whose predictions are part of the loss.
        head_only: The backbone is frozen, so that accumulation would save no memory: a step is one batch.
        stress: Return the stress metrics of a model, given its validation logits; ``None``: no stressed validation.
        stress_every: Epochs between two stressed ones.
    """

    inputs: Inputs
    labels: Tensor
    loss: Loss
    validate: Callable[[nn.Module], Validation]
    metric: str
    optimizer: OptimizerConfig
    augment: AugmentConfig
    precision: torch.dtype
    generator: torch.Generator
    groups: Sequence[Group] | None = None
    sampling: Sampling = "all"
    teacher: Teacher | None = None
    head_only: bool = False
    stress: Callable[[nn.Module, Tensor], Record] | None = None
    stress_every: int = 1


class _Batch(NamedTuple):
    """Images as they are fed to the learning part, their labels float32 (b,), and their numbers among the rows."""

    images: Tensor
    labels: Tensor
    rows: Tensor


def train_epoch(
    model: nn.Module,
    setup: StageSetup,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    average: AveragedModel | None = None,
) -> Record:
    """Train once over the training rows in a new random order.

    Order and random changes are drawn for the whole epoch and moved to the device once, so that within the epoch
    nothing waits for the device.

    Returns:
        ``train_loss`` and ``train_accuracy`` (at 0.5), as seen while training.
    """
    model.train()
    device, order = setup.labels.device, epoch_order(setup, setup.generator)
    groups = accumulation_groups(order, setup.optimizer)
    if setup.head_only:
        groups = [[torch.cat(group)] for group in groups]
    draws = draw(setup.augment, len(order), setup.generator).to(device)
    order = order.to(device)
    forward = learning_part(model, setup.inputs.block)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    start = 0
    for group in groups:
        # the mean over all images of the step, not the mean of its batches' means: the last group may be incomplete
        images_in_step = sum(len(indices) for indices in group)
        optimizer.zero_grad(set_to_none=True)
        step: Iterable[_Batch] = _batches(setup, order, draws, group, start)
        if setup.optimizer.sam_rho:
            step = list(step)  # the same images twice
        for batch in step:
            loss, logits = _backward(setup, forward, scaler, batch, images_in_step)
            # sums stay on the device: reading them here would stall it in every step
            loss_sum += loss
            correct += ((logits >= 0) == (batch.labels > 0.5)).sum()
        if setup.optimizer.sam_rho:
            with ascended(model, learning, setup.optimizer.sam_rho):
                optimizer.zero_grad(set_to_none=True)
                for batch in step:
                    _backward(setup, forward, scaler, batch, images_in_step)
        start += images_in_step
        if setup.optimizer.clip_norm is not None:
            scaler.unscale_(optimizer)
            clip_grad_norm_(learning, setup.optimizer.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
        if average is not None:
            average.update_parameters(model)
    return {"train_loss": loss_sum.item() / len(order), "train_accuracy": correct.item() / len(order)}


def _batches(
    setup: StageSetup, order: Tensor, draws: Draws, group: Sequence[Tensor], start: int
) -> Iterator[_Batch]:  # fmt: skip
    """Yield the batches of one update step, which begins at position ``start`` of the epoch's order."""
    for indices in group:
        end = start + len(indices)
        rows = order[start:end]
        images = setup.inputs.batch(rows, draws.part(start, end), setup.augment.policy)
        labels = setup.labels[rows]
        if setup.augment.mixes:
            images, labels = mix(images, labels, setup.augment)
        yield _Batch(images, labels, rows)
        start = end


def _backward(
    setup: StageSetup,
    forward: Callable[[Tensor], Tensor],
    scaler: torch.amp.GradScaler,
    batch: _Batch,
    images_in_step: int,
) -> tuple[Tensor, Tensor]:
    """Add a batch's share of the step's gradient; return its summed loss and its logits (b,)."""
    with torch.autocast(setup.labels.device.type, setup.precision, enabled=setup.precision != torch.float32):
        logits = forward(batch.images)
    loss = setup.loss(logits.float(), batch.labels)
    if setup.teacher is not None:
        loss = setup.teacher.mixed(loss, logits.float(), batch.rows)
    scaler.scale(loss / images_in_step).backward()
    return loss.detach(), logits.detach()


@torch.no_grad()
def recompute_batchnorm(model: nn.Module, setup: StageSetup) -> None:
    """Set BatchNorm's statistics, where they learn, to means over the unchanged training rows.

    Weights that are averages of others were never trained with the statistics that the model has.
    """
    model.train()
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    if not norms:
        return
    model.eval()
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.train()
        module.reset_running_stats()
        module.momentum = None  # torch takes None for a mean in which all batches count alike
    forward = learning_part(model, setup.inputs.block)
    unchanged = AugmentConfig(hflip=0)
    order = torch.arange(len(setup.labels))
    for group in accumulation_groups(order, setup.optimizer):
        for indices in group:
            draws = draw(unchanged, len(indices), torch.Generator()).to(setup.labels.device)
            forward(setup.inputs.batch(indices.to(setup.labels.device), draws))
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum


def epoch_order(setup: StageSetup, generator: torch.Generator) -> Tensor:
    """Return the row numbers of an epoch, int64 on the CPU."""
    # where every row is shown once labels need not come from the device
    labels = setup.labels if setup.sampling == "all" else setup.labels.cpu()
    return epoch_rows(labels, setup.sampling, setup.optimizer.batch_size, generator)


def accumulation_groups(order: Tensor, config: OptimizerConfig) -> list[list[Tensor]]:
    """Return the row numbers of one epoch in batches, grouped into update steps of ``config.accumulation`` batches.

    A last batch of a single image is joined to the batch before: BatchNorm cannot normalise a single value.
    """
    batches = list(order.split(config.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return [batches[i : i + config.accumulation] for i in range(0, len(batches), config.accumulation)]
