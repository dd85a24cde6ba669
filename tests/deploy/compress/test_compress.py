"""Compression: the result is a run like any other, whose checkpoint is a whole ONNX file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.registry import artifact, set_gates
from helpers.stores import Store, copied, made_once, working_in

from mobilenet_chest.combine.ensemble import run_ensemble
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.deploy.compress import compress as module
from mobilenet_chest.deploy.compress.compress import METHODS, Compressed, compress
from mobilenet_chest.deploy.export import export
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import CompressionRefused, PromotionRefused, TrackingError, UserError
from mobilenet_chest.evaluation.calibration import apply_temperature, fit_temperature
from mobilenet_chest.models.onnx_file import OnnxClassifier
from mobilenet_chest.registry.promote import promote
from mobilenet_chest.selection.compare import compare
from mobilenet_chest.selection.evaluate import evaluate
from mobilenet_chest.selection.resume import find_resume_point
from mobilenet_chest.tracking.artifacts import ONNX_CHECKPOINT, stored_predictions, trained_model
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import find_runs, short_id

Pair = tuple[Store, Compressed]


@pytest.fixture(scope="session")
def _compressed(finished: Store, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    def make(folder) -> Pair:  # type: ignore[no-untyped-def]
        copy = copied(finished, folder)
        with working_in(copy.folder):
            return copy, compress(copy.single, "fp16")

    return made_once(tmp_path_factory, "compressed", make)


@pytest.fixture
def compressed(_compressed: Pair, tmp_path):  # type: ignore[no-untyped-def]
    """A store in which the single training was compressed to float16."""
    original, result = _compressed
    copy = copied(original, tmp_path / "compressed")
    with working_in(copy.folder):
        yield copy, result


def test_it_is_a_finished_run_below_its_original(compressed: Pair) -> None:
    store, result = compressed
    run, original = store.run(result.run_id), store.run(store.single)
    labels = run.data.tags
    assert run.info.status == "FINISHED"
    assert (labels["kind"], labels["compression"], labels["mlflow.parentRunId"]) == ("compressed", "fp16", store.single)
    assert labels["data_digest"] == original.data.tags["data_digest"]
    assert result.metrics == metrics_of(run)
    assert result.metrics["parameters"] == metrics_of(original)["parameters"]
    assert 0.4 < result.metrics["size_ratio"] < 0.9
    assert result.metrics["file_bytes"] == artifact(store, result.run_id, ONNX_CHECKPOINT).stat().st_size
    assert {"answer_1_ms", "answer_32_ms", "speed_ratio_1", "speed_ratio_32"} <= result.metrics.keys()
    assert 0 < result.metrics["mean_change"] < 0.01
    assert {"cost/file_bytes", "cost/answer_1_ms", "final/mean_change"} <= run.data.metrics.keys()
    assert set(result.differences) == {"val_auc", "val_accuracy_crossfit"}


def test_temperature_and_threshold_are_fitted_again(compressed: Pair) -> None:
    store, result = compressed
    table = stored_predictions(store.client, store.run(result.run_id), "val")
    labels, probabilities = table["label"].to_numpy(), table["probability_tta"].to_numpy()
    assert result.metrics["temperature"] == pytest.approx(fit_temperature(labels, probabilities), abs=1e-9)
    path = artifact(store, result.run_id, ONNX_CHECKPOINT)
    file = OnnxClassifier(path)
    assert (file.temperature, file.threshold) == (result.metrics["temperature"], result.metrics["threshold"])
    assert file.metadata["run_id"] == result.run_id
    assert store.run(result.run_id).data.tags["onnx_sha256"] == file_digest(path, "sha256")
    answers = file.predict(load_train_val(store.config().data).val.images[:, 0].numpy())
    np.testing.assert_array_equal(answers.probability, probabilities)
    np.testing.assert_allclose(answers.calibrated, apply_temperature(probabilities, file.temperature), atol=1e-6)
    np.testing.assert_array_equal(answers.label, probabilities >= file.threshold)


def test_it_predicts_as_a_network_does(compressed: Pair) -> None:
    store, result = compressed
    run, val = store.run(result.run_id), load_train_val(store.config().data).val
    logits = trained_model(store.client, run, store.config())(val.images)
    assert (logits.dtype, tuple(logits.shape)) == (torch.float32, (len(val),))
    stored = stored_predictions(store.client, run, "val")["probability"].to_numpy()
    np.testing.assert_allclose(logits.double().sigmoid(), stored, atol=1e-6)
    assert evaluate(result.run_id, "val").metrics["val_auc"] == pytest.approx(result.metrics["val_auc"], abs=1e-3)
    tested = evaluate(result.run_id, "test")
    assert [access.run_id for access in tested.openings] == [result.run_id]


def test_it_is_compared_and_exported(compressed: Pair, tmp_path) -> None:  # type: ignore[no-untyped-def]
    store, result = compressed
    rows = compare([result.run_id], baseline=store.single, margin=0.01)
    assert [row.run_id for row in rows] == [store.single, result.run_id]
    assert rows[1].differences["val_auc"] == result.differences["val_auc"]
    assert result.run_id in {candidate.run_id for candidate in find_runs(store.client, "tiny-runs")}
    exported = export(result.run_id, "onnx", tmp_path)
    assert exported.proof.largest == 0
    assert exported.sha256 == store.run(result.run_id).data.tags["onnx_sha256"]


def test_what_needs_weights_names_the_original(compressed: Pair, tmp_path) -> None:  # type: ignore[no-untyped-def]
    store, result = compressed
    original = short_id(store.single)
    with pytest.raises(UserError, match=rf"--format onnx.*{original}"):
        export(result.run_id, "torch", tmp_path)
    both = [find_runs(store.client, run_id)[0] for run_id in (store.single, result.run_id)]
    with pytest.raises(TrackingError, match=rf"fp16.*{original}"):
        run_ensemble(both)
    with pytest.raises(TrackingError, match=rf"fp16.*{original}"):
        compress(result.run_id, "fp16")
    store.client.update_run(result.run_id, status="FAILED")
    with pytest.raises(TrackingError, match=rf"mobilenet-chest compress {original} --method fp16"):
        find_resume_point(result.run_id, store.single_config)


def test_a_changed_file_is_refused(compressed: Pair) -> None:
    store, result = compressed
    with artifact(store, result.run_id, ONNX_CHECKPOINT).open("ab") as file:
        file.write(b" ")
    with pytest.raises(TrackingError, match="was changed"):
        evaluate(result.run_id, "val")


def test_what_cannot_be_compressed(store: Store) -> None:
    with pytest.raises(UserError, match=r"--method fp61: .*did you mean 'fp16'"):
        compress(store.single, "fp61")
    with pytest.raises(TrackingError, match="has not finished"):
        compress(store.interrupted, "fp16")


def test_a_file_that_predicts_otherwise_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilenet_chest.deploy.compress.file_run.MEAN_CHANGE", 1e-9)
    with pytest.raises(CompressionRefused, match="change by .* on average") as refused:
        compress(store.single, "fp16")
    assert refused.value.exit_code == 3
    assert store.client.search_runs([store.run(store.single).info.experiment_id], "tags.kind = 'compressed'") == []


def test_every_method_has_a_line_in_the_help() -> None:
    assert set(METHODS) >= {"fp16", "bf16"}
    assert module.MARGIN == 0.01


def test_a_gate_holds_it_against_its_original(store: Store) -> None:
    result = compress(store.single, "bf16")  # so coarse that it ranks images otherwise
    images = [stored_predictions(store.client, store.run(run_id), "val") for run_id in (store.single, result.run_id)]
    assert not np.array_equal(*(np.argsort(each.probability_tta) for each in images))
    set_gates(store, result.run_id, {"baseline": {"reference": store.single, "margin": 0.9}})
    assert promote(result.run_id, dry_run=True).run_id == result.run_id
    set_gates(store, result.run_id, {"baseline": {"reference": store.single, "margin": 1e-4}})
    with pytest.raises(PromotionRefused) as refused:
        promote(result.run_id, dry_run=True)
    assert refused.value.exit_code == 3
    (gate,) = refused.value.gates
    assert (gate.gate, gate.passed) == ("baseline", False)


@pytest.mark.slow
def test_a_compressed_trial_is_ranked_with_its_study(store: Store) -> None:
    trial = store.trials[store.best]
    result = compress(trial, "fp16")
    rows = compare(["dropout-study"])
    assert {row.run_id for row in rows} == {trial, result.run_id}
    aucs = [row.metrics["val_auc"] for row in rows]
    assert aucs == sorted(aucs, reverse=True)
    rows = compare(["dropout-study"], baseline=trial)
    assert [row.run_id for row in rows] == [trial, result.run_id]
    assert rows[1].differences["val_auc"].value == pytest.approx(result.differences["val_auc"].value)


@pytest.mark.slow
def test_it_is_promoted(compressed: Pair) -> None:
    store, result = compressed
    promotion = promote(result.run_id)
    assert promotion.promoted
    version = store.client.get_model_version("tiny", promotion.version)
    assert store.run(result.run_id).data.tags["onnx_sha256"] in version.tags["sha256"]
    assert "compressed (fp16)" in version.description
