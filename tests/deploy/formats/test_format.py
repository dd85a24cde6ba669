"""What all formats have in common: their names, missing packages, metadata beside a file, damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mobilenet_chest.deploy.formats import FORMATS, format, metadata_beside
from mobilenet_chest.errors import DataError, MissingExtraError

IMAGES = np.zeros((1, 1, 8, 8), np.uint8)


def test_names() -> None:
    assert list(FORMATS) == ["onnx", "torch", "openvino", "coreml", "executorch", "tensorrt"]
    assert all(name == each.name for name, each in FORMATS.items())


@pytest.mark.parametrize(("name", "extra"), [("openvino", "openvino"), ("coreml", "coreml"), ("executorch", "mobile")])
def test_a_missing_package(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=rf"the format {name} needs .*\[{extra}\]"):
        FORMATS[name].check_installed()


def test_formats_that_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(format, "find_spec", lambda package: None)

    def is_installed(name: str) -> bool:
        try:
            FORMATS[name].check_installed()
        except MissingExtraError:
            return False
        return True

    assert [name for name in FORMATS if is_installed(name)] == ["onnx", "torch", "tensorrt"]


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no file")
    with pytest.raises(DataError, match=r"model\.onnx: cannot be read as onnx"):
        FORMATS["onnx"].predict(tmp_path / "model.onnx", IMAGES, 1)


def test_metadata_beside_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metadata\.json cannot be read"):
        metadata_beside(tmp_path / "model.pte")
    (tmp_path / "metadata.json").write_text('{"threshold": 0.5}')
    assert metadata_beside(tmp_path / "model.pte") == {"threshold": 0.5}
    (tmp_path / "metadata.json").write_text("3")
    with pytest.raises(DataError, match=r"metadata\.json cannot be read"):
        metadata_beside(tmp_path / "model.pte")
