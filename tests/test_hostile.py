"""Inputs made to do harm: each would leave a canary behind if anything in it were run, or written out of its folder."""

from __future__ import annotations

import ast
import contextlib
import http.server
import json
import os
import pickle
import shutil
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from torch import Tensor, nn
from typer.testing import CliRunner

import mobilenet_chest
from mobilenet_chest import cache
from mobilenet_chest.cli.app import app
from mobilenet_chest.config import Config, load, parse, to_yaml
from mobilenet_chest.data.download import fetch
from mobilenet_chest.data.npz import NpzFile
from mobilenet_chest.errors import ConfigError, DataError, TrackingError, UserError, WeightsError
from mobilenet_chest.models.weights import load_state_dict
from mobilenet_chest.registry import digests, package
from mobilenet_chest.registry.predict import predict_files
from mobilenet_chest.registry.promote import check_names
from mobilenet_chest.training import checkpoint

Make = Callable[..., Config]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.canary,)


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What must not be there after the test."""
    path = tmp_path_factory.mktemp("cage") / "canary"
    yield path
    assert not path.exists()


def is_live(canary: Path, open_it: Callable[[], Any]) -> None:
    """See that the bomb works where it is opened carelessly, or the test would prove nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(Exception):  # what comes after the explosion does not matter
            open_it()
    assert canary.exists()
    canary.rmdir()


