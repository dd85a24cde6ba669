"""``export``: its arguments, what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import export as module
from mobilenet_chest.deploy.export import Exported
from mobilenet_chest.deploy.proof import Proof
from mobilenet_chest.errors import ExportRefused
from mobilenet_chest.evaluation.intervals import Difference

PROOF = Proof(102, 3e-8, 1e-8, 0, Difference(0.0, 0.0, 0.0, 1.0), 1e-5)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    given: list[tuple[object, ...]] = []

    def exported(*arguments: object) -> Exported:
        given.append(arguments)
        return Exported("out/model.onnx", "onnx", "ab" * 16, None, "cd" * 32, 1234567, 1.25, PROOF, "")

    monkeypatch.setattr(module, "export_file", exported)
    return given


def test_what_was_exported_is_printed(folder: Path, calls: list[tuple[object, ...]]) -> None:
    result = run("export", "small", "--out", "out")
    assert result.exit_code == 0
    assert calls == [("small", "onnx", Path("out"), None)]
    first, second, third = result.stdout.splitlines()
    assert first == "out/model.onnx: run abababab, 1.23 MB, written in 1.2 s"
    assert "largest difference 3.0e-08" in second
    assert "labels changed: 0" in second
    assert third == f"sha256 {'cd' * 32}"


def test_one_json_document(folder: Path, calls: list[tuple[object, ...]]) -> None:
    result = run("export", "small", "--format", "torch", "--out", "out", "--tolerance", "1e-3", "--json")
    assert calls == [("small", "torch", Path("out"), 1e-3)]
    document = json.loads(result.stdout)
    assert (document["run_id"], document["model"], document["bytes"]) == ("ab" * 16, None, 1234567)
    assert document["proof"]["auc"] == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_a_refusal_leaves_with_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> Exported:
        raise ExportRefused("run a was not exported")

    monkeypatch.setattr(module, "export_file", refused)
    result = run("export", "small", "--out", "out")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "run a was not exported\n")


def test_an_unknown_format(folder: Path) -> None:
    assert_one_line("export", "small", "--format", "tflite", "--out", "out", wants="allowed: onnx, torch")
