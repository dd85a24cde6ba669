"""The recipe of a container in the manual: what it promises, and its steps in a fresh environment of this machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import requests
from helpers.browsers import answers, until
from helpers.registry import Promoted

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 120


def recipe() -> list[tuple[str, str]]:
    """Return the instructions of the page's Containerfile, each with what follows it."""
    page = (ROOT / "mobilenet_chest/docs/serving.md").read_text(encoding="utf-8")
    block = re.search(r"```text\n(FROM .*?)```", page, re.DOTALL)
    assert block is not None
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in block[1].splitlines()]


def test_its_base_is_pinned_its_user_is_not_root_and_there_are_no_build_tools() -> None:
    steps = recipe()
    ((first, base),) = steps[:1]
    assert first == "FROM"
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    user = steps.index(("USER", "10001"))
    assert user > max(place for place, (name, _) in enumerate(steps) if name in ("RUN", "COPY"))
    assert not [text for name, text in steps if name == "RUN" and re.search(r"apt|gcc|build-essential|curl", text)]
    for name, text in steps:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in text.split()[:-1])


@pytest.mark.slow
def test_its_steps_give_a_server_that_answers(promoted: Promoted, tmp_path: Path) -> None:
    """The packages that it would download are those of this environment; the project is installed as it says."""
    steps = recipe()
    app, venv = tmp_path / "app", tmp_path / "venv"
    app.mkdir()
    for name, text in steps:
        if name == "COPY":
            *sources, _ = text.split()
            target = app / sources[0] if (ROOT / sources[0]).is_dir() else app
            subprocess.run(["cp", "-r", *(str(ROOT / source) for source in sources), str(target)], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (folder,) = venv.glob("lib/python*/site-packages")
    (folder / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    (install,) = [text for name, text in steps if name == "RUN" and text.startswith("pip ")]
    here = install.replace("pip install", f"{venv}/bin/python -m pip install --no-deps --no-build-isolation --no-index")
    subprocess.run(here, shell=True, cwd=app, check=True, capture_output=True)
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    settings = dict(word.split("=", 1) for name, text in steps if name == "ENV" for word in text.split())
    assert set(settings) == {"MLFLOW_TRACKING_URI", "MOBILENET_CHEST_LOG_FILE", "OMP_NUM_THREADS"}
    environment = os.environ | settings | {"MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"],
                                           "MOBILENET_CHEST_LOG_FILE": str(tmp_path / "serve.log")}  # fmt: skip
    environment.pop("PYTHONPATH", None)
    (entry,) = [json.loads(text) for name, text in steps if name == "ENTRYPOINT"]
    command = [str(venv / "bin" / entry[0]), *entry[1:], "tiny@champion", "--port", "0"]
    command[command.index("/run/secrets/token")] = str(token)
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = re.search(r"http://0\.0\.0\.0:(\d+)/", server.stdout.readline())
            assert said is not None
            address = f"http://127.0.0.1:{said[1]}"
            until(lambda: answers(f"{address}/healthz"), SECONDS, "healthz")
            (check,) = [json.loads(text.removeprefix("CMD ")) for name, text in steps if name == "HEALTHCHECK"]
            check = [word.replace("8000", said[1]) for word in check]
            assert subprocess.run([str(venv / "bin" / check[0]), *check[1:]]).returncode == 0
            assert requests.get(f"{address}/version", timeout=SECONDS).status_code == 401
        finally:
            server.terminate()
        assert server.wait(SECONDS) == 0
