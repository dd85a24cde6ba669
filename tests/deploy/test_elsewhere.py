"""An exported file where this project is not: with onnxruntime and numpy alone, and in JavaScript."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers import manual
from helpers.stores import Store

from mobilenet_chest.data.dataset import load_train_val
from mobilenet_chest.deploy.export import export
from mobilenet_chest.models.onnx_file import OnnxClassifier
from mobilenet_chest.registry.preprocessing import prepare
from mobilenet_chest.tracking import artifacts

PACKAGES = ("numpy", "onnxruntime")

BARE = """
import json, sys
sys.path = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1], "."]
import numpy, onnxruntime
from preprocessing import prepare
session = onnxruntime.InferenceSession("model.onnx")
metadata = session.get_modelmeta().custom_metadata_map
answers = [session.run(["probability"], {"images": prepare(image, metadata)})[0][0] for image in numpy.load("val.npy")]
numpy.save("answers.npy", numpy.array(answers, numpy.float64))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
def test_with_onnxruntime_and_numpy_alone(store: Store, tmp_path: Path) -> None:
    out, site = tmp_path / "out", tmp_path / "site"
    export(store.single, "onnx", out)
    site.mkdir()
    for name in PACKAGES:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        for folder in (package, package.with_name(f"{name}.libs")):
            if folder.exists():
                (site / folder.name).symlink_to(folder)
    val = load_train_val(store.config().data).val
    np.save(out / "val.npy", val.images[:, 0].numpy())
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BARE, str(site)], cwd=out, capture_output=True, text=True, timeout=120,
        check=False, env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not {"torch", "mobilenet_chest", "mlflow", "pandas", "onnx"} & set(json.loads(done.stdout))
    stored = artifacts.stored_predictions(store.client, store.run(store.single), "val")["probability_tta"].to_numpy()
    assert np.abs(np.load(out / "answers.npy") - stored).max() < 1e-5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_example_in_javascript(store: Store, tmp_path: Path) -> None:
    """The script of the manual, as it stands there."""
    export(store.single, "onnx", tmp_path / "exported")
    (script,) = (block for block in manual.blocks(_page()) if block.language == "javascript")
    (tmp_path / "score.js").write_text("\n".join(script.lines), encoding="utf-8")
    install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "onnxruntime-node"]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install onnxruntime-node: {done.stderr.splitlines()[-1:]}")
    done = subprocess.run(["node", "score.js"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    file = OnnxClassifier(tmp_path / "exported" / "model.onnx")
    expected = file.predict(prepare(np.full((600, 480), 90, np.uint8), file.metadata)[0])
    assert answer["probability"] == pytest.approx(expected.probability[0], abs=1e-5)
    assert answer["calibrated"] == pytest.approx(expected.calibrated[0], abs=1e-5)
    assert answer["label"] == file.classes[expected.label[0]]


def _page() -> str:
    return (manual.ROOT / "mobilenet_chest" / "docs" / "exporting.md").read_text(encoding="utf-8")
