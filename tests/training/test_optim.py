"""Optimiser, schedule, device and precision."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mobilenet_chest.config import OptimizerConfig, StageConfig
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.training.optim import (
    build_optimizer,
    build_schedule,
    learning_rate_factor,
    pick_device,
    pick_precision,
)


def test_adamw_over_what_learns() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(
        [p for p in model.parameters() if p.requires_grad], OptimizerConfig(weight_decay=0.05), lr=3e-4
    )
    assert isinstance(optimizer, torch.optim.AdamW)
    (group,) = optimizer.param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(p) for p in model[1].parameters()]
    assert (group["lr"], group["weight_decay"]) == (3e-4, 0.05)


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0, [1, 1, 1, 1, 1, 1]),
        ("constant", 2, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("cosine", 0, [1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873, 0]),
        ("cosine", 2, [1 / 3, 2 / 3, 1, 0.8535534, 0.5, 0.1464466, 0]),
    ],
)
def test_factors_by_hand(schedule: str, warmup: int, expected: list[float]) -> None:
    found = [learning_rate_factor(step, 6, warmup, schedule) for step in range(len(expected))]
    assert found == pytest.approx(expected, abs=1e-7)


def test_a_schedule_over_epochs() -> None:
    stage = StageConfig(epochs=3, lr=0.2, schedule="cosine", warmup_epochs=0.5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=stage.lr)
    schedule = build_schedule(optimizer, stage, steps_per_epoch=2)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.2, 0.1809017, 0.1309017, 0.0690983, 0.0190983], abs=1e-7)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0)


def test_devices() -> None:
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    count = torch.cuda.device_count()
    with pytest.raises(ConfigError) as caught:
        pick_device(f"cuda:{count}")
    assert str(caught.value) == (
        f"device: 'cuda:{count}' asked for, {count} CUDA devices found; set device: auto or cpu"
    )


@pytest.mark.parametrize(
    ("precision", "device", "expected"),
    [
        ("auto", "cpu", torch.float32),
        ("auto", "cuda", torch.float16),
        ("fp32", "cuda", torch.float32),
        ("bf16", "cpu", torch.bfloat16),
        ("fp16", "cuda", torch.float16),
    ],
)
def test_precisions(precision: str, device: str, expected: torch.dtype) -> None:
    config = OptimizerConfig.model_validate({"precision": precision})
    assert pick_precision(config, torch.device(device)) == expected


def test_fp16_needs_cuda() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.precision: fp16 needs CUDA, not 'cpu'"):
        pick_precision(OptimizerConfig(precision="fp16"), torch.device("cpu"))
