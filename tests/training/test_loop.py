"""One stage on a model small enough to follow by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mobilenet_chest.config import AugmentConfig, LossConfig, OptimizerConfig, StageConfig
from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.epoch import (
    Record,
    StageSetup,
    Validation,
    accumulation_groups,
    recompute_batchnorm,
    train_epoch,
)
from mobilenet_chest.training.features import Inputs
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.losses import build_loss
from mobilenet_chest.training.progress import Progress


class Tiny(nn.Module):
    """One linear layer on nine pixels, without BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.linear = nn.Linear(9, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.float().flatten(1) / 255).squeeze(1)


def validation(record: dict[str, float]) -> Validation:
    """Of a single row, whose logit is the AUC, if there is one."""
    return Validation(record, torch.tensor([record.get("val_auc", 0.0)]))


def scripted(*values: float) -> Callable[[nn.Module], Validation]:
    """A validation that gives these values of ``val_auc``, one each epoch."""
    remaining = iter(values)
    return lambda model: validation({"val_auc": next(remaining), "val_loss": 0.5, "val_accuracy": 0.5})


def setup(rows: int = 11, validate: Callable[[nn.Module], Validation] | None = None, **optimizer: Any) -> StageSetup:
    generator = torch.Generator().manual_seed(8)
    images = torch.randint(0, 256, (rows, 1, 3, 3), dtype=torch.uint8, generator=generator)
    return StageSetup(
        inputs=Inputs(0, images, images),
        labels=(torch.arange(rows) % 3 == 0).float(),
        loss=build_loss(LossConfig(), {}),
        validate=validate or (lambda model: validation({"val_auc": 0.5, "val_loss": 0.5, "val_accuracy": 0.5})),
        metric="val_auc",
        optimizer=OptimizerConfig.model_validate({"clip_norm": None} | optimizer),
        augment=AugmentConfig(hflip=0),
        precision=torch.float32,
        generator=generator,
    )


