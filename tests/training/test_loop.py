"""One stage on a model small enough to follow by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.learners import Tiny, go_on, scripted, setup, stage, validation
from torch import Tensor, nn

from mobilenet_chest.errors import TrainingDiverged
from mobilenet_chest.training.epoch import (
    Record,
    StageSetup,
    Validation,
)
from mobilenet_chest.training.loop import fit
from mobilenet_chest.training.progress import Progress


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
    with pytest.raises(TrainingDiverged, match=r"epoch 1: .*train_loss .*(nan|inf), .*val_auc .*0\.5"):
        fit(Tiny(), stage(), fitted, progress, go_on)
    assert (progress.epoch, progress.history, progress.best_epoch) == (0, [], 0)


def test_a_metric_that_is_no_number() -> None:
    progress = Progress()
    with pytest.raises(TrainingDiverged, match=r"epoch 2: .*val_auc .*nan"):
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
