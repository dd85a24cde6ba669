"""Names that would lead out of a folder."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import run
from helpers.hostile import serving, snapshot
from mlflow import MlflowClient

from mobilenet_chest import cache
from mobilenet_chest.config import Config, parse
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.download import fetch
from mobilenet_chest.errors import ConfigError, DataError, TrackingError
from mobilenet_chest.registry import package
from mobilenet_chest.registry.promotion import check_names

Make = Callable[..., Config]


NAMES = ["../canary", "..", "/canary", "a/../../canary", "..\\canary", "a/b"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_an_experiment(name: str, phantom_config: Make) -> None:
    fields = phantom_config().resolved()
    with pytest.raises(ConfigError, match="name"):
        parse(fields | {"name": name})
    outside = fields["data"] | {"dataset": name, "path": None, "root": "root"}
    from mobilenet_chest.data.dataset import load_train_val

    with pytest.raises(DataError, match=re.escape(name)):
        load_train_val(parse(fields | {"data": outside}).data)


@pytest.mark.parametrize("name", [*NAMES, "", "a:b", "a@b", "'; drop", "a\nb", "a" * 200])
def test_names_in_the_registry(name: str, tracking: Path) -> None:
    with pytest.raises(TrackingError, match="--name "):
        check_names(name, "champion")
    result = run("promote", "--rollback", f"--name={name}") if name else None
    assert result is None or (result.exit_code == 2 and "Traceback" not in result.output)
    for uri in (f"models:/{name}@champion", f"models:/{name}/1"):
        with pytest.raises(TrackingError, match="models:/NAME@champion"):
            package.load_registered(uri)


@pytest.mark.parametrize("alias", [*NAMES, "", "v1", "latest", "a b", "a.b"])
def test_aliases(alias: str) -> None:
    with pytest.raises(TrackingError, match="--alias "):
        check_names("fine", alias)


@pytest.mark.slow
def test_names_of_study_and_experiment_are_no_paths(tracking: Path, phantom_config: Make, cache_folder: Path) -> None:
    from mobilenet_chest.tracking.tracker import MlflowTracker
    from mobilenet_chest.two_stage import train

    outside = snapshot(tracking.parent)
    config = phantom_config(
        {
            "model": {"name": "timm:mobilenetv2_050", "weights": "none", "hidden": [8]},
            "tracking": {"experiment": "../../canary"},
            "study": {"name": "../canary"},
        }
    )
    result = train(config, MlflowTracker(name="../../canary"))
    assert (tracking / "mlruns").is_dir()
    new = snapshot(tracking.parent) - outside
    assert new
    assert not [path for path in new if path.name == "canary"]
    assert all(path.is_relative_to(tracking) or path.is_relative_to(cache_folder) for path in new)
    run_ = MlflowClient().get_run(str(result.run_id))
    assert Path(run_.info.artifact_uri.removeprefix("file://")).is_relative_to(tracking)


def test_members_of_an_archive(canary: Path, tmp_path: Path, cache_folder: Path) -> None:
    path = tmp_path / "chest.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../canary", str(canary), "../../canary.npy", "train_images.npy/../../canary", "a\\..\\canary"):
            archive.writestr(name, b"\x93NUMPY")
    before = snapshot(tmp_path.parent)
    file = NpzFile(path)
    assert file.splits == ()
    with pytest.raises(DataError, match="train_images"):
        file.rows("train", np.arange(1))
    for command in (
        ("data", "info", str(path)),
        ("predict", "models:/a@b", str(path), "--out", str(tmp_path / "o.csv")),
    ):
        result = run(*command)
        assert "Traceback" not in result.output
    assert snapshot(tmp_path.parent) == before
    assert snapshot(cache_folder) == set()


def test_entries_of_the_cache_lie_in_it(cache_folder: Path, canary: Path) -> None:
    before = snapshot(cache_folder.parent)

    def make(folder: Path) -> dict[str, Any]:
        cache.write(folder / "part", [b"x"])
        return {}

    cache.cached("data", "../../canary", {"file": "../../canary", "x": str(canary)}, make, lambda *_: None)
    new = snapshot(cache_folder.parent) - before
    assert new
    assert all(path.resolve().is_relative_to(cache_folder) for path in new)


def test_a_download_goes_where_it_was_asked_to(tmp_path: Path) -> None:
    headers = {"Content-Disposition": "attachment; filename=../../canary", "Content-Location": "/../canary"}
    folder = tmp_path / "root"
    with serving({"/": b"data"}, headers) as address:
        path = fetch(f"http://{address}/../../canary", folder / "chest.npz")
    assert path.read_bytes() == b"data"
    assert {file.name for file in snapshot(tmp_path)} == {"root", "chest.npz", "chest.npz.lock"}


@pytest.mark.parametrize("listed", ["../../canary", "/canary", "model/../../../canary"])
def test_a_listing_of_artifacts(listed: str, tracking: Path, tmp_path: Path) -> None:
    """An artifact server that names files outside of the folder asked for."""
    client = MlflowClient()
    client.create_registered_model("tiny")
    listing = json.dumps({"files": [{"path": listed, "is_dir": False, "file_size": 4}]}).encode()
    with serving({"?path": listing, "&path": listing, "artifacts/": b"evil"}) as address:
        source = f"mlflow-artifacts://{address}/0/{'0' * 32}/artifacts/model"
        client.create_model_version("tiny", source, tags={"sha256": "{}"})
        before = snapshot(tmp_path.parent)
        with pytest.raises(TrackingError, match="models:/tiny/1") as caught:
            package.load_registered("models:/tiny/1")
    assert caught.value.exit_code == 2
    assert {path for path in snapshot(tmp_path.parent) - before if path.name == "canary"} == set()
    assert not Path("/canary").exists()
