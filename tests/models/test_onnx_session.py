"""Sessions of ONNX Runtime: a file for another kind of processor is refused, wherever it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import onnx
import pytest

from mobilenet_chest import processor
from mobilenet_chest.errors import DataError, TrackingError
from mobilenet_chest.models.onnx_file import OnnxClassifier
from mobilenet_chest.models.onnx_session import BITS, open_session
from mobilenet_chest.registry import package, served


def file(folder: Path, bits: str) -> Path:
    """Write a file that returns its input."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in "xy"]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ends[:1], ends[1:]), opset_imports=opset, ir_version=10
    )
    model.metadata_props.add(key=BITS, value=bits)
    onnx.save(model, folder / f"{bits}.onnx")
    return folder / f"{bits}.onnx"


@pytest.mark.parametrize(("bits", "exact"), [("8", True), ("7", True), ("7", False)])
def test_it_opens_what_this_processor_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: str, exact: bool
) -> None:
    monkeypatch.setattr(processor, "multiplies_bytes", lambda: exact)
    (values,) = open_session(file(tmp_path, bits)).run(["y"], {"x": np.ones(2, np.float32)})
    assert values.tolist() == [1, 1]


def test_eight_bits_are_refused_where_they_would_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "multiplies_bytes", lambda: False)
    path = file(tmp_path, "8")
    for load in (open_session, OnnxClassifier):
        with pytest.raises(DataError, match=r"8\.onnx: has 8-bit weights, made on a processor with VNNI") as refused:
            load(path)
        assert refused.value.exit_code == 2


def test_so_does_the_code_inside_a_registered_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({}), encoding="utf-8")
    given = {"settings": str(tmp_path / "settings.json"), "network": str(file(tmp_path, "8"))}
    assert served._multiplies_bytes() == processor.multiplies_bytes()
    monkeypatch.setattr(served, "_multiplies_bytes", lambda: False)

    def load(_folder: str) -> None:
        served.ChestClassifier().load_context(SimpleNamespace(artifacts=given))

    monkeypatch.setattr(mlflow.pyfunc, "load_model", load)
    with pytest.raises(TrackingError, match="model models:/m/1: has 8-bit weights, made on a processor with VNNI"):
        package._load(tmp_path, "models:/m/1")