def snapshot(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


# --- pickles ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["bomb.pt", "bare.pt", "bomb.pth"])
def pickled(request: pytest.FixtureRequest, canary: Path, tmp_path: Path) -> Path:
    """A checkpoint with a bomb in it: in torch's zip format, or as a bare pickle."""
    path = tmp_path / request.param
    contents = {"format": checkpoint.FORMAT, "model": {"weight": torch.zeros(2)}, "history": Bomb(canary)}
    if "bare" in path.name:
        path.write_bytes(pickle.dumps(contents))
    else:
        torch.save(contents, path)
    is_live(canary, lambda: torch.load(path, weights_only=False))
    return path


def test_a_checkpoint(pickled: Path) -> None:
    with pytest.raises(DataError, match="not a checkpoint that can be read"):
        checkpoint.load(pickled)


def test_weights(pickled: Path) -> None:
    with pytest.raises(WeightsError, match="not a state dict that can be loaded safely"):
        load_state_dict(pickled)


def test_weights_named_by_an_experiment(
    pickled: Path, tracking: Path, phantom_config: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    experiment = tracking / "tiny.yaml"
    experiment.write_text(to_yaml(phantom_config({"model.hidden": [8]})), encoding="utf-8")
    result = run("train", str(experiment), f"model.weights={pickled}")
    assert result.exit_code == 2
    assert "not a state dict that can be loaded safely" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("key", ["train_images", "train_labels", "train_patients"])
def test_objects_in_an_npz(key: str, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    arrays: dict[str, Any] = {"train_images": np.zeros((1, 8, 8), np.uint8), "train_labels": np.zeros((1, 1), np.uint8)}
    np.savez(path, **(arrays | {key: np.array([Bomb(canary)], dtype=object)}))
    is_live(canary, lambda: np.load(path, allow_pickle=True)[key])
    file = NpzFile(path)
    with pytest.raises(DataError, match="a pickle, which is never opened"):
        file.patients("train") if key == "train_patients" else file.rows("train", np.arange(1))
    result = run("data", "info", str(path))
    assert "Traceback" not in result.output


def test_objects_in_an_npy(canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npy"
    np.save(path, np.array([Bomb(canary)], dtype=object))
    is_live(canary, lambda: np.load(path, allow_pickle=True))
    result = run("predict", "models:/any@champion", str(path), "--out", str(tmp_path / "out.csv"))
    assert result.exit_code == 2
    assert "cannot be read as .npy" in result.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir ['{canary}']",
        "!!python/object/new:os.mkdir ['{canary}']",
        "!!python/name:os.mkdir",
    ],
)
def test_a_yaml_tag(value: str, canary: Path, tmp_path: Path) -> None:
    path, value = tmp_path / "bomb.yaml", value.format(canary=canary)
    path.write_text(f"name: {value}\n")
    with pytest.raises(ConfigError, match="not valid YAML: could not determine a constructor for the tag"):
        load(path)
    path.write_text("name: fine\n")
    with pytest.raises(ConfigError, match="the value is not valid YAML"):
        load(path, [f"name={value}"])
    for command in (("sweep",), ("train",), ("ablate", "--over", f"stage2.lr={value}")):
        extra = [] if command[0] == "ablate" else [f"name={value}"]
        result = run(command[0], str(path), *extra, *command[1:])
        assert result.exit_code == 2
        assert "Traceback" not in result.output


# --- code of our own that could open one ------------------------------------------------------------------------------


def unsafe(source: str) -> list[str]:
    """Calls and imports in Python source that could open a pickle, or run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            )
            banned = {"pickle", "_pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
            found += [f"{node.lineno}: import {name}" for name in names if name.partition(".")[0] in banned]
        if not isinstance(node, ast.Call):
            continue
        called, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        last = called.rpartition(".")[2]
        if (
            (called == "torch.load" and given.get("weights_only") != "True")
            or (called in ("np.load", "numpy.load") and given.get("allow_pickle") != "False")
            or (called == "yaml.load" and given.get("Loader") != "_UniqueKeyLoader")  # a SafeLoader
            or (called.startswith("yaml.") and last.endswith(("unsafe_load", "full_load", "_all")))
            or last in ("read_pickle", "to_pickle")
            or called in ("eval", "exec", "__import__", "os.system", "torch.hub.load", "torch.jit.load")
            or given.get("shell") == "True"
            or last in ("extractall", "unpack_archive")
        ):  # fmt: skip
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p)", "torch.load(p, weights_only=False)", "np.load(p)", "numpy.load(p, allow_pickle=True)",
        "yaml.load(t, Loader=yaml.Loader)", "yaml.load(t)", "yaml.unsafe_load(t)", "yaml.full_load(t)",
        "import pickle", "from joblib import load", "import dill as d", "from cloudpickle.x import y",
        "pd.read_pickle(p)", "torch.hub.load(r, m)", "archive.extractall(p)", "subprocess.run(c, shell=True)",
        "eval(t)",
    ],
)  # fmt: skip
def test_the_search_finds(source: str) -> None:
    assert len(unsafe(source)) == 1


def test_the_package_opens_no_pickle() -> None:
    root = Path(mobilenet_chest.__file__).parent
    modules = sorted(root.rglob("*.py"))
    assert len(modules) > 80
    found = {str(path.relative_to(root)): unsafe(path.read_text(encoding="utf-8")) for path in modules}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_models_are_loaded_in_one_place_only() -> None:
    """``mlflow`` and ``torch.export`` run what a model's files say: behind the digests, and in the model's own code."""
    root, found = Path(mobilenet_chest.__file__).parent, {}
    for path in root.rglob("*.py"):
        calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                 if isinstance(node, ast.Call)]  # fmt: skip
        loads = sorted({name for name in calls if name.endswith("load_model") or name == "torch.export.load"})
        if loads:
            found[path.name] = loads
    assert found == {"package.py": ["mlflow.pyfunc.load_model"], "served.py": ["torch.export.load"]}


# --- names that lead out of a folder ----------------------------------------------------------------------------------

NAMES = ["../canary", "..", "/canary", "a/../../canary", "..\\canary", "a/b"]


@pytest.mark.parametrize("name", NAMES)
def test_names_in_an_experiment(name: str, phantom_config: Make) -> None:
    fields = phantom_config().resolved()
    with pytest.raises(ConfigError, match="name"):
        parse(fields | {"name": name})
    outside = fields["data"] | {"dataset": name, "path": None, "root": "root"}
    from mobilenet_chest.data.dataset import load_train_val

    with pytest.raises(DataError, match="no dataset"):
        load_train_val(parse(fields | {"data": outside}).data)


@pytest.mark.parametrize("name", [*NAMES, "", "a:b", "a@b", "'; drop", "a\nb", "a" * 200])
def test_names_in_the_registry(name: str, tracking: Path) -> None:
    with pytest.raises(TrackingError, match="--name .* not a name for a registered model"):
        check_names(name, "champion")
    result = run("promote", "--rollback", f"--name={name}") if name else None
    assert result is None or (result.exit_code == 2 and "Traceback" not in result.output)
    for uri in (f"models:/{name}@champion", f"models:/{name}/1"):
        with pytest.raises(TrackingError, match="the form is models:/NAME@champion"):
            package.load_registered(uri)


@pytest.mark.parametrize("alias", [*NAMES, "", "v1", "latest", "a b", "a.b"])
def test_aliases(alias: str) -> None:
    with pytest.raises(TrackingError, match="--alias .* not an alias"):
        check_names("fine", alias)


@pytest.mark.slow
def test_names_of_study_and_experiment_are_no_paths(tracking: Path, phantom_config: Make, cache_folder: Path) -> None:
    from mobilenet_chest.tracking import MlflowTracker
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
    with pytest.raises(DataError, match="has no .train_images"):
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


@contextlib.contextmanager
def serving(answers: dict[str, bytes], headers: dict[str, str] | None = None) -> Iterator[str]:
    """An HTTP server on loopback that answers whatever path holds a key of ``answers`` with its value."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = next((body for part, body in answers.items() if part in self.path), b"{}")
            self.send_response(200)
            for name, value in ({"Content-Length": str(len(found))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
        client.create_model_version("tiny", source, tags={digests.DIGESTS: "{}"})
        before = snapshot(tmp_path.parent)
        with pytest.raises(TrackingError, match="models:/tiny/1") as caught:
            package.load_registered("models:/tiny/1")
    assert caught.value.exit_code == 2
    assert {path for path in snapshot(tmp_path.parent) - before if path.name == "canary"} == set()
    assert not Path("/canary").exists()


# --- registered models ------------------------------------------------------------------------------------------------


class Brightness(nn.Module):
    """Logit 0 at the middle gray of 128."""

    def forward(self, images: Tensor) -> Tensor:
        return (images[:, -1].float().mean((1, 2)) - 128) / 32


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed model."""
    folder = tmp_path_factory.mktemp("built") / "model"
    package.build(Brightness(), 16, 1, ("dark", "bright"), 0.5, folder)
    return folder


@pytest.fixture
def registered(built: Path, tracking: Path) -> Path:
    """The artifact folder of version 1 of ``tiny``, and an image to predict."""
    client = MlflowClient()
    run_id = client.create_run(client.create_experiment("e")).info.run_id
    client.log_artifacts(run_id, str(built), "model")
    client.create_registered_model("tiny")
    tags = {digests.DIGESTS: digests.digests_tag(digests.folder_digests(built))}
    client.create_model_version("tiny", f"runs:/{run_id}/model", run_id, tags=tags)
    client.set_registered_model_alias("tiny", "champion", "1")
    np.save(tracking / "images.npy", np.full((1, 8, 8), 200, np.uint8))
    (folder,) = tracking.glob("mlruns/*/*/artifacts/model")
    return folder


def change_code(folder: Path, canary: Path) -> str:
    path = folder / "served.py"
    path.write_text(path.read_text() + f"\nimport os; os.mkdir({str(canary)!r})\n")
    return "served.py was changed"


def change_description(folder: Path, canary: Path) -> str:
    """Another loader, from a module that comes along."""
    (folder / "evil.py").write_text(f"import os; os.mkdir({str(canary)!r})\n")
    path = folder / "MLmodel"
    text = path.read_text().replace("mlflow.pyfunc.loaders.code_model", "evil").replace("code: null", "code: .")
    path.write_text(text)
    return "MLmodel was changed; evil.py was added"


def change_program(folder: Path, canary: Path) -> str:
    """``torch.export.load`` falls back to unpickling a program's example inputs."""
    (path,) = folder.rglob("*.pt2")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in members if "sample_inputs" in name]
    torch.save((Bomb(canary),), folder / "bomb")
    members[inputs] = (folder / "bomb").read_bytes()
    (folder / "bomb").unlink()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return "artifacts/program.pt2 was changed"


@pytest.mark.parametrize("change", [change_code, change_description, change_program])
def test_a_changed_model(change: Callable[[Path, Path], str], registered: Path, canary: Path, tracking: Path) -> None:
    expected = change(registered, canary)
    is_live(canary, lambda: mlflow.pyfunc.load_model("models:/tiny@champion"))
    with pytest.MonkeyPatch.context() as patch:  # MLflow wrote this one beside the files
        (registered / "registered_model_meta").unlink(missing_ok=True)
        shutil.rmtree(registered / "__pycache__", ignore_errors=True)
        patch.chdir(tracking)
        result = run("predict", "models:/tiny@champion", "images.npy", "--out", "out.csv")
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tracking / "out.csv").exists()


def test_a_model_as_it_was_promoted(registered: Path, tracking: Path) -> None:
    assert predict_files("models:/tiny@champion", tracking / "images.npy", tracking / "out.csv") == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "extra.txt").write_text("x"), "extra.txt was added"),
        (lambda folder: (folder / "artifacts" / "settings.json").unlink(), "artifacts/settings.json is missing"),
        (lambda folder: shutil.rmtree(folder), "its files cannot be fetched"),
        (lambda folder: MlflowClient().delete_model_version_tag("tiny", "1", digests.DIGESTS), "carries no digests"),
        (lambda folder: MlflowClient().set_model_version_tag("tiny", "1", digests.DIGESTS, "{}"), "was added"),
        (lambda folder: MlflowClient().set_model_version_tag("tiny", "1", digests.DIGESTS, "nonsense"), "carries no"),
    ],
    ids=["added", "missing", "gone", "no digests", "other digests", "damaged digests"],
)
def test_a_model_that_is_not_what_was_promoted(
    change: Callable[[Path], Any], expected: str, registered: Path, tracking: Path
) -> None:
    change(registered)
    with pytest.raises(UserError, match=expected) as caught:
        predict_files("models:/tiny@champion", tracking / "images.npy", tracking / "out.csv")
    assert "promote the run" in str(caught.value)
    assert not (tracking / "out.csv").exists()
