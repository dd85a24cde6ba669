"""The whole training on a few small images: repeatable, resumable, and blind to the test split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.experiments import LARGE_MODEL
from helpers.trackers import FolderTracker, assert_same, numbers

from mobilenet_chest import cache
from mobilenet_chest.config import Config
from mobilenet_chest.data.data_file import has_test_split
from mobilenet_chest.data.dataset import TrainVal, load_test
from mobilenet_chest.errors import DataError, TrainingDiverged
from mobilenet_chest.evaluation.metrics import epoch_metrics
from mobilenet_chest.tracking.artifacts import ResumePoint
from mobilenet_chest.training import checkpoint, loop, stages
from mobilenet_chest.training.epoch import Record
from mobilenet_chest.training.progress import Progress
from mobilenet_chest.two_stage import RunResult, train

EPOCH = {
    "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_auc", "lr", "epoch_seconds", "images_per_second",
    "stage",
}  # fmt: skip
END = {
    "best_epoch", "stage1_best_val_accuracy", "stage2_best_val_accuracy", "threshold", "val_accuracy",
    "val_accuracy_threshold", "val_accuracy_tta", "val_accuracy_tta_threshold", "val_accuracy_crossfit", "val_auc",
    "val_auc_tta", "val_sensitivity", "val_specificity", "train_seconds", "parameters", "parameters_stage1",
    "temperature", "val_ece", "val_ece_bias", "val_brier", "val_log_loss", "val_ece_calibrated",
    "val_ece_bias_calibrated", "val_brier_calibrated", "val_log_loss_calibrated", "val_accuracy_crossfit_all",
    "val_sensitivity_at_specificity_90", "val_specificity_at_sensitivity_90", "val_sensitivity_at_specificity_95",
    "val_specificity_at_sensitivity_95",
}  # fmt: skip

Make = Callable[..., Config]
FOUR = {"stage1.epochs": 2, "stage2.epochs": 2, "stage2.schedule": "cosine", "evaluation": {"metric": "val_auc"}}


# --- what comes out ------------------------------------------------------------------------------------------------


def test_a_training_gives_everything_the_contract_names(phantom_config: Make, tmp_path: Path) -> None:
    tracker = FolderTracker(tmp_path)
    config = phantom_config(LARGE_MODEL | {"stage1.epochs": 2, "tracking.plots": True})
    result = train(config, tracker)
    assert (result.run_id, result.status) == ("run", "finished")
    assert set(result.metrics) >= END
    assert [set(record) for record in result.history] == [EPOCH] * 3
    assert [record["stage"] for record in result.history] == [1, 1, 2]
    assert tracker.metrics == [*enumerate(result.history, 1), (0, result.metrics)]

    metrics, best = result.metrics, result.history[int(result.metrics["best_epoch"]) - 1]
    assert (metrics["parameters"], metrics["parameters_stage1"]) == (5_022_225, 2_050_561)
    assert {name: metrics[name] for name in ("val_accuracy", "val_loss", "val_auc")} == {
        name: best[name] for name in ("val_accuracy", "val_loss", "val_auc")
    }
    assert metrics["stage1_best_val_accuracy"] == max(r["val_accuracy"] for r in result.history[:2])
    assert metrics["stage2_best_val_accuracy"] == result.history[2]["val_accuracy"]
    assert metrics["train_seconds"] >= sum(record["epoch_seconds"] for record in result.history)
    assert len(result.predictions.row) == 34  # of 40 rows, six carry other findings as well, or none
    assert not result.model.training

    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.p*"))
    assert files == [
        "checkpoints/best.pt", "checkpoints/stage1_best.pt", "plots/reliability.png", "plots/threshold_curve.png",
        "plots/training_curves.png", "plots/val_predictions.png", "predictions/val.parquet",
    ]  # fmt: skip
    kept = checkpoint.load(tmp_path / "checkpoints" / "best.pt")
    assert all(torch.equal(value, kept["model"][name]) for name, value in result.model.state_dict().items())
    assert kept["history"] == result.history
    assert kept["best_val_accuracy"] == max(record["val_accuracy"] for record in result.history)
    assert (kept["threshold"], kept["val_accuracy_tta"]) == (metrics["threshold"], metrics["val_accuracy_tta"])
    assert kept["config"] == config.resolved()
    assert kept["optimizer"]["state"]


def test_twice_the_same_is_the_same_and_another_seed_is_not(phantom_config: Make) -> None:
    first = train(phantom_config())
    torch.manual_seed(99)
    torch.rand(7)
    assert_same(first, train(phantom_config()))
    other = train(phantom_config({"seed": 8}))
    assert other.history[0]["train_loss"] != first.history[0]["train_loss"]


def test_stage_2_starts_from_the_best_state_of_stage_1(phantom_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    after_epoch: list[dict[str, torch.Tensor]] = []
    at_start: list[dict[str, torch.Tensor]] = []

    def copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in model.state_dict().items()}

    def watched(model: Any, stage: Any, setup: Any, progress: Any, on_epoch: Any, epochs: Any = None) -> bool:
        at_start.append(copied(model))

        def remember(record: Record) -> bool:
            after_epoch.append(copied(model))
            return on_epoch(record)

        return loop.fit(model, stage, setup, progress, remember, epochs)

    monkeypatch.setattr(stages, "fit", watched)
    # a step so large that it never helps: the first of three epochs is the best
    result = train(phantom_config({"stage1.epochs": 3, "stage1.lr": 3.0, "evaluation": {"metric": "val_loss"}}))
    losses = [record["val_loss"] for record in result.history[:3]]
    best = losses.index(min(losses))
    assert best < 2
    assert all(torch.equal(value, after_epoch[best][name]) for name, value in at_start[1].items())
    assert not torch.equal(after_epoch[best]["head.0.weight"], after_epoch[2]["head.0.weight"])


@pytest.mark.parametrize(("left_out", "stages"), [("stage1", [2]), ("stage2", [1])])
def test_a_stage_may_be_left_out(phantom_config: Make, left_out: str, stages: list[int]) -> None:
    result = train(phantom_config({f"{left_out}.epochs": 0}))
    assert [record["stage"] for record in result.history] == stages
    assert f"{left_out}_best_val_accuracy" not in result.metrics
    assert result.metrics["best_epoch"] == 1


def test_the_better_stage_wins(phantom_config: Make) -> None:
    result = train(phantom_config({"stage1.epochs": 2, "stage2.lr": 1.0, "evaluation": {"metric": "val_loss"}}))
    losses = [record["val_loss"] for record in result.history]
    assert losses[2] > min(losses[:2])
    assert result.metrics["best_epoch"] == losses.index(min(losses)) + 1
    assert result.metrics["val_loss"] == min(losses)


def test_a_training_that_diverges(phantom_config: Make) -> None:
    with pytest.raises(TrainingDiverged, match="epoch"):
        train(phantom_config({"stage1.lr": 1e38, "optimizer.clip_norm": None, "stage1.epochs": 3}))


# --- stopping and going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "epoch", "status"),
    # after the last epoch nothing is left to stop
    [({}, 1, "stopped"), ({}, 3, "stopped"), ({}, 4, "finished"), ({"stage1.epochs": 0}, 2, "finished"),
     ({"stage2.epochs": 0}, 1, "stopped"), ({"stage2.epochs": 0}, 2, "finished")],
)  # fmt: skip
def test_the_caller_may_stop(phantom_config: Make, values: dict[str, Any], epoch: int, status: str) -> None:
    seen: list[int] = []

    def stop(number: int, record: Record) -> bool:
        seen.append(number)
        return number == epoch

    result = train(phantom_config(FOUR | values), on_epoch=stop)
    assert result.status == status
    assert seen == list(range(1, epoch + 1))
    assert len(result.history) == epoch
    assert 1 <= result.metrics["best_epoch"] <= epoch


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, RunResult]:
    """The result to compare with, made once."""
    return {}


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_resumed_after_an_epoch_is_as_never_interrupted(
    phantom_config: Make, uninterrupted: dict[str, RunResult], tmp_path: Path, epoch: int
) -> None:
    config = phantom_config(FOUR)

    def interrupt(number: int, record: Record) -> None:
        if number == epoch:
            raise KeyboardInterrupt

    if not uninterrupted:
        uninterrupted["whole"] = train(config)
        cache.clear()  # or the next would have nothing to train in stage 1
    with pytest.raises(KeyboardInterrupt):
        train(config, FolderTracker(tmp_path), on_epoch=interrupt)
    assert (tmp_path / "checkpoints" / "best.pt").is_file()
    seen: list[int] = []
    resumed = train(
        config, on_epoch=lambda number, record: seen.append(number), resume=FolderTracker(tmp_path).resume_point()
    )
    assert seen == list(range(epoch + 1, 5))
    assert_same(resumed, uninterrupted["whole"])
    assert resumed.metrics["train_seconds"] > sum(record["epoch_seconds"] for record in resumed.history)


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_resumed_in_mid_epoch_is_as_never_interrupted(
    phantom_config: Make,
    uninterrupted: dict[str, RunResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    """Epoch 3 is the first of stage 2: nothing of that stage is known yet, but all of stage 1."""
    config = phantom_config(FOUR)
    if not uninterrupted:
        uninterrupted["whole"] = train(config)
        cache.clear()  # or the next would have nothing to train in stage 1
    started: list[int] = []

    def interrupted(*arguments: Any) -> Record:
        started.append(1)
        if len(started) == epoch:
            torch.rand(100)
            raise KeyboardInterrupt
        return loop_train_epoch(*arguments)

    loop_train_epoch = loop.train_epoch
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, FolderTracker(tmp_path))
    assert_same(train(config, resume=FolderTracker(tmp_path).resume_point()), uninterrupted["whole"])


@pytest.mark.parametrize("epoch", [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_resumed_at_and_within_a_phase(phantom_config: Make, tmp_path: Path, epoch: int) -> None:
    """Epochs 2 and 3 are the first phase of stage 2, 4 and 5 the second."""
    phases = {"epochs": 4, "unfreeze_from": [15, 7], "resolutions": [24, 32], "schedule": "cosine"}
    config = phantom_config({"model.name": "mobilenet_v3_large", "stage2": phases})
    whole = train(config)

    def interrupt(number: int, record: Record) -> None:
        if number == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, FolderTracker(tmp_path), on_epoch=interrupt)
    assert_same(train(config, resume=FolderTracker(tmp_path).resume_point()), whole)


def test_a_checkpoint_without_the_logits_of_its_epochs_goes_on_without_the_figure_that_needs_them(
    phantom_config: Make, tmp_path: Path
) -> None:
    def interrupt(number: int, record: Record) -> None:
        raise KeyboardInterrupt

    config = phantom_config()
    with pytest.raises(KeyboardInterrupt):
        train(config, FolderTracker(tmp_path), on_epoch=interrupt)
    progress, file = FolderTracker(tmp_path).resume_point()
    (logits,) = progress.val_logits
    assert (logits.shape, logits.dtype) == ((34,), torch.float32)
    labels = stages.prepare(config).data.val.labels.numpy()
    of_epoch = epoch_metrics(labels, logits.double().numpy())
    assert of_epoch == {name: progress.history[0][name] for name in of_epoch}
    older = {name: value for name, value in vars(progress).items() if name != "val_logits"}
    resumed = train(config, resume=ResumePoint(Progress(**older), file))
    assert "val_accuracy_crossfit_all" not in resumed.metrics
    cache.clear()
    whole = numbers(train(config).metrics)
    assert whole.pop("val_accuracy_crossfit_all") <= 1
    assert numbers(resumed.metrics) == whole


# --- data ----------------------------------------------------------------------------------------------------------


def test_the_test_split_is_sealed(phantom_config: Make, chest_file: Path, tmp_path: Path) -> None:
    with np.load(chest_file) as file:
        arrays = dict(file)
    changed, without, empty = (tmp_path / f"{name}.npz" for name in ("changed", "without", "empty"))
    np.savez(changed, **arrays | {"test_images": 255 - arrays["test_images"], "test_labels": arrays["test_labels"] * 0})
    np.savez(without, **{key: value for key, value in arrays.items() if not key.startswith("test")})
    np.savez(empty, **arrays | {key: values[:0] for key, values in arrays.items() if key.startswith("test")})
    first = train(phantom_config())
    for path in (changed, without, empty):
        config = phantom_config({"data.path": str(path)})
        assert has_test_split(config.data) is (path == changed)
        assert_same(first, train(config))
    with pytest.raises(DataError, match="'test' .*'cardiomegaly'"):
        load_test(phantom_config({"data.path": str(changed)}).data)
    with pytest.raises(DataError, match="has no 'test_images'"):
        load_test(phantom_config({"data.path": str(without)}).data)


def test_validation_rows_do_count(phantom_config: Make, chest_file: Path, tmp_path: Path) -> None:
    with np.load(chest_file) as file:
        arrays = dict(file)
    # the two classes change places: an untrained network sees no difference in the images
    labels = arrays["val_labels"].copy()
    labels[:, [1, 7]] = labels[:, [7, 1]]
    np.savez(tmp_path / "val.npz", **arrays | {"val_labels": labels})
    first, second = train(phantom_config()), train(phantom_config({"data.path": str(tmp_path / "val.npz")}))
    assert first.history[0]["train_loss"] == second.history[0]["train_loss"]
    assert first.history[1]["val_loss"] != second.history[1]["val_loss"]


def test_input_that_is_wrong_makes_no_run(phantom_config: Make, tmp_path: Path) -> None:
    class NoRun(FolderTracker):
        def run(self, config: Config, data: TrainVal) -> Any:
            raise AssertionError("a run was made")

    with pytest.raises(DataError, match="does not exist"):
        train(phantom_config({"data.path": str(tmp_path / "none.npz")}), NoRun(tmp_path))


def test_real_radiographs(phantom_config: Make, real_data: Path) -> None:
    values = {"data.path": str(real_data / "chestmnist_real_small_64.npz"), "data.image_size": 64}
    config = phantom_config(values | {"data.source_size": 64, "optimizer.batch_size": 5})
    prepared = stages.prepare(config)
    assert prepared.data.counts() == {
        "train": {"cardiomegaly": 8, "pneumothorax": 4}, "val": {"cardiomegaly": 8, "pneumothorax": 6}
    }  # fmt: skip
    assert prepared.data.train.images.shape == (12, 1, 64, 64)
    test = load_test(config.data)
    assert (len(test), int(test.labels.sum())) == (17, 7)
    result = train(config)
    assert len(result.history) == 2
    assert len(result.predictions.row) == 14
    assert 0 < result.predictions.probability.min() <= result.predictions.probability.max() < 1
