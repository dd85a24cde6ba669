"""The published preprocessing: as import and training do it, in Python and in JavaScript."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenet_chest.data.dataset import resize
from mobilenet_chest.data.importing.pictures import Decoded
from mobilenet_chest.data.importing.preparation import Preparation, finish, shrink
from mobilenet_chest.registry import preprocessing
from mobilenet_chest.registry.preprocessing import prepare

SHAPES = [(61, 47), (20, 200), (33, 12, 3), (64, 64, 3), (300, 17), (7, 5)]
PREPARATIONS: list[dict[str, Any] | None] = [
    None,
    {"size": 32, "fit": "letterbox"},
    {"size": 48, "fit": "stretch"},
]


def picture(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def metadata(channels: int, preparation: dict[str, Any] | None) -> dict[str, str]:
    given: dict[str, str] = {"image_size": "32", "channels": str(channels)}
    if preparation is not None:
        given["preparation"] = json.dumps(Preparation(channels=channels, **preparation).as_dict())
    return given


def as_the_project(pixels: np.ndarray[Any, Any], channels: int, preparation: dict[str, Any] | None) -> Any:
    """Columns first, then rows: Pillow 13 does it in the order that it finds faster, older versions in this one."""
    if preparation is None:
        row = finish(pixels, 8, channels)
    else:
        height, width = pixels.shape[:2]
        fitted = shrink(np.zeros((height, width), np.uint8) + 1, preparation["size"], preparation["fit"])
        rows, columns = (int(fitted.max(axis).sum()) for axis in (1, 0))
        image = Image.fromarray(pixels).resize((columns, height), Image.Resampling.BICUBIC)
        image = image.resize((columns, rows), Image.Resampling.BICUBIC)
        prepared = Preparation(channels=channels, **preparation)
        row = prepared.apply(Decoded(np.asarray(image), 8, "PNG"))
    stored = torch.from_numpy(row.copy())
    return resize(stored[None, None] if channels == 1 else stored.permute(2, 0, 1)[None], 32).numpy()


@pytest.mark.parametrize("preparation", PREPARATIONS, ids=["none", "letterbox", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_as_import_and_training_do_it(
    shape: tuple[int, ...], channels: int, preparation: dict[str, Any] | None
) -> None:  # fmt: skip
    pixels = picture(shape)
    image = prepare(pixels, metadata(channels, preparation))
    expected = as_the_project(pixels, channels, preparation)
    assert (image.dtype, image.shape) == (np.uint8, (1, channels, 32, 32))
    if preparation is not None and preparation["size"] == 32:
        np.testing.assert_array_equal(image, expected)  # bit for bit
    else:  # torch adds in float32: a value that lies half-way may go to the other side
        differences = np.abs(image.astype(int) - expected.astype(int))
        assert differences.max() <= 1
        assert (differences > 0).mean() <= 0.002


@pytest.mark.parametrize("shape", [(300, 120), (120, 300), (90, 90)], ids=str)
def test_a_film_as_this_version_of_pillow_resizes_it(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]] / 40
    film = np.rint(127 + 90 * np.sin(x) * np.cos(0.7 * y) + 30 * np.sin(3 * x + y)).clip(0, 255).astype(np.uint8)
    expected = Preparation(32).apply(Decoded(film, 8, "PNG"))
    differences = np.abs(prepare(film, metadata(1, {"size": 32, "fit": "letterbox"}))[0, 0].astype(int) - expected)
    assert differences.max() <= 1


def test_other_arrays_are_refused() -> None:
    for pixels in (np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="uint8"):
            prepare(pixels, metadata(1, None))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_gives_the_same(tmp_path: Path) -> None:
    cases, expected = [], []
    for shape in SHAPES:
        for channels in (1, 3):
            for preparation in PREPARATIONS:
                pixels, given = picture(shape), metadata(channels, preparation)
                cases.append({"data": pixels.ravel().tolist(), "width": shape[1], "height": shape[0],
                              "channels": 1 if len(shape) == 2 else 3, "metadata": given})  # fmt: skip
                expected.append(prepare(pixels, given).ravel().tolist())
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    script = """
const {prepare} = require(process.argv[1]), cases = JSON.parse(require("fs").readFileSync(process.argv[2]));
console.log(JSON.stringify(cases.map((each) => Array.from(prepare(each, each.metadata)))));
"""
    source = Path(preprocessing.__file__).with_suffix(".js")
    command = ["node", "-e", script, str(source), str(tmp_path / "cases.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected
