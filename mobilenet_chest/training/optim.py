"""Optimiser, learning-rate schedule and numeric precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn
from torch.nn.utils import get_total_norm
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from mobilenet_chest.config import OptimizerConfig, StageConfig
from mobilenet_chest.errors import ConfigError, MissingExtraError

Group = dict[str, Any]
"""``params``, and where they have a learning rate of their own ``lr``: what torch's optimisers take."""

DEFAULT_MOMENTUM = 0.9

ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1 / 25e4
"""Share of the steps that rise, and the first and last learning rate as shares of the highest: torch's OneCycleLR."""


def build_optimizer(groups: Sequence[Group], config: OptimizerConfig, lr: float) -> Optimizer:
    """The optimiser over the parameters that learn; fused, one kernel for all of them, where torch has that.

    Raises:
        MissingExtraError: It comes from a package that is not installed.
    """
    if config.name == "sgd":
        momentum = DEFAULT_MOMENTUM if config.momentum is None else config.momentum
        return SGD(groups, lr=lr, momentum=momentum, nesterov=True, weight_decay=config.weight_decay, fused=True)
    if config.name == "schedulefree_adamw":
        try:
            from schedulefree import AdamWScheduleFree
        except ImportError:
            raise MissingExtraError("optimizer schedulefree_adamw", "schedulefree") from None
        return cast(Optimizer, AdamWScheduleFree(groups, lr=lr, weight_decay=config.weight_decay))
    return AdamW(groups, lr=lr, weight_decay=config.weight_decay, fused=True)


def set_averaged(optimizer: Optimizer, averaged: bool) -> bool:
    """Let the parameters be what is to be validated and kept, or what is to be trained on.

    They differ for schedule-free optimisers alone (Defazio et al., The Road Less Scheduled, 2024), which train at one
    point and keep the average of others.

    Returns:
        Whether they differ.
    """
    switch = getattr(optimizer, "eval" if averaged else "train", None)
    if switch is not None:
        switch()
    return switch is not None


def layer_groups(layers: Sequence[Sequence[nn.Parameter]], lr: float, decay: float) -> list[Group]:
    """A learning rate for each layer: ``lr`` for the last, times ``decay`` for each step towards the first.

    Howard and Ruder, Universal Language Model Fine-tuning, 2018, section 3.2. The last layer comes first: its
    learning rate is the one that is recorded.
    """
    if decay == 1:
        return [{"params": [parameter for layer in layers for parameter in layer], "lr": lr}]
    return [{"params": list(layer), "lr": lr * decay**depth} for depth, layer in enumerate(reversed(layers)) if layer]


@contextmanager
def ascended(model: nn.Module, parameters: Sequence[nn.Parameter], rho: float) -> Iterator[None]:
    """Within, parameters stand where the loss is about largest at a distance of ``rho``, and BatchNorm's statistics
    do not move: the second pass of sharpness-aware minimisation (Foret et al., 2021, section 2).

    Args:
        model: Owns the parameters.
        parameters: Those that learn, with gradients of any common scale.
        rho: Distance, as an L2 norm.
    """
    moving = [parameter for parameter in parameters if parameter.grad is not None]
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    with torch.no_grad():
        gradients = [cast(torch.Tensor, parameter.grad) for parameter in moving]
        before = [parameter.clone() for parameter in moving]
        factor = rho / (get_total_norm(gradients) + 1e-12)
        for parameter, gradient in zip(moving, gradients, strict=True):
            # an overflow under fp16 moves nothing: the step will be skipped, and BatchNorm must not see NaN
            parameter.add_((gradient * factor).nan_to_num(0, 0, 0))
    for module in norms:
        module.momentum = 0.0
    try:
        yield
    finally:
        for module, momentum in zip(norms, momenta, strict=True):
            module.momentum = momentum
        with torch.no_grad():
            for parameter, value in zip(moving, before, strict=True):
                parameter.copy_(value)


def learning_rate_factor(step: int, steps: int, warmup_steps: int, schedule: str) -> float:
    """Factor on the learning rate of update ``step`` (from 0) of ``steps``.

    Rises linearly to 1 over the warm-up, then stays (constant) or falls along half a cosine (Loshchilov and Hutter,
    SGDR, 2017, without restarts) to reach 0 just after the last step. ``onecycle`` (Smith and Topin, 2018, in torch's
    form) rises and falls along half cosines, to its least at the last step.
    """
    if schedule == "onecycle":
        top = max(warmup_steps, 1) - 1
        if step < top:
            return _half_cosine(ONE_CYCLE_START, 1, step / top)
        return _half_cosine(1, ONE_CYCLE_END, min(1, (step - top) / max(1, steps - 1 - top)))
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if schedule == "constant":
        return 1.0
    return _half_cosine(1, 0, (step - warmup_steps) / max(1, steps - warmup_steps))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


def build_schedule(optimizer: Optimizer, stage: StageConfig, steps_per_epoch: int) -> LambdaLR:
    """The stage's schedule, stepped once for each update."""
    steps = stage.epochs * steps_per_epoch
    warmup_steps = round(stage.warmup_epochs * steps_per_epoch)
    if stage.schedule == "onecycle" and not warmup_steps:
        warmup_steps = round(ONE_CYCLE_RISE * steps)
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
