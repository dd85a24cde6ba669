"""The manual's story of a deployment, from a sweep to a rollback: the lines of its page, as one script."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable

import pytest
from helpers.examples import Setting
from helpers.manual import MANUAL, blocks
from helpers.programs import forking_path
from mlflow import MlflowClient

from mobilenet_chest.deploy.answer_log import read


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_deploying(prepare: Callable[[str], Setting]) -> None:
    folder = prepare("empty").folder
    found = blocks((MANUAL / "deploying.md").read_text(encoding="utf-8"))
    (program,) = [block for block in found if block.language == "python"]
    (folder / program.notes["file"]).write_text(program.text, encoding="utf-8")
    script = "".join(block.text for block in found if block.language == "bash")
    with forking_path() as path:
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    client = MlflowClient()
    compressed = json.loads((folder / "compressed.json").read_text(encoding="utf-8"))["run_id"]
    versions = {version.version: version.run_id for version in client.search_model_versions("name = 'small'")}
    assert sorted(map(int, versions)) == [1, 2]
    assert client.get_model_version("small", "2").run_id == compressed
    assert client.get_model_version("small", "2").tags["gate_champion"].startswith("passed")
    assert str(client.get_model_version_by_alias("small", "champion").version) == "1"
    answers = read("small")
    assert answers.groupby("arm", observed=True).size().to_dict() == {"champion": 200, "shadow": 200}
    assert "<html" in (folder / "monitoring.html").read_text(encoding="utf-8")
