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
"""A parameter group as torch's optimisers take it: ``params``, and ``lr`` where it differs from the stage's."""

DEFAULT_MOMENTUM = 0.9
"""Momentum of SGD where the experiment gives none."""

ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 1 / 25, 1 / 25e4
"""Share of rising steps, and first and last learning rate as shares of the highest, as in torch's OneCycleLR."""


def build_optimizer(groups: Sequence[Group], config: OptimizerConfig, lr: float) -> Optimizer:
    """Return the optimiser over the parameters that learn; fused, with one kernel for all of them, where torch has one.

    Raises:
        MissingExtraError: The optimiser's package is not installed.
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
    """Set the parameters to the averaged ones, to validate and store, or to those to train on.

    They differ only with schedule-free optimisers (Defazio et al., The Road Less Scheduled, 2024), which train at one
    point and average others.

    Returns:
        Whether they differ with this optimiser.
    """
    switch = getattr(optimizer, "eval" if averaged else "train", None)
    if switch is not None:
        switch()
    return switch is not None


def layer_groups(layers: Sequence[Sequence[nn.Parameter]], lr: float, decay: float) -> list[Group]:
    """Return parameter groups with ``lr`` for the last layer, times ``decay`` for each layer towards the first.

    Howard and Ruder, Universal Language Model Fine-tuning, 2018, section 3.2. The last layer's group comes first,
    because its learning rate is the recorded one.
    """
    if decay == 1:
        return [{"params": [parameter for layer in layers for parameter in layer], "lr": lr}]
    return [{"params": list(layer), "lr": lr * decay**depth} for depth, layer in enumerate(reversed(layers)) if layer]


@contextmanager
def ascended(model: nn.Module, parameters: Sequence[nn.Parameter], rho: float) -> Iterator[None]:
    """Move the parameters for the block to where the loss is about largest at a distance of ``rho``.

    That is the second pass of sharpness-aware minimisation (Foret et al., 2021, section 2). BatchNorm's statistics
    stay as they are: these weights are never validated.

    Args:
        model: Owns the parameters.
        parameters: Those that learn, their gradients on any common scale.
        rho: Distance as an L2 norm.
    """
    moving = [parameter for parameter in parameters if parameter.grad is not None]
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [module.momentum for module in norms]
    with torch.no_grad():
        gradients = [cast(torch.Tensor, parameter.grad) for parameter in moving]
        before = [parameter.clone() for parameter in moving]
        factor = rho / (get_total_norm(gradients) + 1e-12)
        for parameter, gradient in zip(moving, gradients, strict=True):
            # an overflow in fp16 moves nothing: the step will be skipped, and BatchNorm must not see NaN
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
    """Return the factor on the learning rate of update ``step`` (from 0) of ``steps``.

    It rises linearly to 1 over the warm-up. Then it stays (constant), or falls along half a cosine to reach 0 just
    after the last step (Loshchilov and Hutter, SGDR, 2017, without restarts). ``onecycle`` (Smith and Topin, 2018, as
    in torch) rises and falls along half cosines, to its least at the last step.
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
    """Return the stage's schedule, to be stepped once for each update."""
    steps = stage.epochs * steps_per_epoch
    warmup_steps = round(stage.warmup_epochs * steps_per_epoch)
    if stage.schedule == "onecycle" and not warmup_steps:
        warmup_steps = round(ONE_CYCLE_RISE * steps)
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, warmup_steps, stage.schedule))


def pick_device(name: str) -> torch.device:
    """Return the device of an experiment: CUDA for ``auto`` where there is any.

    Raises:
        ConfigError: The CUDA device asked for does not exist.
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
    """Return the type of the forward pass's arithmetic: float32, bfloat16 or float16.

    Raises:
        ConfigError: fp16 without CUDA, where it is slow and unscaled gradients would underflow.
    """
    if config.precision == "fp16" and device.type != "cuda":
        raise ConfigError([f"optimizer.precision: fp16 needs CUDA, not '{device.type}'; set auto, fp32 or bf16"])
    if config.precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
