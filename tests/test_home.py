"""Accounts without a home folder or a name, as containers have them: every command works or says one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mobilenet_chest import home
from mobilenet_chest.home import ensure_home

ANONYMOUS = """
import pwd, sys
def unknown(*_): raise KeyError("no such account")
pwd.getpwuid = unknown
sys.argv = ["mobilenet-chest", *{words!r}]
from mobilenet_chest.cli import main
main()
"""
"""Starts a command as an account that the system does not know."""


def anonymous(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command without home, name and settings, with ``folder`` for temporary files and as working folder."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    kept["PYTHONPATH"] = str(Path(__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", ANONYMOUS.format(words=words)],
        cwd=folder,
        env=kept | {"TMPDIR": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("words", "code"), [(["cache", "ls"], 0), (["schema"], 0), (["compare", "x"], 2)])
def test_commands_of_an_account_without_home(tmp_path: Path, words: list[str], code: int) -> None:
    result = anonymous(tmp_path, *words)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code"), [(["doctor"], 0), (["ledger"], 0), (["repair"], 0), (["docs"], 0)])
def test_more_commands_of_an_account_without_home(tmp_path: Path, words: list[str], code: int) -> None:
    result = anonymous(tmp_path, *words)
    assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr


def test_a_private_folder_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.environ["HOME"]
    ensure_home()
    assert os.environ["HOME"] == before

    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(home.Path, "home", none)
    monkeypatch.setattr(home.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", before)
    expected = tmp_path / f"mobilenet-chest-home-{os.getuid()}"
    for _ in range(2):
        ensure_home()
        assert Path(os.environ["HOME"]) == expected
    assert expected.stat().st_mode & 0o777 == 0o700
    expected.chmod(0o777)  # others may have written there
    ensure_home()
    assert Path(os.environ["HOME"]) != expected
    assert Path(os.environ["HOME"]).parent == tmp_path
