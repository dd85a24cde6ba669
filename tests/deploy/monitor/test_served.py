"""The whole way: a server answers films over HTTP, its log is monitored, and the shift is found."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import requests
from helpers.commands import run
from helpers.registry import Promoted
from helpers.serving import listening

from mobilenet_chest.data.dataset import load_train_val, stored_validation_images
from mobilenet_chest.deploy.monitor.findings import monitor
from mobilenet_chest.deploy.serving.limits import Limits
from mobilenet_chest.deploy.serving.live_model import Follower
from mobilenet_chest.deploy.serving.recorder import Recorder
from mobilenet_chest.deploy.serving.service import Service


@pytest.mark.slow
def test_films_that_change_under_a_server(promoted: Promoted, tmp_path: Path) -> None:
    data = promoted[0].config().data
    rows = load_train_val(data).val.rows
    films = stored_validation_images(data, rows)[np.random.default_rng(2).integers(0, len(rows), 30)]
    service = Service(Follower("models:/tiny@champion"), Limits(), Recorder("tiny", tmp_path))
    try:
        with listening(service) as address:
            for images in (films, films // 4 + 190):
                np.save(body := io.BytesIO(), images)
                answer = requests.post(f"{address}/predict", data=body.getvalue(), timeout=60)
                assert len(answer.json()["predictions"]) == 30
    finally:
        service.close()
    found = monitor("tiny", window="30", folder=tmp_path)
    assert (found.answers, found.waiting, found.absent) == (60, 0, [])
    assert "features" in {chart.key for chart in found.charts}
    assert [any(chart.points[window].out for chart in found.charts) for window in (0, 1)] == [False, True]
    result = run("monitor", "tiny", "--window", "30", "--log-dir", tmp_path, "--report", tmp_path / "page.html")
    assert result.exit_code == 3, result.output
    assert "out of control: 1 of 2 windows" in result.stdout
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<svg") > len(found.charts)
