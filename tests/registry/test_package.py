"""The model folder: no pickle, no path of this machine, and a refusal where a fresh process cannot use it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from helpers.registry import Promoted, registered_models

from mobilenet_chest.errors import PromotionRefused
from mobilenet_chest.registry import package
from mobilenet_chest.registry.promote import promote

if TYPE_CHECKING:
    from helpers.stores import Store


def test_the_folder_holds_no_pickle(model_folder: Path) -> None:
    files = {path for path in model_folder.rglob("*") if path.is_file()}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".pt2")]
    assert [path.name for path in files if path.suffix == ".onnx"] == ["network.onnx"]
    # a pickle of protocol 2 or later, whatever its name, and no archive that could hold one
    for path in files:
        content = path.read_bytes()
        assert not (content[:1] == b"\x80" and content[1:2] <= b"\x05" and content[-1:] == b"."), path
        assert not zipfile.is_zipfile(path), path


def test_the_description_names_no_path_of_this_machine(
    model_folder: Path, promoted_original: Promoted, tmp_path: Path
) -> None:
    text = (model_folder / "MLmodel").read_text(encoding="utf-8")
    for place in (promoted_original[0].folder, tmp_path, Path(package.__file__).parent, Path.home(), "file:/"):
        assert str(place) not in text
    description = yaml.safe_load(text)["flavors"]["python_function"]
    assert description["model_code_path"] == "served.py"
    # every file that is named lies in the folder
    assert (model_folder / description["model_code_path"]).is_file()
    for entry in description["artifacts"].values():
        assert entry["uri"] == entry["path"]
        assert (model_folder / entry["path"]).is_file()


@pytest.mark.usefixtures("packed")
def test_a_model_that_a_fresh_process_cannot_load(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "_FRESH", "raise SystemExit('no such module')")
    with pytest.raises(PromotionRefused) as caught:
        promote("dropout-study")
    (reason,) = caught.value.reasons
    assert reason.endswith(": no such module")
    assert registered_models(store.client) == {}
