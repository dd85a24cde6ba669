"""``compress``: its arguments, what it prints, and its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import compress as module
from mobilenet_chest.deploy.compress.compress import Compressed
from mobilenet_chest.errors import CompressionRefused
from mobilenet_chest.evaluation.paired import PairedComparison

SAME = PairedComparison(-0.001, -0.004, 0.002, 0.5, 0.5, "not inferior", True, 0.01)
METRICS = {"file_bytes": 3.8e6, "size_ratio": 0.28, "answer_1_ms": 5.0, "speed_ratio_1": 1.49, "answer_32_ms": 99.0,
           "speed_ratio_32": 1.91, "mean_change": 0.02}  # fmt: skip
RESULT = Compressed("ab" * 16, "cd" * 16, "int8", {"calibration": "entropy"}, METRICS,
                    {"val_auc": SAME, "val_accuracy_crossfit": SAME})  # fmt: skip


def answer_with(monkeypatch: pytest.MonkeyPatch, result: Compressed | Exception) -> list[tuple[str, str]]:
    calls: list[tuple[str, str]] = []

    def compress(reference: str, method: str, *_: object) -> Compressed:
        calls.append((reference, method))
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(module, "compress_run", compress)
    return calls


def test_what_was_compressed_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = answer_with(monkeypatch, RESULT)
    result = run("compress", "small", "--method", "int8")
    assert (result.exit_code, calls) == (0, [("small", "int8")])
    lines = result.stdout.splitlines()
    assert lines[0] == "run abababab: int8 of run cdcdcdcd"
    assert "3.80 MB, 0.28" in lines[1]
    assert "1.49 times" in lines[2]
    assert "calibration: entropy" in lines
    assert lines[-1] == "promote: mobilenet-chest promote abababab"
    worse = replace(SAME, not_inferior=False)
    answer_with(monkeypatch, replace(RESULT, differences={"val_auc": worse}))
    assert "compare abababab --baseline cdcdcdcd" in run("compress", "small", "--method", "int8").stdout


def test_one_json_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, RESULT)
    document = json.loads(run("compress", "small", "--method", "int8", "--json").stdout)
    assert (document["run_id"], document["original"], document["method"]) == ("ab" * 16, "cd" * 16, "int8")
    assert document["differences"]["val_auc"]["not_inferior"] is True


def test_a_refusal_leaves_with_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, CompressionRefused("run a was not compressed"))
    result = run("compress", "small", "--method", "int8")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "run a was not compressed\n")


def test_an_unknown_method(folder: Path) -> None:
    assert_one_line("compress", "small", "--method", "int4", wants="did you mean 'int8'? Allowed: int8, fp16, bf16")
