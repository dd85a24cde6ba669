"""The two stages: the cache changes their cost and nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.errors import ConfigError
from mobilenet_chest.training import stages
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.progress import Progress, StageCost
from mobilenet_chest.training.stages import prepare, train_stage1, train_stage2
from mobilenet_chest.two_stage import RunResult, train

Make = Callable[..., Config]
TWO = {"stage1.epochs": 2, "stage1.lr": 1e-2, "stage2.epochs": 0}
PHASES: dict[str, Any] = {
    "model.name": "mobilenet_v3_large",
    "stage1.epochs": 1,
    "stage2": {"epochs": 4, "lr": 1e-3, "unfreeze_from": [15, 7], "resolutions": [24, 32], "schedule": "cosine"},
}


def go_on(record: Record) -> bool:
    return False


def spent(result: RunResult) -> tuple[float, float]:
    return result.metrics["stage1_epochs_trained"], result.metrics["stage1_epochs_reused"]


@pytest.mark.parametrize(
    "values",
    [
        TWO,
        TWO | {"augment.hflip": 1.0, "optimizer.clip_norm": None},
        TWO | {"model": {"name": "efficientnet_lite0", "weights": "imagenet", "stem": "repeat", "hidden": [16]}},
        # Adam's first steps go by the sign of a gradient, be it rounding: from random weights only small ones compare
        PHASES | {"stage2": PHASES["stage2"] | {"lr": 1e-6}},
    ],
)
def test_training_on_the_cache_is_training_without_it(
    phantom_config: Make, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    config = phantom_config(values)
    cached = train(config)
    with monkeypatch.context() as patch:
        patch.setenv(cache.FOLDER_VARIABLE, cache.OFF)
        plain = train(config)
    assert len(cached.history) == len(plain.history)
    for record, other in zip(cached.history, plain.history, strict=True):
        for name in ("train_loss", "val_loss", "lr"):
            assert record[name] == pytest.approx(other[name], rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(cached.predictions.probability, plain.predictions.probability, atol=1e-4)
    first, second = cached.model.state_dict(), plain.model.state_dict()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-3, atol=2e-5)
    moved = [name for name, value in prepare(config).model.state_dict().items() if not torch.equal(value, first[name])]
    assert moved  # or there would be nothing to compare
    assert [entry.kind for entry in cache.entries()].count("features") == (2 if config.stage2.epochs == 0 else 6)


def test_stage_1_is_shared(phantom_config: Make) -> None:
    first = train(phantom_config(TWO | {"stage2.epochs": 1}))
    assert spent(first) == (2, 0)
    assert first.metrics["saved_seconds"] == 0
    calls: list[int] = []
    # stage 2 and the place where it is tracked have nothing to do with it
    other = phantom_config(TWO | {"name": "other", "stage2.epochs": 1, "stage2.lr": 1e-4, "optimizer.batch_size": 16})
    second = train(other, on_epoch=lambda epoch, record: calls.append(epoch))
    assert spent(second) == (0, 2)
    assert second.history[:2] == first.history[:2]
    assert calls == [3]
    assert second.metrics["saved_seconds"] > 0
    # the cost of the training, had it been done alone
    assert second.metrics["train_seconds"] > second.metrics["saved_seconds"]
    assert second.history[2]["val_loss"] != first.history[2]["val_loss"]


def test_after_a_shared_stage_1_all_is_as_ever(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: random states go with the result."""
    config = phantom_config(TWO | {"stage2.epochs": 2, "evaluation": {"metric": "val_auc"}})
    first, second = train(config), train(config)
    assert (spent(first), spent(second)) == ((2, 0), (0, 2))
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert (first.predictions.probability == second.predictions.probability).all()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"stage1.lr": 2e-2},
        {"stage1.epochs": 1},
        {"model.dropout": 0.4},
        {"loss": {"name": "focal"}},
        {"augment.hflip": 0.4},
        {"optimizer.weight_decay": 0.02},
        {"optimizer.precision": "bf16"},
        {"evaluation": {"metric": "val_loss"}},
        {"data.image_size": 24},
    ],
)
def test_what_makes_another_stage_1(phantom_config: Make, change: dict[str, Any]) -> None:
    train(phantom_config(TWO))
    assert spent(train(phantom_config(TWO | change)))[1] == 0


