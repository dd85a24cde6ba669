"""Optimiser, learning-rate schedule and numeric precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mobilenet_chest.config import OptimizerConfig, StageConfig
from mobilenet_chest.errors import ConfigError


def build_optimizer(parameters: Sequence[nn.Parameter], config: OptimizerConfig, lr: float) -> Optimizer:
    """AdamW over the parameters that learn; fused, one kernel for all of them."""
    return AdamW(parameters, lr=lr, weight_decay=config.weight_decay, fused=True)


def learning_rate_factor(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Factor on the learning rate of update ``step`` (from 0) of ``steps``.

    Rises linearly to 1 over the warm-up, then stays (constant) or falls along half a cosine (Loshchilov and Hutter,
    SGDR, 2017, without restarts) to reach 0 just after the last step.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))


def build_schedule(optimizer: Optimizer, stage: StageConfig, steps_per_epoch: int) -> LambdaLR:
    """The stage's schedule, stepped once for each update."""
    steps = stage.epochs * steps_per_epoch
    warmup_steps = round(stage.warmup_epochs * steps_per_epoch)
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, warmup_steps, stage.schedule))


def pick_device(name: str) -> torch.device:
    """The device of an experiment.

    Raises:
        ConfigError: CUDA was asked for and is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            [f"device: '{name}' asked for, {torch.cuda.device_count()} CUDA devices found; set device: auto or cpu"]
        )
    return device


def pick_precision(config: OptimizerConfig, device: torch.device) -> torch.dtype:
    """Type of the forward pass's arithmetic: float32, bfloat16 or float16.

    Raises:
        ConfigError: fp16 without CUDA, where gradients would underflow unscaled and run slowly.
    """
    if config.precision == "fp16" and device.type != "cuda":
        raise ConfigError([f"optimizer.precision: fp16 needs CUDA, not '{device.type}'; set auto, fp32 or bf16"])
    if config.precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
