"""Compression by training: the experiment made of the original's, and the run that comes of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.killed import compress_killed_in_epoch, killed_in
from helpers.stores import Store, copied, working_in

from mobilenet_chest.config import Config
from mobilenet_chest.deploy.compress.compress import compress
from mobilenet_chest.deploy.compress.trained import compress_by_training, compressed_config
from mobilenet_chest.deploy.export import export
from mobilenet_chest.errors import CompressionRefused, ConfigError, TrackingError, UserError
from mobilenet_chest.tracking.artifacts import quantized_classifier, run_config
from mobilenet_chest.tracking.run_metrics import metric_history, metrics_of
from mobilenet_chest.tracking.runs import short_id
from mobilenet_chest.tracking.tracker import MlflowTracker, Status


def original(store: Store) -> Config:
    """Return an experiment with all that its compressed form does not inherit."""
    stage2 = {"epochs": 6, "lr": 1e-3, "unfreeze_from": [9, 0], "resolutions": [16, 32]}
    study = {"name": "s", "budget": "phase", "metric": "val_auc"}
    return store.config({"stage1": {"epochs": 3}, "stage2": stage2, "study": study})


def test_the_experiment_is_the_originals_with_all_layers_at_full_size(store: Store) -> None:
    config = compressed_config(original(store), "ab" * 16, "prune", ["compress.ratio=0.6", "stage2.epochs=2"])
    assert (config.stage1.epochs, config.stage2.epochs, config.stage2.lr) == (0, 2, 1e-3)
    assert (config.stage2.unfreeze_from, config.stage2.resolutions) == ((0,), None)
    assert (config.compress.method, config.compress.parent, config.compress.ratio) == ("prune", "ab" * 16, 0.6)
    assert (config.experiment, config.study.metric, config.study.name) == ("tiny-runs", "val_auc", None)
    assert (config.data, config.model) == (original(store).data, original(store).model)


def test_integers_learn_for_a_short_time_at_a_small_rate(store: Store) -> None:
    config = compressed_config(original(store), "ab" * 16, "int8-qat")
    assert (config.stage1.epochs, config.stage2.epochs, config.stage2.lr) == (0, 5, 1e-4)
    assert compressed_config(original(store), "ab" * 16, "int8-qat", ["stage2.lr=0.01"]).stage2.lr == 0.01
    with pytest.raises(ConfigError, match=r"ratio 0\.5: method int8-qat removes nothing"):
        compressed_config(original(store), "ab" * 16, "int8-qat", ["compress.ratio=0.5"])


@pytest.mark.parametrize("override", ["compress.ratio=2", "stage9.lr=1", "stage1.epochs=1", "nonsense"])
def test_overrides_are_checked(store: Store, override: str) -> None:
    with pytest.raises(ConfigError):
        compressed_config(original(store), "ab" * 16, "prune", [override])


def test_methods_that_train_nothing_take_no_overrides(store: Store) -> None:
    with pytest.raises(UserError, match="compress.ratio=0.5: --method fp16 trains nothing"):
        compress(store.single, "fp16", ["compress.ratio=0.5"])


@pytest.mark.slow
def test_pruned_and_compared_with_its_original(store: Store) -> None:
    result = compress(store.single, "prune", ["compress.ratio=0.5", "stage2.epochs=2"])
    run = store.run(result.run_id)
    labels = {name: run.data.tags[name] for name in ("kind", "compression", "mlflow.parentRunId")}
    assert labels == {"kind": "compressed", "compression": "prune", "mlflow.parentRunId": store.single}
    assert result.choices == {"ratio": "0.5"}
    assert result.metrics["size_ratio"] < 0.5
    assert set(result.differences) == {"val_auc", "val_accuracy_crossfit"}
    # the same command again finds the run
    assert compress(store.single, "prune", ["compress.ratio=0.5", "stage2.epochs=2"]) == result


@pytest.mark.slow
def test_zeros_take_no_room_where_they_are_zipped(store: Store) -> None:
    result = compress(store.single, "unstructured", ["compress.ratio=0.8", "stage2.epochs=1"])
    assert result.metrics["size_ratio"] == pytest.approx(1, abs=0.02)
    assert result.metrics["zipped_ratio"] < 0.5


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_killed_training_of_integers_ends_in_the_same_file(
    finished: Store, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = ["stage2.epochs=3", "stage2.lr=1e-4", "stage2.patience=null"]
    killed_in(compress_killed_in_epoch, store.single, "int8-qat", overrides, 3)
    result = compress(store.single, "int8-qat", overrides)
    run = store.run(result.run_id)
    assert len(store.client.search_runs([run.info.experiment_id], "tags.compression = 'int8-qat'")) == 1
    assert [point.step for point in metric_history(store.client, result.run_id, "train_loss")] == [1, 2, 3]
    labels = {name: run.data.tags[name] for name in ("kind", "compression", "mlflow.parentRunId")}
    assert labels == {"kind": "compressed", "compression": "int8-qat", "mlflow.parentRunId": store.single}
    assert result.choices.keys() == {"calibration", "weights", "float32_layers"}
    assert result.metrics["size_ratio"] < 0.5
    assert 0 < result.metrics["mean_change"] <= 0.06
    # what was stored at the end of the training is what the exported file answers
    assert export(result.run_id, "onnx", tmp_path / "out").proof.largest <= 1e-6
    with pytest.raises(UserError, match=f"--format onnx.*{short_id(store.single)}"):
        export(result.run_id, "torch", tmp_path / "out")
    with pytest.raises(TrackingError, match=f"int8-qat.*{short_id(store.single)}"):
        compress(result.run_id, "fp16")
    network = quantized_classifier(store.client, run, run_config(store.client, run)).network.file()
    other = copied(finished, tmp_path / "other")
    with working_in(other.folder):
        whole = compress(other.single, "int8-qat", overrides)
        of_whole = other.run(whole.run_id)
        assert (
            network == quantized_classifier(other.client, of_whole, run_config(other.client, of_whole)).network.file()
        )
        assert whole.differences == result.differences
        # what its check has passed is not checked again
        monkeypatch.setattr("mobilenet_chest.deploy.compress.file_run.MEAN_CHANGE", 1e-9)
        assert compress(other.single, "int8-qat", overrides) == whole


@pytest.mark.slow
def test_a_run_is_refused_before_it_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ["stage2.epochs=1"]
    with monkeypatch.context() as patch:
        patch.setattr("mobilenet_chest.deploy.compress.file_run.MEAN_CHANGE", 1e-9)
        ends: list[tuple[str | None, int]] = []
        end = MlflowTracker.end

        def recorded(tracker: MlflowTracker, status: Status) -> None:
            ends.append((tracker.run_id, status))
            end(tracker, status)

        patch.setattr(MlflowTracker, "end", recorded)
        with pytest.raises(CompressionRefused, match="its run [0-9a-f]{8} is marked as failed") as refused:
            compress(store.single, "int8-qat", overrides)
        # it never was FINISHED, so nothing could promote it
        ((refused_id, status),) = ends
        assert (status, short_id(refused_id) in str(refused.value)) == (Status.FAILED, True)
        assert "mean_change" not in metrics_of(store.run(str(refused_id)))
        # the same command says so again, without training again
        patch.setattr("mobilenet_chest.combine.members.train", None)
        with pytest.raises(CompressionRefused) as again:
            compress(store.single, "int8-qat", overrides)
        assert (str(again.value), len(ends)) == (str(refused.value), 1)
    # one that the command train has made is not checked: it is refused here, and stays as it is
    run_id = compress_by_training(compressed_config(store.single_config, store.single, "int8-qat", overrides))
    assert run_id != refused_id
    assert "mean_change" not in metrics_of(store.run(run_id))
    with monkeypatch.context() as patch:
        patch.setattr("mobilenet_chest.deploy.compress.file_run.MEAN_CHANGE", 1e-9)
        with pytest.raises(CompressionRefused, match=f"its run {short_id(run_id)} was trained before .* stays as it"):
            compress(store.single, "int8-qat", overrides)
    assert store.run(run_id).info.status == "FINISHED"
    result = compress(store.single, "int8-qat", overrides)
    assert (result.run_id, 0 < result.metrics["mean_change"] <= 0.06) == (run_id, True)
    assert result.choices.keys() == {"calibration", "weights", "float32_layers"}
