"""Optimiser, schedule, device and precision."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from mobilenet_chest.config import OptimizerConfig, StageConfig
from mobilenet_chest.errors import ConfigError, MissingExtraError
from mobilenet_chest.training.optim import (
    ascended,
    build_optimizer,
    build_schedule,
    layer_groups,
    learning_rate_factor,
    pick_device,
    pick_precision,
    set_averaged,
)


def test_adamw_over_what_learns() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = build_optimizer([{"params": learning}], OptimizerConfig(weight_decay=0.05), lr=3e-4)
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
    factors = [learning_rate_factor(step, 6, warmup, schedule) for step in range(len(expected))]
    assert factors == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("steps", "rise"), [(20, 0.3), (50, 0.1), (10, 0.5)])
def test_one_cycle_is_that_of_torch(steps: int, rise: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, pct_start=rise, cycle_momentum=False
    )
    factors = [learning_rate_factor(step, steps, round(rise * steps), "onecycle") for step in range(steps)]
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cycle.step() if len(expected) < steps else None
    assert factors == pytest.approx(expected, abs=1e-9)
    assert (factors[0], max(factors), factors[-1]) == pytest.approx((1 / 25, 1, 1 / 25e4))


def test_one_cycle_rises_for_a_third_or_for_the_warm_up() -> None:
    peaks = []
    for warmup in (0, 5):
        stage = StageConfig(epochs=10, lr=1.0, schedule="onecycle", warmup_epochs=warmup)
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=stage.lr)
        schedule = build_schedule(optimizer, stage, steps_per_epoch=4)
        rates = []
        for _ in range(40):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        peaks.append(rates.index(max(rates)))
    assert peaks == [11, 19]


def test_sgd_has_nesterov_momentum() -> None:
    """By hand: v = m v + g, and the step is g + m v."""
    parameter = nn.Parameter(torch.tensor([0.0]))
    config = OptimizerConfig(name="sgd", momentum=0.5, weight_decay=0)
    optimizer = build_optimizer([{"params": [parameter]}], config, lr=1.0)
    seen = []
    for _ in range(2):
        parameter.grad = torch.ones(1)
        optimizer.step()
        seen.append(parameter.item())
    assert seen == pytest.approx([-1.5, -1.5 - 1 - 0.5 * 1.5])
    usual = build_optimizer([{"params": [parameter]}], OptimizerConfig(name="sgd"), 1.0)
    assert usual.param_groups[0]["momentum"] == 0.9


def test_layers_learn_at_rates_that_fall_towards_the_input() -> None:
    layers = [[nn.Parameter(torch.zeros(1)) for _ in range(count)] for count in (2, 0, 1, 3)]
    groups = layer_groups(layers, lr=0.8, decay=0.5)
    assert [(len(group["params"]), group["lr"]) for group in groups] == [(3, 0.8), (1, 0.4), (2, 0.1)]
    (group,) = layer_groups(layers, lr=0.8, decay=1)
    assert (len(group["params"]), group["lr"]) == (6, 0.8)
    optimizer = build_optimizer(groups, OptimizerConfig(), lr=0.8)
    schedule = build_schedule(optimizer, StageConfig(epochs=2, lr=0.8, schedule="cosine"), steps_per_epoch=1)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.4, 0.2, 0.05])


def test_schedule_free_keeps_an_average(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a quadratic: what is kept is nearer to the least value than what is trained on, and switching is undone."""
    parameter = nn.Parameter(torch.tensor([1.0]))
    config = OptimizerConfig(name="schedulefree_adamw", weight_decay=0)
    optimizer = build_optimizer([{"params": [parameter]}], config, lr=0.3)
    assert set_averaged(optimizer, False) is True
    for _ in range(50):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    trained = parameter.item()
    set_averaged(optimizer, True)
    kept = parameter.item()
    assert kept != trained
    assert abs(kept) < 0.2
    set_averaged(optimizer, False)
    assert parameter.item() == pytest.approx(trained, abs=1e-6)
    assert set_averaged(build_optimizer([{"params": [parameter]}], OptimizerConfig(), 1.0), True) is False
    monkeypatch.setitem(sys.modules, "schedulefree", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[schedulefree\]'"):
        build_optimizer([{"params": [parameter]}], config, lr=0.3)


def test_sam_looks_from_the_steepest_point_nearby() -> None:
    """Gradient (3, 4), distance 0.5: up by (0.3, 0.4); everything is as it was afterwards, BatchNorm's too."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1))
    weight, norm = model[0].weight, model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    before = weight.detach().clone()
    weight.grad = torch.tensor([[3.0, 4.0]])
    with ascended(model, [weight, norm.weight], rho=0.5):
        torch.testing.assert_close(weight.detach() - before, torch.tensor([[0.3, 0.4]]))
        norm(torch.tensor([[1.0], [5.0]]))
        assert norm.running_mean is not None
        assert norm.running_mean.item() == 0
    assert torch.equal(weight, before)
    assert norm.momentum == 0.1
    weight.grad = torch.tensor([[float("inf"), 4.0]])
    with ascended(model, [weight], rho=0.5):
        assert torch.equal(weight, before)


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
    with pytest.raises(ConfigError, match=r"optimizer\.precision: fp16 .*CUDA.*'cpu'"):
        pick_precision(OptimizerConfig(precision="fp16"), torch.device("cpu"))