def one_epoch(setup: StageSetup, model: nn.Module) -> Record:
    """With plain gradient descent, rate 1: the parameters move by the gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    return train_epoch(model, setup, optimizer, schedule, torch.amp.GradScaler("cpu", enabled=False))


def stage(**fields: Any) -> StageConfig:
    return StageConfig.model_validate({"epochs": 3, "lr": 0.01} | fields)


def go_on(record: Record) -> bool:
    return False


# --- accumulation --------------------------------------------------------------------------------------------------


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


# --- the stage -----------------------------------------------------------------------------------------------------


def test_a_record_of_every_epoch() -> None:
    progress = Progress(stage=2, epoch=4, history=[{}] * 4)
    seen: list[Record] = []
    assert fit(Tiny(), stage(), setup(), progress, lambda record: bool(seen.append(record))) is False
    assert (progress.epoch, progress.stage_epoch, len(progress.history)) == (7, 3, 7)
    assert progress.history[4:] == seen
    for record in seen:
        assert list(record) == [
            "train_loss", "train_accuracy", "val_auc", "val_loss", "val_accuracy", "lr", "epoch_seconds",
            "images_per_second", "stage",
        ]  # fmt: skip
        assert record["stage"] == 2
        assert record["lr"] == 0.01
        assert record["images_per_second"] >= 11 / record["epoch_seconds"]
    assert progress.elapsed == pytest.approx(sum(record["epoch_seconds"] for record in seen))


def test_the_best_state_is_a_copy_of_its_own() -> None:
    model, progress, states = Tiny(), Progress(), []

    def after(record: Record) -> bool:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return False

    fit(model, stage(epochs=4), setup(validate=scripted(0.6, 0.8, 0.8, 0.7)), progress, after)
    assert (progress.best_epoch, progress.best_value) == (2, 0.8)  # the first of equals
    assert torch.equal(torch.stack(progress.val_logits), torch.tensor([[0.6], [0.8], [0.8], [0.7]]))
    assert all(torch.equal(value, states[1][name]) for name, value in progress.best_model.items())
    assert not torch.equal(progress.best_model["linear.weight"], model.linear.weight)


def test_a_loss_is_best_when_smallest() -> None:
    progress, fitted = Progress(), setup(validate=scripted(0.6, 0.4, 0.5))

    def validate(model: nn.Module) -> Validation:
        return validation({"val_loss": fitted.validate(model).record["val_auc"]})

    losses = StageSetup(**vars(fitted) | {"metric": "val_loss", "validate": validate})
    fit(Tiny(), stage(), losses, progress, go_on)
    assert (progress.best_epoch, progress.best_value) == (2, 0.4)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (3, 7), (None, 8)])
def test_patience(patience: int | None, epochs: int) -> None:
    progress = Progress()
    values = scripted(0.5, 0.6, 0.6, 0.55, 0.59, 0.5, 0.5, 0.5)
    values = values if patience != 3 else scripted(0.5, 0.4, 0.4, 0.7, 0.1, 0.1, 0.1, 0.9)
    fit(Tiny(), stage(epochs=8, patience=patience), setup(validate=values), progress, go_on)
    assert progress.epoch == epochs


def test_a_caller_may_stop() -> None:
    progress = Progress()
    assert fit(Tiny(), stage(epochs=9), setup(), progress, lambda record: progress.epoch == 2) is True
    assert progress.epoch == 2


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number(bad: float) -> None:
    progress, fitted = Progress(), setup()
    fitted = StageSetup(**vars(fitted) | {"loss": lambda logits, targets: logits.sum() * bad})
    with pytest.raises(TrainingDiverged, match=r"epoch 1: train_loss is (nan|inf|-inf), val_auc is 0\.5"):
        fit(Tiny(), stage(), fitted, progress, go_on)
    assert (progress.epoch, progress.history, progress.best_epoch) == (0, [], 0)


def test_a_metric_that_is_no_number() -> None:
    progress = Progress()
    with pytest.raises(TrainingDiverged, match=r"epoch 2: .* val_auc is nan"):
        fit(Tiny(), stage(), setup(validate=scripted(0.5, float("nan"))), progress, go_on)
    assert (progress.epoch, len(progress.history)) == (1, 1)


def test_a_stage_goes_on_exactly() -> None:
    whole, progress = Tiny(), Progress()
    fitted = setup(rows=12, batch_size=4)
    fit(whole, stage(epochs=5, schedule="cosine"), fitted, progress, go_on)

    first, half = Tiny(), Progress()
    fit(first, stage(epochs=5, schedule="cosine"), setup(rows=12, batch_size=4), half, lambda record: half.epoch == 2)
    second = Tiny()
    nn.init.zeros_(second.linear.weight)
    fit(second, stage(epochs=5, schedule="cosine"), setup(rows=12, batch_size=4), half, go_on)
    assert torch.equal(second.linear.weight, whole.linear.weight)
    assert [record["train_loss"] for record in half.history] == [record["train_loss"] for record in progress.history]
    assert [record["lr"] for record in half.history] == [record["lr"] for record in progress.history]


@pytest.mark.parametrize("rows", [8, 9])
def test_cosine_ends_with_the_stage(rows: int) -> None:
    """Nine rows in batches of four are two batches, four and five: the ninth has no batch of its own."""
    progress = Progress()
    fit(Tiny(), stage(epochs=4, lr=1.0, schedule="cosine"), setup(rows, batch_size=4, accumulation=1), progress, go_on)
    rates = [record["lr"] for record in progress.history]
    assert rates == pytest.approx([1, 0.8535534, 0.5, 0.1464466], abs=1e-6)


# --- choices -------------------------------------------------------------------------------------------------------


def test_the_average_is_its_closed_form() -> None:
    """The first step's weights, then d times the average and 1 - d times the new weights."""
    model, progress, weights = Tiny(), Progress(), []
    original = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: Any) -> Any:
        result = original(self, *arguments)
        weights.append(model.linear.weight.detach().clone())
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        fit(model, stage(epochs=2, ema=0.9), setup(12, batch_size=4, accumulation=1), progress, go_on)
    assert len(weights) == 6
    expected = 0.9**5 * weights[0] + sum(0.1 * 0.9 ** (5 - k) * weights[k] for k in range(1, 6))
    torch.testing.assert_close(progress.resume["average"]["module.linear.weight"], expected)
    assert not torch.equal(model.linear.weight, expected)


def test_the_average_is_validated_and_kept() -> None:
    seen: list[Tensor] = []

    def validate(model: nn.Module) -> Validation:
        seen.append(next(model.parameters()).detach().clone())
        return validation({"val_auc": float(len(seen)), "val_loss": 0.5, "val_accuracy": 0.5})

    model, progress = Tiny(), Progress()
    fit(model, stage(epochs=3, ema=0.9), setup(validate=validate), progress, go_on)
    assert torch.equal(progress.best_model["linear.weight"], seen[2])
    assert torch.equal(progress.resume["average"]["module.linear.weight"], seen[2])
    assert not torch.equal(model.linear.weight, seen[2])


@pytest.mark.parametrize(
    ("stage_fields", "optimizer"),
    [
        ({"ema": 0.9}, {}),
        ({}, {"name": "schedulefree_adamw"}),
        ({"schedule": "onecycle"}, {"name": "sgd"}),
        ({}, {"sam_rho": 0.1}),
    ],
)
def test_choices_go_on_exactly(stage_fields: dict[str, Any], optimizer: dict[str, Any]) -> None:
    options = {"rows": 12, "batch_size": 4} | optimizer
    whole, progress = Tiny(), Progress()
    fit(whole, stage(epochs=5, **stage_fields), setup(**options), progress, go_on)
    half, second = Progress(), Tiny()
    fit(Tiny(), stage(epochs=5, **stage_fields), setup(**options), half, lambda record: half.epoch == 2)
    nn.init.zeros_(second.linear.weight)
    fit(second, stage(epochs=5, **stage_fields), setup(**options), half, go_on)
    assert [record["train_loss"] for record in half.history] == [record["train_loss"] for record in progress.history]
    for name, value in progress.resume["model"].items():
        assert torch.equal(half.resume["model"][name], value)
    assert torch.equal(second.linear.weight, whole.linear.weight)


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
