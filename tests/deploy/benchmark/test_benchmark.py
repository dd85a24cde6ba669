"""``benchmark`` of the runs of a store: what is measured, compared, logged and refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.registry import Promoted
from helpers.stores import Store

from mobilenet_chest.deploy.benchmark import benchmark as module
from mobilenet_chest.deploy.benchmark.benchmark import benchmark
from mobilenet_chest.deploy.benchmark.rounds import Engine, Speed, Spread
from mobilenet_chest.deploy.benchmark.subject import subjects_of
from mobilenet_chest.errors import DataError, MissingExtraError, UserError
from mobilenet_chest.tracking.runs import find_all

SPEED = Speed(
    5.0, 6.0, 7.0, Spread(1.0, 0.9, 1.1), Spread(300.0, 290.0, 310.0), 8, Spread(0.4, 0.3, 0.5), 90_000_000, None
)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """Replaces the timing, which has a test of its own; returns the files that were to be timed."""
    given: list[Engine] = []

    def measure(engines: Sequence[Engine], threads: int, rounds: int, batches: Sequence[int]) -> list[Speed]:
        given.extend(engines)
        assert all(engine.path.exists() and engine.images.exists() for engine in engines)
        return [SPEED] * len(engines)

    monkeypatch.setattr(module, "measure", measure)
    return given


@pytest.fixture
def file(promoted: Promoted) -> Path:
    """The registered model's ONNX file, which has all that an exported one has."""
    (found,) = (promoted[0].folder / "mlruns").glob("**/network.onnx")
    return found


def test_files_side_by_side(promoted: Promoted, file: Path, timed: list[Engine], tmp_path: Path) -> None:
    store, promotion = promoted
    experiment = str(store.run(promotion.run_id).info.experiment_id)
    before = len(find_all(store.client, [experiment]))
    shutil.copy(file, other := tmp_path / "other.onnx")
    result = benchmark([str(file), str(other)], margin=0.2)
    first, second = result.rows
    assert [(row.name, row.format, row.run_id) for row in result.rows] == [
        ("network.onnx", "onnx", promotion.run_id), ("other.onnx", "onnx", promotion.run_id),
    ]  # fmt: skip
    assert [engine.path for engine in timed] == [file, other]
    assert (first.differences, first.changed_labels, first.not_inferior) == ({}, None, None)
    assert {name: found.value for name, found in second.differences.items()} == {
        "val_auc": 0.0, "val_accuracy_crossfit": 0.0,
    }  # fmt: skip
    assert (second.changed_labels, second.bytes) == (0, file.stat().st_size)
    run = store.run(str(result.run_id))
    assert (run.data.tags["kind"], run.info.experiment_id, run.info.status) == ("benchmark", experiment, "FINISHED")
    assert run.data.metrics["1 network.onnx onnx/p50_ms"] == 5.0
    assert run.data.metrics["2 other.onnx onnx/auc_difference"] == 0.0
    (logged,) = (store.folder / "mlruns").glob("**/benchmark.json")
    assert json.loads(logged.read_text())["rows"][1]["changed_labels"] == 0
    assert len(find_all(store.client, [experiment])) == before


def test_a_file_from_elsewhere_is_timed_alone(promoted: Promoted, file: Path, timed: list[Engine]) -> None:
    store, promotion = promoted
    store.client.delete_run(promotion.run_id)
    result = benchmark([str(file), str(file)])
    assert result.run_id is None
    assert [row.speed for row in result.rows] == [SPEED, SPEED]
    assert result.rows[1].differences == {}
    assert "not in this tracking store" in result.rows[1].reason


@pytest.mark.slow
def test_a_program_of_torch_is_read_only_where_this_store_has_exported_it(
    promoted: Promoted, timed: list[Engine], tmp_path: Path
) -> None:
    store, promotion = promoted
    program = tmp_path / "model.pt2"
    program.write_bytes(b"whatever a stranger has put there")
    metadata = {"run_id": promotion.run_id, "image_size": 32, "channels": 1, "threshold": 0.5}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(DataError, match=r"model.pt2: .*SHA-256.*--format torch"):
        benchmark([str(program)])
    assert timed == []
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    store.client.set_tag(promotion.run_id, "export_torch_sha256", digest)
    (subject,) = subjects_of(store.client, str(program), (), tmp_path)
    assert (subject.format.name, subject.path) == ("torch", program)


@pytest.mark.slow  # programs are exported, and each engine is timed in processes of its own
def test_a_model_in_two_formats(promoted: Promoted) -> None:
    first, second = benchmark(["models:/tiny@champion"], ["onnx", "torch"], threads=1, batch=4, rounds=1).rows
    assert (first.name, first.format, second.name, second.format) == ("tiny/1", "onnx", "tiny/1", "torch")
    assert second.speed.times_faster.high < 1
    assert (second.speed.batch, second.changed_labels) == (4, 0)
    assert second.speed.peak_bytes > first.speed.peak_bytes + 50e6


def test_what_cannot_be_measured(store: Store, timed: list[Engine], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--format onx: .*did you mean 'onnx'"):
        benchmark([store.single], ["onx"])
    for option, value in (("threads", 0), ("batch", 0), ("batch", 10_000), ("rounds", 0), ("margin", 1.0)):
        with pytest.raises(UserError, match=f"--{option} {value:g}"):
            benchmark([store.single], **{option: value})  # type: ignore[arg-type]
    (other := tmp_path / "weights.bin").touch()
    with pytest.raises(DataError, match=r"weights\.bin: no file of .*\.onnx"):
        benchmark([str(other)])
    (damaged := tmp_path / "a.onnx").write_bytes(b"no file")
    with pytest.raises(DataError, match="is no ONNX file"):
        benchmark([str(damaged)])
    assert timed == []


def test_a_format_whose_package_is_missing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilenet_chest.deploy.formats.format.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"the format openvino .*\[openvino\]"):
        benchmark([store.single], ["openvino"])
