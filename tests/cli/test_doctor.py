"""What the doctor finds, and that looking changes nothing."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import optuna
import pytest
import torch
from helpers.plugin_files import PLUGIN

from mobilenet_chest import __version__, plugins
from mobilenet_chest.cli import doctor
from mobilenet_chest.cli.doctor import NEEDED, OPTIONAL, Check, run_checks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a torch.hub of their own, both empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder / "hub"))
    return folder


def checks() -> dict[str, Check]:
    results = run_checks()
    assert len({check.what for check in results}) == len(results)
    return {check.what: check for check in results}


def test_a_working_installation_has_all_it_needs(tracking: Path, home: Path) -> None:
    results = checks()
    assert [check for check in results.values() if check.needed and not check.ok] == []
    assert results["optuna"] == Check("optuna", True, optuna.__version__)
    assert {name: results[name].detail for name in NEEDED} == {name: version(name) for name in NEEDED}
    assert __version__ in results["mobilenet-chest"].detail
    assert results["tracking store"].detail == f"sqlite:///{tracking / 'mlflow.db'}"
    assert results["study storage"].detail == "sqlite:///optuna.db"


def test_it_lists_the_packages_of_all_extras() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    packages = {
        re.match(r"[\w-]+", requirement)[0]: extra  # type: ignore[index]
        for extra, requirements in extras.items()
        if extra not in ("test", "dev")
        for requirement in requirements
    }
    assert packages == OPTIONAL


def test_looking_leaves_nothing_behind(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    results = checks()
    assert results["tracking store"].ok
    assert results["study storage"].ok
    assert list(folder.iterdir()) == []
    assert list(home.iterdir()) == []


def test_a_server_that_does_not_answer_is_a_need(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    store = checks()["tracking store"]
    assert (store.ok, store.needed) == (False, True)
    assert "no tracking server answers at http://127.0.0.1:9" in store.detail
    assert "mlflow server" in store.detail


def test_a_password_is_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:s3cret@127.0.0.1:9")
    assert "s3cret" not in checks()["tracking store"].detail


def test_a_folder_that_is_gone_is_a_need(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'gone' / 'mlflow.db'}")
    store = checks()["tracking store"]
    assert (store.ok, store.needed) == (False, True)
    assert "cannot write mlflow.db" in store.detail


@pytest.mark.parametrize("missing", [*NEEDED, *OPTIONAL])
def test_a_missing_package_says_how_to_get_it(
    tracking: Path, home: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    def without(name: str) -> str:
        if name == missing:
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(doctor, "version", without)
    check = checks()[missing]
    assert (check.ok, check.needed) == (False, missing in NEEDED)
    extra = "." if missing in NEEDED else f"'.[{OPTIONAL[missing]}]'"
    assert check.detail == f"not installed; type: pip install -e {extra}"


def test_caches_are_listed_and_never_needed(tracking: Path, home: Path) -> None:
    before = checks()
    for what in ("ImageNet weights", "MedMNIST files"):
        assert (before[what].ok, before[what].needed) == (False, False)
        assert "none yet, downloaded when needed" in before[what].detail
    (home / "hub" / "checkpoints").mkdir(parents=True)
    (home / "hub" / "checkpoints" / "mobilenet_v3_large.pth").touch()
    (home / ".medmnist").mkdir()
    (home / ".medmnist" / "chestmnist.npz").touch()
    after = checks()
    assert after["ImageNet weights"].detail == f"{home / 'hub' / 'checkpoints'}: mobilenet_v3_large.pth"
    assert after["MedMNIST files"].detail == f"{home / '.medmnist'}: chestmnist.npz"
    assert after["ImageNet weights"].ok
    assert after["MedMNIST files"].ok


def test_a_machine_without_gpu_shows_its_threads(tracking: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(doctor, "cores", lambda: 4)
    monkeypatch.setattr(doctor, "busy_cores", lambda: 1.25)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert checks()["device"] == Check("device", True, "CPU")
    detail = "4 cores, others keep 1.2 of them busy; a training computes with 3 (OMP_NUM_THREADS=3)"
    assert checks()["processor"] == Check("processor", True, detail)


def test_gpus_are_named(tracking: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    assert checks()["device"].detail == "GPU 0, GPU 1"


def test_the_cache(home: Path, tracking: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks()["cache"] == Check("cache", True, f"{cache_folder}: 0 of 10000 MB used")
    monkeypatch.setenv("MOBILENET_CHEST_CACHE_GB", "x")
    assert not checks()["cache"].ok
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", "off")
    assert checks()["cache"] == Check("cache", True, "off")
    (tracking / "file").write_text("")
    monkeypatch.setenv("MOBILENET_CHEST_CACHE_GB", "1")
    monkeypatch.setenv("MOBILENET_CHEST_CACHE", str(tracking / "file" / "cache"))
    check = checks()["cache"]
    assert (check.ok, check.needed) == (False, True)
    assert "cannot be written: set MOBILENET_CHEST_CACHE" in check.detail


def test_plugins_that_the_user_has_named(
    tracking: Path, home: Path, plugin_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks()["plugins"].detail == f"none in {plugins.VARIABLE}"
    broken, same = plugin_file.with_name("broken.py"), plugin_file.with_name("same.py")
    broken.write_text("def broken(:\n")
    same.write_text(PLUGIN + "\n# its names are taken\n")
    monkeypatch.setenv(plugins.VARIABLE, f"{plugin_file}:{broken}:{same}:{home / 'none.py'}")
    good, *bad = [check for what, check in checks().items() if what.startswith("plugin ")]
    assert (good.state, good.detail) == ("ok", plugins.load_file(plugin_file).summary())
    assert [(check.state, check.needed) for check in bad] == [("BAD", False)] * 3
    for check, part in zip(bad, ("line 1: invalid syntax", "registered by", "no file"), strict=True):
        assert part in check.detail
