"""``predict``: its arguments, and the line it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import assert_one_line, run

from mobilenet_chest.cli import predict as module
from mobilenet_chest.registry.predict import Predicted


def test_the_number_of_predictions_is_printed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(uri: str, source: Path, out: Path, bits: int | None, column: str) -> Predicted:
        return Predicted(len(uri) + len(source.name))

    monkeypatch.setattr(module, "predict_files", counted)
    result = run("predict", "models:/m@champion", "images.npy", "--out", "out.csv")
    assert (result.exit_code, result.stdout) == (0, "28 predictions in out.csv\n")


def test_a_model_that_is_not_there(tracking: Path) -> None:
    assert_one_line("predict", "models:/none@champion", "none.npz", "--out", "none.csv", wants="none.npz")


def test_the_output_must_be_named(folder: Path) -> None:
    result = run("predict", "models:/m@champion", "images.npy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--out" in result.stderr
