"""One epoch: batches and steps, what reaches the loss, and BatchNorm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.learners import Tiny, go_on, one_epoch, setup, stage
from torch import Tensor, nn

from mobilenet_chest.config import AugmentConfig, OptimizerConfig
from mobilenet_chest.training.epoch import (
    StageSetup,
    accumulation_groups,
    recompute_batchnorm,
    train_epoch,
)
from mobilenet_chest.training.features import Inputs
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.progress import Progress


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "sizes"),
    [
        (11, 3, 2, [[3, 3], [3, 2]]),
        (11, 3, 3, [[3, 3, 3], [2]]),
        (10, 3, 2, [[3, 3], [4]]),
        (7, 3, 2, [[3, 4]]),
        (1, 3, 2, [[1]]),
        (6, 3, 1, [[3], [3]]),
        (3, 1, 2, [[1, 2]]),
    ],
)
def test_groups(rows: int, batch: int, accumulation: int, sizes: list[list[int]]) -> None:
    config = OptimizerConfig(batch_size=batch, accumulation=accumulation)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(1))
    groups = accumulation_groups(order, config)
    assert [[len(part) for part in group] for group in groups] == sizes
    assert torch.equal(torch.cat([part for group in groups for part in group]), order)


@pytest.mark.parametrize("rows", [11, 10, 12, 5])
def test_accumulated_steps_are_those_of_big_batches(rows: int) -> None:
    small, big = Tiny(), Tiny()
    accumulated = one_epoch(setup(rows, batch_size=3, accumulation=2), small)
    whole = one_epoch(setup(rows, batch_size=6, accumulation=1), big)
    torch.testing.assert_close(small.linear.weight, big.linear.weight)
    torch.testing.assert_close(small.linear.bias, big.linear.bias)
    assert accumulated == pytest.approx(whole)


def test_a_step_is_the_gradient_of_the_mean_loss() -> None:
    model, fitted = Tiny(), setup(8, batch_size=3, accumulation=3)
    start = model.linear.weight.detach().clone()
    loss = nn.functional.binary_cross_entropy_with_logits(model(fitted.inputs.train), fitted.labels)
    loss.backward()
    gradient = model.linear.weight.grad.clone()
    record = one_epoch(fitted, model)
    torch.testing.assert_close(model.linear.weight, start - gradient)
    assert record["train_loss"] == pytest.approx(loss.item())


def test_nothing_waits_for_the_device_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reads a number from a tensor would stall a GPU: the two sums, at the end, are all."""
    read: list[str] = []

    def counted(name: str) -> Callable[..., Any]:
        plain = getattr(Tensor, name)

        def method(self: Tensor, *arguments: Any, **options: Any) -> Any:
            read.append(name)
            return plain(self, *arguments, **options)

        return method

    model, fitted = Tiny(), setup(40, batch_size=3, accumulation=2, clip_norm=1.0)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    names = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "nonzero")
    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(Tensor, name, counted(name))
        train_epoch(model, fitted, optimizer, schedule, torch.amp.GradScaler("cpu", enabled=False))
    assert read == ["item", "item"]


def test_a_step_on_stored_outputs_alone_is_one_batch() -> None:
    """Batches of a group are one where memory is no reason to part them; the gradient is the same."""
    grouped, merged = Tiny(), Tiny()
    sizes: list[int] = []
    merged.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    one_epoch(setup(11, batch_size=3, accumulation=2), grouped)
    fitted = setup(11, batch_size=3, accumulation=2)
    one_epoch(StageSetup(**vars(fitted) | {"head_only": True}), merged)
    assert sizes == [6, 5]
    torch.testing.assert_close(merged.linear.weight, grouped.linear.weight)


def test_accuracy_of_training() -> None:
    model, fitted = Tiny(), setup(8, batch_size=8, accumulation=1)
    expected = ((model(fitted.inputs.train) >= 0) == (fitted.labels == 1)).float().mean().item()
    assert one_epoch(fitted, model)["train_accuracy"] == pytest.approx(expected)


def test_clipping() -> None:
    def step(clip_norm: float | None) -> float:
        model = Tiny()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        one_epoch(setup(8, batch_size=8, accumulation=1, clip_norm=clip_norm), model)
        return torch.cat([(p - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]).norm().item()

    free = step(None)
    assert free > 0.05
    assert step(0.01) == pytest.approx(0.01, rel=1e-3)
    assert step(100.0) == pytest.approx(free)


def test_a_step_of_sam_takes_the_gradient_of_a_steeper_place() -> None:
    """By hand, with one batch and plain gradient descent: w - g(w + rho g(w) / |g(w)|)."""
    model, fitted = Tiny(), setup(8, batch_size=8, accumulation=1, sam_rho=0.5)
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]

    def gradient(offset: list[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            for parameter, value, step in zip(parameters, before, offset, strict=True):
                parameter.copy_(value + step)
        loss = fitted.loss(model(fitted.inputs.train), fitted.labels) / 8
        return list(torch.autograd.grad(loss, parameters))

    first = gradient([torch.zeros_like(p) for p in parameters])
    norm = torch.cat([g.flatten() for g in first]).norm()
    second = gradient([0.5 * g / norm for g in first])
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    record = one_epoch(fitted, model)
    for parameter, value, g in zip(parameters, before, second, strict=True):
        torch.testing.assert_close(parameter.detach(), value - g)
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    expected = fitted.loss(model(fitted.inputs.train), fitted.labels).item() / 8
    assert record["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_an_epoch_of_oversampled_rows() -> None:
    """Four rows of class 1 and seven of class 0: fourteen are seen."""
    model, labels = Tiny(), []
    fitted = StageSetup(**vars(setup(11, batch_size=4, accumulation=1)) | {"sampling": "oversample"})
    loss = fitted.loss
    counted = StageSetup(
        **vars(fitted) | {"loss": lambda logits, targets: labels.append(targets) or loss(logits, targets)}
    )
    progress = Progress()
    fit(model, stage(epochs=1), counted, progress, go_on)
    assert torch.cat(labels).tolist().count(1.0) == torch.cat(labels).tolist().count(0.0) == 7


def test_mixing_reaches_the_loss() -> None:
    torch.manual_seed(2)
    model, labels = Tiny(), []
    fitted = setup(12, batch_size=4, accumulation=1)
    loss = fitted.loss
    mixing = StageSetup(
        **vars(fitted)
        | {
            "augment": AugmentConfig(hflip=0, mixup=1.0),
            "loss": lambda logits, targets: labels.append(targets) or loss(logits, targets),
        }
    )
    before = model.linear.weight.detach().clone()
    one_epoch(mixing, model)
    shares = torch.cat(labels)
    assert ((shares > 0) & (shares < 1)).any()
    assert shares.sum().item() == pytest.approx(4, abs=2)
    assert not torch.equal(model.linear.weight, before)


def test_batchnorm_is_recomputed_for_what_is_kept() -> None:
    """Means over the rows as they are, whatever was there; frozen statistics are left alone."""
    model = nn.Sequential(nn.Flatten(1), nn.BatchNorm1d(9, affine=False))
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    fitted = setup(12, batch_size=6)
    images = fitted.inputs.train.float()
    floats = StageSetup(**vars(fitted) | {"inputs": Inputs(0, images, images)})
    recompute_batchnorm(model, floats)
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, images.flatten(1).mean(0))
    assert norm.momentum == 0.1
