"""The reference of the benchmarks: two-stage fine-tuning as a competent practitioner writes it for one network.

A ``Dataset`` of PIL images, torchvision transforms on every image in every epoch, a ``DataLoader``, AdamW as torch
makes it by default, memory in torch's default order; on a GPU pinned memory, and automatic mixed precision where the
experiment has it. Network, initial weights, loss, accumulation, clipping, metrics and choice of the best epoch are
those of ``mobilenet_chest.train``, so that only the way of computing them differs. Nothing is tracked, which favours
this side.
"""

from __future__ import annotations

import copy
import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from mobilenet_chest.config import Config, OptimizerConfig, StageConfig
from mobilenet_chest.config.metrics import as_score, best_direction
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.data.task import find_task
from mobilenet_chest.evaluation.metrics import epoch_metrics
from mobilenet_chest.models.zoo import build_model
from mobilenet_chest.training.optim import build_schedule, pick_device, pick_precision

Record = dict[str, float]
Loader = DataLoader[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The selected rows as stored: uint8 images (n, h, w), gray, and labels (n,) of 0 and 1."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    val_images: NDArray[np.uint8]
    val_labels: NDArray[np.uint8]


def read(config: Config) -> Arrays:
    """Read the training and validation rows of the two classes in ``data.path``, by ``numpy.load``."""
    assert config.data.path is not None
    path = Path(config.data.path)
    task = find_task(config.data, lambda: NpzFile(path))
    parts: list[NDArray[np.uint8]] = []
    with np.load(config.data.path) as file:
        for split in ("train", "val"):
            rows, target = task.select(file[f"{split}_labels"])
            parts += [file[f"{split}_images"][rows], target]
    return Arrays(*parts)


class Radiographs(Dataset[tuple[Tensor, Tensor]]):
    """Images that are transformed one by one on access."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], transform: Callable[[Any], Tensor]):
        self.images, self.transform = images, transform
        self.labels = torch.from_numpy(labels).float()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.transform(Image.fromarray(self.images[row])), self.labels[row]


@dataclass(frozen=True, eq=False)
class Parts:
    """Network, loaders, and how they are computed, which both stages share."""

    backbone: nn.Module
    head: nn.Module
    train: Loader
    val: Loader
    device: torch.device
    precision: torch.dtype
    scaler: torch.amp.GradScaler

    def batches(self, loader: Loader) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of a loader on the device."""
        for images, labels in loader:
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    @property
    def network(self) -> nn.Sequential:
        """Backbone and head, from normalised (n, c, h, w) to (n, 1)."""
        return nn.Sequential(self.backbone, self.head)


def build(config: Config, data: Arrays, loader_workers: int = 0) -> Parts:
    """Build network and loaders of an experiment, seeded as ``mobilenet_chest.train`` seeds them.

    Args:
        config: The experiment; gray images.
        data: From :func:`read`.
        loader_workers: Processes that transform. None by default: transforms do about 2,800 images/s, many times
            what the network trains, and on two cores worker processes take time from the network's own threads.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.model, channels=1).to(memory_format=torch.contiguous_format)
    device = pick_device(config.device)
    precision = pick_precision(config.optimizer, device)
    model, pinned = model.to(device), device.type == "cuda"
    mean, std = (float(buffer.item()) / 255 for buffer in (model.mean, model.std))
    channels = 3 if model.repeat else 1
    last = [
        transforms.Grayscale(channels),
        transforms.ToTensor(),
        transforms.Normalize([mean] * channels, [std] * channels),
    ]
    size = config.data.image_size
    resize = transforms.Resize((size, size), transforms.InterpolationMode.BICUBIC)
    augment = transforms.RandomHorizontalFlip(config.augment.hflip)
    batch = config.optimizer.batch_size
    return Parts(
        model.backbone,
        model.head,
        train=DataLoader(
            Radiographs(data.train_images, data.train_labels, transforms.Compose([resize, augment, *last])),
            batch_size=batch, shuffle=True, num_workers=loader_workers, pin_memory=pinned,
            persistent_workers=loader_workers > 0,
        ),
        val=DataLoader(
            Radiographs(data.val_images, data.val_labels, transforms.Compose([resize, *last])),
            batch_size=batch, num_workers=loader_workers, pin_memory=pinned, persistent_workers=loader_workers > 0,
        ),
        device=device,
        precision=precision,
        scaler=torch.amp.GradScaler(device.type, enabled=precision == torch.float16),
    )  # fmt: skip


def set_frozen(parts: Parts, frozen: bool) -> None:
    """Freeze the backbone or not; autograd skips a backbone without learning parameters."""
    parts.backbone.requires_grad_(not frozen)


def train_epoch(
    parts: Parts,
    config: OptimizerConfig,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
) -> float:
    """Train for one pass over the rows and return the mean loss.

    The gradient of a step is that of the mean over its images, also in the last, incomplete group of batches.
    """
    network = parts.network.train()
    if not any(parameter.requires_grad for parameter in parts.backbone.parameters()):
        parts.backbone.eval()  # BatchNorm statistics of a frozen backbone stay fixed
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    criterion = nn.BCEWithLogitsLoss()
    rows = len(parts.train.dataset)  # type: ignore[arg-type]
    loss_sum = 0.0
    mixed = parts.precision != torch.float32
    for number, (images, labels) in enumerate(parts.batches(parts.train)):
        if number % config.accumulation == 0:
            optimizer.zero_grad()
            images_in_step = min(config.accumulation * config.batch_size, rows - number * config.batch_size)
        with torch.autocast(parts.device.type, parts.precision, enabled=mixed):
            loss = criterion(network(images).squeeze(1), labels)
        parts.scaler.scale(loss * len(labels) / images_in_step).backward()
        loss_sum += loss.item() * len(labels)
        if (number + 1) % config.accumulation == 0 or number + 1 == len(parts.train):
            if config.clip_norm is not None:
                parts.scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(learning, config.clip_norm)
            parts.scaler.step(optimizer)
            parts.scaler.update()
            if schedule is not None:
                schedule.step()
    return loss_sum / rows


@torch.no_grad()
def validate(parts: Parts) -> Record:
    """Return ``val_loss``, ``val_accuracy`` and ``val_auc`` of the present weights."""
    network = parts.network.eval()
    pairs = [(network(images).squeeze(1), labels) for images, labels in parts.batches(parts.val)]
    logits, labels = (torch.cat(part).cpu() for part in zip(*pairs, strict=True))
    return epoch_metrics(labels.numpy().astype(np.uint8), logits.double().numpy())


@dataclass
class Result:
    """Results of a training.

    Attributes:
        history: One record for each epoch, of both stages.
        best_value: Best value of the selection metric in any epoch; greater is better, so losses are negated.
        best_model: State of the network in that epoch.
        seconds: From building the network to the end.
    """

    history: list[Record] = field(default_factory=list)
    best_value: float = float("-inf")
    best_model: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def usual_memory() -> None:
    """Undo what our training does to glibc's malloc in this process; glibc itself ends at these thresholds."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        for parameter, value in ((-4, 65536), (-3, 32 << 20), (-1, 64 << 20)):  # mmap max and threshold, trim threshold
            libc.mallopt(parameter, value)


def train_two_stage(
    config: Config, data: Arrays, on_epoch: Callable[[Record], object] | None = None, loader_workers: int = 0
) -> Result:
    """Train both stages, the second from the best weights of the first; ``on_epoch`` gets every record."""
    started = time.perf_counter()
    usual_memory()
    parts, result = build(config, data, loader_workers), Result()
    network = parts.network
    for number, stage in ((1, config.stage1), (2, config.stage2)):
        if number == 2 and result.best_model:
            network.load_state_dict(result.best_model)
        set_frozen(parts, number == 1)
        _run_stage(number, stage, config, parts, result, on_epoch)
    network.load_state_dict(result.best_model)
    result.seconds = time.perf_counter() - started
    return result


def _run_stage(
    number: int,
    stage: StageConfig,
    config: Config,
    parts: Parts,
    result: Result,
    on_epoch: Callable[[Record], object] | None,
) -> None:
    optimizer = stage_optimizer(parts, config.optimizer, stage.lr)
    schedule = build_schedule(optimizer, stage, -(-len(parts.train) // config.optimizer.accumulation))
    best, since_best = float("-inf"), 0
    metric = config.evaluation.metric
    for _ in range(stage.epochs):
        started = time.perf_counter()
        record: Record = {"stage": number, "train_loss": train_epoch(parts, config.optimizer, optimizer, schedule)}
        train_seconds = time.perf_counter() - started
        record |= validate(parts)
        rows = len(parts.train.dataset)  # type: ignore[arg-type]
        record |= {
            "epoch_seconds": time.perf_counter() - started,
            "images_per_second": rows / train_seconds,
        }
        result.history.append(record)
        value = as_score(record[metric], best_direction(metric))
        since_best += 1
        if value > best:
            best, since_best = value, 0
        if value > result.best_value or (since_best == 0 and value == result.best_value):
            result.best_value, result.best_model = value, copy.deepcopy(parts.network.state_dict())
        if on_epoch is not None:
            on_epoch(record)
        if stage.patience is not None and since_best >= stage.patience:
            return


def stage_optimizer(parts: Parts, config: OptimizerConfig, lr: float) -> torch.optim.AdamW:
    """Return AdamW over the learning parameters, with torch's own choice of implementation."""
    learning = [parameter for parameter in parts.network.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learning, lr=lr, weight_decay=config.weight_decay)
