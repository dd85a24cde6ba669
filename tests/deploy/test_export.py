"""Export: the file predicts as the run did, is logged with its figures, and is refused where it does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.registry import Promoted, artifact, change_probability
from helpers.stores import Store

from mobilenet_chest.combine.members import train_members
from mobilenet_chest.combine.soup import soup
from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.deploy.export import export, files_in
from mobilenet_chest.deploy.formats import FORMATS
from mobilenet_chest.deploy.formats.format import Format
from mobilenet_chest.download import file_digest
from mobilenet_chest.errors import DataError, ExportRefused, TrackingError, UserError
from mobilenet_chest.evaluation.calibration import apply_temperature
from mobilenet_chest.models.classifier import Classifier
from mobilenet_chest.models.onnx_file import OnnxClassifier
from mobilenet_chest.tracking import artifacts
from mobilenet_chest.tracking.run_metrics import metrics_of
from mobilenet_chest.tracking.runs import Candidate


def test_a_registered_version(promoted: Promoted, tmp_path: Path) -> None:
    store, promotion = promoted
    exported = export("models:/tiny@champion", "onnx", tmp_path / "new" / "out")
    assert (exported.run_id, exported.model) == (promotion.run_id, "models:/tiny/1")
    assert exported.proof.largest <= 1e-6
    assert (exported.proof.images, exported.proof.changed_labels) == (len(load_train_val(store.config().data).val), 0)
    digest = file_digest(Path(exported.file), "sha256")
    assert exported.sha256 == digest
    assert file_digest(artifact(store, promotion.run_id, "export/model.onnx"), "sha256") == digest
    version = store.client.get_model_version("tiny", "1").tags
    assert version["export_onnx_sha256"] == digest
    assert version["export_onnx_changed_labels"] == "0"
    assert float(version["export_onnx_largest_difference"]) <= 1e-6
    assert store.run(promotion.run_id).data.tags["export_onnx_bytes"] == str(Path(exported.file).stat().st_size)


def test_the_file_says_what_it_is(store: Store, tmp_path: Path) -> None:
    export(store.single, "onnx", tmp_path)
    file, run = OnnxClassifier(tmp_path / "model.onnx"), store.run(store.single)
    assert file.classes == ("cardiomegaly", "pneumothorax")
    assert file.threshold == metrics_of(run)["threshold"]
    assert file.temperature == metrics_of(run)["temperature"]
    assert (file.channels, file.image_size, file.metadata["run_id"]) == (1, 32, store.single)
    for tag in ("config_digest", "data_digest", "git_commit"):
        assert file.metadata[tag] == run.data.tags[tag]
    assert "pneumothorax" in file.metadata["card"]
    assert file.metadata["license"] == "Apache-2.0"
    for name in ("preprocessing.py", "preprocessing.js"):
        assert file.metadata[f"{name}_sha256"] == file_digest(tmp_path / name, "sha256")
    val = load_train_val(store.config().data).val
    answers = file.predict(val.images[:, 0].numpy())
    stored = artifacts.stored_predictions(store.client, run, "val")["probability_tta"].to_numpy()
    assert abs(answers.probability - stored).max() < 1e-6
    assert abs(answers.calibrated - apply_temperature(stored, file.temperature)).max() < 1e-6
    assert (answers.label == (stored >= file.threshold)).all()
    assert answers.features is None
    features = file.predict(val.images[:, 0].numpy(), features=True).features
    network = artifacts.trained_model(store.client, run, store.config())
    assert isinstance(network, Classifier)
    assert isinstance(features, np.ndarray)
    with torch.inference_mode():
        expected = (network.features(val.images) + network.features(val.images.flip(-1))) / 2
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_program_of_torch(store: Store, tmp_path: Path) -> None:
    exported = export(store.single, "torch", tmp_path)
    assert exported.proof.largest <= 1e-6
    extra = {"metadata.json": ""}
    program = torch.export.load(exported.file, extra_files=extra).module()
    assert json.loads(extra["metadata.json"])["run_id"] == store.single
    assert [len(part) for part in program(torch.zeros(3, 1, 32, 32, dtype=torch.uint8))] == [3] * 6


def test_a_file_that_predicts_otherwise_is_not_kept(store: Store, tmp_path: Path) -> None:
    change_probability(store, store.single)
    with pytest.raises(ExportRefused, match=r"largest difference 1\.0e-02"):
        export(store.single, "onnx", tmp_path)
    assert list(tmp_path.glob("*.onnx")) == []
    assert not any(name.startswith("export_") for name in store.run(store.single).data.tags)


def test_what_cannot_be_exported(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--format onx: .*did you mean 'onnx'.* Allowed: onnx, torch"):
        export(store.single, "onx", tmp_path)
    with pytest.raises(UserError, match="--tolerance 0"):
        export(store.single, "onnx", tmp_path, tolerance=0)
    with pytest.raises(TrackingError, match="has not finished"):
        export(store.interrupted, "onnx", tmp_path)
    with pytest.raises(TrackingError, match="models:/none@champion"):
        export("models:/none@champion", "onnx", tmp_path)
    (file := tmp_path / "file").touch()
    for out in (file, file / "below"):
        with pytest.raises(DataError, match=r"--out .*cannot be written"):
            export(store.single, "onnx", out)
    other = next(trial for trial in store.trials if trial != store.trials[store.best])
    with pytest.raises(TrackingError, match=r"best\.pt.*keep_checkpoints"):
        export(other, "onnx", tmp_path)
    artifact(store, store.single, "predictions/val.parquet").unlink()
    with pytest.raises(TrackingError, match=r"predictions/val\.parquet"):
        export(store.single, "onnx", tmp_path)


def _in_a_folder(classifier: object, metadata: Mapping[str, Any], path: Path) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "weights.bin").write_bytes(b"weights")
    (path / "Manifest.json").write_text(json.dumps(metadata["classes"]), encoding="utf-8")


def test_a_format_that_is_a_folder_and_does_not_run_here(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = Format("folder", "model.package", _in_a_folder, FORMATS["onnx"].load, cannot_run="it runs elsewhere",
                  further=lambda path: f"try {path}")  # fmt: skip
    monkeypatch.setitem(FORMATS, "folder", kind)
    exported = export(store.single, "folder", tmp_path / "out")
    path = tmp_path / "out" / "model.package"
    assert exported.proof is None
    assert exported.note == f"it runs elsewhere; try {path}"
    assert exported.bytes == sum(file.stat().st_size for file in files_in(path))
    lines = "".join(
        f"{file_digest(path / name, 'sha256')}  model.package/{name}\n"
        for name in ("Manifest.json", "inner/weights.bin")
    )
    assert exported.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert artifact(store, store.single, "export/model.package/inner/weights.bin").read_bytes() == b"weights"
    stored = {name for name in store.run(store.single).data.tags if name.startswith("export_")}
    assert stored == {"export_folder_sha256", "export_folder_bytes"}
    assert json.loads((tmp_path / "out" / "metadata.json").read_text())["run_id"] == store.single


@pytest.mark.slow
def test_a_soup_is_one_file(store: Store, tmp_path: Path) -> None:
    changed = [{"stage2": {"epochs": 1, "lr": lr}} for lr in (1e-3, 2e-3)]
    members = train_members([store.config(values) for values in changed])
    result = soup([Candidate(member.run) for member in members])
    exported = export(result.run_id, "onnx", tmp_path)
    assert exported.run_id == result.run_id
    assert exported.proof is not None
    assert exported.proof.largest <= 1e-5
    assert OnnxClassifier(tmp_path / "model.onnx").metadata["run_id"] == result.run_id