def test_other_images_make_another_stage_1(phantom_config: Make, chest_file: Any, tmp_path: Any) -> None:
    train(phantom_config(TWO))
    with np.load(chest_file) as file:
        arrays = dict(file)
    np.savez(tmp_path / "same.npz", **arrays)
    assert spent(train(phantom_config(TWO | {"data.path": str(tmp_path / "same.npz")}))) == (0, 2)
    arrays["val_images"][:, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    assert spent(train(phantom_config(TWO | {"data.path": str(tmp_path / "other.npz")}))) == (2, 0)


def test_a_stage_1_that_was_stopped_is_not_shared(phantom_config: Make) -> None:
    config = phantom_config(TWO)
    stopped = train(config, on_epoch=lambda epoch, record: epoch == 1)
    assert (stopped.status, spent(stopped)) == ("stopped", (1, 0))
    assert spent(train(config)) == (2, 0)


def test_one_trains_and_the_other_waits(phantom_config: Make) -> None:
    config = phantom_config(TWO)
    prepared = [prepare(config), prepare(config)]
    begun, results = threading.Event(), {}

    def run(number: int) -> None:
        def after_epoch(record: Record) -> bool:
            begun.set()
            return False

        progress = Progress()
        results[number] = train_stage1(config, prepared[number], progress, after_epoch), progress

    first = threading.Thread(target=run, args=(0,))
    first.start()
    assert begun.wait(60)
    second = threading.Thread(target=run, args=(1,))
    second.start()
    first.join(60)
    second.join(60)
    assert [stopped for stopped, _ in results.values()] == [False, False]
    assert results[0][1].stage1 == StageCost(2)
    assert results[1][1].stage1 == StageCost(0, 2, results[1][1].stage1.saved_seconds)
    assert results[1][1].stage1.saved_seconds > 0
    assert results[0][1].history == results[1][1].history
    logits = [torch.stack(progress.val_logits) for _, progress in results.values()]
    assert logits[0].shape == (2, 34)
    assert torch.equal(*logits)
    best = [progress.best_model for _, progress in results.values()]
    assert set(best[0]) == set(best[1])
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())


# --- phases --------------------------------------------------------------------------------------------------------


def test_phases_train_what_and_how_they_say(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = phantom_config(PHASES | {"stage1.epochs": 0})
    prepared, seen = prepare(config), []
    before = {name: value.clone() for name, value in prepared.model.state_dict().items()}

    def moved() -> set[int]:
        now = prepared.model.state_dict()
        changed = [name for name, value in before.items() if not torch.equal(value, now[name])]
        return {int(name.split(".")[2]) for name in changed if name.startswith("backbone.")}

    def watched(*arguments: Any) -> Any:
        setup = arguments[2]
        seen.append((arguments[5], setup.inputs.block, setup.inputs.train.shape, setup.inputs.val.shape))
        stopped = fit(*arguments)
        seen.append(min(moved()))
        return stopped

    fit = stages.fit
    monkeypatch.setattr(stages, "fit", watched)
    assert train_stage2(config, prepared, Progress(stage=2), go_on) is False
    assert seen == [
        (range(2), 15, (136, 1, 1, 160), (34, 1, 1, 160)),
        15,
        (range(2, 4), 7, (136, 4, 4, 40), (34, 4, 4, 40)),
        7,
    ]


def test_one_schedule_over_all_phases(phantom_config: Make) -> None:
    history = train(phantom_config(PHASES)).history
    assert [record["stage"] for record in history] == [1, 2, 2, 2, 2]
    assert [record["lr"] for record in history[1:]] == pytest.approx(
        [1e-3, 1e-3 * 0.8535534, 1e-3 * 0.5, 1e-3 * 0.1464466], rel=1e-5
    )


def test_patience_ends_nothing_but_the_last_phase(phantom_config: Make) -> None:
    values = PHASES | {"stage2": PHASES["stage2"] | {"epochs": 8, "lr": 1e-9, "patience": 1, "schedule": "constant"}}
    history = train(phantom_config(values)).history
    # four epochs at the small size whatever they bring; then the first that brings nothing new is the last
    assert 1 + 4 + 1 <= len(history) < 1 + 8


@pytest.mark.parametrize(("name", "most"), [("mobilenet_v3_large", 16), ("densenet121", 7), ("timm:resnet10t", 0)])
def test_a_block_that_is_not_there(phantom_config: Make, name: str, most: int) -> None:
    values = {"model": {"name": name, "weights": "none"}}
    prepare(phantom_config(values | {"stage2.unfreeze_from": most}))
    with pytest.raises(ConfigError, match=rf"\b{most + 1}, .*{name} .*\b{most + 1}\b.*0 to {most}$"):
        prepare(phantom_config(values | {"stage2.unfreeze_from": most + 1}))


def test_rotation_takes_the_ordinary_path_and_logs_why_once(
    phantom_config: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stages._log_once.cache_clear()
    for _ in range(2):
        train(phantom_config(TWO | {"augment.rotation": 5}))
    (record,) = [record for record in caplog.records if record.name == stages.__name__]
    assert record.levelname == "INFO"
    assert "augment.rotation" in record.getMessage()


def test_batches_of_one_image(phantom_config: Make) -> None:
    single = {"optimizer.batch_size": 1, "optimizer.accumulation": 4}
    with pytest.raises(ConfigError, match=r"optimizer\.batch_size: 1, .* 32 pixels"):
        prepare(phantom_config(single))
    for more in ({"stage2.batchnorm": "frozen"}, {"stage2.epochs": 0}):
        prepare(phantom_config(single | more))
    config = phantom_config(single | {"stage2.batchnorm": "frozen", "stage1.epochs": 0})
    assert train(config).metrics["val_auc"] >= 0
